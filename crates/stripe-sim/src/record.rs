//! A payment as the book keeps it: the PaymentIntent with its charges, refunds, disputes and balance transactions. They change together, under
//! one lock.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::card::PaymentMethodRecord;

/// A PaymentIntent's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// It needs a card, a first or another one.
    RequiresPaymentMethod,
    /// It has a card and waits for its confirmation.
    RequiresConfirmation,
    /// The customer must pass 3-D Secure.
    RequiresAction,
    /// Held.
    RequiresCapture,
    /// Captured.
    Succeeded,
    /// Over.
    Canceled,
}

impl IntentStatus {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// What opens a payment's page for its customer. Its Debug says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(pub String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// 3-D Secure that the customer has not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAction {
    /// Names the page.
    pub token: ClientSecret,
    /// Where the page leads back to; none: the shop's page handles it by Stripe.js.
    pub return_url: Option<String>,
    /// Whether the payment is made without the customer.
    pub off_session: bool,
}

/// A PaymentIntent and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentRecord {
    /// `pi_…`.
    pub id: String,
    /// Of live mode.
    pub livemode: bool,
    /// Seconds.
    pub created: i64,
    /// Its status.
    pub status: IntentStatus,
    /// Minor units.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// Whether it is captured by a request of its own.
    pub manual_capture: bool,
    /// `automatic` or `manual`.
    pub confirmation_method: String,
    /// For its customer's page.
    pub client_secret: ClientSecret,
    /// `cus_…`.
    pub customer: Option<String>,
    /// What the shop calls it.
    pub description: Option<String>,
    /// The shop's own.
    pub metadata: BTreeMap<String, String>,
    /// Types that it is limited to; none: those of the dashboard.
    pub allowed_payment_method_types: Option<Vec<String>>,
    /// `automatic_payment_methods`.
    pub automatic_payment_methods: Option<Value>,
    /// Parameters that change nothing here and are given back: `shipping`, `receipt_email`, `setup_future_usage`, …
    pub echoed: Map<String, Value>,
    /// The card, with what it does.
    pub method: Option<PaymentMethodRecord>,
    /// What the customer has still to do.
    pub action: Option<PendingAction>,
    /// Confirmations so far.
    pub confirmations: u32,
    /// The error of the last confirmation, until the next one.
    pub last_payment_error: Option<Value>,
    /// Seconds.
    pub canceled_at: Option<i64>,
    /// Why.
    pub cancellation_reason: Option<String>,
    /// Oldest first; the last is `latest_charge`.
    pub charges: Vec<ChargeRecord>,
    /// Oldest first.
    pub refunds: Vec<RefundRecord>,
    /// Oldest first.
    pub disputes: Vec<DisputeRecord>,
    /// Early fraud warnings, oldest first.
    pub warnings: Vec<WarningRecord>,
    /// Oldest first.
    pub transactions: Vec<BalanceTransactionRecord>,
}

/// A charge: one attempt at the issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChargeRecord {
    /// `ch_…`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// Held, or refused.
    pub succeeded: bool,
    /// Minor units.
    pub amount: i64,
    /// Minor units; none before the capture.
    pub captured: Option<i64>,
    /// Milliseconds: when the hold ends.
    pub capture_before: Option<i64>,
    /// Whether the hold was let go without a capture.
    pub released: bool,
    /// The card.
    pub method: PaymentMethodRecord,
    /// The result of 3-D Secure: `authenticated`, `failed`.
    pub three_d_secure: Option<String>,
    /// `failure_code`, `decline_code`, `failure_message` of a refused one.
    pub failure: Option<(String, String, String)>,
    /// The transaction of its capture.
    pub balance_transaction: Option<String>,
}

/// A refund's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimulatedRefundState {
    /// On its way.
    Pending,
    /// Done, though it may fail yet.
    Succeeded,
    /// The money came back.
    Failed,
    /// Stopped on its way.
    Canceled,
}

