//! payments: is there money, and did the reservation or the authorization come first?
//!
//! Hears `StockReserved` (asks the gateway to hold the total), `ReservationExpired` (gives up only an order that waits for its customer),
//! `FulfillmentConfirmed` (takes exactly what ships), `FraudRejected`, `FulfillmentRejected` and `FulfillmentCancelled` (lets go, or gives back).
//! Says `PaymentAuthorized`, `PaymentActionRequired`, `PaymentDeclined`, `PaymentCaptured`, `PaymentCaptureFailed`, `PaymentVoided`,
//! `PaymentRefunded`, and for people `PaymentRefundFailed` and `AuthorizationExpiring`.
//!
//! Each call to the gateway is planned, called and concluded: the attempt stands in the order's row before the call is made, its answer is an
//! input of its own, and while the outcome is not known nothing is undone. An attempt without an answer is asked again under the same key, then
//! looked up, and after the last try it is a person's case, with the order still open. While the gateway answers nobody at all no call is made, and
//! no try is used up. `OrderParked` and `OrderUnparked` tell why an order waits.

mod attempt;
mod breaker;
mod calls;
mod decide;
pub mod gateway;
mod handlers;
mod http;
mod payment;
mod restore;
mod settings;
mod store;
mod world;

use std::sync::Arc;

use anyhow::Context as _;
use events::{
    AuthorizationExpiring, Event, OrderId, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed,
    PaymentCaptured, PaymentDeclined, PaymentRefundFailed, PaymentRefunded, PaymentVoided, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Clock, Codec, Conflict, Consumer, Effects, Failure, Health, Loader, Message, Retention, Saver, Span, Timer,
    Unreadable, Work,
};

pub use attempt::{Attempt, Made, Phase, key};
pub use calls::{Answer, Ask, Call};
pub use handlers::{Input, RefundTold, Reply};
pub use payment::{Asked, Case, Payment, Purchase, State, Undoing, Verdict};
pub use settings::{GatewayName, PaymentsSettings, section};
pub use world::{Reference, RefundStatus, Told, World};

use breaker::Breaker;
use gateway::sandbox::Sandbox;
use gateway::{Chosen, Gateway as _};
use handlers::Rules;

/// The consumer `payments`.
#[derive(Debug)]
pub struct Payments {
    settings: PaymentsSettings,
    gateway: Chosen,
    breaker: Breaker,
}

impl Payments {
    /// A consumer with these settings that pays through this gateway.
    ///
    /// # Errors
    /// When a setting can't be worked with; the message says which and how.
    pub fn new(settings: PaymentsSettings, gateway: Chosen) -> anyhow::Result<Self> {
        let never_opens = Breaker::new(Arc::new(Health::of(Self::NAME)), Clock::default());
        Self::guarded(settings, gateway, never_opens)
    }

    /// The same, whose calls wait while their circuit is open.
    fn guarded(settings: PaymentsSettings, gateway: Chosen, breaker: Breaker) -> anyhow::Result<Self> {
        settings.check()?;
        Ok(Self { settings, gateway, breaker })
    }

    /// A consumer whose calls reach no gateway: for who drives the rules in memory and answers the calls himself.
    ///
    /// # Errors
    /// As [`Payments::new`].
    pub fn detached(settings: PaymentsSettings) -> anyhow::Result<Self> {
        let gateway = Chosen::Sandbox(Sandbox::closed(settings.sandbox.clone()));
        Self::new(settings, gateway)
    }
}

impl Consumer for Payments {
    const NAME: &'static str = "payments";
    type Input = Input;
    type World = World;
    type Reply = Reply;
    type Call = Call;

    fn hears() -> Vec<&'static str> {
        handlers::HEARS.to_vec()
    }

    /// A charge can be disputed for months, and whoever ends an order late must still find its money.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(180 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        migrations()
    }

    fn says() -> Vec<&'static str> {
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
        ]
    }

    fn hear(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        handlers::hear(message, codec)
    }

    fn due(&self, timer: &Timer) -> Input {
        handlers::due(timer)
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<World, Failure> {
        let reading = loader.reading();
        store::load(loader.db, batch.iter().map(|work| &work.input), reading).await
    }

    fn decide(
        &self,
        world: &mut World,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let (gateway, silent) = (self.gateway.name(), self.breaker.is_open());
        let rules = Rules { settings: &self.settings, gateway, silent, now };
        rules.decide(world, &work.input, effects)
    }

    fn order(input: &Input) -> Option<OrderId> {
        input.order_id()
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::pruning::retention(self.gateway.forgets()))
    }

    fn finish(&self, world: &mut World, _now: Timestamp, effects: &mut Effects<'_, Call>) {
        handlers::finish(world, effects);
    }

    async fn save(&self, world: World, saver: &mut Saver<'_>) -> Result<(), Failure> {
        store::save(&mut saver.writes, &world, saver.now);
        Ok(())
    }

    async fn call(&self, call: Call) -> Option<Work<Input>> {
        call.make(&self.gateway, &self.settings, &self.breaker).await
    }
}

/// The migrations of the schema `payments`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/payments")
}

/// The OpenAPI document of its routes, those of the sandbox among them.
pub fn document() -> serde_json::Value {
    let sandbox = gateway::sandbox::http::routes().documented();
    http::own_routes().documented().merge(sandbox).document(Payments::NAME)
}

/// Starts the consumer, its gateway, and opens its doors.
///
/// # Errors
/// When its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings = settings::read(host.settings())?;
        let pool = host.pool::<Payments>()?;
        let gateway = match settings.gateway {
            GatewayName::Sandbox => {
                let validity = settings.authorization_validity;
                let (sandbox, keeper) = Sandbox::open(
                    settings.sandbox.clone(),
                    validity,
                    host.batches::<Payments>()?,
                    host.clock().clone(),
                );
                let schema = (gateway::sandbox::SCHEMA, gateway::sandbox::migrations());
                runtime::migrations::check(&pool, schema.0, &schema.1).await.context("the sandbox gateway's book")?;
                host.health_of(Payments::NAME).simulates("sandbox gateway");
                host.spawn("sandbox gateway", keeper.keep(host.shutdown().clone()));
                Chosen::Sandbox(sandbox)
            }
        };
        let breaker = Breaker::new(host.health_of(Payments::NAME), host.clock().clone());
        let watch = breaker.clone().watch(gateway.clone(), settings.call_timeout.0, host.shutdown().clone());
        let payments = Arc::new(Payments::guarded(settings, gateway.clone(), breaker)?);
        host.spawn("the gateway's circuit", watch);
        host.start(payments, |door| http::routes(door, pool, gateway)).await
    })
}
