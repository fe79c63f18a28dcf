//! payments: is there money, and did the reservation or the authorization come first? Exactly what ships is taken; the rest is let go, or given back.
//!
//! Each call to the gateway is planned, called and concluded: the attempt stands in the order's row before the call is made, its answer is an
//! input of its own, and while the outcome is not known nothing is undone. An attempt without an answer is asked again under the same key, then
//! looked up, and after the last try it is a person's case, with the order still open. While the gateway answers nobody at all no call is made, and
//! no try is used up. An order stays with the gateway that it went to, whichever is used for new ones. `OrderParked` and `OrderUnparked` tell why an order waits.
#![allow(missing_docs)] // an inner crate: its names say it

mod attempt;
mod batch;
mod call;
mod circuit;
mod customer;
mod decide;
mod gateways;
mod http;
mod input;
mod payment;
pub mod reconcile;
mod refund_routes;
mod refunds;
mod restore;
mod row;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use events::{
    AuthorizationExpiring, DisputeClosed, Event, FraudRejected, FraudWarningReceived, FulfillmentCancelled,
    FulfillmentConfirmed, FulfillmentRejected, OrderId, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed,
    PaymentCaptured, PaymentChangedOutside, PaymentDeclined, PaymentDisputed, PaymentRefundFailed, PaymentRefunded,
    PaymentVoided, RefundCompleted, RefundFailed, RefundRequested, ReservationExpired, ReturnReceived,
    ShipmentDispatched, StockRejected, StockReserved, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Clock, Codec, Conflict, Consumer, Effects, Failure, Host, Loader, Message, Retention, Saver, Settings, Span, Timer,
    Unreadable, Work,
};
use sandbox_gateway::{Sandbox, SandboxRoutes};
use sqlx::PgPool;
use stripe_gateway::{StripeGateway, StripeMode, StripeRoutes, StripeSettings, take_missed_events};
use tokio_util::sync::CancellationToken;

pub use attempt::{Ask, CallAttempt, Made, Phase, key};
pub use batch::{BatchState, Reference, RefundNotice};
pub use call::Call;
pub use gateway;
pub use input::{Answer, Input, Reply};
pub use payment::{ActionAsked, Payment, PaymentData, Purchase, Settlement, State, Undoing};
pub use refunds::{Asked, CustomerRefund, RefundInput, RefundRequest, RefundState};
pub use settings::{GatewayName, Payments, PaymentsSettings, section};

use circuit::GatewayCircuit;
use decide::DecisionContext;
use gateway::Gateway;
use gateways::{GatewayRoute, Gateways};
use http::PaymentRoutes;
use refunds::Shipped;

/// How often secrets that stand in files are read again.
const SECRETS_READ_EVERY: Duration = Duration::from_secs(15);

