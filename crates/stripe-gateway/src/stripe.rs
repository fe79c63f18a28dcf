//! The gateway: how each operation is done at Stripe, and how what is not known is found out.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use events::{OrderId, Timestamp};
use gateway::{
    Buyer, ExistingPayment, Gateway, Hold, Money, Obstacle, Operation, Outcome, PendingLedger, PendingOutcome,
    PendingProbe, PendingSecret, Request,
};
use reqwest::ClientBuilder;
use runtime::Clock;
use runtime::settings::Secret;

use crate::currency::to_stripe;
use crate::failure::{CallFailure, Meaning, meaning, refused};
use crate::objects::{Balance, ClientSecretAnswer, IntentStatus, ObjectList, PaymentIntent, RefundObject};
use crate::outcomes::{self, AuthorizationState};
use crate::payment_method::PaymentMethod;
use crate::requests::{self, StripeCall};
use crate::settings::{StripeSettings, check_webhook_secrets};
use crate::transport::StripeTransport;
use crate::webhook::{self, WebhookError, WebhookEvent};

/// How long Stripe surely knows what was done under a key, with an hour to spare. After it the same call would be done once more.
const KEY_LASTS: Duration = Duration::from_secs(23 * 3_600);
/// How long after its attempt began an order's payment is created at the latest, and how long before a void.
const CREATED_WITHIN: Duration = Duration::from_secs(3_600);
/// Pages of a list that are read at most.
const PAGES: usize = 20;

/// Stripe.
#[derive(Debug)]
pub struct StripeGateway {
    pub(crate) transport: StripeTransport,
    pub(crate) settings: StripeSettings,
    /// As they are now: they may be replaced while it runs.
    webhook_secrets: RwLock<Vec<Secret>>,
    clock: Clock,
}

impl StripeGateway {
    /// A gateway with these settings, whose calls are made by a client that is built as it is but for redirects, agent and timeout.
    ///
    /// # Errors
    /// When a setting does not fit, or the client can't be built; the message says what to do.
    pub fn new(settings: StripeSettings, client: ClientBuilder, clock: Clock) -> anyhow::Result<Self> {
        settings.check()?;
        let transport = StripeTransport::new(&settings, client)?;
        let webhook_secrets = RwLock::new(settings.webhook_secrets.clone());
        Ok(Self { transport, settings, webhook_secrets, clock })
    }

    /// The way to Stripe, for requests of async-stripe's that this gateway does not make.
    pub fn transport(&self) -> &StripeTransport {
        &self.transport
    }

    /// Makes all calls from now on with another key of the same mode: one that was rolled, while the old one still works or does not any more.
    ///
    /// # Errors
    /// When it is no key of this mode; the old one stays.
    pub fn set_api_key(&self, key: Secret) -> anyhow::Result<()> {
        self.settings.check_key(&key)?;
        self.transport.set_api_key(key);
        Ok(())
    }

    /// Takes webhooks from now on that one of these secrets signed.
    ///
    /// # Errors
    /// When one is none of Stripe's; the old ones stay.
    pub fn set_webhook_secrets(&self, secrets: Vec<Secret>) -> anyhow::Result<()> {
        check_webhook_secrets(&secrets)?;
        *self.webhook_secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets;
        Ok(())
    }

    /// The event of a webhook with this signature and body, which Stripe signed for us, and not long ago.
    ///
    /// # Errors
    /// When that can't be told, or it is no event.
    pub fn verified(&self, header: Option<&str>, body: &[u8]) -> Result<WebhookEvent, WebhookError> {
        let secrets = self.webhook_secrets.read().unwrap_or_else(PoisonError::into_inner);
        webhook::verify(header, body, &secrets, self.settings.webhook_tolerance.0, self.clock.now())?;
        webhook::parse(body)
    }

    pub(crate) async fn payment(&self, payment_id: &str) -> Result<PaymentIntent, CallFailure> {
        self.transport.send(requests::get(payment_id)).await
    }

    /// Whether Stripe may have forgotten what was done under the request's key: then nothing is made under it, only looked up.
    fn is_old(&self, request: &Request) -> bool {
        self.clock.now().since(request.since) >= KEY_LASTS
    }

    async fn confirm(&self, request: &Request, payment_id: &str, method: &PaymentMethod) -> Outcome {
        if let PaymentMethod::Saved { customer, .. } = method {
            let update = requests::set_customer(request, payment_id, customer);
            if let Err(failure) = self.transport.send::<PaymentIntent>(update).await {
                return self.unconfirmed(payment_id, &failure).await;
            }
        }
        match self.transport.send(requests::confirm(request, payment_id, method, &self.settings)).await {
            Ok(intent) => self.concluded(&intent).await.unwrap_or_else(|| {
                let detail = format!("payment {payment_id} is {} after its confirmation", intent.status);
                Outcome::Unknown { detail }
            }),
            Err(failure) => self.unconfirmed(payment_id, &failure).await,
        }
    }

