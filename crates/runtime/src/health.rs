//! Whether a consumer can do its work now: what `/readyz` says, and the circuits that what fails for everyone has opened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use events::Timestamp;

/// What a consumer depends on: when it fails for everyone, the loop stops with backoff, and nothing is parked or dead for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circuit {
    /// Its database.
    Database,
    /// Kafka.
    Kafka,
    /// What it calls outside, such as a payment gateway.
    Outside,
    /// The schema registry, where a record needs it: its lane waits, all else flows.
    Registry,
}

impl Circuit {
    /// As labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Kafka => "kafka",
            Self::Outside => "outside",
            Self::Registry => "registry",
        }
    }
}

/// Why a circuit is open.
#[derive(Clone, Debug)]
struct Trouble {
    why: String,
    since: Timestamp,
}

/// The health of one consumer in this process.
#[derive(Debug)]
pub struct Health {
    name: &'static str,
    joined: AtomicBool,
    troubled: AtomicBool,
    troubles: Mutex<BTreeMap<Circuit, Trouble>>,
    open: AtomicUsize,
    calls: AtomicUsize,
    simulated: Mutex<Vec<&'static str>>,
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
        // Told from the beginning: what is not there can't be told from what is closed.
        for circuit in [Circuit::Database, Circuit::Kafka, Circuit::Outside] {
            metrics::gauge!("quadrille_circuit_open", "consumer" => name, "circuit" => circuit.as_str()).set(0.0);
        }
        Self {
            name,
            joined: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            troubles: Mutex::default(),
            open: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            simulated: Mutex::default(),
        }
    }

    /// It simulates this part of the world: said now, and whenever somebody asks whether it is ready.
    pub fn simulates(&self, what: &'static str) {
        tracing::warn!(consumer = self.name, simulated = what, "simulated: nothing real happens here");
        self.simulated.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What `/readyz` says of one that is ready.
    pub fn ready(&self) -> String {
        let simulated = self.simulated.lock().unwrap_or_else(PoisonError::into_inner);
        if simulated.is_empty() { "ready".to_owned() } else { format!("ready (simulated: {})", simulated.join(", ")) }
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

    /// Something fails for everyone: its circuit is open from now on, if it is not already.
    pub fn break_circuit(&self, circuit: Circuit, why: String, now: Timestamp) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let since = troubles.get(&circuit).map_or(now, |trouble| trouble.since);
        if troubles.insert(circuit, Trouble { why: why.clone(), since }).is_none() {
            tracing::warn!(
                consumer = self.name,
                circuit = circuit.as_str(),
                why,
                "circuit open: nothing is taken until it is closed"
            );
            self.gauge(circuit, 1.0);
        }
        self.troubled.store(true, Ordering::Release);
    }

    /// It works again: its circuit is closed, if it is not already.
    pub fn close_circuit(&self, circuit: Circuit, now: Timestamp) {
        if !self.troubled.load(Ordering::Acquire) {
            return; // asked at each batch
        }
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Trouble { since, .. }) = troubles.remove(&circuit) {
            let open_for = now.since(since);
            tracing::info!(consumer = self.name, circuit = circuit.as_str(), ?open_for, "circuit closed");
            self.gauge(circuit, 0.0);
        }
        self.troubled.store(!troubles.is_empty(), Ordering::Release);
    }

    /// Whether a circuit is open.
    pub fn is_broken(&self, circuit: Circuit) -> bool {
        self.troubled.load(Ordering::Acquire)
            && self.troubles.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&circuit)
    }

    fn gauge(&self, circuit: Circuit, open: f64) {
        metrics::gauge!("quadrille_circuit_open", "consumer" => self.name, "circuit" => circuit.as_str()).set(open);
    }

    /// What keeps it from its work; none when it is ready.
    pub fn not_ready(&self) -> Option<String> {
        if !self.joined.load(Ordering::Acquire) {
            return Some(format!("{} has not joined its consumer group yet", self.name));
        }
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let (circuit, Trouble { why, since }) = troubles.first_key_value()?;
        Some(format!("{} waits for its {} since {since}: {why}", self.name, circuit.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_simulates_says_so_whenever_it_is_asked() {
        let health = Health::of("payments");
        assert_eq!(health.ready(), "ready");
        health.simulates("sandbox gateway");
        assert_eq!(health.ready(), "ready (simulated: sandbox gateway)");
    }

    #[test]
    fn an_open_circuit_says_what_why_and_since_when_until_it_is_closed() {
        let health = Health::of("payments");
        health.joined();
        assert_eq!(health.not_ready(), None);
        let (first, later) = (Timestamp::from_millis(0), Timestamp::from_millis(60_000));
        health.break_circuit(Circuit::Outside, "no answer".into(), first);
        health.break_circuit(Circuit::Outside, "still no answer".into(), later);
        let why = health.not_ready().unwrap();
        assert!(why.contains("outside since 1970-01-01T00:00:00.000Z: still no answer"), "{why}");
        assert!(health.is_broken(Circuit::Outside) && !health.is_broken(Circuit::Kafka));
        health.close_circuit(Circuit::Database, later);
        assert!(health.not_ready().is_some(), "another circuit");
        health.close_circuit(Circuit::Outside, later);
        assert_eq!(health.not_ready(), None);
    }
}
