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
use crate::vocabulary::{Cause, Thread, Timer, Work};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A consumer that decides nothing: what becomes of its items is all that is asked.
pub(crate) struct Plain;

impl Consumer for Plain {
    const NAME: &'static str = "plain";
    type Input = ();
    type World = ();
    type Reply = ();
    type Call = Infallible;

    fn hears() -> Vec<&'static str> {
        Vec::new()
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/outbox")
    }

    fn says() -> Vec<&'static str> {
        Vec::new()
    }

    fn hear(&self, message: &Message, _: &Codec) -> Result<Work<()>, Unreadable> {
        Ok(Work { cause: message.cause()?, input: () })
    }

    fn due(&self, _: &Timer) {}

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

fn record(key: Option<&str>, offset: i64) -> Item<Plain> {
    let message = Message {
        topic: "orders",
        partition: 0,
        offset,
        timestamp_ms: None,
        key: key.map(|key| key.as_bytes().to_vec()),
        headers: Headers::default(),
        payload: None,
    };
    Item::heard(Ok(Work { cause: Cause::topic(Uuid::nil(), Thread::default()), input: () }), message)
}

fn timer(attempts: i32) -> Item<Plain> {
    let order_id = OrderId(Uuid::from_u128(7));
    let timer = Timer { order_id, kind: "k".into(), discriminator: String::new(), due: NOW };
    let open = std::sync::Arc::new(Health::of("plain")).open();
    let item = Item::asked(Work { cause: Cause::timer(&timer), input: () }, open);
    Item { fired: Some(Fired { timer, attempts, letter_id: None }), ..item }
}

fn failed(mut item: Item<Plain>) -> Item<Plain> {
    item.fail("decide", "panic".into(), "no".into());
    item
}

fn fate(item: &Item<Plain>, outcome: Option<&Result<(), Conflict>>) -> Fate {
    let settings = ConsumerSettings { park_spread: 0.0, park_attempts: 3, ..ConsumerSettings::default() };
    Fate::of(item, outcome, &Pace::of(&settings), NOW)
}

#[test]
fn an_event_that_fails_for_its_order_is_tried_again_and_a_contradiction_dies_at_once_and_holds_nobody_up() {
    let again = fate(&failed(record(Some("a"), 1)), None);
    let Fate::Again { attempts: 1, next_at, .. } = again else { panic!("{again:?}") };
    assert_eq!(next_at.since(NOW), Duration::from_secs(1));
    let conflict = Err(Conflict("no".into()));
    let dead = fate(&record(Some("a"), 1), Some(&conflict));
    let Fate::Dead { death, blocking: false, .. } = dead else { panic!("{dead:?}") };
    assert_eq!(death.class, "conflict");
    assert_eq!(fate(&record(Some("a"), 1), Some(&Ok(()))), Fate::Done);
}

#[test]
fn a_timer_is_armed_again_until_its_last_attempt_and_dies_then() {
    assert!(matches!(fate(&failed(timer(0)), None), Fate::Again { attempts: 1, .. }));
    assert!(matches!(fate(&failed(timer(1)), None), Fate::Again { attempts: 2, .. }));
    let dead = fate(&failed(timer(2)), None);
    let Fate::Dead { death, attempts: 3, blocking: false } = dead else { panic!("{dead:?}") };
    assert_eq!(death.order_id, Some(OrderId(Uuid::from_u128(7))));
}

#[test]
fn who_waits_at_a_door_hears_of_it_and_nothing_is_kept() {
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let open = std::sync::Arc::new(Health::of("plain")).open();
    let item = Item::asked(Work { cause: Cause::door("plain", "k"), input: () }, open);
    let item = failed(Item { reply: Some(reply), ..item });
    assert!(matches!(item.work, Err(Trouble::Dead(_))));
    assert_eq!(fate(&item, None), Fate::Refused);
}

#[test]
fn a_dead_letter_that_cannot_be_heard_is_never_tried_again() {
    let mut item = record(Some("a"), 1);
    if let Some(message) = &mut item.message {
        message.topic = crate::dead_letter::TOPIC;
    }
    assert!(matches!(failed(item).work, Err(Trouble::Dead(_))));
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
    items[3].condemn("decode", "unreadable".into(), "no".into());
    items.push(record(Some("a"), 8));
    let behind = |items: &[Item<Plain>]| items.iter().map(|item| item.behind).collect::<Vec<_>>();
    line_up(&mut items, &HashSet::from([b"held".to_vec()]));
    assert_eq!(behind(&items), [false, false, false, false, false, false, true, true]);
    assert_eq!(fate(&items[7], None), Fate::Behind);
    // The lane was drained meanwhile, and what failed is gone.
    items.remove(1);
    items.remove(3);
    line_up(&mut items, &HashSet::new());
    assert!(behind(&items).iter().all(|behind| !behind));
}
