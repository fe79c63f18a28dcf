//! A cache of what describes the warehouses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use events::Timestamp;

use crate::supply::Warehouses;

/// How long orders are allocated by warehouses as they were described.
const LASTS: Duration = Duration::from_secs(1);

/// All warehouses as they were a moment ago: what describes them changes seldom, and its last word may count a second later.
#[derive(Debug, Default)]
pub(crate) struct WarehouseCache(Mutex<Option<(Timestamp, Warehouses)>>);

impl WarehouseCache {
    pub fn recall(&self, now: Timestamp) -> Option<Warehouses> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, warehouses) = known.as_ref()?;
        let age = now.as_millis().abs_diff(at.as_millis());
        (age <= LASTS.as_millis() as u64).then(|| warehouses.clone())
    }

    pub fn remember(&self, warehouses: &Warehouses, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, warehouses.clone()));
    }

    /// Has them read again: this process changed them.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
