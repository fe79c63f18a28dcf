//! What a consumer is to the runtime: what it hears, how it loads, decides and saves, and what it calls outside.

use std::sync::Arc;

use events::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::avro::codec::Codec;
use crate::engine::effects::Effects;
use crate::engine::write_set::Writes;
use crate::failure::Failure;
use crate::kafka::record::{Message, Unreadable};
use crate::retention::horizon::Retention;
use crate::settings::ConsumerSettings;

/// The thread by which everything that happens to one order is found again; a consumer keeps it with its row, for what no event causes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The correlation id: one for an order's whole life.
    pub correlation_id: Arc<str>,
    /// The W3C trace context of the event that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
    /// The event by which the order last went on here: the causation of what a timer, an answer or a request brings, none of which is in a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Uuid>,
}

/// Why something is decided: the event, timer, answer or request that comes in.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Its id; ids of what is said because of it are derived from it, so that the same reaction run twice says the same under the same id.
    pub id: Uuid,
    /// The thread it belongs to, where it says so (an event does; a timer or a request does not).
    pub thread: Option<Thread>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a cause came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A record of a topic.
    Topic,
    /// A timer that is due.
    Timer(Timer),
    /// The answer to a call of ours, or a request through a door.
    Door,
}

/// A timer: at `due`, look at this order again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timer {
    /// Whose order.
    pub order_id: OrderId,
    /// What for, as the consumer names it.
    pub kind: String,
    /// Which of several; else empty.
    pub discriminator: String,
    /// When.
    pub due: Timestamp,
}

impl Timer {
    /// What tells it from other timers of the consumer.
    pub(crate) fn key(&self) -> (OrderId, String, String) {
        (self.order_id, self.kind.clone(), self.discriminator.clone())
    }
}

/// One thing to decide, with why.
#[derive(Clone, Debug)]
pub struct Work<I> {
    /// Why.
    pub cause: Cause,
    /// What.
    pub input: I,
}

/// A contradiction: what came in can't be true by the protocol. It becomes a dead letter, or, through a door, the caller's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("conflict: {0}")]
pub struct Conflict(pub String);

/// How a batch learns what its rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It reads and locks them until the transaction ends: nobody else changes them meanwhile.
    Locked,
    /// It reads them, without a transaction: the write says whether they were still as they had been read.
    Fresh,
    /// The same, but what is remembered is not read ([`Recent`](crate::Recent)).
    Recalled,
}

impl Reading {
    /// A `select` of rows of one table, in the order in which they are locked.
    pub fn of(self, select: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self {
            Self::Locked => format!("{select} for no key update"),
            Self::Fresh | Self::Recalled => select.to_owned(),
        })
    }
}

