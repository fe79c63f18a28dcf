//! Which answers an order is owed, when they are due, and whether what is missing is late or stuck. Pure: what is known of consumers, relay and
//! tracker comes in as [`Evidence`].

mod evidence;
mod judge;
mod order;
mod outages;
mod pace;
mod rules;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, Shard, Sightings};
pub use judge::{AnswerStatus, Explanation, Judged, JudgedAnswer, judge, owed_by_events};
pub use order::{Happened, OpenOrder, TopicPartition, WaitingEvents};
pub use outages::{GroupOutage, Outages};
pub use pace::{Sample, SampleHistory};
pub use rules::{DeadlineHold, DeadlineRule, DeadlineRules, RULES};
