//! The judgement: what is owed to an order, when it is due, and whether what is missing waits, is late, or is stuck.

use std::time::Duration;

use events::{
    Event as _, FulfillmentCancelled, FulfillmentConfirmed, OrderAccepted, OrderRejected, PaymentCaptured,
    ShipmentDispatched, Timestamp,
};

use super::evidence::Evidence;
use super::order::{Happened, OpenOrder};
use super::rules::{DeadlineRule, DeadlineRules};

/// What is late is looked at again after a quarter of the time by which it is, between these.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(120);
/// What has been told, and waits for a person.
const SELDOM: Duration = Duration::from_secs(3_600);
/// A consumer that comes back has timers to fire and gateways to ask: what it owes of its own accord is due that much later at least.
const RECOVERY: Duration = Duration::from_secs(300);

/// What explains that an answer is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Explanation {
    /// The consumer has not come to the event.
    Behind,
    /// Nobody is in its group.
    Down,
    /// The relay has not published what it may have said, or the tracker has not read it.
    Unpublished,
    /// An event of the order waits for a retry.
    Parked,
    /// Its payment is disputed: fulfillment holds what has not left.
    Disputed,
}

impl Explanation {
    /// Its name, for metrics and doors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "consumer_behind",
            Self::Down => "consumer_down",
            Self::Unpublished => "not_published",
            Self::Parked => "parked",
            Self::Disputed => "payment_disputed",
        }
    }
}

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerStatus {
    /// It is not due.
    Waits,
    /// Its consumer waits itself for an answer to something that it said later.
    Excused,
    /// It is due, and something explains that it is not there.
    Late(Explanation),
    /// It is due, and nothing explains that it is not there.
    Overdue,
}

/// An answer that is owed.
#[derive(Clone, Debug)]
pub struct JudgedAnswer<'o> {
    /// The rule by which it is.
    pub rule: &'o DeadlineRule,
    /// The event that is not answered; of a beginning that is missing, the first that was heard.
    pub event: &'o Happened,
    /// When it is due, all that excuses a delay counted in.
    pub due: Timestamp,
    /// Whether its consumer was seen beyond the event, or needs not: else it may be due later.
    pub passed: bool,
    /// Where it stands.
    pub status: AnswerStatus,
}

/// The judgement of one order.
#[derive(Clone, Debug)]
pub struct Judged<'o> {
    /// What is owed, what is due first at the head.
    pub answers: Vec<JudgedAnswer<'o>>,
    /// Whether it has been open for longer than any order may be.
    pub beyond_limit: bool,
    /// When to look at it again, if nothing is heard of it before.
    pub look_at: Timestamp,
}

impl<'o> Judged<'o> {
    /// The answers for which the order is stuck.
    pub fn overdue(&self) -> impl Iterator<Item = &JudgedAnswer<'o>> {
        self.answers.iter().filter(|answer| answer.status == AnswerStatus::Overdue)
    }

    /// What explains most that the order is late, if it is.
    pub fn late(&self) -> Option<Explanation> {
        self.answers.iter().find_map(|answer| match answer.status {
            AnswerStatus::Late(why) => Some(why),
            AnswerStatus::Waits | AnswerStatus::Excused | AnswerStatus::Overdue => None,
        })
    }
}

