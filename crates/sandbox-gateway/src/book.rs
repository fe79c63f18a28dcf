//! The rules of the sandbox's book: what each call does to it, and what is answered. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use events::{Action, Check, Currency, OrderId, Timestamp};
use gateway::{ActionResult, Buyer, Money, Operation, Outcome, RefundStatus, Request};

use crate::entry::{BookEntry, EntryState, Refund, declined, not_given_back, refund_outcome, refused, stored_500};
use crate::job::{Done, Job, payment_id, refund_id};
use crate::settings::SandboxSettings;
use crate::token::Token;

#[cfg(test)]
mod tests;

const NOT_CONFIRMED: &str = "the customer did not confirm the payment with their bank";
const REFUSED_BY_BANK: &str = "the bank did not confirm the customer";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredCall {
    pub operation: Operation,
    pub order_id: OrderId,
    pub payment_id: String,
    pub money: Money,
    pub answer: Outcome,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub operations: BTreeMap<String, StoredCall>,
    pub payments: BTreeMap<String, BookEntry>,
    pub refunds: BTreeMap<String, Refund>,
    pub early: BTreeMap<OrderId, bool>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BookTerms<'t> {
    pub settings: &'t SandboxSettings,
    pub validity: Duration,
    pub now: Timestamp,
}

impl Book {
    /// Does a job; says what is answered, and how much later than usual.
    pub fn run(&mut self, job: &Job, terms: BookTerms<'_>) -> (Done, Duration) {
        match job {
            Job::Authorize { request, buyer } if is_down(request, buyer, terms) => {
                let detail = "the sandbox does not answer this token yet".to_owned();
                (Done::Outcome(Outcome::Unknown { detail }), Duration::ZERO)
            }
            Job::Authorize { request, buyer } => {
                self.once(Operation::Authorize, request, terms, |book| book.authorize(request, buyer, terms))
            }
            Job::Change { operation, request } => {
                self.once(*operation, request, terms, |book| book.change(*operation, request, terms))
            }
            Job::LookUp { operation, request } => {
                (Done::Outcome(self.look_up(*operation, request, terms)), Duration::ZERO)
            }
            Job::Act { order_id, passed } => (Done::Acted(self.act(*order_id, *passed)), Duration::ZERO),
            Job::Settle { refund_id, succeeded } => (Done::Settled(self.settle(refund_id, *succeeded)), Duration::ZERO),
        }
    }

    /// Does a call under its key once; again, it gives the stored answer.
    fn once(
        &mut self,
        operation: Operation,
        request: &Request,
        terms: BookTerms<'_>,
        act: impl FnOnce(&mut Self) -> (Option<Token>, Outcome),
    ) -> (Done, Duration) {
        if let Some(stored) = self.operations.get(&request.key) {
            return (Done::Outcome(again(stored, operation, request)), Duration::ZERO);
        }
        let (token, answer) = act(self);
        let payment_id = request.payment_id.clone().unwrap_or_else(|| payment_id(&request.key));
        let stored = StoredCall {
            operation,
            order_id: request.order_id,
            payment_id,
            money: request.money,
            answer: answer.clone(),
        };
        self.operations.insert(request.key.clone(), stored);
        match token {
            Some(Token::AnswerLostOnce) => {
                (Done::Outcome(Outcome::Unknown { detail: "the answer was lost".into() }), Duration::ZERO)
            }
            Some(Token::Slow) => (Done::Outcome(answer), terms.settings.slow_by.0),
            Some(_) | None => (Done::Outcome(answer), Duration::ZERO),
        }
    }

