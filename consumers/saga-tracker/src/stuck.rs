//! Stuck orders: in which situation each was reported, and the case that `OrderStuck` tells.

mod case;
mod situation;

pub(crate) use case::{CaseFile, situation, tell};
pub use situation::Situation;
