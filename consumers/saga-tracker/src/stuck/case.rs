//! The case of a stuck order: everything that a person needs to decide what to do, in one event.

use std::collections::BTreeMap;

use deadlines::{AnswerStatus, Judged, JudgedAnswer, OpenOrder, RULES};
use events::{
    AllowedAction, CaseEntry, Event as _, EventId, ExpectedAnswer, FraudReviewRequested, MoneyAtStake,
    OpenCompensation, OpenDeadLetter, OrderCancellationRequested, OrderStuck, ParkedEvent, PaymentAuthorized,
    PaymentCaptured, PaymentRefundFailed, PaymentRefunded, PaymentVoided, ShipmentDispatched, StockAtStake,
    StockReserved, Timestamp, entry_of,
};
use runtime::TraceContext;
use serde_json::Value;
use uuid::Uuid;

use crate::facts::{Facts, Moment};
use crate::stock::Ledger;

/// Bytes of one event that a case shows: it must fit into a record.
const LONGEST_DATA: usize = 2_000;
/// Of a longer history, the latest events.
const LONGEST_HISTORY: usize = 200;

/// All that is known of an order that may be stuck.
#[derive(Clone, Debug)]
pub(crate) struct CaseFile {
    pub order: OpenOrder,
    pub facts: Facts,
    pub history: Vec<CaseEntry>,
    pub parked: Vec<ParkedEvent>,
    pub dead_letters: Vec<OpenDeadLetter>,
    /// By which everything of it is found again.
    pub thread: TraceContext,
}

impl CaseFile {
    fn has(&self, event_type: &str) -> bool {
        self.history.iter().any(|entry| entry.event_type == event_type)
    }
}

/// The unanswered event for which an order is stuck, and whether only by the hard limit; none: it is not, or it was told.
pub(crate) fn situation(order: &OpenOrder, judged: &Judged<'_>) -> Option<(Uuid, bool)> {
    let untold = |event_id: &Uuid| !order.was_reported(*event_id);
    let mut overdue = judged.overdue().map(|answer| answer.event.event_id);
    if let Some(event_id) = overdue.find(untold) {
        return Some((event_id, false));
    }
    let event = judged.answers.first().map(|answer| answer.event).or(order.events.last())?;
    Some((event.event_id, true)).filter(|(event_id, _)| judged.beyond_limit && untold(event_id))
}

pub(crate) fn tell(case: &CaseFile, judged: &Judged<'_>, (event_id, hard_limit): (Uuid, bool)) -> OrderStuck {
    let answer = judged.answers.iter().find(|answer| answer.event.event_id == event_id);
    let event = case.order.events.iter().find(|event| event.event_id == event_id);
    let limit = case.order.placed_at.plus(RULES.hard_limit);
    let moment = |event_type: &str, field: &str| {
        let found = case.history.iter().find(|entry| entry.event_type == event_type)?;
        serde_json::from_str::<Value>(&found.data).ok()?[field].as_i64().map(Timestamp::from_millis)
    };
    let stock = held(&case.history);
    let lapses = moment(PaymentAuthorized::TYPE, "capture_before");
    let expires = moment(StockReserved::TYPE, "expires_at");
    let last = case.history.iter().rfind(|entry| is_of_its_way(&entry.event_type));
    OrderStuck {
        order_id: case.order.order_id,
        status: case.facts.status.as_str().to_owned(),
        event_id: EventId(event_id),
        event_type: event.map_or_else(String::new, |event| event.event_type.to_owned()),
        waiting_for: answer.map_or_else(Vec::new, |answer| owned(&answer.rule.answers)),
        consumers: answer.iter().map(|answer| answer.rule.consumer.to_owned()).collect(),
        since: event.map_or(case.order.placed_at, |event| event.at),
        due: answer.filter(|_| !hard_limit).map_or(limit, |answer| answer.due),
        detail: detail(answer, hard_limit, limit),
        history: history(&case.history),
        round: case.order.rounds,
        hard_limit,
        last_heard: last.map_or_else(String::new, |entry| entry.event_type.clone()),
        last_heard_from: last
            .and_then(|entry| entry_of(&entry.event_type))
            .map_or_else(String::new, |entry| entry.topic.to_owned()),
        last_heard_at: last.map(|entry| entry.time),
        expected: judged.answers.iter().map(expected).collect(),
        money: money(&case.facts, lapses),
        stock_held_until: lapses.or(expires).filter(|_| !stock.is_empty()),
        compensations: compensations(case, &stock),
        stock,
        parked: case.parked.clone(),
        dead_letters: case.dead_letters.clone(),
        actions: actions(case, judged),
    }
}

