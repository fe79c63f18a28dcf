//! Whether a consumer can do its work now: what `/readyz` says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The health of one consumer in this process.
#[derive(Debug)]
pub struct Health {
    name: &'static str,
    joined: AtomicBool,
    trouble: Mutex<Option<String>>,
    open: AtomicUsize,
    calls: AtomicUsize,
}

/// A request, or a call to the outside, that is not concluded yet; it is when this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    health: Arc<Health>,
    is_call: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.health.open.fetch_sub(1, Ordering::AcqRel);
        if self.is_call {
            self.health.calls.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Health {
    /// A consumer that has not joined its group yet.
    pub fn of(name: &'static str) -> Self {
        Self {
            name,
            joined: AtomicBool::new(false),
            trouble: Mutex::new(None),
            open: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
        }
    }

    /// Counts a request or a timer as open.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        Open { health: Arc::clone(self), is_call: false }
    }

    /// Counts a call to the outside as open, until its answer is decided.
    pub(crate) fn open_call(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.calls.fetch_add(1, Ordering::AcqRel);
        Open { health: Arc::clone(self), is_call: true }
    }

    /// Calls to the outside whose answer is not decided yet.
    pub(crate) fn open_calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    /// Requests and calls to the outside that are not concluded yet.
    pub fn open_work(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// It has an assignment, be it empty; or it needs none.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Release);
    }

    /// Its batches fail and are repeated.
    pub fn failing(&self, why: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// A batch was written.
    pub fn recovered(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_some() {
            *trouble = None;
        }
    }

    /// What keeps it from its work; none when it is ready.
    pub fn not_ready(&self) -> Option<String> {
        if !self.joined.load(Ordering::Acquire) {
            return Some(format!("{} has not joined its consumer group yet", self.name));
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|why| format!("{} repeats a batch: {why}", self.name))
    }
}
