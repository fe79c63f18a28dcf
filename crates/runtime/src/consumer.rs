//! What a consumer is to the runtime: what it hears, how it loads, decides and saves, and what it calls outside.

use crate::vocabulary::Conflict;
use crate::vocabulary::Timer;
use crate::vocabulary::Work;
use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::avro::codec::Codec;
use crate::engine::effects::Effects;
use crate::engine::write_set::WriteSet;
use crate::failure::Failure;
use crate::kafka::record::{Message, Unreadable};
use crate::retention::Retention;
use crate::settings::ConsumerSettings;

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
/// loaded, [`save`](Consumer::save) writes what changed; then timers and outbox rows are written, and it commits. Who is [`OPTIMISTIC`](Consumer::GUARDED)
/// does that without locks at first.
/// After the commit, the calls that were decided are made, and their answers come back as inputs of their own.
pub trait Consumer: Send + Sync + Sized + 'static {
    /// The consumer group, the PostgreSQL schema (`-` as `_`) and the CloudEvents source.
    const NAME: &'static str;
    /// Whether each row that it changes is guarded by the version that was read of it, or by its key where it is new (what only adds, or whose last word counts, needs neither), and all of them are written through
    /// [`WriteSet`]. Then a batch is read without locks and written by one statement, which fails if anything had changed meanwhile: two round trips
    /// less, and no row written to lock it. A batch that fails so is decided again on what is read, then with locks; one in
    /// which anything is out of the ordinary with locks at once.
    const OPTIMISTIC: bool = false;
    /// What it decides about: events, timers, answers and requests, as one enum.
    type Input: Send + Sync + 'static;
    /// What a batch was loaded into: rows by order, and what they share.
    type BatchState: Send;
    /// What a door's caller gets to hear.
    type Reply: Default + Send + 'static;
    /// A call to the outside, made after the commit; repeatable, under its own key. [`std::convert::Infallible`] for who makes none.
    type Call: Send + 'static;

    /// The event types (`ce_type`) that it hears; what it does not hear is skipped without being decoded.
    fn subscribes_to() -> Vec<&'static str>;

    /// Topics of which it hears every record, whatever type its headers say: the front door, where anyone writes.
    fn raw_topics() -> Vec<&'static str> {
        Vec::new()
    }

    /// What the runtime's settings for it are unless the user says otherwise.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings::default()
    }

    /// The migrations of its schema.
    fn migrations() -> sqlx::migrate::Migrator;

    /// The event types that it says; checked at the start, so that a schema that was not applied is found then.
    fn publishes() -> Vec<&'static str>;

    /// Decodes a record that it hears.
    ///
    /// # Errors
    /// When the record can't be understood: a dead letter.
    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Self::Input>, Unreadable>;

    /// What a due timer means.
    fn on_timer(&self, timer: &Timer) -> Self::Input;

    /// Reads what is known of the orders of the batch, then what they share; with [`Reading::Locked`], locks first what it reads, in a stated order:
    /// orders by their ids, then the rest. With [`Reading::Recalled`] it need not read the rows of orders that it [remembers](Consumer::remember).
    fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Self::Input>],
        now: Timestamp,
        reading: Reading,
    ) -> impl Future<Output = Result<Self::BatchState, Failure>> + Send;

    /// Decides one input. Changes `world` only when it succeeds.
    ///
    /// # Errors
    /// When the input contradicts what is known.
    fn decide(
        &self,
        world: &mut Self::BatchState,
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
    fn finish(&self, _world: &mut Self::BatchState, _now: Timestamp, _effects: &mut Effects<'_, Self::Call>) {}

    /// Writes what the batch changed, set-based, sorted by key: by adding to `writes`, which costs no round trip of its own, or, where a statement
    /// needs another's result, through `db` at once.
    ///
    /// # Errors
    /// What the database says; [`Failure::Unsure`] when something was decided on a recalled row that no write guards.
    fn save(
        &self,
        db: &mut PgConnection,
        world: &Self::BatchState,
        now: Timestamp,
        writes: &mut WriteSet,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Takes the world of a batch that is committed, and may keep its orders' rows for the next one in a [`Recent`](crate::Recent).
    fn remember(&self, _world: Self::BatchState, _now: Timestamp) {}

    /// Makes a call and says what came of it; none when the outcome is not known: the call's timer will ask again.
    fn call(&self, call: Self::Call) -> impl Future<Output = Option<Work<Self::Input>>> + Send;
}
