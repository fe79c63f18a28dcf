//! The decisions, cell by cell. Pure.
//!
//! | input | no row | REVIEW | CLEARED, REJECTED, CLOSED |
//! |---|---|---|---|
//! | `PaymentAuthorized` | counted and scored: CLEARED, REJECTED, or REVIEW until a deadline | · | · |
//! | `PaymentVoided` | CLOSED, a tombstone | CLOSED | · |
//! | a person's ruling | unknown | CLEARED or REJECTED | told how it ended |
//! | the deadline | · | REJECTED, `review_timed_out` | · |

use std::convert::Infallible;

use events::{
    FraudCleared, FraudRejected, FraudReviewRequested, OrderId, PaymentAuthorized, Reason, ReasonCode, RuleHit,
    Timestamp,
};
use runtime::{Conflict, Effects};

use crate::input::{Authorized, Reply, Ruling};
use crate::row::{Assessment, BatchState, Carried, State};
use crate::rules::{self, RuleFacts};
use crate::settings::FraudSettings;
use crate::velocity::{CountedOrder, SubjectKind, SubjectTally};

#[cfg(test)]
mod tests;

pub(crate) const DEADLINE: &str = "review";
/// Who decided when no person did.
const RULES: &str = "rules";
const CLOCK: &str = "deadline";

type OutEffects<'e, 'c> = &'e mut Effects<'c, Infallible>;

pub(crate) struct Decider<'d> {
    pub by: &'d str,
    pub note: Option<&'d str>,
}

/// An authorized order is looked at once: cleared, rejected, or laid before a person. Heard again, or after the money went back, it is nothing;
/// nor is it counted again then.
pub(crate) fn on_authorized(
    world: &mut BatchState,
    authorized: &Authorized,
    settings: &FraudSettings,
    now: Timestamp,
    effects: OutEffects<'_, '_>,
) -> Reply {
    let event = &authorized.event;
    if world.order(event.order_id).is_some() {
        return Reply::Nobody;
    }
    count(world, authorized, now);
    let tallies = tallies(world, authorized, settings, now);
    let rules = rules::hits(&facts(authorized, &tallies), settings);
    let mut row = fresh(event, rules, now, effects);
    match outcome(row.score, settings) {
        ScoreOutcome::Clear => {
            decided(&mut row, State::Cleared, RULES, None, now);
            say_cleared(event.order_id, &row, carried(event), effects);
        }
        ScoreOutcome::Reject => {
            decided(&mut row, State::Rejected, RULES, None, now);
            let detail = format!("the fraud rules gave {} points; {} are too many", row.score, settings.reject_at);
            say_rejected(event.order_id, &row, ReasonCode::FraudRejected, detail, effects);
        }
        ScoreOutcome::Review => {
            let deadline = deadline(event.capture_before, settings, now);
            row.deadline = Some(deadline);
            row.carried = Some(carried(event));
            effects.schedule(DEADLINE, event.order_id, "", deadline);
            let (score, rules) = (row.score, row.rules.clone());
            effects.emit(&FraudReviewRequested { order_id: event.order_id, score, rules, deadline }, "");
        }
    }
    world.orders.insert(event.order_id, row);
    Reply::Nobody
}

/// The money went back: an order that was not looked at yet never will be, and an open review leaves the queue.
pub(crate) fn on_voided(
    world: &mut BatchState,
    order_id: OrderId,
    now: Timestamp,
    effects: OutEffects<'_, '_>,
) -> Reply {
    match world.orders.get_mut(&order_id) {
        None => world.orders.insert(order_id, Assessment::closed(now, effects.thread())),
        Some(row) => match row.state {
            State::Review => {
                row.state = State::Closed;
                row.carried = None;
                effects.cancel_timer(DEADLINE, order_id, "");
            }
            State::Cleared | State::Rejected | State::Closed => {}
        },
    }
    Reply::Nobody
}

/// A person's word counts while the review is open; after it they hear how it ended.
pub(crate) fn on_ruling(
    world: &mut BatchState,
    order_id: OrderId,
    ruling: Ruling,
    person: &Decider<'_>,
    now: Timestamp,
    effects: OutEffects<'_, '_>,
) -> Result<Reply, Conflict> {
    let Some(row) = world.orders.get_mut(&order_id) else { return Ok(Reply::Unknown) };
    match row.state {
        State::Cleared | State::Rejected | State::Closed => {
            return Ok(Reply::Already(row.state, row.decided_by.clone()));
        }
        State::Review => {}
    }
    effects.follow(&row.thread);
    match ruling {
        Ruling::Clear => {
            let carried = row.carried.clone();
            let carried = carried
                .ok_or_else(|| Conflict(format!("the review of {order_id} has no plan to send on: reject it")))?;
            decided(row, State::Cleared, person.by, person.note, now);
            say_cleared(order_id, row, carried, effects);
        }
        Ruling::Reject => {
            decided(row, State::Rejected, person.by, person.note, now);
            say_rejected(order_id, row, ReasonCode::FraudRejected, "rejected after review".to_owned(), effects);
        }
    }
    effects.cancel_timer(DEADLINE, order_id, "");
    Ok(Reply::Done(row.state))
}