    /// A confirmation that did not succeed.
    async fn unconfirmed(&self, payment_id: &str, failure: &CallFailure) -> Outcome {
        match meaning(failure) {
            Meaning::Refused { code, detail } => self.decline(payment_id, &code, &detail).await,
            Meaning::UnexpectedState | Meaning::KeyReused => self.look_up_authorization(payment_id).await,
            Meaning::NotExecuted(_) | Meaning::Errored | Meaning::Unknown => failure.outcome(Operation::Authorize),
        }
    }

    /// What a payment's state says of its authorization; none where it is not confirmed.
    async fn concluded(&self, intent: &PaymentIntent) -> Option<Outcome> {
        match outcomes::authorization(intent) {
            AuthorizationState::Ended(outcome) => Some(outcome),
            AuthorizationState::ToCancel { code, detail } => Some(self.decline(&intent.id, &code, &detail).await),
            AuthorizationState::Unconfirmed => None,
        }
    }

    /// Declined: it is cancelled first, so that nothing stays open which the customer could still pay. Where that is not known to be done, neither is
    /// the decline: it is found again by the look-up.
    async fn decline(&self, payment_id: &str, code: &str, detail: &str) -> Outcome {
        let declined = || refused(Operation::Authorize, code, detail);
        match self.transport.send::<PaymentIntent>(requests::cancel(payment_id)).await {
            Ok(_) => declined(),
            Err(failure) if meaning(&failure) == Meaning::UnexpectedState => match self.payment(payment_id).await {
                Ok(intent) if intent.status == IntentStatus::Canceled => declined(),
                Ok(intent) => {
                    let detail = format!("declined ({code}), but payment {payment_id} is {}", intent.status);
                    Outcome::Unknown { detail }
                }
                Err(failure) => failure.unread(Operation::Authorize),
            },
            Err(failure) => failure.unread(Operation::Authorize),
        }
    }

    /// A payment that others made, marked as the order's before it counts as that: only one that is as expected, and no other order's.
    async fn take_over(&self, request: &Request, payment_id: &str, expected: ExistingPayment) -> Outcome {
        let decline = |code: &str, detail: &str| refused(Operation::Authorize, code, detail);
        let anothers = || {
            decline(
                "another_orders_payment",
                &format!("expected a payment of no order, {payment_id} is another order's"),
            )
        };
        let intent = match self.payment(payment_id).await {
            Ok(intent) => intent,
            Err(CallFailure::Refused(refusal)) if refusal.status == 404 => {
                return decline("no_such_payment", &format!("expected a payment of this account and mode: {refusal}"));
            }
            Err(failure) => return failure.unread(Operation::Authorize),
        };
        let outcome = match (expected, outcomes::authorization(&intent)) {
            (_, AuthorizationState::Ended(outcome @ Outcome::Unknown { .. })) => return outcome,
            (ExistingPayment::Held, AuthorizationState::Ended(outcome @ Outcome::Authorized(_)))
            | (ExistingPayment::Captured, AuthorizationState::Ended(outcome @ Outcome::Captured { .. })) => outcome,
            (expected, _) => {
                let expected = if expected == ExistingPayment::Held { "held" } else { "taken" };
                let detail = format!("expected a payment that is {expected}, {payment_id} is {}", intent.status);
                return decline("not_as_said", &detail);
            }
        };
        if let Outcome::Authorized(Hold { money, .. }) | Outcome::Captured { money } = &outcome
            && *money != request.money
        {
            let detail =
                format!("expected a payment of {}, the order's total, {payment_id} is of {money}", request.money);
            return decline("amount_mismatch", &detail);
        }
        let charge = intent.charge().filter(|_| expected == ExistingPayment::Captured);
        if charge.is_some_and(|charge| charge.amount_refunded.unwrap_or(0) > 0 || charge.disputed == Some(true)) {
            let detail = format!("expected a payment whose money is there, {payment_id} is refunded or disputed");
            return decline("not_as_said", &detail);
        }
        match intent.metadata.as_ref().and_then(requests::order_in) {
            Some(order_id) if order_id == request.order_id => return outcome, // marked before
            Some(_) => return anothers(),
            None => {}
        }
        match self.transport.send::<PaymentIntent>(requests::adopt(request, payment_id)).await {
            Ok(_) => outcome,
            Err(failure) if meaning(&failure) == Meaning::KeyReused => anothers(),
            Err(failure) => failure.unread(Operation::Authorize),
        }
    }

