//! What a webhook's object says once it is fetched again: order, repetition and age of the webhooks stop to matter.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use gateway::{ActionResult, Dispute, DisputeStatus, DisputedFunds, HoldEnd, PaymentChange, ProviderNotice};

use crate::currency::{AmountError, from_stripe};
use crate::failure::CallFailure;
use crate::objects::{
    DisputeObject, DisputeState, EarlyFraudWarning, IntentStatus, ObjectList, PaymentIntent, RefundObject,
};
use crate::outcomes::{self, moment};
use crate::requests::{self, named_order, order_in};
use crate::settings::StripeMode;
use crate::stripe::StripeGateway;
use crate::webhook::{EVENT_TYPES, EventObject, EventSubject, WebhookEvent, id_of};

/// What a webhook comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few of them, and not for long")]
pub enum WebhookNotice {
    /// Payments is to know of it.
    Notice(ProviderNotice),
    /// Of a payment that was not made here, of another account, or of the other mode.
    Foreign,
    /// It changes nothing: of a type that nobody asked for, or of an object that went on since.
    Nothing,
}

impl StripeGateway {
    /// Fetches what an event is about, and says what that means.
    ///
    /// # Errors
    /// When Stripe does not give the object now: Stripe is to send the event again.
    pub async fn notice(&self, event: &WebhookEvent) -> Result<WebhookNotice, CallFailure> {
        let is_live = self.settings.mode == StripeMode::Live;
        let Some(subject) = &event.subject else { return Ok(WebhookNotice::Nothing) };
        if event.livemode != is_live || event.account != self.settings.account {
            return Ok(WebhookNotice::Foreign);
        }
        let read = match subject {
            EventSubject::Payment(id) => self.payment(id).await.map(|intent| of_payment(&event.id, &intent)),
            EventSubject::Refund(id) => self.refund_notice(&event.id, id).await,
            EventSubject::Dispute(id) => self.dispute_notice(&event.id, id).await,
            EventSubject::FraudWarning(id) => self.fraud_notice(&event.id, id).await,
        };
        match read {
            // It is signed for us, but not in this account: a key of another one, or it is long gone.
            Err(CallFailure::Refused(refusal)) if refusal.status == 404 => Ok(WebhookNotice::Foreign),
            read => read,
        }
    }

    /// The events since then that no endpoint of the account took, the oldest first. Stripe keeps them for 30 days.
    ///
    /// # Errors
    /// When Stripe does not list them now.
    pub async fn undelivered(&self, since: Timestamp) -> Result<Vec<WebhookEvent>, CallFailure> {
        let mut events = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let page = requests::list_undelivered(&EVENT_TYPES, since.as_millis().div_euclid(1_000), last.as_deref());
            let list: ObjectList<EventObject> = self.transport.send(page).await?;
            last = list.data.last().map(|event| event.id().clone()).filter(|_| list.has_more);
            events.extend(list.data.into_iter().filter_map(|event| event.read().ok()));
            if last.is_none() {
                events.reverse();
                return Ok(events);
            }
        }
    }

    async fn refund_notice(&self, message_id: &str, refund_id: &str) -> Result<WebhookNotice, CallFailure> {
        let refund: RefundObject = self.transport.send(requests::get_refund(refund_id)).await?;
        let status = outcomes::refund_status(&refund);
        if is_ours(&refund) {
            let message_id = message_id.to_owned();
            return Ok(WebhookNotice::Notice(ProviderNotice::Refund { message_id, refund_id: refund.id, status }));
        }
        let money = from_stripe(refund.amount, refund.currency.as_deref());
        let refund_id = refund.id.clone();
        let change = money.map(|money| PaymentChange::Refunded { refund_id, money, status });
        self.change_of(message_id, id_of(refund.payment_intent.as_ref()), change).await
    }

    async fn dispute_notice(&self, message_id: &str, dispute_id: &str) -> Result<WebhookNotice, CallFailure> {
        let object: DisputeObject = self.transport.send(requests::get_dispute(dispute_id)).await?;
        let change = dispute(&object).map(PaymentChange::Disputed);
        self.change_of(message_id, id_of(object.payment_intent.as_ref()), change).await
    }

    async fn fraud_notice(&self, message_id: &str, warning_id: &str) -> Result<WebhookNotice, CallFailure> {
        let warning: EarlyFraudWarning = self.transport.send(requests::get_fraud_warning(warning_id)).await?;
        let payment_id = warning.payment_intent.clone();
        let reason = warning.fraud_type.unwrap_or_else(|| "no reason given".to_owned());
        let change = PaymentChange::FraudWarning { warning_id: warning.id, reason, actionable: warning.actionable };
        self.change_of(message_id, id_of(payment_id.as_ref()), Ok(change)).await
    }

    /// What happened to a payment, if it is one of ours: refunds, disputes and warnings do not say whose they are.
    async fn change_of(
        &self,
        message_id: &str,
        payment_id: Option<&str>,
        change: Result<PaymentChange, AmountError>,
    ) -> Result<WebhookNotice, CallFailure> {
        let Some(payment_id) = payment_id else { return Ok(WebhookNotice::Foreign) };
        let intent = self.payment(payment_id).await?;
        let Some(order_id) = order_of(&intent) else { return Ok(WebhookNotice::Foreign) };
        let unreadable = |error: AmountError| {
            let why = format!("what happened to payment {payment_id}: {error}");
            CallFailure::NoAnswer { endpoint: "webhook", why }
        };
        Ok(changed(message_id, order_id, &intent, change.map_err(unreadable)?))
    }
}

