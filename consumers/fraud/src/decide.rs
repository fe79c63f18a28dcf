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
use crate::velocity::CountedOrder;

#[cfg(test)]
mod tests;

pub(crate) const DEADLINE: &str = "review";
/// Who decided when no person did.
const RULES: &str = "rules";
const CLOCK: &str = "deadline";

pub(crate) struct FraudStep<'s, 'c> {
    pub world: &'s mut BatchState,
    pub settings: &'s FraudSettings,
    pub now: Timestamp,
    pub effects: &'s mut Effects<'c, Infallible>,
}

impl FraudStep<'_, '_> {
    /// An authorized order is looked at once: cleared, rejected, or laid before a person. Again, or after the money went back, it is nothing;
    /// nor is it counted again then.
    pub fn authorized(&mut self, authorized: &Authorized) -> Reply {
        let event = &authorized.event;
        let order_id = event.order_id;
        if self.world.order(order_id).is_some() {
            return Reply::Nobody;
        }
        count(self.world, authorized, self.now);
        let rules = self.hits(authorized);
        let score = rules::score(&rules);
        let closed = Assessment::closed(self.now, self.effects.thread());
        let (amount, currency) = (event.amount, Some(event.currency));
        let mut row = Assessment { state: State::Review, score, rules, amount, currency, ..closed };
        if score >= self.settings.reject_at {
            decided(&mut row, State::Rejected, RULES, None, self.now);
            let detail = format!("the fraud rules gave {score} points; {} are too many", self.settings.reject_at);
            emit_rejected(order_id, &row, ReasonCode::FraudRejected, detail, self.effects);
        } else if score >= self.settings.review_at {
            let deadline = deadline(event.capture_before, self.settings, self.now);
            row.deadline = Some(deadline);
            row.carried = Some(carried(event));
            self.effects.schedule(DEADLINE, order_id, "", deadline);
            let rules = row.rules.clone();
            self.effects.emit(&FraudReviewRequested { order_id, score, rules, deadline }, "");
        } else {
            decided(&mut row, State::Cleared, RULES, None, self.now);
            emit_cleared(order_id, &row, carried(event), self.effects);
        }
        self.world.orders.insert(order_id, row);
        Reply::Nobody
    }

    /// The money went back: an order that was not looked at yet never will be, and an open review leaves the queue.
    pub fn voided(&mut self, order_id: OrderId) -> Reply {
        match self.world.orders.get_mut(&order_id) {
            None => self.world.orders.insert(order_id, Assessment::closed(self.now, self.effects.thread())),
            Some(row) => match row.state {
                State::Review => {
                    row.state = State::Closed;
                    row.carried = None;
                    self.effects.cancel_timer(DEADLINE, order_id, "");
                }
                State::Cleared | State::Rejected | State::Closed => {}
            },
        }
        Reply::Nobody
    }

    /// A person's word counts while the review is open; after it they learn how it ended.
    pub fn ruled(
        &mut self,
        order_id: OrderId,
        ruling: Ruling,
        by: &str,
        note: Option<&str>,
    ) -> Result<Reply, Conflict> {
        let Some(row) = self.world.orders.get_mut(&order_id) else { return Ok(Reply::Unknown) };
        match row.state {
            State::Cleared | State::Rejected | State::Closed => {
                return Ok(Reply::Already(row.state, row.decided_by.clone()));
            }
            State::Review => {}
        }
        self.effects.follow(&row.thread);
        match ruling {
            Ruling::Clear => {
                let carried = row.carried.clone();
                let carried = carried
                    .ok_or_else(|| Conflict(format!("the review of {order_id} has no plan to send on: reject it")))?;
                decided(row, State::Cleared, by, note, self.now);
                emit_cleared(order_id, row, carried, self.effects);
            }
            Ruling::Reject => {
                decided(row, State::Rejected, by, note, self.now);
                let detail = "rejected after review".to_owned();
                emit_rejected(order_id, row, ReasonCode::FraudRejected, detail, self.effects);
            }
        }
        self.effects.cancel_timer(DEADLINE, order_id, "");
        Ok(Reply::Done(row.state))
    }

    /// Nobody looked in time: rejected. A deadline that comes when the review is over is nothing.
    pub fn timed_out(&mut self, order_id: OrderId) -> Reply {
        if let Some(row) = self.world.orders.get_mut(&order_id)
            && row.state == State::Review
        {
            self.effects.follow(&row.thread);
            decided(row, State::Rejected, CLOCK, None, self.now);
            let detail = format!("nobody decided the review until {}", row.deadline.unwrap_or(self.now));
            emit_rejected(order_id, row, ReasonCode::ReviewTimedOut, detail, self.effects);
        }
        Reply::Nobody
    }

    fn hits(&self, authorized: &Authorized) -> Vec<RuleHit> {
        let Authorized { event, person, subjects } = authorized;
        let (at, window) = (authorized.placed_at(self.now), self.settings.velocity.window.0);
        let tally = |subject| self.world.tallies.of(subject, at, window);
        let tallies = Vec::from_iter(subjects.iter().map(|(kind, subject)| (*kind, tally(*subject))));
        let facts = RuleFacts {
            amount: event.amount,
            currency: event.currency,
            ship_to: &person.ship_to,
            bill_to: &person.bill_to,
            card: event.card.as_ref(),
            tallies: &tallies,
        };
        rules::hits(&facts, self.settings)
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

fn emit_cleared(order_id: OrderId, row: &Assessment, carried: Carried, effects: &mut Effects<'_, Infallible>) {
    let Carried { customer_id, currency, lines, plan, personal, capture_before } = carried;
    let Assessment { score, rules, decided_by, .. } = row;
    let cleared = FraudCleared {
        order_id,
        customer_id,
        currency,
        lines,
        plan,
        personal,
        capture_before,
        score: *score,
        rules: rules.clone(),
        decided_by: decided_by.clone().unwrap_or_default(),
    };
    effects.emit(&cleared, "");
}

/// A person's note is not told: the reason travels to the customer, and notes may hold personal data.
fn emit_rejected(
    order_id: OrderId,
    row: &Assessment,
    code: ReasonCode,
    detail: String,
    effects: &mut Effects<'_, Infallible>,
) {
    let (score, rules) = (row.score, row.rules.clone());
    let decided_by = row.decided_by.clone().unwrap_or_default();
    effects.emit(&FraudRejected { order_id, reason: Reason { code, detail }, score, rules, decided_by }, "");
}