/// Judges an open order.
pub fn judge<'o>(rules: &'o DeadlineRules, order: &'o OpenOrder, evidence: &Evidence, now: Timestamp) -> Judged<'o> {
    let owed = owed(rules, order);
    let dues: Vec<Option<Timestamp>> =
        owed.iter().map(|(rule, event)| due(rules, order, evidence, rule, event, now)).collect();
    let mut answers: Vec<JudgedAnswer<'o>> = Vec::with_capacity(owed.len());
    for (rule, event) in &owed {
        // Of events that the same answers answer, the latest says how long they may take.
        let alike = owed.iter().zip(&dues).filter(|((other, _), _)| other.answers == rule.answers);
        let dues: Option<Vec<Timestamp>> = alike.map(|(_, due)| *due).collect();
        let due = dues.and_then(|dues| dues.into_iter().max());
        let status = status(rules, order, evidence, (rule, event), &owed, due, now);
        let passed = due.is_some();
        answers.push(JudgedAnswer { rule, event, due: due.unwrap_or(nominal(rule, event)), passed, status });
    }
    answers.sort_by_key(|answer| answer.due);
    let began = order.dispute_closed_at().map_or(order.placed_at, |closed_at| closed_at.max(order.placed_at));
    let limit = moved(order, began.plus(rules.hard_limit));
    let beyond_limit = now >= limit && evidence.is_caught_up() && !order.is_disputed();
    let look_at = look_at(&answers, now, limit);
    Judged { answers, beyond_limit, look_at }
}

/// What is owed and when it is due by the events and what people moved alone, what is due first at the head.
pub fn owed_by_events<'o>(
    rules: &'o DeadlineRules,
    order: &'o OpenOrder,
) -> Vec<(&'o DeadlineRule, &'o Happened, Timestamp)> {
    let due = |(rule, event): (&'o DeadlineRule, &'o Happened)| (rule, event, moved(order, nominal(rule, event)));
    let mut owed: Vec<_> = owed(rules, order).into_iter().map(due).collect();
    owed.sort_by_key(|(_, _, due)| *due);
    owed
}

/// The events that nothing has answered yet, by time.
fn owed<'o>(rules: &'o DeadlineRules, order: &'o OpenOrder) -> Vec<(&'o DeadlineRule, &'o Happened)> {
    let has = |event_type: &str| order.events.iter().any(|event| event.event_type == event_type);
    let began = has(OrderAccepted::TYPE) || has(OrderRejected::TYPE);
    let beginning = rules.beginning.as_ref().zip(order.events.first()).filter(|_| !began);
    let unanswered = order.events.iter().filter_map(|event| {
        let rule = rules.rule(event.event_type)?;
        let asks = rule.only_if.as_ref().is_none_or(|field| !event.data[field.as_str()].is_null());
        (asks && !is_answered(order, rule, event)).then_some((rule, event))
    });
    beginning.into_iter().chain(unanswered).collect()
}

fn is_answered(order: &OpenOrder, rule: &DeadlineRule, event: &Happened) -> bool {
    if rule.event_type == PaymentCaptured::TYPE && !every_parcel_left(order) {
        // One parcel that left is no answer for the others: fulfillment says of each, or of all that don't leave at once.
        return order.events.iter().any(|event| event.event_type == FulfillmentCancelled::TYPE);
    }
    order.events.iter().any(|answer| {
        let of_another = |named: &str| event.shipment().is_some_and(|wanted| wanted != named);
        rule.answers.contains(&answer.event_type) && !(rule.by_shipment && answer.shipment().is_some_and(of_another))
    })
}

fn every_parcel_left(order: &OpenOrder) -> bool {
    let of = |event_type: &'static str| order.events.iter().filter(move |event| event.event_type == event_type);
    let confirmed = of(FulfillmentConfirmed::TYPE).filter_map(|event| event.data["shipments"].as_array()).flatten();
    let mut packed = confirmed.filter_map(|shipment| shipment["shipment_id"].as_str()).peekable();
    if packed.peek().is_none() {
        return of(ShipmentDispatched::TYPE).next().is_some();
    }
    packed.all(|shipment_id| of(ShipmentDispatched::TYPE).any(|left| left.shipment() == Some(shipment_id)))
}

/// When the answer is due by the event alone.
fn nominal(rule: &DeadlineRule, event: &Happened) -> Timestamp {
    counted_from(rule, event).plus(rule.within)
}

/// Not before the moment to which a person moved the order's deadline.
fn moved(order: &OpenOrder, due: Timestamp) -> Timestamp {
    order.moved_until.map_or(due, |until| due.max(until))
}