fn detail(answer: Option<&JudgedAnswer<'_>>, hard_limit: bool, limit: Timestamp) -> String {
    let what = answer.map(|JudgedAnswer { rule, event, due, .. }| {
        let answers: Vec<&str> = rule.answers.iter().map(|answer| short(answer)).collect();
        let (name, at, answers) = (rule.name, event.at, answers.join(", "));
        format!("expected {} to answer {name} of {at} with {answers} by {due}", rule.consumer)
    });
    match (what, hard_limit) {
        (Some(what), false) => format!(
            "{what}; heard none of these, and nothing explains it: the consumer has passed the event, and what it said by \
             then is published and read. `actions` says what can be done"
        ),
        (Some(what), true) => {
            format!("expected an end by {limit}, heard none; {what}. `actions` says what can be done")
        }
        (None, _) => {
            format!(
                "expected an end by {limit}, heard none, and nobody owes an answer. `actions` says what can be done"
            )
        }
    }
}

/// What is reserved and neither left the house nor was given back. An event that can't be read holds nothing: people see the event itself.
fn held(history: &[CaseEntry]) -> Vec<StockAtStake> {
    let mut ledger = Ledger::default();
    for entry in history {
        let _ = ledger.fold(&entry.event_type, &entry.data);
    }
    let mut held: BTreeMap<(String, String), i64> = BTreeMap::new();
    for units in ledger.units().into_iter().filter(|units| units.held > 0) {
        *held.entry((units.sku, units.warehouse)).or_default() += units.held;
    }
    held.into_iter().map(|((sku, warehouse), quantity)| StockAtStake { sku, warehouse, quantity }).collect()
}

/// A type without its namespace, for people.
fn short(event_type: &str) -> &str {
    entry_of(event_type).map_or(event_type, |entry| entry.name)
}

/// Whether it is of an order's way, and not of how consumers fare or what the customer was told.
fn is_of_its_way(event_type: &str) -> bool {
    let beside = ["operations", "notifications", OrderStuck::TOPIC];
    entry_of(event_type).is_some_and(|entry| !beside.contains(&entry.topic))
}

