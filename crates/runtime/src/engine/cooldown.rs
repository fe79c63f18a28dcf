//! What turned out once is expected for a while.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many batches are done with care after one that went wrong without.
const BATCHES: u32 = 32;

/// Whether batches are done with care: those after one that went wrong without it. Where it does so often, care costs less than trying again.
#[derive(Debug, Default)]
pub struct Cooldown(AtomicU32);

impl Cooldown {
    /// A batch went wrong: the next ones are done with care.
    pub fn trip(&self) {
        self.0.store(BATCHES, Ordering::Relaxed);
    }

    /// Whether this batch is done with care; counts down.
    pub fn active(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