    async fn look_up_authorization(&self, payment_id: &str) -> Outcome {
        match self.payment(payment_id).await {
            Ok(intent) => self.concluded(&intent).await.unwrap_or(Outcome::NotFound),
            Err(failure) => failure.unread(Operation::Authorize),
        }
    }

    /// Creates the order's payment, or finds it: an unconfirmed payment holds nothing, so to create it again under its key is as good as a look-up.
    async fn open(&self, request: &Request) -> Result<Outcome, CallFailure> {
        let amount = match to_stripe(request.money) {
            Ok(amount) => amount,
            Err(error) => return Ok(refused(Operation::Authorize, "amount_not_supported", &error.to_string())),
        };
        let intent: PaymentIntent = self.transport.send(requests::create(request, &amount, &self.settings)).await?;
        Ok(Outcome::Opened { payment_id: intent.id })
    }

    /// The payment that was created for an order, whose id was not recorded: by replay while the key lasts, else among those of its time.
    async fn find_opened(&self, request: &Request) -> Outcome {
        if !self.is_old(request) {
            match self.open(request).await {
                Ok(outcome) => return outcome,
                Err(failure) => match meaning(&failure) {
                    // Its failure is kept under the key: the list tells whether it came to something.
                    Meaning::Errored | Meaning::KeyReused => {}
                    Meaning::Refused { .. } | Meaning::UnexpectedState | Meaning::NotExecuted(_) | Meaning::Unknown => {
                        return failure.outcome(Operation::Authorize);
                    }
                },
            }
        }
        match self.listed(request.order_id, request.since, request.since.plus(CREATED_WITHIN)).await {
            Ok(found) => found.map_or(Outcome::NotFound, |intent| Outcome::Opened { payment_id: intent.id }),
            Err(failure) => failure.unread(Operation::Authorize),
        }
    }

