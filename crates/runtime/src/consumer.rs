//! What a consumer is to the runtime: what it subscribes to, how it loads, decides and saves, and what it calls outside.

use events::{OrderId, Timestamp};

use crate::avro::codec::Codec;
use crate::engine::effects::Effects;
use crate::failure::Failure;
use crate::kafka::record::{Message, Unreadable};
use crate::retention::Retention;
use crate::rows::{Loader, Saver};
use crate::settings::ConsumerSettings;
use crate::vocabulary::{Conflict, Timer, Work};

/// One consumer: its rules, its tables, its calls. The runtime does the rest of the way: batches, transactions, outbox, timers, dead letters, offsets.
///
/// For each batch: [`load`](Consumer::load) reads what the batch needs, [`decide`](Consumer::decide) is run for each input in arrival order on what was
/// loaded, [`save`](Consumer::save) writes what changed; then timers and outbox rows are written, and it commits. Rows are read and written by
/// [`Rows`](crate::rows::Rows), without locks at first.
/// After the commit, the calls that were decided are made, and their answers come back as inputs of their own.
pub trait Consumer: Send + Sync + Sized + 'static {
    /// The consumer group, the PostgreSQL schema (`-` as `_`) and the CloudEvents source.
    const NAME: &'static str;
    /// Whether a batch is read without locks and written by one statement at first: two round trips less, and no row written to lock it. That may do
    /// where each row that is changed is guarded by the version that was read of it, or by its key where it is new, as [`Rows`](crate::rows::Rows) has
    /// it (what only adds, or whose last word counts, needs neither), and all of it is written through [`Saver::writes`]. The statement fails if
    /// anything had changed meanwhile; then the batch is decided again on what is read, then with locks. One in which anything is out of the ordinary is
    /// decided with locks at once.
    const OPTIMISTIC: bool = true;
    /// The statements of its tables ([`TableRow::statements`](crate::rows::TableRow::statements)), for the test that prepares all of them.
    const TABLES: &'static [fn() -> Vec<String>] = &[];
    /// What it decides about: events, timers, answers and requests, as one enum.
    type Input: Send + Sync + 'static;
    /// What a batch was loaded into: rows by order, and what they share.
    type BatchState: Send;
    /// What a route's caller gets to hear.
    type Reply: Default + Send + 'static;
    /// A call to the outside, made after the commit; repeatable, under its own key. [`std::convert::Infallible`] for who makes none.
    type Call: Send + 'static;

    /// The event types (`ce_type`) that it subscribes to; what it does not subscribe to is skipped without being decoded.
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

    /// Decodes a record that it subscribes to.
    ///
    /// # Errors
    /// When the record can't be understood: a dead letter.
    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Self::Input>, Unreadable>;

    /// What a due timer means.
    fn on_timer(&self, timer: &Timer) -> Self::Input;

    /// Reads what is known of the orders of the batch, then what they share: rows in a stated order, as they may be locked.
    fn load(
        &self,
        batch: &[&Work<Self::Input>],
        loader: &mut Loader<'_>,
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

    /// What it forgets of orders that ended longer ago than anything of them can come back, and what else has had its time; none: nothing.
    fn retention(&self) -> Option<Retention> {
        None
    }

    /// Runs once after the whole batch was decided, with the batch's last cause: for what is said or called once a batch from the state
    /// that it left, such as a stock level that many inputs changed.
    fn finish(&self, _world: &mut Self::BatchState, _now: Timestamp, _effects: &mut Effects<'_, Self::Call>) {}

    /// Writes what the batch changed, set-based, sorted by key: by adding to the writes, which costs no round trip of its own.
    ///
    /// # Errors
    /// What the database says.
    fn save(&self, world: Self::BatchState, saver: &mut Saver<'_>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes a call and says what came of it; none when the outcome is not known: the call's timer will ask again. For who makes none there is nothing
    /// to do.
    fn call(&self, _call: Self::Call) -> impl Future<Output = Option<Work<Self::Input>>> + Send {
        async { None }
    }
}
