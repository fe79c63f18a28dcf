use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;
use uuid::Uuid;

use events::OrderId;

use super::*;
use crate::avro::codec::Codec;
use crate::engine::effects::Effects;
use crate::engine::item::line_up;
use crate::failure::Failure;
use crate::health::Health;
use crate::kafka::headers::Headers;
use crate::kafka::record::{Message, Unreadable};
use crate::rows::{Loader, Saver};
use crate::settings::ConsumerSettings;
use crate::timers::store::Fired;
use crate::vocabulary::{Cause, Timer, TraceContext, Work};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A consumer that decides nothing: what becomes of its items is all that is asked.
pub(crate) struct Plain;

impl Consumer for Plain {
    const NAME: &'static str = "plain";
    type Input = ();
    type BatchState = ();
    type Reply = ();
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        Vec::new()
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/outbox")
    }

    fn publishes() -> Vec<&'static str> {
        Vec::new()
    }

    fn decode(&self, message: &Message, _: &Codec) -> Result<Work<()>, Unreadable> {
        Ok(Work { cause: message.cause()?, input: () })
    }

    fn on_timer(&self, _: &Timer) {}

    async fn load(&self, _: &[&Work<()>], _: &mut Loader<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn decide(&self, (): &mut (), _: &Work<()>, _: Timestamp, _: &mut Effects<'_, Infallible>) -> Result<(), Conflict> {
        Ok(())
    }

    async fn save(&self, (): (), _: &mut Saver<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

fn record(key: Option<&str>, offset: i64) -> BatchItem<Plain> {
    let message = Message {
        topic: "orders",
        partition: 0,
        offset,
        timestamp_ms: None,
        key: key.map(|key| key.as_bytes().to_vec()),
        headers: Headers::default(),
        payload: None,
    };
    BatchItem::heard(Ok(Work { cause: Cause::topic(Uuid::nil(), TraceContext::default()), input: () }), message)
}

fn timer(attempts: i32) -> BatchItem<Plain> {
    let order_id = OrderId(Uuid::from_u128(7));
    let timer = Timer { order_id, kind: "k".into(), discriminator: String::new(), due: NOW };
    let open = std::sync::Arc::new(Health::of("plain")).open();
    let item = BatchItem::asked(Work { cause: Cause::timer(&timer), input: () }, open);
    BatchItem { fired: Some(Fired { timer, attempts, letter_id: None }), ..item }
}

fn failed(mut item: BatchItem<Plain>) -> BatchItem<Plain> {
    item.fail("decide", "panic".into(), "no".into());
    item
}

fn disposition(item: &BatchItem<Plain>, outcome: Option<&Result<(), Conflict>>) -> Disposition {
    let settings = ConsumerSettings { retry_jitter: 0.0, retry_attempts: 3, ..ConsumerSettings::default() };
    Disposition::of(item, outcome, &RetryPace::of(&settings), NOW)
}

#[test]
fn an_event_that_fails_for_its_order_is_tried_again_and_a_contradiction_dies_at_once_and_holds_nobody_up() {
    let again = disposition(&failed(record(Some("a"), 1)), None);
    let Disposition::Again { attempts: 1, next_at, .. } = again else { panic!("{again:?}") };
    assert_eq!(next_at.since(NOW), Duration::from_secs(1));
    let conflict = Err(Conflict("no".into()));
    let dead = disposition(&record(Some("a"), 1), Some(&conflict));
    let Disposition::Dead { death, blocking: false, .. } = dead else { panic!("{dead:?}") };
    assert_eq!(death.class, "conflict");
    assert_eq!(disposition(&record(Some("a"), 1), Some(&Ok(()))), Disposition::Done);
}

#[test]
fn a_timer_is_armed_again_until_its_last_attempt_and_dies_then() {
    assert!(matches!(disposition(&failed(timer(0)), None), Disposition::Again { attempts: 1, .. }));
    assert!(matches!(disposition(&failed(timer(1)), None), Disposition::Again { attempts: 2, .. }));
    let dead = disposition(&failed(timer(2)), None);
    let Disposition::Dead { death, attempts: 3, blocking: false } = dead else { panic!("{dead:?}") };
    assert_eq!(death.order_id, Some(OrderId(Uuid::from_u128(7))));
}

#[test]
fn who_waits_at_a_door_hears_of_it_and_nothing_is_kept() {
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let open = std::sync::Arc::new(Health::of("plain")).open();
    let item = BatchItem::asked(Work { cause: Cause::request("plain", "k"), input: () }, open);
    let item = failed(BatchItem { reply: Some(reply), ..item });
    assert!(matches!(item.work, Err(ItemError::Dead(_))));
    assert_eq!(disposition(&item, None), Disposition::Refused);
}

#[test]
fn a_dead_letter_that_cannot_be_heard_is_never_tried_again() {
    let mut item = record(Some("a"), 1);
    if let Some(message) = &mut item.message {
        message.topic = crate::dead_letter::TOPIC;
    }
    assert!(matches!(failed(item).work, Err(ItemError::Dead(_))));
}

#[test]
fn what_comes_after_a_failure_of_its_key_waits_and_nobody_else() {
    let mut items = vec![
        record(Some("a"), 1),
        failed(record(Some("a"), 2)),
        record(Some("b"), 3),
        record(Some("a"), 4),
        failed(record(None, 5)),
        record(None, 6),
        record(Some("held"), 7),
    ];
    items[3].mark_dead("decode", "unreadable".into(), "no".into());
    items.push(record(Some("a"), 8));
    let behind = |items: &[BatchItem<Plain>]| items.iter().map(|item| item.behind).collect::<Vec<_>>();
    line_up(&mut items, &HashSet::from([b"held".to_vec()]));
    assert_eq!(behind(&items), [false, false, false, false, false, false, true, true]);
    assert_eq!(disposition(&items[7], None), Disposition::Behind);
    // The lane was drained meanwhile, and what failed is gone.
    items.remove(1);
    items.remove(3);
    line_up(&mut items, &HashSet::new());
    assert!(behind(&items).iter().all(|behind| !behind));
}