/// One consumer: its rules, its tables, its calls. The runtime does the rest of the way: batches, transactions, outbox, timers, dead letters, offsets.
///
/// For each batch: [`load`](Consumer::load) reads what the batch needs, [`decide`](Consumer::decide) is run for each input in arrival order on what was
/// loaded, [`save`](Consumer::save) writes what changed; then timers and outbox rows are written, and it commits. Who is [`GUARDED`](Consumer::GUARDED)
/// does that without locks at first.
/// After the commit, the calls that were decided are made, and their answers come back as inputs of their own.
pub trait Consumer: Send + Sync + Sized + 'static {
    /// The consumer group, the PostgreSQL schema (`-` as `_`) and the CloudEvents source.
    const NAME: &'static str;
    /// Whether each row that it changes is guarded by the version that was read of it, or by its key where it is new (what only adds, or whose last word counts, needs neither), and all of them are written through
    /// [`Writes`]. Then a batch is read without locks and written by one statement, which fails if anything had changed meanwhile: two round trips
    /// less, and no row written to lock it. A batch that fails so is decided again on what is read, then with locks; one in
    /// which anything is out of the ordinary with locks at once.
    const GUARDED: bool = false;
    /// What it decides about: events, timers, answers and requests, as one enum.
    type Input: Send + Sync + 'static;
    /// What a batch was loaded into: rows by order, and what they share.
    type World: Send;
    /// What a door's caller gets to hear.
    type Reply: Default + Send + 'static;
    /// A call to the outside, made after the commit; repeatable, under its own key. [`std::convert::Infallible`] for who makes none.
    type Call: Send + 'static;

    /// The event types (`ce_type`) that it hears; what it does not hear is skipped without being decoded.
    fn hears() -> Vec<&'static str>;

    /// Topics of which it hears every record, whatever type its headers say: the front door, where anyone writes.
    fn untyped() -> Vec<&'static str> {
        Vec::new()
    }

    /// What the runtime's settings for it are unless the user says otherwise.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings::default()
    }

    /// The migrations of its schema.
    fn migrations() -> sqlx::migrate::Migrator;

    /// The event types that it says; checked at the start, so that a schema that was not applied is found then.
    fn says() -> Vec<&'static str>;

    /// Decodes a record that it hears.
    ///
    /// # Errors
    /// When the record can't be understood: a dead letter.
    fn hear(&self, message: &Message, codec: &Codec) -> Result<Work<Self::Input>, Unreadable>;

    /// What a due timer means.
    fn due(&self, timer: &Timer) -> Self::Input;

    /// Reads what is known of the orders of the batch, then what they share; with [`Reading::Locked`], locks first what it reads, in a stated order:
    /// orders by their ids, then the rest. With [`Reading::Recalled`] it need not read the rows of orders that it [remembers](Consumer::remember).
    fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Self::Input>],
        now: Timestamp,
        reading: Reading,
    ) -> impl Future<Output = Result<Self::World, Failure>> + Send;

    /// Decides one input. Changes `world` only when it succeeds.
    ///
    /// # Errors
    /// When the input contradicts what is known.
    fn decide(
        &self,
        world: &mut Self::World,
        work: &Work<Self::Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Self::Call>,
    ) -> Result<Self::Reply, Conflict>;

    /// The order that an input is about, where it is about one.
    fn order(_input: &Self::Input) -> Option<OrderId> {
        None
    }

    /// What it forgets of orders that ended longer ago than anything of them can come back; none: nothing.
    fn retention(&self) -> Option<Retention> {
        None
    }

    /// Deletes what belongs to no order and has not changed since `until`, the horizon, or what is kept by a time of its own: at most `limit` rows.
    /// Returns how many; it is asked again while that is all of them.
    fn prune(
        &self,
        _db: &mut PgConnection,
        _until: Timestamp,
        _now: Timestamp,
        _limit: i64,
    ) -> impl Future<Output = Result<u64, Failure>> + Send {
        async { Ok(0) }
    }

    /// Runs once after the whole batch was decided, with the batch's last cause: for what is said or called once a batch from the state
    /// that it left, such as a stock level that many inputs changed.
    fn finish(&self, _world: &mut Self::World, _now: Timestamp, _effects: &mut Effects<'_, Self::Call>) {}

    /// Writes what the batch changed, set-based, sorted by key: by adding to `writes`, which costs no round trip of its own, or, where a statement
    /// needs another's result, through `db` at once.
    ///
    /// # Errors
    /// What the database says; [`Failure::Unsure`] when something was decided on a recalled row that no write guards.
    fn save(
        &self,
        db: &mut PgConnection,
        world: &Self::World,
        now: Timestamp,
        writes: &mut Writes,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Takes the world of a batch that is committed, and may keep its orders' rows for the next one in a [`Recent`](crate::Recent).
    fn remember(&self, _world: Self::World, _now: Timestamp) {}

    /// Makes a call and says what came of it; none when the outcome is not known: the call's timer will ask again.
    fn call(&self, call: Self::Call) -> impl Future<Output = Option<Work<Self::Input>>> + Send;
}

/// The namespace of ids that are derived from texts instead of events.
fn derived(parts: &[&str]) -> Uuid {
    events::derive_id(
        parts[0],
        "cause",
        parts.get(1).copied().unwrap_or_default(),
        parts.get(2).copied().unwrap_or_default(),
    )
}

impl Cause {
    /// The cause of a request through a door of `consumer`; `key` is what makes it the same request when it comes again.
    pub fn door(consumer: &str, key: &str) -> Self {
        Self { id: derived(&["door", consumer, key]), thread: None, origin: Origin::Door }
    }

    /// The cause of the answer to a call of ours, by the attempt's key.
    pub fn answer(attempt_key: &str) -> Self {
        Self { id: derived(&["answer", attempt_key]), thread: None, origin: Origin::Door }
    }

    /// The cause of a due timer: order, name and due time.
    pub fn timer(timer: &Timer) -> Self {
        let name = format!("{}/{}", timer.kind, timer.discriminator);
        let id = derived(&[&timer.order_id.to_string(), &name, &timer.due.as_millis().to_string()]);
        Self { id, thread: None, origin: Origin::Timer(timer.clone()) }
    }

    /// The cause that a record is, by its CloudEvents id.
    pub fn topic(id: Uuid, thread: Thread) -> Self {
        Self { id, thread: Some(thread), origin: Origin::Topic }
    }
}