    fn authorize(&mut self, request: &Request, buyer: &Buyer, terms: BookTerms<'_>) -> (Option<Token>, Outcome) {
        let token = match buyer.payment_method.parse::<Token>() {
            Ok(token) => token,
            Err(unknown) => return (None, declined("invalid_payment_method", &unknown.to_string())),
        };
        let payment_id = payment_id(&request.key);
        let early = self.early.get(&request.order_id).copied();
        let mut entry = BookEntry::new(request, buyer, token, terms.now.plus(terms.validity));
        let answer = match token {
            Token::NoAnswer => {
                return (Some(token), Outcome::Unknown { detail: "the sandbox never answers this token".into() });
            }
            Token::Stored500 if request.attempt == 1 => return (Some(token), stored_500()),
            Token::Declined => declined("card_declined", "the issuer declined the card"),
            Token::InsufficientFunds => declined("insufficient_funds", "the account has not enough money"),
            Token::ThreeDsFails if early.is_some() => declined("authentication_failed", REFUSED_BY_BANK),
            Token::ThreeDsPasses | Token::ThreeDsAbandoned if early == Some(false) => {
                declined("authentication_failed", NOT_CONFIRMED)
            }
            Token::ThreeDsPasses | Token::ThreeDsAbandoned if early == Some(true) => {
                entry.card.three_d_secure = Check::Pass;
                entry.hold(&payment_id)
            }
            Token::ThreeDsPasses | Token::ThreeDsFails | Token::ThreeDsAbandoned => {
                entry.state = EntryState::RequiresAction;
                let base = terms.settings.public_url.trim_end_matches('/');
                let url = Some(format!("{base}/payments/{}/three-d-secure", request.order_id));
                Outcome::ActionRequired { payment_id: payment_id.clone(), action: Action::ThreeDSecure, url }
            }
            Token::WrongAmount => {
                entry.amount += 1;
                entry.hold(&payment_id)
            }
            Token::WrongCurrency => {
                entry.currency = if entry.currency == Currency::EUR { Currency::USD } else { Currency::EUR };
                entry.hold(&payment_id)
            }
            Token::Approved
            | Token::ChecksFail
            | Token::CaptureFails
            | Token::VoidFailsOnce
            | Token::VoidFails
            | Token::RefundPending
            | Token::RefundFails
            | Token::Slow
            | Token::AnswerLostOnce
            | Token::DownAMinute
            | Token::DownADay
            | Token::Stored500 => entry.hold(&payment_id),
        };
        self.payments.insert(payment_id, entry);
        (Some(token), answer)
    }

    fn change(&mut self, operation: Operation, request: &Request, terms: BookTerms<'_>) -> (Option<Token>, Outcome) {
        let Some((payment_id, entry)) =
            request.payment_id.as_ref().and_then(|id| self.payments.get_mut(id).map(|entry| (id, entry)))
        else {
            return (None, refused(operation, "no_such_payment", "the sandbox does not know this payment"));
        };
        let token = entry.token.parse::<Token>().ok();
        let money = request.money;
        if money.currency != entry.currency && operation != Operation::Void {
            return (token, refused(operation, "wrong_currency", &format!("the payment is in {}", entry.currency)));
        }
        let answer = match operation {
            Operation::Authorize => refused(operation, "already_authorized", "a payment is authorized once"),
            Operation::Capture if token == Some(Token::Stored500) && request.attempt == 1 => stored_500(),
            Operation::Capture if token == Some(Token::CaptureFails) => {
                refused(operation, "capture_refused", "the issuer does not give the money")
            }
            Operation::Capture => entry.capture(money.amount, terms.now),
            Operation::Void if token.is_some_and(|token| request.attempt <= token.voids_refused()) => {
                refused(operation, "void_refused", "the issuer does not answer")
            }
            Operation::Void => entry.void(),
            Operation::Refund
                if entry.state != EntryState::Captured || money.amount > entry.captured - entry.refunded =>
            {
                refused(operation, "refund_too_large", "more than was taken and not given back yet")
            }
            Operation::Refund if token == Some(Token::RefundFails) && request.attempt == 1 => {
                refused(operation, "refund_refused", "the account is closed")
            }
            Operation::Refund => {
                entry.refunded += money.amount;
                let pending = token == Some(Token::RefundPending);
                let status = if pending { RefundStatus::Pending } else { RefundStatus::Succeeded };
                let refund_id = refund_id(&request.key);
                let (payment_id, amount) = (payment_id.clone(), money.amount);
                let refund = Refund { payment_id, amount, status: status.clone(), created_at: terms.now };
                self.refunds.insert(refund_id.clone(), refund);
                refund_outcome(refund_id, money, &status)
            }
        };
        (token, answer)
    }