fn owned(types: &[&'static str]) -> Vec<String> {
    types.iter().map(|of| (*of).to_owned()).collect()
}

/// The latest events, each with how long after the one before it happened; very long ones cut.
fn history(kept: &[CaseEntry]) -> Vec<CaseEntry> {
    let mut before: Option<Timestamp> = None;
    let shown = kept.iter().map(|entry| {
        let since = before.replace(entry.time).map_or(0, |before| entry.time.since(before).as_millis());
        let mut entry = CaseEntry { since_previous_ms: i64::try_from(since).unwrap_or(i64::MAX), ..entry.clone() };
        if entry.data.len() > LONGEST_DATA {
            entry.data.truncate(entry.data.floor_char_boundary(LONGEST_DATA));
            entry.data.push('…');
        }
        entry
    });
    shown.collect::<Vec<_>>().split_off(kept.len().saturating_sub(LONGEST_HISTORY))
}

fn expected(answer: &JudgedAnswer<'_>) -> ExpectedAnswer {
    ExpectedAnswer {
        event_id: EventId(answer.event.event_id),
        event_type: answer.rule.event_type.to_owned(),
        consumer: answer.rule.consumer.to_owned(),
        waiting_for: owned(&answer.rule.answers),
        since: answer.event.at,
        due: answer.due,
        overdue: answer.status == AnswerStatus::Overdue,
    }
}

fn money(facts: &Facts, lapses: Option<Timestamp>) -> Option<MoneyAtStake> {
    let (authorized, voided) = (facts.authorized.unwrap_or(0), facts.voided.unwrap_or(0));
    // A capture releases the rest of the hold.
    let held = if facts.captured.is_some() { 0 } else { (authorized - voided).max(0) };
    Some(MoneyAtStake {
        currency: facts.currency.clone().unwrap_or_default(),
        total: facts.total?,
        authorized,
        captured: facts.captured.unwrap_or(0),
        refunded: facts.refunded.unwrap_or(0),
        voided,
        held,
        held_until: lapses.filter(|_| held > 0),
    })
}

fn compensations(case: &CaseFile, stock: &[StockAtStake]) -> Vec<OpenCompensation> {
    let begun = case.facts.moments.at(Moment::Undo).is_some();
    let open = |entry: &CaseEntry| {
        let hold = RULES.holds.iter().find(|hold| hold.event_type == entry.event_type)?;
        let taken_back = hold.taken_back_by.iter().any(|by| case.has(by));
        let is_open = match hold.holds {
            "stock" => !stock.is_empty(),
            "goods" => !taken_back && !case.has(ShipmentDispatched::TYPE),
            _ => !taken_back && (entry.event_type != PaymentAuthorized::TYPE || !case.has(PaymentCaptured::TYPE)),
        };
        is_open.then(|| OpenCompensation {
            event_id: entry.event_id,
            event_type: hold.event_type.to_owned(),
            holds: hold.holds.to_owned(),
            taken_back_by: owned(&hold.taken_back_by),
            consumer: hold.consumer.to_owned(),
            begun,
        })
    };
    case.history.iter().filter_map(open).collect()
}

/// What a person may do for a stuck order now, each with what to type or which route to call.
fn actions(case: &CaseFile, judged: &Judged<'_>) -> Vec<AllowedAction> {
    let order = case.order.order_id;
    let awaits = |event_type: &str| judged.answers.iter().any(|answer| answer.rule.event_type == event_type);
    let gives_back = [PaymentVoided::TYPE, PaymentRefunded::TYPE];
    let owes_money = judged.answers.iter().any(|answer| {
        answer.rule.consumer == "payments" && answer.rule.answers.iter().any(|of| gives_back.contains(of))
    });
    let has_letters = !case.dead_letters.is_empty();
    let all = [
        (true, "wait", format!("quadrille deadlines move {order} --until TIME --by YOU --why TEXT")),
        (
            !case.has(OrderCancellationRequested::TYPE),
            "cancel",
            format!("POST /orders/{order}/cancel at orders: what was begun is taken back"),
        ),
        (
            has_letters,
            "retry_dead_letter",
            format!("quadrille dead-letters retry --order {order}, once the cause is mended"),
        ),
        (has_letters, "skip_dead_letter", format!("quadrille dead-letters skip --order {order} --why TEXT")),
        (
            owes_money || awaits(PaymentRefundFailed::TYPE),
            "retry_payment",
            format!("POST /payments/{order}/retry at payments"),
        ),
        (awaits(FraudReviewRequested::TYPE), "decide_review", format!("POST /reviews/{order}/verdict at fraud")),
    ];
    let allowed = all.into_iter().filter(|(allowed, _, _)| *allowed);
    allowed.map(|(_, action, how)| AllowedAction { action: action.to_owned(), how }).collect()
}

#[cfg(test)]
mod tests {
    use events::{StockCommitted, StockReallocated, StockReleased};
    use serde_json::json;

    use super::*;

    fn id(number: u128) -> String {
        Uuid::from_u128(number).to_string()
    }

    #[test]
    fn what_was_moved_lost_shipped_or_given_back_is_not_held() {
        let allocation = |number, warehouse: &str, quantity, replaces: Option<u128>| {
            json!({"allocation_id": id(number), "line_id": "1", "sku": "TEA", "warehouse": warehouse, "quantity": quantity,
                   "replaces": replaces.map(id)})
        };
        let gone = |number, quantity| json!([{"allocation_id": id(number), "line_id": "1", "sku": "TEA", "quantity": quantity, "condition": "gone", "why": "short"}]);
        let reserved = json!({"plan": [allocation(1, "a", 5, None), allocation(2, "b", 4, None)]});
        let moved = json!({"moved": [allocation(3, "b", 2, Some(1))], "missing": gone(1, 1)});
        let committed = json!({"items": [{"allocation_id": id(1), "line_id": "1", "sku": "TEA", "quantity": 2}]});
        let released = json!({"items": gone(2, 3)});
        let entry = |event_type: &str, data: &Value| CaseEntry {
            event_id: EventId(Uuid::nil()),
            event_type: event_type.to_owned(),
            topic: "inventory".to_owned(),
            partition: 0,
            offset: 0,
            time: Timestamp::from_millis(0),
            data: data.to_string(),
            since_previous_ms: 0,
        };
        let history = [
            entry(StockReleased::TYPE, &released),
            entry(StockCommitted::TYPE, &committed),
            entry(StockReallocated::TYPE, &moved),
            entry(StockReserved::TYPE, &reserved),
        ];
        assert_eq!(held(&history), [StockAtStake { sku: "TEA".into(), warehouse: "b".into(), quantity: 3 }]);
    }
}