/// From when the time for an answer counts by the event alone.
fn counted_from(rule: &DeadlineRule, event: &Happened) -> Timestamp {
    rule.after.as_ref().and_then(|field| event.moment(field)).unwrap_or(event.at)
}

/// When the answer is due; none: its consumer has not come to the event, so the time has not begun.
fn due(
    rules: &DeadlineRules,
    order: &OpenOrder,
    evidence: &Evidence,
    rule: &DeadlineRule,
    event: &Happened,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut from = counted_from(rule, event);
    if !rule.of_itself {
        from = from.max(evidence.pace.passed(rule.consumer, (event.topic, event.partition), event.offset)?);
    }
    if rule.event_type == PaymentCaptured::TYPE {
        from = from.max(order.dispute_closed_at().unwrap_or(from));
    }
    let unparked = order.parked.iter().filter(|waiting| waiting.consumer == rule.consumer);
    from = unparked.filter_map(|waiting| waiting.unparked_at).fold(from, Timestamp::max);
    let due = needed(rules, rule).map(|consumer| {
        let extended = from.plus(rule.within).plus(evidence.outages.lasted(consumer, from, now));
        let last = evidence.outages.last(consumer).filter(|last| *last > from);
        last.map_or(extended, |last| extended.max(last.plus(rule.within.min(RECOVERY))))
    });
    Some(moved(order, due.max().unwrap_or_else(|| from.plus(rule.within))))
}

/// Whom an answer needs: its consumer; and one that nobody is asked for comes of a timer, or at the end of a chain of others.
fn needed(rules: &DeadlineRules, rule: &DeadlineRule) -> impl Iterator<Item = &'static str> {
    rules.subscribes_to.iter().map(|(name, _)| *name).filter(|name| rule.of_itself || *name == rule.consumer)
}

fn status(
    rules: &DeadlineRules,
    order: &OpenOrder,
    evidence: &Evidence,
    (rule, event): (&DeadlineRule, &Happened),
    owed: &[(&DeadlineRule, &Happened)],
    due: Option<Timestamp>,
    now: Timestamp,
) -> AnswerStatus {
    if now < due.unwrap_or(nominal(rule, event)) {
        return AnswerStatus::Waits;
    }
    if owed.iter().any(|(other, said)| other.speaker == rule.consumer && said.at > event.at) {
        return AnswerStatus::Excused;
    }
    if rule.event_type == PaymentCaptured::TYPE && order.is_disputed() {
        return AnswerStatus::Late(Explanation::Disputed);
    }
    if order.parked.iter().any(|waiting| waiting.waits) {
        return AnswerStatus::Late(Explanation::Parked);
    }
    if needed(rules, rule).any(|consumer| evidence.outages.is_down(consumer)) {
        return AnswerStatus::Late(Explanation::Down);
    }
    let Some(due) = due else { return AnswerStatus::Late(Explanation::Behind) };
    match evidence.folded_until(rule.consumer, order.shard) {
        Some(until) if until >= due => AnswerStatus::Overdue,
        Some(_) | None => AnswerStatus::Late(Explanation::Unpublished),
    }
}

fn look_at(answers: &[JudgedAnswer<'_>], now: Timestamp, limit: Timestamp) -> Timestamp {
    let next = answers.iter().filter_map(|answer| match answer.status {
        AnswerStatus::Waits if answer.passed => Some(answer.due),
        // Soon: the sooner its consumer is seen beyond the event, the sooner its time begins.
        AnswerStatus::Waits => Some(answer.due.min(now.plus(LATER))),
        AnswerStatus::Late(_) => Some(now.plus((now.since(answer.due) / 4).clamp(SOON, LATER))),
        AnswerStatus::Excused | AnswerStatus::Overdue => None,
    });
    let next = next.chain([limit]).filter(|at| *at > now).min();
    // All is told: what is heard of it will bring it back.
    next.unwrap_or_else(|| now.plus(SELDOM))
}