    /// An order's payment that was created between two moments: by its metadata, never by search, which lags behind. None, too, where more were created than are
    /// read: a payment whose id was never recorded was never confirmed, so it holds nothing, and another one in its place is as good.
    async fn listed(
        &self,
        order_id: OrderId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<PaymentIntent>, CallFailure> {
        let (from, to) = (from.as_millis().div_euclid(1_000), to.as_millis().div_euclid(1_000) + 1);
        let key = requests::payment_key(order_id);
        let is_ours = |intent: &PaymentIntent| has_key(intent.metadata.as_ref(), &key);
        let page = |after: Option<&str>| requests::list(from, Some(to), after);
        match self.find(page, |intent: &PaymentIntent| &intent.id, is_ours).await? {
            Found::One(intent) => Ok(Some(intent)),
            Found::None | Found::TooMany => Ok(None),
        }
    }

    /// The first of a list, over its pages, that is the one.
    async fn find<T: serde::de::DeserializeOwned>(
        &self,
        page: impl Fn(Option<&str>) -> StripeCall,
        id: impl Fn(&T) -> &String,
        is_it: impl Fn(&T) -> bool,
    ) -> Result<Found<T>, CallFailure> {
        let mut last: Option<String> = None;
        for _ in 0..PAGES {
            let mut list: ObjectList<T> = self.transport.send(page(last.as_deref())).await?;
            if let Some(at) = list.data.iter().position(&is_it) {
                return Ok(Found::One(list.data.swap_remove(at)));
            }
            last = list.data.last().map(|item| id(item).clone()).filter(|_| list.has_more);
            if last.is_none() {
                return Ok(Found::None);
            }
        }
        Ok(Found::TooMany)
    }

    async fn take(&self, request: &Request, payment_id: &str) -> Outcome {
        if request.money.amount == 0 {
            let outcome = self.void_open(payment_id, request.money).await;
            return if matches!(outcome, Outcome::Voided { .. }) {
                Outcome::Captured { money: request.money }
            } else if matches!(outcome, Outcome::VoidFailed { .. }) {
                self.look_up_capture(request, payment_id).await
            } else {
                outcome
            };
        }
        let amount = match to_stripe(request.money) {
            Ok(amount) => amount,
            Err(error) => return refused(Operation::Capture, "amount_not_supported", &error.to_string()),
        };
        match self.transport.send::<PaymentIntent>(requests::capture(request, payment_id, &amount)).await {
            Ok(intent) => outcomes::capture(&intent, request.money).unwrap_or_else(|| {
                let detail = format!("payment {payment_id} is {} after its capture", intent.status);
                Outcome::Unknown { detail }
            }),
            Err(failure) => match meaning(&failure) {
                Meaning::UnexpectedState | Meaning::KeyReused => self.look_up_capture(request, payment_id).await,
                Meaning::Refused { .. } | Meaning::NotExecuted(_) | Meaning::Errored | Meaning::Unknown => {
                    failure.outcome(Operation::Capture)
                }
            },
        }
    }

    async fn look_up_capture(&self, request: &Request, payment_id: &str) -> Outcome {
        match self.payment(payment_id).await {
            Ok(intent) => outcomes::capture(&intent, request.money).unwrap_or(Outcome::NotFound),
            Err(failure) => failure.unread(Operation::Capture),
        }
    }

    /// Looks first: what is cancelled already is let go of, and what is taken can't be.
    async fn void_open(&self, payment_id: &str, asked: Money) -> Outcome {
        let zero = Money { amount: 0, ..asked };
        let intent = match self.payment(payment_id).await {
            Ok(intent) => intent,
            Err(failure) => return failure.unread(Operation::Void),
        };
        if let Some(outcome) = outcomes::void(&intent, zero) {
            return outcome;
        }
        let is_held = intent.status == IntentStatus::RequiresCapture;
        let held = if is_held { outcomes::hold(&intent).map(|hold| hold.money) } else { Ok(zero) };
        match self.transport.send::<PaymentIntent>(requests::cancel(payment_id)).await {
            Ok(_) => held.map_or_else(outcomes::unreadable, |money| Outcome::Voided { money }),
            Err(failure) => match meaning(&failure) {
                // Somebody was faster: the next attempt looks again.
                Meaning::UnexpectedState => Outcome::VoidFailed { detail: failure.to_string() },
                // It has no key under which the failure would be repeated.
                Meaning::Errored => Outcome::Unknown { detail: failure.to_string() },
                Meaning::Refused { .. } | Meaning::KeyReused | Meaning::NotExecuted(_) | Meaning::Unknown => {
                    failure.outcome(Operation::Void)
                }
            },
        }
    }

    /// A payment whose id was never recorded was never confirmed: nothing is held. What was created for the order is cancelled all the same.
    async fn void_unrecorded(&self, request: &Request) -> Outcome {
        let (from, to) = (request.since.minus(CREATED_WITHIN), self.clock.now());
        match self.listed(request.order_id, from, to).await {
            Ok(Some(intent)) => self.void_open(&intent.id, request.money).await,
            Ok(None) => Outcome::Voided { money: Money { amount: 0, ..request.money } },
            Err(failure) => failure.unread(Operation::Void),
        }
    }

    async fn give_back(&self, request: &Request, payment_id: &str) -> Outcome {
        let amount = match to_stripe(request.money) {
            Ok(amount) => amount,
            Err(error) => return refused(Operation::Refund, "amount_not_supported", &error.to_string()),
        };
        match self.transport.send::<RefundObject>(requests::refund(request, payment_id, &amount)).await {
            Ok(refund) => outcomes::refund(&refund),
            Err(failure) => match meaning(&failure) {
                // Never under a new key by itself: what was done is found, or a person looks.
                Meaning::KeyReused | Meaning::UnexpectedState => {
                    let found = self.look_up_refund(request, payment_id).await;
                    if found == Outcome::NotFound { Outcome::Unknown { detail: failure.to_string() } } else { found }
                }
                Meaning::Refused { .. } | Meaning::NotExecuted(_) | Meaning::Errored | Meaning::Unknown => {
                    failure.outcome(Operation::Refund)
                }
            },
        }
    }

    /// By its id, else among the payment's refunds by the key in its metadata.
    async fn look_up_refund(&self, request: &Request, payment_id: &str) -> Outcome {
        let found = match &request.refund_id {
            Some(refund_id) => self.transport.send(requests::get_refund(refund_id)).await.map(Found::One),
            None => {
                let is_it = |refund: &RefundObject| has_key(refund.metadata.as_ref(), &request.key);
                let page = |after: Option<&str>| requests::list_refunds(payment_id, after);
                self.find(page, |refund: &RefundObject| &refund.id, is_it).await
            }
        };
        match found {
            Ok(Found::One(refund)) => outcomes::refund(&refund),
            Ok(Found::None) => Outcome::NotFound,
            Ok(Found::TooMany) => {
                let detail = format!("the payment has more refunds than the {PAGES} pages that are read");
                Outcome::Unknown { detail }
            }
            Err(failure) => failure.unread(Operation::Refund),
        }
    }
}

/// What a list gave.
enum Found<T> {
    One(T),
    None,
    /// It is not on as many pages as are read.
    TooMany,
}

/// Whether an object was made under this key of ours.
fn has_key(metadata: Option<&BTreeMap<String, String>>, key: &str) -> bool {
    metadata.and_then(|metadata| metadata.get("key")).is_some_and(|made_under| made_under == key)
}

/// A call of ours without the id of its payment: nothing was ever asked of Stripe, so nothing can be.
fn unrecorded(operation: Operation) -> Outcome {
    refused(operation, "no_payment", "expected the id of a payment at Stripe, got none: it was not authorized here")
}

impl Gateway for StripeGateway {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn alive(&self) -> PendingProbe<'_> {
        Box::pin(async {
            match self.transport.send::<Balance>(requests::balance()).await {
                Ok(Balance {}) => Ok(()),
                // Too many calls: it is there.
                Err(failure) if meaning(&failure) == Meaning::NotExecuted(Obstacle::Busy) => Ok(()),
                Err(failure) => Err(failure.to_string()),
            }
        })
    }

