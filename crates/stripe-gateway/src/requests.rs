//! Each request to Stripe, made by async-stripe's typed builders: what API version it is for is the crate's, and what it does not know can't be sent.
//!
//! Metadata has two entries: whose payment it is, and under which key it was asked for. By them a look-up finds what was done, and a webhook says whose it is.

use std::collections::{BTreeMap, HashMap};

use events::OrderId;
use gateway::Request;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_core::balance_transaction::ListBalanceTransaction;
use stripe_core::dispute::RetrieveDispute;
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::{
    CancelPaymentIntent, CancelPaymentIntentCancellationReason, CapturePaymentIntent, ConfirmPaymentIntent,
    CreatePaymentIntent, ListPaymentIntent, RetrievePaymentIntent, UpdatePaymentIntent,
};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_shared::{PaymentIntentAllowedPaymentMethodTypes, PaymentIntentCaptureMethod};
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use crate::currency::StripeAmount;
use crate::payment_method::PaymentMethod;
use crate::settings::{ORDER_ID, StripeSettings};

/// The most that a list gives at once.
const PAGE: i64 = 100;
const CHARGE: &str = "latest_charge";

/// What is called: Stripe limits the rate of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Endpoint {
    Create,
    Update,
    Confirm,
    Capture,
    Cancel,
    Get,
    List,
    CreateRefund,
    GetRefund,
    ListRefunds,
    GetDispute,
    GetFraudWarning,
    ListEvents,
    ListTransactions,
    GetBalance,
}

impl Endpoint {
    /// As Stripe's API reference names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "POST /v1/payment_intents",
            Self::Update => "POST /v1/payment_intents/{id}",
            Self::Confirm => "POST /v1/payment_intents/{id}/confirm",
            Self::Capture => "POST /v1/payment_intents/{id}/capture",
            Self::Cancel => "POST /v1/payment_intents/{id}/cancel",
            Self::Get => "GET /v1/payment_intents/{id}",
            Self::List => "GET /v1/payment_intents",
            Self::CreateRefund => "POST /v1/refunds",
            Self::GetRefund => "GET /v1/refunds/{id}",
            Self::ListRefunds => "GET /v1/refunds",
            Self::GetDispute => "GET /v1/disputes/{id}",
            Self::GetFraudWarning => "GET /v1/radar/early_fraud_warnings/{id}",
            Self::ListEvents => "GET /v1/events",
            Self::ListTransactions => "GET /v1/balance_transactions",
            Self::GetBalance => "GET /v1/balance",
        }
    }
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct StripeCall {
    pub endpoint: Endpoint,
    pub request: RequestBuilder,
    /// None where a repetition changes nothing: a key would only keep a server error.
    pub idempotency_key: Option<String>,
}

impl StripeCall {
    fn new(endpoint: Endpoint, request: &impl StripeRequest, idempotency_key: Option<String>) -> Self {
        Self { endpoint, request: request.build(), idempotency_key }
    }
}

/// The key under which an order's payment is created: of the order alone. Where a first creation failed on Stripe's side, its key repeats that failure for
/// a day, so a later attempt has a key of its own; a second PaymentIntent holds nothing, as only the one whose id is recorded is ever confirmed.
fn creation_key(request: &Request) -> String {
    match request.attempt {
        0 | 1 => payment_key(request.order_id),
        attempt => format!("{}:create-{attempt}", payment_key(request.order_id)),
    }
}

/// What a payment of ours has as its `key`.
pub(crate) fn payment_key(order_id: OrderId) -> String {
    format!("order:{order_id}:authorize")
}

/// The order of a payment that was made here, by its metadata: it names the order, and the key that only we make from it; or of one that was taken over.
pub(crate) fn order_in(metadata: &BTreeMap<String, String>) -> Option<OrderId> {
    if let Some(order_id) = metadata.get(ADOPTED_BY) {
        return order_id.parse().ok();
    }
    let order_id = named_order(metadata)?;
    (metadata.get("key") == Some(&payment_key(order_id))).then_some(order_id)
}

