use tokio::sync::oneshot;

use super::*;
use crate::engine::disposition::tests::Plain;
use crate::health::Health;
use crate::vocabulary::{Cause, Work};

fn cause(key: &str) -> Uuid {
    Cause::request("plain", key).id
}

/// A batch of requests by their keys: each with how many rows it said.
fn batch(said: &[(&str, usize)]) -> (Vec<BatchItem<Plain>>, Attempt<Plain>) {
    let open = || std::sync::Arc::new(Health::of("plain")).open();
    let item = |(key, _): &(&str, usize)| BatchItem {
        reply: Some(oneshot::channel().0),
        ..BatchItem::asked(Work { cause: Cause::request("plain", key), input: () }, open())
    };
    let items: Vec<BatchItem<Plain>> = said.iter().map(item).collect();
    let mut attempt = Attempt::new(&items);
    let mut rows = 0;
    for (own, (_, said)) in attempt.own.iter_mut().zip(said) {
        *own = rows..rows + said;
        rows += said;
    }
    attempt.positions = (0..rows as i64).map(|row| 1_000 + row).collect();
    (items, attempt)
}

#[test]
fn a_request_that_says_nothing_has_no_position_of_anothers() {
    let (items, attempt) = batch(&[("a", 0), ("new", 2), ("b", 0), ("c", 1), ("d", 0)]);
    assert_eq!(positions(&items, &attempt, HashMap::new()), [None, Some(1_001), None, Some(1_002), None]);
}

#[test]
fn the_same_request_again_is_answered_as_the_first_time_in_this_batch_or_later() {
    let (items, attempt) = batch(&[("old", 0), ("new", 2), ("new", 0), ("old", 0), ("never", 0)]);
    let known = HashMap::from([(cause("old"), 7)]);
    assert_eq!(positions(&items, &attempt, known), [Some(7), Some(1_001), Some(1_001), Some(7), None]);
}

#[test]
fn what_nobody_waits_for_is_not_kept() {
    let (mut items, attempt) = batch(&[("a", 1), ("b", 1)]);
    items[0].reply = None;
    let known = positions(&items, &attempt, HashMap::new());
    assert_eq!(known, [Some(1_000), Some(1_001)]);
    assert_eq!(request(&items[0]), None);
    assert_eq!(request(&items[1]), Some(cause("b")));
}

#[test]
fn each_position_is_found_in_the_entry_of_its_row() {
    let mut writes = WriteSet::default();
    let last = BTreeMap::from([(cause("a"), 0), (cause("b"), 4), (cause("c"), 5)]);
    let answers = Answers { schema: "plain".into(), last, now: Timestamp::from_millis(1) };
    writes.append("insert into o ", "select $1", "").bind(1_i64);
    answers.add(&mut writes, [3, 2, 1].into_iter());
    assert_eq!(place(&[3, 2, 1], 0), (1, 0));
    assert_eq!(place(&[3, 2, 1], 4), (2, 1));
    assert_eq!(place(&[3, 2, 1], 5), (3, 0));
}