    /// What was done under the key, as it stands now.
    fn look_up(&mut self, operation: Operation, request: &Request, terms: BookTerms<'_>) -> Outcome {
        let Some(stored) = self.operations.get(&request.key).cloned() else { return Outcome::NotFound };
        match (operation, stored.answer) {
            (_, Outcome::Errored { .. }) => Outcome::NotFound,
            (Operation::Authorize, Outcome::ActionRequired { payment_id, action, url }) => match self
                .payments
                .get(&payment_id)
            {
                Some(entry) if entry.state == EntryState::Authorized => Outcome::Authorized(entry.as_held(&payment_id)),
                Some(_) | None => Outcome::ActionRequired { payment_id, action, url },
            },
            (Operation::Refund, Outcome::RefundPending { refund_id, money }) => {
                let created_at = self.refunds.get(&refund_id).map_or(terms.now, |refund| refund.created_at);
                if terms.now >= created_at.plus(terms.settings.refund_settles_after.0) {
                    self.settle(&refund_id, true);
                }
                let status = self.refunds.get(&refund_id).map_or(RefundStatus::Pending, |refund| refund.status.clone());
                refund_outcome(refund_id, money, &status)
            }
            (Operation::Authorize | Operation::Capture | Operation::Void | Operation::Refund, answer) => answer,
        }
    }

    fn act(&mut self, order_id: OrderId, passed: bool) -> Result<ActionResult, EntryState> {
        let failed = |detail: &str| Ok(ActionResult::Failed { detail: detail.to_owned() });
        let of_order = self.payments.iter_mut().filter(|(_, entry)| entry.order_id == order_id);
        // The one that waits, else the one that is held, else any.
        let rank = |entry: &BookEntry| match entry.state {
            EntryState::RequiresAction => 2,
            EntryState::Authorized | EntryState::Captured => 1,
            EntryState::Cancelled | EntryState::Declined => 0,
        };
        let Some((payment_id, entry)) = of_order.max_by_key(|(_, entry)| rank(entry)) else {
            self.early.insert(order_id, passed);
            return if passed { Ok(ActionResult::Passed { hold: None }) } else { failed(NOT_CONFIRMED) };
        };
        let bank_refuses = entry.token.parse::<Token>() == Ok(Token::ThreeDsFails);
        match entry.state {
            EntryState::RequiresAction if !passed => failed(NOT_CONFIRMED),
            EntryState::RequiresAction if bank_refuses => failed(REFUSED_BY_BANK),
            EntryState::RequiresAction => {
                entry.card.three_d_secure = Check::Pass;
                let _ = entry.hold(payment_id);
                Ok(ActionResult::Passed { hold: Some(entry.as_held(payment_id)) })
            }
            EntryState::Authorized | EntryState::Captured if passed && entry.card.three_d_secure == Check::Pass => {
                Ok(ActionResult::Passed { hold: Some(entry.as_held(payment_id)) })
            }
            state @ (EntryState::Authorized | EntryState::Captured | EntryState::Cancelled | EntryState::Declined) => {
                Err(state)
            }
        }
    }

    fn settle(&mut self, refund_id: &str, succeeded: bool) -> Option<RefundStatus> {
        let refund = self.refunds.get_mut(refund_id)?;
        if refund.status == RefundStatus::Pending {
            refund.status = if succeeded { RefundStatus::Succeeded } else { not_given_back() };
            if let (false, Some(entry)) = (succeeded, self.payments.get_mut(&refund.payment_id)) {
                entry.refunded -= refund.amount;
            }
        }
        Some(refund.status.clone())
    }
}

/// Whether the order is too young for its token. An id without a time is old enough.
fn is_down(request: &Request, buyer: &Buyer, terms: BookTerms<'_>) -> bool {
    let down_for = buyer.payment_method.parse::<Token>().map_or(Duration::ZERO, Token::down_for);
    let minted = request.order_id.as_uuid().get_timestamp().map(|minted| minted.to_unix());
    minted.is_some_and(|(seconds, nanos)| {
        let millis = i64::try_from(seconds).unwrap_or(i64::MAX / 2_000) * 1_000 + i64::from(nanos / 1_000_000);
        terms.now.since(Timestamp::from_millis(millis)) < down_for
    })
}

fn again(stored: &StoredCall, operation: Operation, request: &Request) -> Outcome {
    let StoredCall { operation: before, money, answer, .. } = stored;
    if *before == operation && *money == request.money {
        return answer.clone();
    }
    let detail = format!(
        "key {} was used to {before} {money}; got {operation} {}: use a key of its own",
        request.key, request.money
    );
    Outcome::Errored { detail }
}
