//! One payment in the sandbox's book: its money, its card, and how a call to it is answered.

use events::{Card, Check, Currency, OrderId, Timestamp, derive_id};
use gateway::{Buyer, Hold, Money, Operation, Outcome, RefundStatus, Request};
use serde::{Deserialize, Serialize};

use crate::token::Token;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryState {
    RequiresAction,
    Authorized,
    /// Taken; the rest is released.
    Captured,
    /// Let go; nothing can happen to it any more.
    Cancelled,
    Declined,
}

runtime::names!(EntryState {
    RequiresAction: "requires_action",
    Authorized: "authorized",
    Captured: "captured",
    Cancelled: "cancelled",
    Declined: "declined",
});

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BookEntry {
    pub order_id: OrderId,
    pub token: String,
    pub currency: Currency,
    pub amount: i64,
    pub state: EntryState,
    pub authorized: i64,
    pub captured: i64,
    pub released: i64,
    pub refunded: i64,
    pub capture_before: Timestamp,
    pub card: Card,
}

impl BookEntry {
    pub fn new(request: &Request, buyer: &Buyer, token: Token, capture_before: Timestamp) -> Self {
        Self {
            order_id: request.order_id,
            token: buyer.payment_method.clone(),
            currency: request.money.currency,
            amount: request.money.amount,
            state: EntryState::Declined, // unless its token says otherwise
            authorized: 0,
            captured: 0,
            released: 0,
            refunded: 0,
            capture_before,
            card: card(buyer, token),
        }
    }

    pub fn hold(&mut self, payment_id: &str) -> Outcome {
        self.state = EntryState::Authorized;
        self.authorized = self.amount;
        Outcome::Authorized(self.as_held(payment_id))
    }

    pub fn as_held(&self, payment_id: &str) -> Hold {
        Hold {
            payment_id: payment_id.to_owned(),
            money: Money { amount: self.authorized, currency: self.currency },
            capture_before: Some(self.capture_before),
            card: Some(self.card.clone()),
        }
    }

    pub fn capture(&mut self, amount: i64, now: Timestamp) -> Outcome {
        if self.state != EntryState::Authorized {
            return refused(Operation::Capture, "not_held", &format!("the payment is {}", self.state.as_str()));
        }
        if now >= self.capture_before {
            return refused(Operation::Capture, "hold_lapsed", &format!("it was held until {}", self.capture_before));
        }
        if !(0..=self.authorized).contains(&amount) {
            return refused(Operation::Capture, "amount_too_large", "more than is held");
        }
        self.state = EntryState::Captured;
        self.captured = amount;
        self.released = self.authorized - amount;
        Outcome::Captured { money: Money { amount, currency: self.currency } }
    }

    pub fn void(&mut self) -> Outcome {
        if self.state == EntryState::Captured {
            return refused(Operation::Void, "already_captured", "it can only be given back");
        }
        self.released = self.authorized;
        self.state = EntryState::Cancelled;
        Outcome::Voided { money: Money { amount: self.released, currency: self.currency } }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refund {
    pub payment_id: String,
    pub amount: i64,
    /// How it stands; the detail of a failed one is not kept.
    pub status: RefundStatus,
    pub created_at: Timestamp,
}

fn card(buyer: &Buyer, token: Token) -> Card {
    let of_card = match buyer.payment_method.split_once(':') {
        Some((_, card)) => derive_id(card, "sandbox", "card", ""),
        None => derive_id(&buyer.customer_id, "sandbox", "card of customer", ""),
    };
    let check = || if token == Token::ChecksFail { Check::Fail } else { Check::Pass };
    Card {
        fingerprint: of_card.simple().to_string(),
        brand: Some("sandbox".into()),
        last4: Some(format!("{:04}", of_card.as_u128() % 10_000)),
        country: None,
        cvc_check: check(),
        address_check: check(),
        postal_code_check: check(),
        three_d_secure: Check::Unchecked,
    }
}

pub(crate) fn refund_outcome(refund_id: String, money: Money, status: &RefundStatus) -> Outcome {
    match status {
        RefundStatus::Pending => Outcome::RefundPending { refund_id, money },
        RefundStatus::Succeeded => Outcome::Refunded { refund_id, money },
        RefundStatus::Failed { detail } => Outcome::RefundFailed { refund_id: Some(refund_id), detail: detail.clone() },
    }
}

pub(crate) fn not_given_back() -> RefundStatus {
    RefundStatus::Failed { detail: "the customer's bank sent it back".into() }
}

pub(crate) fn declined(code: &str, detail: &str) -> Outcome {
    Outcome::Declined { code: code.to_owned(), detail: detail.to_owned() }
}

pub(crate) fn refused(operation: Operation, code: &str, detail: &str) -> Outcome {
    match operation {
        Operation::Authorize => declined(code, detail),
        Operation::Capture => Outcome::CaptureFailed { code: code.to_owned(), detail: detail.to_owned() },
        Operation::Void => Outcome::VoidFailed { detail: format!("{code}: {detail}") },
        Operation::Refund => Outcome::RefundFailed { refund_id: None, detail: format!("{code}: {detail}") },
    }
}

pub(crate) fn stored_500() -> Outcome {
    Outcome::Errored { detail: "500: the sandbox failed on its own side, and will say so for this key".into() }
}