impl Consumer for Payments {
    const NAME: &'static str = "payments";
    const TABLES: &'static [fn() -> Vec<String>] = &[
        row_statements::<Payment>,
        row_statements::<Reference>,
        row_statements::<CustomerRefund>,
        row_statements::<Shipped>,
    ];
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Call;

    fn subscribes_to() -> Vec<&'static str> {
        vec![
            StockReserved::TYPE,
            StockRejected::TYPE,
            ReservationExpired::TYPE,
            FraudRejected::TYPE,
            FulfillmentConfirmed::TYPE,
            FulfillmentRejected::TYPE,
            FulfillmentCancelled::TYPE,
            ShipmentDispatched::TYPE,
            ReturnReceived::TYPE,
        ]
    }

    /// A charge can be disputed for months, whoever ends an order late must still find its money, and so must a return that fulfillment receives late.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(210 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/payments")
    }

    fn publishes() -> Vec<&'static str> {
        vec![
            PaymentActionRequired::TYPE,
            PaymentAuthorized::TYPE,
            PaymentDeclined::TYPE,
            PaymentCaptured::TYPE,
            PaymentCaptureFailed::TYPE,
            PaymentVoided::TYPE,
            PaymentRefunded::TYPE,
            PaymentRefundFailed::TYPE,
            AuthorizationExpiring::TYPE,
            RefundRequested::TYPE,
            RefundCompleted::TYPE,
            RefundFailed::TYPE,
            PaymentDisputed::TYPE,
            DisputeClosed::TYPE,
            FraudWarningReceived::TYPE,
            PaymentChangedOutside::TYPE,
        ]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let input = match message.event_type() {
            Some(StockReserved::TYPE) => Input::Reserved(Box::new(message.read(codec)?)),
            Some(StockRejected::TYPE) => Input::StockRejected(Box::new(message.read(codec)?)),
            Some(ReservationExpired::TYPE) => Input::Expired(message.read(codec)?),
            Some(FraudRejected::TYPE) => Input::FraudRejected(message.read(codec)?),
            Some(FulfillmentConfirmed::TYPE) => Input::Confirmed(message.read(codec)?),
            Some(FulfillmentRejected::TYPE) => Input::Rejected(message.read(codec)?),
            Some(FulfillmentCancelled::TYPE) => Input::Cancelled(message.read(codec)?),
            Some(ShipmentDispatched::TYPE) => Input::Refund(RefundInput::Dispatched(Box::new(message.read(codec)?))),
            Some(ReturnReceived::TYPE) => Input::Refund(RefundInput::Returned(Box::new(message.read(codec)?))),
            other => {
                let (place, expected) = (message.place(), Self::subscribes_to());
                return Err(Unreadable(format!("{place} is {other:?}: expected one of {expected:?}")));
            }
        };
        Ok(Work { cause: message.cause()?, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        let order_id = timer.order_id;
        match timer.kind.as_str() {
            input::ATTEMPT => Input::AttemptDue { order_id, due: timer.due },
            input::AUTHORIZATION => Input::AuthorizationDue { order_id },
            input::REFUND if let Ok(refund_id) = timer.discriminator.parse() => {
                Input::Refund(RefundInput::Due { order_id, refund_id, due: timer.due })
            }
            _ => Input::UnknownTimer { order_id },
        }
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        row::load(loader, batch.iter().map(|work| &work.input)).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let reach = |name: &str| self.gateways.reach(name);
        let rules = DecisionContext { settings: &self.settings, gateway: self.gateways.chosen(), reach: &reach, now };
        rules.decide(world, &work.input, effects)
    }

    fn order(input: &Input) -> Option<OrderId> {
        input.order_id()
    }

    fn retention(&self) -> Option<Retention> {
        Some(row::retention(self.gateways.forgets()))
    }

    fn finish(&self, world: &mut BatchState, _now: Timestamp, effects: &mut Effects<'_, Call>) {
        decide::finish(world, effects);
    }

    async fn save(&self, world: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        row::save(world, saver);
        Ok(())
    }

    async fn call(&self, call: Call) -> Option<Work<Input>> {
        if let Some(outcome) = call.answered_elsewhere() {
            return Some(call.answered(outcome));
        }
        // One that is not configured was refused when the call was decided.
        let GatewayRoute { gateway, circuit } = self.gateways.find(&call.gateway)?;
        circuit.call(call, &**gateway, self.settings.call_timeout.0).await
    }
}

fn row_statements<R: runtime::rows::TableRow>() -> Vec<String> {
    R::statements()
}

/// The OpenAPI document of its routes, those of all gateways among them.
pub fn document() -> serde_json::Value {
    let own = http::routes().merge(customer::routes()).merge(refund_routes::routes()).documented();
    let gateways = sandbox_gateway::routes().documented().merge(stripe_gateway::routes().documented());
    own.merge(gateways).document(Payments::NAME)
}