/// Nobody looked in time: rejected. A deadline that comes when the review is over is nothing.
pub(crate) fn on_deadline(
    world: &mut BatchState,
    order_id: OrderId,
    now: Timestamp,
    effects: OutEffects<'_, '_>,
) -> Reply {
    if let Some(row) = world.orders.get_mut(&order_id)
        && row.state == State::Review
    {
        effects.follow(&row.thread);
        decided(row, State::Rejected, CLOCK, None, now);
        let until = row.deadline.unwrap_or(now);
        let detail = format!("nobody decided the review until {until}");
        say_rejected(order_id, row, ReasonCode::ReviewTimedOut, detail, effects);
    }
    Reply::Nobody
}

enum ScoreOutcome {
    Clear,
    Review,
    Reject,
}

fn outcome(score: i64, settings: &FraudSettings) -> ScoreOutcome {
    match score {
        score if score >= settings.reject_at => ScoreOutcome::Reject,
        score if score >= settings.review_at => ScoreOutcome::Review,
        _ => ScoreOutcome::Clear,
    }
}

/// Until when a person may decide: as long as is set, but so that picking and capture still fit into the authorization; of a short one at most
/// half of what is left. One that has lapsed leaves no time: the deadline is now.
fn deadline(capture_before: Timestamp, settings: &FraudSettings, now: Timestamp) -> Timestamp {
    let half = now.plus(capture_before.since(now) / 2);
    let fits = capture_before.minus(settings.capture_margin.0).max(half);
    now.plus(settings.review_timeout.0).min(fits)
}

/// Counts the order for its customer, card and address: the order's row, which is written with it, sees to it that this happens once.
pub(crate) fn count(world: &mut BatchState, authorized: &Authorized, now: Timestamp) {
    let PaymentAuthorized { order_id, currency, amount, .. } = authorized.event;
    for (kind, subject) in &authorized.subjects {
        let at = authorized.placed_at(now);
        world.tallies.count(CountedOrder { subject: *subject, kind: *kind, order_id, currency, amount, at });
    }
}

fn tallies(
    world: &BatchState,
    authorized: &Authorized,
    settings: &FraudSettings,
    now: Timestamp,
) -> Vec<(SubjectKind, SubjectTally)> {
    let (at, window) = (authorized.placed_at(now), settings.velocity.window.0);
    authorized.subjects.iter().map(|(kind, subject)| (*kind, world.tallies.of(*subject, at, window))).collect()
}

fn facts<'f>(authorized: &'f Authorized, tallies: &'f [(SubjectKind, SubjectTally)]) -> RuleFacts<'f> {
    let Authorized { event, person, .. } = authorized;
    RuleFacts {
        amount: event.amount,
        currency: event.currency,
        ship_to: &person.ship_to,
        bill_to: &person.bill_to,
        card: event.card.as_ref(),
        tallies,
    }
}

fn fresh(
    event: &PaymentAuthorized,
    rules: Vec<RuleHit>,
    now: Timestamp,
    effects: &Effects<'_, Infallible>,
) -> Assessment {
    let (score, amount, currency) = (rules::score(&rules), event.amount, Some(event.currency));
    Assessment { state: State::Review, score, rules, amount, currency, ..Assessment::closed(now, effects.thread()) }
}

pub(crate) fn carried(event: &PaymentAuthorized) -> Carried {
    Carried {
        customer_id: event.customer_id.clone(),
        currency: event.currency,
        lines: event.lines.clone(),
        plan: event.plan.clone(),
        personal: event.personal.clone(),
        capture_before: event.capture_before,
    }
}

fn decided(row: &mut Assessment, state: State, by: &str, note: Option<&str>, now: Timestamp) {
    row.state = state;
    row.decided_by = Some(by.to_owned());
    row.decided_at = Some(now);
    row.note = note.map(ToOwned::to_owned);
    row.carried = None;
}

fn say_cleared(order_id: OrderId, row: &Assessment, carried: Carried, effects: OutEffects<'_, '_>) {
    let Carried { customer_id, currency, lines, plan, personal, capture_before } = carried;
    let (score, rules) = (row.score, row.rules.clone());
    let decided_by = row.decided_by.clone().unwrap_or_default();
    let cleared = FraudCleared {
        order_id,
        customer_id,
        currency,
        lines,
        plan,
        personal,
        capture_before,
        score,
        rules,
        decided_by,
    };
    effects.emit(&cleared, "");
}

/// A person's note is not told: the reason travels to the customer, and notes may hold personal data.
fn say_rejected(order_id: OrderId, row: &Assessment, code: ReasonCode, detail: String, effects: OutEffects<'_, '_>) {
    let (score, rules) = (row.score, row.rules.clone());
    let decided_by = row.decided_by.clone().unwrap_or_default();
    effects.emit(&FraudRejected { order_id, reason: Reason { code, detail }, score, rules, decided_by }, "");
}
