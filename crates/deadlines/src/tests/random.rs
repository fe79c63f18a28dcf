//! Whatever happens to consumers, relay, retries and clock.

use std::time::Duration;

use proptest::prelude::*;

use super::sample::{PATHS, at, evidence, order_of};
use crate::*;

proptest! {
    /// However consumers, relay, parking and clock are: who calls an order stuck has looked at all of them.
    #[test]
    fn nothing_is_stuck_while_anything_explains_that_it_is_late(
        path in 0..PATHS.len(), length in 1..12_usize, now in 0..2_000_000_i64,
        passed in proptest::option::of(0..2_000_000_i64), folded in proptest::option::of(0..2_000_000_i64),
        outages in proptest::collection::vec((0..6_usize, 0..2_000_000_i64, any::<bool>()), 0..12),
        waits in any::<bool>(), unparked in proptest::option::of(0..2_000_000_i64), moved in proptest::option::of(0..2_000_000_i64),
    ) {
        let mut order = order_of(&PATHS[path][..length.min(PATHS[path].len())]);
        let mut evidence = evidence(passed.unwrap_or(0), folded.unwrap_or(0));
        if passed.is_none() {
            evidence.pace = SampleHistory::default();
        }
        if folded.is_none() {
            evidence.folded.clear();
        }
        let mut outages = outages;
        outages.sort_by_key(|(_, when, _)| *when);
        for (consumer, when, is_down) in outages {
            let consumer = RULES.subscribes_to[consumer % RULES.subscribes_to.len()].0;
            evidence.outages.see(consumer, is_down, at(when));
        }
        if waits || unparked.is_some() {
            order.parked.push(WaitingEvents { consumer: "payments".into(), waits, unparked_at: unparked.map(at) });
        }
        order.moved_until = moved.map(at);
        let judged = judge(&RULES, &order, &evidence, at(now));
        prop_assert!(judged.look_at > at(now), "a look that is due now would be looked at for ever");
        for answer in judged.overdue() {
            let rule = answer.rule;
            prop_assert!(!waits);
            prop_assert!(folded.is_some_and(|folded| at(folded) >= answer.due && answer.due <= at(now)));
            prop_assert!(!evidence.outages.is_down(rule.consumer));
            prop_assert!(answer.due >= answer.event.at.plus(rule.within.min(Duration::from_secs(60))));
            prop_assert!(moved.is_none_or(|moved| answer.due >= at(moved)));
            if !rule.of_itself {
                prop_assert!(passed.is_some_and(|passed| answer.due >= at(passed).plus(rule.within)));
            }
        }
    }

    /// The order in which events are read, and other orders' events between them, change nothing.
    #[test]
    fn what_is_owed_does_not_depend_on_the_order_in_which_events_came(
        path in 0..PATHS.len(), shuffled in Just((0..16_usize).collect::<Vec<_>>()).prop_shuffle(), now in 0..500_000_i64,
    ) {
        let straight = order_of(PATHS[path]);
        let mut mixed = straight.clone();
        mixed.events = shuffled.iter().filter_map(|index| straight.events.get(*index).cloned()).collect();
        mixed.events.truncate(straight.events.len());
        let evidence = evidence(30, 1_000_000);
        let of = |order: &OpenOrder| {
            let judged = judge(&RULES, order, &evidence, at(now));
            let mut owed: Vec<_> = judged.answers.iter().map(|a| (a.rule.name, a.event.event_id, a.due, a.status == AnswerStatus::Overdue)).collect();
            owed.sort();
            owed
        };
        prop_assert_eq!(of(&mixed), of(&straight));
    }
}
