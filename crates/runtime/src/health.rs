//! Whether a consumer can do its work now: what `/readyz` says, and the circuits that what fails for everyone has opened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events::Timestamp;
use tokio::sync::watch;

/// A loop that has not come round for so long stands still.
const STANDS_STILL: Duration = Duration::from_secs(4);
/// A loop that has not come round for so long won't by itself: whoever runs the process may start it again.
const DEAD: Duration = Duration::from_secs(120);
/// A circuit that work opened, and on which no work failed for so long, is closed by a watcher who finds nothing amiss: else one that nobody has work
/// for stayed open for ever.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// What a consumer depends on: when it fails for everyone, the loop stops with backoff, and nothing is parked or dead for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circuit {
    /// Its database.
    Database,
    /// Kafka.
    Kafka,
    /// One of its topics: it is gone, or has no leader.
    Topic,
    /// What it calls outside, such as a payment gateway.
    Outside,
    /// The schema registry, where a record needs it: its lane waits, all else flows.
    Registry,
}

impl Circuit {
    const ALL: [Self; 5] = [Self::Database, Self::Kafka, Self::Topic, Self::Outside, Self::Registry];

    /// As labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Kafka => "kafka",
            Self::Topic => "topic",
            Self::Outside => "outside",
            Self::Registry => "registry",
        }
    }

    /// What becomes of work while it is open.
    const fn stops(self) -> &'static str {
        match self {
            Self::Database | Self::Kafka | Self::Topic | Self::Outside => "nothing is taken until it is closed",
            Self::Registry => "what needs it waits until it is closed, all else flows",
        }
    }

    /// Whether doors refuse requests while it is open. What is only called outside is called later.
    const fn refuses(self) -> bool {
        match self {
            Self::Database | Self::Kafka | Self::Topic => true,
            Self::Outside | Self::Registry => false,
        }
    }
}

#[derive(Clone, Debug)]
struct OpenCircuit {
    why: String,
    since: Timestamp,
    /// When work failed on it last; none when only a watcher found it.
    failed: Option<Instant>,
}

/// The health of one consumer in this process.
#[derive(Debug)]
pub struct Health {
    name: &'static str,
    joined: AtomicBool,
    troubled: AtomicBool,
    troubles: Mutex<BTreeMap<Circuit, OpenCircuit>>,
    open: AtomicUsize,
    calls: AtomicUsize,
    simulated: Mutex<Vec<&'static str>>,
    /// Whether requests are refused, as they could not be done.
    refuses: watch::Sender<bool>,
    created: Instant,
    /// When its loop came round last, in milliseconds since `created`; 0: it has none, or not yet.
    came_round: AtomicU64,
    /// When a batch was written last, in the same way.
    wrote: AtomicU64,
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
        Circuit::ALL.into_iter().for_each(|circuit| gauge(name, circuit, 0.0));
        Self {
            name,
            joined: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            troubles: Mutex::default(),
            open: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            refuses: watch::Sender::new(false),
            created: Instant::now(),
            came_round: AtomicU64::new(0),
            wrote: AtomicU64::new(0),
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

    /// Whose health it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its loop has come round. From the first time on it is expected to, every second or so.
    pub(crate) fn come_round(&self) {
        self.mark(&self.came_round);
    }

    pub(crate) fn wrote(&self) {
        self.mark(&self.wrote);
    }

    pub(crate) fn wrote_within(&self, time: Duration) -> bool {
        self.since(&self.wrote).is_some_and(|since| since < time)
    }

    fn mark(&self, when: &AtomicU64) {
        when.store((self.created.elapsed().as_millis() as u64).max(1), Ordering::Relaxed);
    }

    fn since(&self, when: &AtomicU64) -> Option<Duration> {
        let when = Some(when.load(Ordering::Relaxed)).filter(|when| *when > 0)?;
        Some(self.created.elapsed().saturating_sub(Duration::from_millis(when)))
    }

    /// What a watcher found out about something that it depends on.
    pub fn watched(&self, circuit: Circuit, found: Result<(), String>, now: Timestamp) {
        match found {
            Err(why) => self.open_circuit(circuit, why, now, None),
            Ok(()) => {
                let lately = |trouble: &OpenCircuit| trouble.failed.is_some_and(|failed| failed.elapsed() < FORGOTTEN);
                if self.troubled.load(Ordering::Acquire) && !self.troubles().get(&circuit).is_some_and(lately) {
                    self.close_circuit(circuit, now);
                }
            }
        }
    }

    /// Why requests are refused at present; none when they are taken.
    pub fn refuses(&self) -> Option<String> {
        if !*self.refuses.borrow() {
            return None;
        }
        let troubles = self.troubles();
        let (circuit, trouble) = troubles.iter().find(|(circuit, _)| circuit.refuses())?;
        Some(self.told(*circuit, trouble))
    }

    pub(crate) async fn until_it_refuses(&self) {
        if self.refuses.subscribe().wait_for(|refuses| *refuses).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Circuit, OpenCircuit>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, circuit: Circuit, OpenCircuit { why, since, .. }: &OpenCircuit) -> String {
        format!("{} waits for its {} since {since}: {why}", self.name, circuit.as_str())
    }

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
        self.open_circuit(circuit, why, now, Some(Instant::now()));
    }

