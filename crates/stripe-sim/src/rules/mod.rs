//! What each operation does to a payment. Pure: time comes in as [`RuleContext`](crate::effects::RuleContext), ids are drawn.

mod cancel;
mod capture;
mod confirm;
mod create;
mod dispute;
mod refund;
mod roll_back;
#[cfg(test)]
mod tests;
mod transaction;

pub use capture::CaptureParameters;
pub use confirm::{ActionOutcome, ConfirmParameters};
pub use create::{CreateParameters, UpdateParameters};
pub use dispute::{DisputeUpdateParameters, NewDispute};
pub use refund::RefundParameters;