/// Starts the consumer and its gateways. Fails when its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings = settings::read(host.settings())?;
        let pool = host.pool::<Payments>()?;
        let is_chosen = |name| settings.gateway == name;
        let sandbox = match is_chosen(GatewayName::Sandbox) || host.settings().is_demo() {
            true => Some(open_sandbox(host, &settings, &pool).await?),
            false => None,
        };
        let stripe = if settings.has_stripe() { Some(open_stripe(host, &settings)?) } else { None };
        let mut routes = Vec::new();
        let mut add = |name, gateway: Arc<dyn Gateway>| {
            let circuit = match is_chosen(name) {
                true => GatewayCircuit::new(host.health_of(Payments::NAME), host.clock().clone()),
                false => GatewayCircuit::beside(host.clock().clone()),
            };
            let watch = circuit.clone().watch(Arc::clone(&gateway), settings.call_timeout.0, host.shutdown().clone());
            host.spawn("a gateway's circuit", watch);
            routes.insert(if is_chosen(name) { 0 } else { routes.len() }, GatewayRoute { gateway, circuit });
        };
        if let Some(sandbox) = &sandbox {
            add(GatewayName::Sandbox, Arc::new(sandbox.clone()));
        }
        if let Some(stripe) = &stripe {
            let (pool, clock, shutdown) = (pool.clone(), host.clock().clone(), host.shutdown().clone());
            let compare = reconcile::compare_daily(pool, Arc::clone(stripe) as _, settings.clone(), clock, shutdown);
            host.spawn("the comparison with Stripe's books", compare);
            add(GatewayName::Stripe, Arc::clone(stripe) as _);
        }
        let gateways = Gateways::new(routes.remove(0), routes);
        let sandbox = sandbox.filter(|_| is_chosen(GatewayName::Sandbox)); // else nobody may act for its customers
        let payments = Arc::new(Payments::new(settings.clone(), gateways.clone())?);
        let clock = host.clock().clone();
        let routes = |requests: runtime::RequestQueue<Payments>| {
            let notices = http::notices(requests.clone());
            let own = http::routes().merge(customer::routes()).merge(refund_routes::routes());
            let mut routes = own.with_state(PaymentRoutes { requests, pool, gateways, clock });
            if let Some(sandbox) = sandbox {
                let notices = notices.clone();
                routes = routes.merge(sandbox_gateway::routes().with_state(SandboxRoutes { sandbox, notices }));
            }
            match stripe {
                Some(stripe) => {
                    let state = StripeRoutes { stripe, notices };
                    let missed = take_missed_events(state.clone(), host.clock().clone(), host.shutdown().clone());
                    host.spawn("Stripe's missed events", missed);
                    routes.merge(stripe_gateway::routes().with_state(state))
                }
                None => routes,
            }
        };
        host.start(payments, routes).await
    })
}

async fn open_sandbox(host: &Host, settings: &PaymentsSettings, pool: &PgPool) -> anyhow::Result<Sandbox> {
    let (validity, batches) = (settings.authorization_validity, host.batches::<Payments>()?);
    let (sandbox, worker) = Sandbox::open(settings.sandbox.clone(), validity, batches, host.clock().clone());
    let migrations = sandbox_gateway::migrations();
    let checked = runtime::migrations::check(pool, sandbox_gateway::SCHEMA, &migrations).await;
    checked.context("the sandbox gateway's book")?;
    if settings.gateway == GatewayName::Sandbox {
        host.health_of(Payments::NAME).simulates("sandbox gateway");
    }
    host.spawn("sandbox gateway", worker.run(host.shutdown().clone()));
    Ok(sandbox)
}

fn open_stripe(host: &Host, settings: &PaymentsSettings) -> anyhow::Result<Arc<StripeGateway>> {
    let client = runtime::http::anonymous(host.settings().common())?;
    let stripe = Arc::new(StripeGateway::new(settings.stripe.clone(), client, host.clock().clone())?);
    if settings.gateway == GatewayName::Stripe && settings.stripe.mode == StripeMode::Test {
        host.health_of(Payments::NAME).simulates("Stripe in test mode");
    }
    let (settings, clock) = (host.settings().clone(), host.clock().clone());
    host.spawn("Stripe's secrets", read_secrets(Arc::clone(&stripe), settings, clock, host.shutdown().clone()));
    Ok(stripe)
}

/// Reads keys and signing secrets again, now and then: those that stand in files may be replaced while payments runs.
async fn read_secrets(
    stripe: Arc<StripeGateway>,
    settings: Settings,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = clock.sleep_until(clock.now().plus(SECRETS_READ_EVERY)) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let read = || {
            let StripeSettings { api_key, webhook_secrets, .. } = settings::read(&settings.read_again()?)?.stripe;
            stripe.set_api_key(api_key)?;
            stripe.set_webhook_secrets(webhook_secrets)
        };
        if let Err(error) = read() {
            tracing::warn!(consumer = "payments", error = format!("{error:#}"), "Stripe's secrets stay as they were");
        }
    }
}
