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

pub(crate) use evidence::{Evidence, Shard, Sighting, Sightings};
pub(crate) use judge::{AnswerStatus, Judged, JudgedAnswer, judge, owed_by_events};
pub(crate) use order::{Happened, OpenOrder, Waiting};
pub(crate) use outages::{Outage, Outages};
pub(crate) use pace::{News, Pace, Sample};
pub(crate) use rules::RULES;