pub(crate) fn named_order(metadata: &BTreeMap<String, String>) -> Option<OrderId> {
    metadata.get("order_id")?.parse().ok()
}

fn metadata(order_id: OrderId, key: String) -> HashMap<String, String> {
    HashMap::from([("order_id".to_owned(), order_id.to_string()), ("key".to_owned(), key)])
}

/// Creates the order's payment, unconfirmed: nothing is held. Its body is of the order alone, whatever pays, so that it can be replayed.
pub(crate) fn create(request: &Request, amount: &StripeAmount, settings: &StripeSettings) -> StripeCall {
    // Never fails: what async-stripe does not know it sends as it is, and Stripe decides.
    let currency = amount.currency.parse().unwrap_or(stripe_types::Currency::Unknown(amount.currency.clone()));
    let mut create = CreatePaymentIntent::new(amount.amount, currency)
        .capture_method(PaymentIntentCaptureMethod::Manual)
        .allowed_payment_method_types(vec![PaymentIntentAllowedPaymentMethodTypes::Card])
        .metadata(metadata(request.order_id, payment_key(request.order_id)));
    if let Some(suffix) = &settings.statement_descriptor_suffix {
        create = create.statement_descriptor_suffix(suffix.as_str());
    }
    StripeCall::new(Endpoint::Create, &create, Some(creation_key(request)))
}

/// What a payment that others made has in its metadata once it is taken over: the order. Their own entries stay as they are.
const ADOPTED_BY: &str = "quadrille_order";

/// Marks a payment that others made as the order's.
pub(crate) fn adopt(request: &Request, payment_id: &str) -> StripeCall {
    let update = UpdatePaymentIntent::new(payment_id)
        .metadata(HashMap::from([(ADOPTED_BY.to_owned(), request.order_id.to_string())]))
        .expand(vec![CHARGE.to_owned()]);
    // One key for all orders: of two at once the second has another body, which Stripe refuses.
    StripeCall::new(Endpoint::Update, &update, Some(format!("adopt:{payment_id}")))
}

/// Says whose saved payment method will pay, which a confirmation can't.
pub(crate) fn set_customer(request: &Request, payment_id: &str, customer: &str) -> StripeCall {
    let update = UpdatePaymentIntent::new(payment_id).customer(customer);
    StripeCall::new(Endpoint::Update, &update, Some(format!("{}:customer", request.key)))
}

/// Holds the money.
pub(crate) fn confirm(
    request: &Request,
    payment_id: &str,
    method: &PaymentMethod,
    settings: &StripeSettings,
) -> StripeCall {
    let mut confirm = ConfirmPaymentIntent::new(payment_id).expand(vec![CHARGE.to_owned()]);
    confirm = match method {
        PaymentMethod::Once(id) | PaymentMethod::Saved { payment_method: id, .. } => {
            confirm.payment_method(id.as_str())
        }
        PaymentMethod::ConfirmationToken(id) => confirm.confirmation_token(id.as_str()),
    };
    if let Some(url) = &settings.return_url {
        confirm = confirm.return_url(url.replace(ORDER_ID, &request.order_id.to_string()));
    }
    StripeCall::new(Endpoint::Confirm, &confirm, Some(request.key.clone()))
}

/// Takes a part of what is held; Stripe releases the rest.
pub(crate) fn capture(request: &Request, payment_id: &str, amount: &StripeAmount) -> StripeCall {
    let capture = CapturePaymentIntent::new(payment_id).amount_to_capture(amount.amount);
    StripeCall::new(Endpoint::Capture, &capture, Some(request.key.clone()))
}

/// Lets go. Without a key: a payment is cancelled once, however often it is asked.
pub(crate) fn cancel(payment_id: &str) -> StripeCall {
    let cancel = CancelPaymentIntent::new(payment_id)
        .cancellation_reason(CancelPaymentIntentCancellationReason::RequestedByCustomer)
        .expand(vec![CHARGE.to_owned()]);
    StripeCall::new(Endpoint::Cancel, &cancel, None)
}