impl SimulatedRefundState {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundRecord {
    /// `re_…`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// Minor units.
    pub amount: i64,
    /// The charge.
    pub charge: String,
    /// Its status.
    pub status: SimulatedRefundState,
    /// `duplicate`, `fraudulent`, `requested_by_customer`.
    pub reason: Option<String>,
    /// The shop's own.
    pub metadata: BTreeMap<String, String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Its transaction.
    pub balance_transaction: Option<String>,
    /// The transaction that gave the money back to the account.
    pub failure_balance_transaction: Option<String>,
}

/// A dispute's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    /// An inquiry that waits for evidence.
    WarningNeedsResponse,
    /// An inquiry with evidence.
    WarningUnderReview,
    /// An inquiry that came to nothing.
    WarningClosed,
    /// It waits for evidence.
    NeedsResponse,
    /// It has evidence.
    UnderReview,
    /// The money came back.
    Won,
    /// The money is gone.
    Lost,
}

impl DisputeState {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// Whether it is decided.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::WarningClosed | Self::Won | Self::Lost => true,
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::NeedsResponse | Self::UnderReview => false,
        }
    }

    /// Whether it is an inquiry, which moves no money.
    #[must_use]
    pub fn is_inquiry(self) -> bool {
        match self {
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed => true,
            Self::NeedsResponse | Self::UnderReview | Self::Won | Self::Lost => false,
        }
    }
}

/// A dispute, or an inquiry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisputeRecord {
    /// `du_…`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// Minor units.
    pub amount: i64,
    /// The charge.
    pub charge: String,
    /// `fraudulent`, `product_not_received`, …
    pub reason: String,
    /// Its status.
    pub status: DisputeState,
    /// Milliseconds: until when evidence is taken.
    pub due_by: i64,
    /// What was submitted.
    pub evidence: Map<String, Value>,
    /// How often evidence was submitted.
    pub submission_count: i64,
    /// The shop's own.
    pub metadata: BTreeMap<String, String>,
    /// Withdrawn, and given back where it was won.
    pub transactions: Vec<String>,
}

/// An early fraud warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningRecord {
    /// `issfr_…`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// The charge.
    pub charge: String,
}

/// A movement of the account's balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceTransactionRecord {
    /// `txn_…`.
    pub id: String,
    /// Seconds.
    pub created: i64,
    /// Seconds: when the money can be paid out.
    pub available_on: i64,
    /// `charge`, `refund`, `refund_failure`, `adjustment`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `charge`, `refund`, `refund_failure`, `dispute`, `dispute_reversal`.
    pub reporting_category: String,
    /// The charge, refund or dispute.
    pub source: String,
    /// Minor units, with their sign.
    pub amount: i64,
    /// Minor units.
    pub fee: i64,
    /// Lower case.
    pub currency: String,
}

impl PaymentRecord {
    /// What was captured and has not gone back by a refund, one on its way included.
    #[must_use]
    pub fn unrefunded(&self) -> i64 {
        let gone = self.refunds.iter().filter(|refund| match refund.status {
            SimulatedRefundState::Pending | SimulatedRefundState::Succeeded => true,
            SimulatedRefundState::Failed | SimulatedRefundState::Canceled => false,
        });
        self.captured() - gone.map(|refund| refund.amount).sum::<i64>()
    }

    /// What was captured.
    #[must_use]
    pub fn captured(&self) -> i64 {
        self.charges.iter().filter_map(|charge| charge.captured).sum()
    }

    /// What the charge gave back.
    #[must_use]
    pub fn refunded(&self, charge: &str) -> i64 {
        let of_charge = self.refunds.iter().filter(|refund| refund.charge == charge);
        let gone = of_charge
            .filter(|refund| matches!(refund.status, SimulatedRefundState::Pending | SimulatedRefundState::Succeeded));
        gone.map(|refund| refund.amount).sum()
    }

    /// The charge that holds or took the money.
    #[must_use]
    pub fn successful_charge(&self) -> Option<&ChargeRecord> {
        self.charges.iter().find(|charge| charge.succeeded && !charge.released)
    }

    /// What can be captured.
    #[must_use]
    pub fn capturable(&self) -> i64 {
        if self.status == IntentStatus::RequiresCapture { self.amount } else { 0 }
    }
}
