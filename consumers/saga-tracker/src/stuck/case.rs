//! The case of a stuck order: everything that a person needs to decide what to do, in one event.

use deadlines::{AnswerStatus, Judged, JudgedAnswer, OpenOrder, RULES};
use events::{
    CaseEntry, Event as _, EventId, ExpectedAnswer, MoneyAtStake, OpenCompensation, OrderStuck, PaymentAuthorized,
    PaymentCaptured, ShipmentDispatched, StockAtStake, StockReserved, Timestamp, entry_of,
};
use serde_json::Value;
use uuid::Uuid;

use super::actions::actions;
use super::file::{CaseFile, is_of_its_way, short};
use super::stock::held;
use crate::facts::{Facts, Moment};

/// Bytes of one event that a case shows: it must fit into a record.
const LONGEST_DATA: usize = 2_000;
/// Of a longer history, the latest events.
const LONGEST_HISTORY: usize = 200;

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

/// The case of an order in this situation.
pub(crate) fn tell(case: &CaseFile, judged: &Judged<'_>, (event_id, hard_limit): (Uuid, bool)) -> OrderStuck {
    let answer = judged.answers.iter().find(|answer| answer.event.event_id == event_id);
    let event = case.order.events.iter().find(|event| event.event_id == event_id);
    let limit = case.order.placed_at.plus(RULES.hard_limit);
    let read = case.data();
    let data: Vec<(&str, &Value)> = read.iter().map(|(of, data)| (*of, data)).collect();
    let moment = |event_type: &str, field: &str| {
        let found = data.iter().find(|(of, _)| *of == event_type)?;
        found.1[field].as_i64().map(Timestamp::from_millis)
    };
    let stock = held(&data);
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