pub(crate) fn get(payment_id: &str) -> StripeCall {
    let get = RetrievePaymentIntent::new(payment_id).expand(vec![CHARGE.to_owned()]);
    StripeCall::new(Endpoint::Get, &get, None)
}

/// Payments created between two moments, in seconds since 1970, or since the first of them; the newest first.
pub(crate) fn list(from: i64, to: Option<i64>, starting_after: Option<&str>) -> StripeCall {
    let created = RangeQueryTs::Bounds(RangeBoundsTs { gte: Some(from), lte: to, ..RangeBoundsTs::default() });
    let mut list = ListPaymentIntent::new().created(created).limit(PAGE);
    if let Some(id) = starting_after {
        list = list.starting_after(id);
    }
    StripeCall::new(Endpoint::List, &list, None)
}

pub(crate) fn refund(request: &Request, payment_id: &str, amount: &StripeAmount) -> StripeCall {
    let refund = CreateRefund::new()
        .payment_intent(payment_id)
        .amount(amount.amount)
        .metadata(metadata(request.order_id, request.key.clone()));
    StripeCall::new(Endpoint::CreateRefund, &refund, Some(request.key.clone()))
}

pub(crate) fn get_refund(refund_id: &str) -> StripeCall {
    StripeCall::new(Endpoint::GetRefund, &RetrieveRefund::new(refund_id), None)
}

/// A payment's refunds, the newest first.
pub(crate) fn list_refunds(payment_id: &str, starting_after: Option<&str>) -> StripeCall {
    let mut list = ListRefund::new().payment_intent(payment_id).limit(PAGE);
    if let Some(id) = starting_after {
        list = list.starting_after(id);
    }
    StripeCall::new(Endpoint::ListRefunds, &list, None)
}

/// All refunds since then, each with its payment, which says whose it is; the newest first.
pub(crate) fn list_all_refunds(since: i64, starting_after: Option<&str>) -> StripeCall {
    let expand = vec!["data.payment_intent".to_owned()];
    let mut list = ListRefund::new().created(RangeQueryTs::gte(since)).expand(expand).limit(PAGE);
    if let Some(id) = starting_after {
        list = list.starting_after(id);
    }
    StripeCall::new(Endpoint::ListRefunds, &list, None)
}

/// Movements of the account's balance since then, the newest first.
pub(crate) fn list_transactions(since: i64, starting_after: Option<&str>) -> StripeCall {
    let mut list = ListBalanceTransaction::new().created(RangeQueryTs::gte(since)).limit(PAGE);
    if let Some(id) = starting_after {
        list = list.starting_after(id);
    }
    StripeCall::new(Endpoint::ListTransactions, &list, None)
}

pub(crate) fn get_dispute(dispute_id: &str) -> StripeCall {
    StripeCall::new(Endpoint::GetDispute, &RetrieveDispute::new(dispute_id), None)
}

/// Radar has a crate of its own in async-stripe, for this one path.
pub(crate) fn get_fraud_warning(warning_id: &str) -> StripeCall {
    let request = RequestBuilder::new(StripeMethod::Get, format!("/radar/early_fraud_warnings/{warning_id}"));
    StripeCall { endpoint: Endpoint::GetFraudWarning, request, idempotency_key: None }
}

/// Events of these types since then that no webhook endpoint took; the newest first.
pub(crate) fn list_undelivered(types: &[&str], since: i64, starting_after: Option<&str>) -> StripeCall {
    let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let mut list = ListEvent::new().delivery_success(false).types(types).created(RangeQueryTs::gte(since)).limit(PAGE);
    if let Some(id) = starting_after {
        list = list.starting_after(id);
    }
    StripeCall::new(Endpoint::ListEvents, &list, None)
}

/// The probe: it needs the key, the account, and nothing else.
pub(crate) fn balance() -> StripeCall {
    StripeCall::new(Endpoint::GetBalance, &RetrieveForMyAccountBalance::new(), None)
}
