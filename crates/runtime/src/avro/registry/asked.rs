//! What the registry was asked in this process: so that the same question is not asked for each record that raises it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::avro::codec::CodecError;

/// So long a no is believed: the schema may be registered meanwhile.
const NO_HOLDS: Duration = Duration::from_secs(30);
/// So long what it said of an id is not doubted, whatever its records are.
const YES_HOLDS: Duration = Duration::from_secs(600);
/// Ids that are remembered; anybody may make up ids.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct AskedIds(Mutex<AskedState>);

#[derive(Debug, Default)]
struct AskedState {
    /// When it last answered for an id, and why the id's schema can't be read by.
    answers: HashMap<u32, (Instant, Option<CodecError>)>,
    unanswered: Option<u32>,
}

impl AskedIds {
    fn state(&self) -> MutexGuard<'_, AskedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why there is no schema under an id, where it said so a moment ago.
    pub fn refused(&self, id: u32) -> Option<CodecError> {
        let state = self.state();
        let (at, refusal) = state.answers.get(&id)?;
        refusal.clone().filter(|_| at.elapsed() < NO_HOLDS)
    }

    /// Whether it has not been asked for an id for long.
    pub fn is_doubtful(&self, id: u32) -> bool {
        self.state().answers.get(&id).is_none_or(|(at, _)| at.elapsed() >= YES_HOLDS)
    }

    pub fn answered(&self, id: u32, refusal: Option<&CodecError>) {
        let mut state = self.state();
        if state.answers.len() >= MOST {
            state.answers.clear();
        }
        state.answers.insert(id, (Instant::now(), refusal.cloned()));
        state.unanswered = None;
    }

    pub fn waits_for(&self, id: u32) {
        self.state().unanswered = Some(id);
    }

    /// What it was asked last, where it did not answer.
    pub fn unanswered(&self) -> Option<u32> {
        self.state().unanswered
    }
}