    fn open_circuit(&self, circuit: Circuit, why: String, now: Timestamp, failed: Option<Instant>) {
        let mut troubles = self.troubles();
        let before = troubles.get(&circuit);
        let since = before.map_or(now, |trouble| trouble.since);
        let failed = failed.or_else(|| before?.failed);
        if troubles.insert(circuit, OpenCircuit { why: why.clone(), since, failed }).is_none() {
            tracing::warn!(consumer = self.name, circuit = circuit.as_str(), why, "circuit open: {}", circuit.stops());
            gauge(self.name, circuit, 1.0);
        }
        self.troubled.store(true, Ordering::Release);
        self.note_whether_it_refuses(&troubles);
    }

    fn note_whether_it_refuses(&self, troubles: &BTreeMap<Circuit, OpenCircuit>) {
        let refuses = troubles.keys().any(|circuit| circuit.refuses());
        self.refuses.send_if_modified(|before| std::mem::replace(before, refuses) != refuses);
    }

    /// It works again: its circuit is closed, if it is not already.
    pub fn close_circuit(&self, circuit: Circuit, now: Timestamp) {
        if !self.troubled.load(Ordering::Acquire) {
            return; // asked at each batch
        }
        let mut troubles = self.troubles();
        if let Some(OpenCircuit { since, .. }) = troubles.remove(&circuit) {
            let open_for = now.since(since);
            tracing::info!(consumer = self.name, circuit = circuit.as_str(), ?open_for, "circuit closed");
            gauge(self.name, circuit, 0.0);
        }
        self.troubled.store(!troubles.is_empty(), Ordering::Release);
        self.note_whether_it_refuses(&troubles);
    }

    /// Whether a circuit is open.
    pub fn is_broken(&self, circuit: Circuit) -> bool {
        self.troubled.load(Ordering::Acquire) && self.troubles().contains_key(&circuit)
    }

    /// What keeps it from its work; none when it is ready.
    pub fn not_ready(&self) -> Option<String> {
        let troubles = self.troubles();
        if let Some((circuit, trouble)) = troubles.first_key_value() {
            return Some(self.told(*circuit, trouble));
        }
        if !self.joined.load(Ordering::Acquire) {
            return Some(format!("{} has not joined its consumer group yet", self.name));
        }
        let still = self.since(&self.came_round).filter(|since| *since > STANDS_STILL)?;
        Some(format!("{}: its loop stands still for {} s: see its log", self.name, still.as_secs()))
    }

    /// Why the process had better be started again; none while it lives.
    pub fn dead(&self) -> Option<String> {
        let still = self.since(&self.came_round).filter(|since| *since > DEAD)?;
        Some(format!("{}: its loop stands still for {} s", self.name, still.as_secs()))
    }
}

fn gauge(name: &'static str, circuit: Circuit, open: f64) {
    metrics::gauge!("quadrille_circuit_open", "consumer" => name, "circuit" => circuit.as_str()).set(open);
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

    #[test]
    fn a_watcher_closes_what_it_opened_and_leaves_to_work_what_failed_for_work() {
        let (health, now) = (Health::of("orders"), Timestamp::from_millis(0));
        health.joined();
        health.watched(Circuit::Database, Err("refused".into()), now);
        assert!(health.refuses().unwrap().contains("orders waits for its database since"));
        health.watched(Circuit::Database, Ok(()), now);
        assert_eq!((health.refuses(), health.not_ready()), (None, None));
        health.break_circuit(Circuit::Database, "disk full".into(), now);
        health.watched(Circuit::Database, Ok(()), now);
        assert!(health.is_broken(Circuit::Database), "a ping writes nothing");
        health.close_circuit(Circuit::Database, now);
        assert_eq!(health.refuses(), None);
        health.break_circuit(Circuit::Outside, "no answer".into(), now);
        assert_eq!(health.refuses(), None, "requests are taken while the outside is away");
    }

    #[test]
    fn a_loop_that_stands_still_is_not_ready_and_one_that_never_began_is_not_waited_for() {
        let mut health = Health::of("orders");
        health.joined();
        health.created = Instant::now() - Duration::from_secs(130);
        assert_eq!((health.not_ready(), health.dead()), (None, None));
        health.come_round();
        assert_eq!((health.not_ready(), health.dead()), (None, None));
        health.came_round.store(124_000, Ordering::Relaxed);
        assert!(health.not_ready().unwrap().contains("stands still"));
        assert_eq!(health.dead(), None);
        health.came_round.store(1, Ordering::Relaxed);
        assert!(health.dead().is_some());
    }
}