fn of_payment(message_id: &str, intent: &PaymentIntent) -> WebhookNotice {
    let Some(order_id) = order_of(intent) else { return WebhookNotice::Foreign };
    let action = |result| WebhookNotice::Notice(ProviderNotice::Action { order_id, result });
    match &intent.status {
        IntentStatus::RequiresCapture => outcomes::hold(intent)
            .map_or(WebhookNotice::Nothing, |hold| action(ActionResult::Passed { hold: Some(hold) })),
        IntentStatus::RequiresPaymentMethod => outcomes::failure(intent)
            .map_or(WebhookNotice::Nothing, |(code, detail)| {
                action(ActionResult::Failed { detail: format!("{code}: {detail}") })
            }),
        IntentStatus::Canceled => {
            let end = if outcomes::is_expired(intent) { HoldEnd::Expired } else { HoldEnd::Cancelled };
            let reason = intent.cancellation_reason.as_deref().unwrap_or("no reason given");
            let detail = format!("the payment was cancelled at Stripe: {reason}");
            changed(message_id, order_id, intent, PaymentChange::HoldGone { end, detail })
        }
        IntentStatus::Succeeded => outcomes::received(intent).map_or(WebhookNotice::Nothing, |money| {
            changed(message_id, order_id, intent, PaymentChange::Captured { money })
        }),
        IntentStatus::RequiresConfirmation
        | IntentStatus::RequiresAction
        | IntentStatus::Processing
        | IntentStatus::Other(_) => WebhookNotice::Nothing,
    }
}

fn changed(message_id: &str, order_id: OrderId, intent: &PaymentIntent, change: PaymentChange) -> WebhookNotice {
    let (message_id, payment_id) = (message_id.to_owned(), intent.id.clone());
    WebhookNotice::Notice(ProviderNotice::Payment { message_id, order_id, payment_id, change })
}

pub(crate) fn order_of(intent: &PaymentIntent) -> Option<OrderId> {
    order_in(intent.metadata.as_ref()?)
}

fn is_ours(refund: &RefundObject) -> bool {
    let of = |metadata: &BTreeMap<String, String>| {
        Some(metadata.get("key")?.starts_with(&format!("order:{}:refund:", named_order(metadata)?)))
    };
    refund.metadata.as_ref().and_then(of).unwrap_or(false)
}

fn dispute(object: &DisputeObject) -> Result<Dispute, AmountError> {
    let status = match &object.status {
        DisputeState::WarningNeedsResponse | DisputeState::WarningUnderReview => DisputeStatus::Inquiry,
        DisputeState::UnderReview => DisputeStatus::UnderReview,
        DisputeState::Won => DisputeStatus::Won,
        DisputeState::Lost => DisputeStatus::Lost,
        DisputeState::WarningClosed | DisputeState::Prevented => DisputeStatus::Closed,
        // What is not known here yet is for a person, as soon as possible.
        DisputeState::NeedsResponse | DisputeState::Other(_) => DisputeStatus::NeedsResponse,
    };
    let moved = |is: fn(i64) -> bool| object.balance_transactions.iter().any(|transaction| is(transaction.amount));
    let funds = match (moved(|amount| amount < 0), moved(|amount| amount > 0)) {
        (_, true) => DisputedFunds::Reinstated,
        (true, false) => DisputedFunds::Withdrawn,
        (false, false) => DisputedFunds::Untouched,
    };
    let awaited = matches!(object.status, DisputeState::NeedsResponse | DisputeState::WarningNeedsResponse);
    let due_by = object.evidence_details.as_ref().and_then(|details| details.due_by).filter(|_| awaited);
    Ok(Dispute {
        dispute_id: object.id.clone(),
        status,
        money: from_stripe(object.amount, object.currency.as_deref())?,
        funds,
        reason: object.reason.clone().unwrap_or_else(|| "no reason given".to_owned()),
        evidence_due_by: due_by.map(moment),
    })
}
