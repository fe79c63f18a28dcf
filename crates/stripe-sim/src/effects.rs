//! What a rule does besides changing a payment: events, entries of the ledger, rows of the book, and what is to happen later.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{BalanceTransactionRecord, PaymentRecord};
use crate::settings::SimSettings;

/// What rules go by.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'s> {
    /// Milliseconds of the virtual clock.
    pub now: i64,
    /// The settings.
    pub settings: &'s SimSettings,
    /// Where the simulator's pages are.
    pub public_url: &'s str,
}

impl RuleContext<'_> {
    /// Seconds of the virtual clock.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.now.div_euclid(1_000)
    }

    /// Milliseconds, so many seconds from now.
    #[must_use]
    pub fn after(&self, seconds: i64) -> i64 {
        self.now + seconds * 1_000
    }
}

/// What money did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerEntry {
    /// The issuer holds it.
    Hold,
    /// A hold, or the rest of one, was let go.
    Release,
    /// It was taken.
    Capture,
    /// A capture was undone by Stripe: what it took is held again.
    CaptureUndone,
    /// What that capture had released is held again.
    ReleaseUndone,
    /// It goes back.
    Refund,
    /// It did not arrive.
    RefundFailed,
    /// The cardholder's bank took it back.
    Dispute,
    /// The dispute was won.
    Reinstated,
}

impl LedgerEntry {
    /// As the column has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Capture => "capture",
            Self::CaptureUndone => "capture_undone",
            Self::ReleaseUndone => "release_undone",
            Self::Refund => "refund",
            Self::RefundFailed => "refund_failed",
            Self::Dispute => "dispute",
            Self::Reinstated => "reinstated",
        }
    }
}

/// What happens later, unless it can't any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum DueTask {
    /// A hold ends.
    ExpireHold {
        /// The payment.
        payment: String,
        /// The charge that holds.
        charge: String,
    },
    /// A pending refund succeeds.
    SettleRefund {
        /// The payment.
        payment: String,
        /// The refund.
        refund: String,
    },
    /// A refund fails.
    FailRefund {
        /// The payment.
        payment: String,
        /// The refund.
        refund: String,
        /// `failure_reason`.
        reason: String,
    },
    /// A cardholder disputes.
    OpenDispute {
        /// The payment.
        payment: String,
        /// The dispute's reason.
        reason: String,
        /// Whether it is an inquiry.
        inquiry: bool,
    },
    /// A card's network warns of fraud.
    WarnOfFraud {
        /// The payment.
        payment: String,
    },
    /// A dispute's evidence is due.
    CloseEvidence {
        /// The payment.
        payment: String,
        /// The dispute.
        dispute: String,
    },
    /// A dispute is decided.
    DecideDispute {
        /// The payment.
        payment: String,
        /// The dispute.
        dispute: String,
        /// For the shop.
        won: bool,
    },
    /// An operation that was answered 500 is done after all.
    RollForward {
        /// `payment_intents.confirm`, …
        operation: String,
        /// The object of the path.
        id: String,
        /// Its parameters.
        parameters: Value,
        /// Whose.
        scope: String,
    },
    /// An operation that was answered 500 is undone.
    RollBack {
        /// `payment_intents.confirm`, …
        operation: String,
        /// The payment.
        payment: String,
        /// What it had made.
        object: String,
    },
}

/// A new row of the book for an object within a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Its id.
    pub id: String,
    /// `charge`, `refund`, …
    pub object: &'static str,
    /// The charge it is about.
    pub charge: Option<String>,
}

/// What came of a rule.
#[derive(Debug, Default)]
pub struct RuleEffects {
    /// Types, and the objects as they were at that moment.
    pub events: Vec<(&'static str, Value)>,
    /// What money did: entry, object, minor units.
    pub ledger: Vec<(LedgerEntry, String, i64)>,
    /// What is new in the payment.
    pub objects: Vec<NewObject>,
    /// Movements of the balance.
    pub transactions: Vec<BalanceTransactionRecord>,
    /// When (milliseconds) what is to happen.
    pub tasks: Vec<(i64, DueTask)>,
}

impl RuleEffects {
    /// An event about the payment itself.
    pub fn intent_event(&mut self, kind: &'static str, payment: &PaymentRecord, context: RuleContext<'_>) {
        self.events.push((kind, payment.to_json(context.public_url)));
    }

    /// An event about an object of the payment.
    pub fn object_event(&mut self, kind: &'static str, payment: &PaymentRecord, id: &str, context: RuleContext<'_>) {
        if let Some(object) = payment.object_json(id, context.now, context.public_url) {
            self.events.push((kind, object));
        }
    }

    /// A new object of the payment.
    pub fn created(&mut self, object: &'static str, id: &str, charge: Option<&str>) {
        self.objects.push(NewObject { id: id.to_owned(), object, charge: charge.map(str::to_owned) });
    }
}