    fn client_secret<'c>(&'c self, payment_id: &'c str) -> PendingSecret<'c> {
        Box::pin(async move {
            match self.transport.send::<ClientSecretAnswer>(requests::get(payment_id)).await {
                Ok(ClientSecretAnswer { client_secret }) => Ok(Some(client_secret.into())),
                Err(failure) => Err(failure.to_string()),
            }
        })
    }

    fn authorize<'c>(&'c self, request: &'c Request, buyer: &'c Buyer) -> PendingOutcome<'c> {
        Box::pin(async move {
            let method = match PaymentMethod::parse(&buyer.payment_method) {
                Ok(method) => method,
                Err(error) => return refused(Operation::Authorize, "invalid_payment_method", &error.to_string()),
            };
            match &request.payment_id {
                Some(payment_id) if self.is_old(request) => self.look_up_authorization(payment_id).await,
                Some(payment_id) => self.confirm(request, payment_id, &method).await,
                None if self.is_old(request) => self.find_opened(request).await,
                None => match self.open(request).await {
                    Ok(outcome) => outcome,
                    Err(failure) if meaning(&failure) == Meaning::KeyReused => self.find_opened(request).await,
                    Err(failure) => failure.outcome(Operation::Authorize),
                },
            }
        })
    }

    fn adopt<'c>(&'c self, request: &'c Request, expected: ExistingPayment) -> PendingOutcome<'c> {
        Box::pin(async move {
            match &request.payment_id {
                Some(payment_id) => self.take_over(request, payment_id, expected).await,
                None => unrecorded(Operation::Authorize),
            }
        })
    }

    fn capture<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        Box::pin(async move {
            match &request.payment_id {
                None => unrecorded(Operation::Capture),
                Some(payment_id) if self.is_old(request) => self.look_up_capture(request, payment_id).await,
                Some(payment_id) => self.take(request, payment_id).await,
            }
        })
    }

    fn void<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        Box::pin(async move {
            match &request.payment_id {
                None => self.void_unrecorded(request).await,
                Some(payment_id) => self.void_open(payment_id, request.money).await,
            }
        })
    }

    fn refund<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        Box::pin(async move {
            match &request.payment_id {
                None => unrecorded(Operation::Refund),
                Some(payment_id) if self.is_old(request) => self.look_up_refund(request, payment_id).await,
                Some(payment_id) => self.give_back(request, payment_id).await,
            }
        })
    }

    fn look_up<'c>(&'c self, operation: Operation, request: &'c Request) -> PendingOutcome<'c> {
        Box::pin(async move {
            match (operation, &request.payment_id) {
                (Operation::Authorize, None) => self.find_opened(request).await,
                (Operation::Authorize, Some(payment_id)) => self.look_up_authorization(payment_id).await,
                (Operation::Capture, Some(payment_id)) => self.look_up_capture(request, payment_id).await,
                (Operation::Void, Some(payment_id)) => match self.payment(payment_id).await {
                    Ok(intent) => {
                        let zero = Money { amount: 0, ..request.money };
                        outcomes::void(&intent, zero).unwrap_or(Outcome::NotFound)
                    }
                    Err(failure) => failure.unread(Operation::Void),
                },
                (Operation::Refund, Some(payment_id)) => self.look_up_refund(request, payment_id).await,
                (Operation::Capture | Operation::Void | Operation::Refund, None) => Outcome::NotFound,
            }
        })
    }

    fn ledger<'c>(&'c self, since: Timestamp, page: Option<&'c str>) -> PendingLedger<'c> {
        Box::pin(self.ledger_page(since, page))
    }
}
