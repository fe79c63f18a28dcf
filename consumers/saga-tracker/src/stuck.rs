//! Stuck orders: in which situation each was reported, and the case that `OrderStuck` tells.

mod actions;
mod case;
mod file;
mod situation;
mod stock;

pub(crate) use case::{situation, tell};
pub(crate) use file::CaseFile;
pub use situation::Situation;
