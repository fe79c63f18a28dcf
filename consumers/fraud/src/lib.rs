//! fraud: may an order whose money is held go on?
//!
//! Hears `PaymentAuthorized` (looks at the order: rules give points, their sum is the score) and `PaymentVoided` (the order is over: its review
//! leaves the queue). Says `FraudCleared`, `FraudRejected` and `FraudReviewRequested`; a review is ended by a person at the door `/reviews`, or
//! by its deadline, which rejects. An order is looked at once and counted once, however often its events come.

mod decide;
mod handlers;
mod http;
mod restore;
mod rules;
mod settings;
mod store;
mod velocity;
mod world;

use std::sync::Arc;

pub use handlers::{Authorized, Input, Reply, Ruling};
pub use settings::{FraudSettings, Limit, SubjectLimits, VelocitySettings, section};
pub use velocity::{Kind, Subject, Tally};
pub use world::{Assessment, BatchState, Carried, State};

/// The consumer `fraud`.
#[derive(Debug, Default)]
pub struct Fraud {
    settings: FraudSettings,
    recent: runtime::Recent<Assessment>,
}

impl Fraud {
    /// A consumer with these settings.
    ///
    /// # Errors
    /// When they contradict each other; the message says which and how.
    pub fn new(settings: FraudSettings) -> anyhow::Result<Self> {
        settings.check()?;
        Ok(Self { settings, ..Self::default() })
    }
}

/// The migrations of the schema `fraud`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/fraud")
}

/// The OpenAPI document of its routes.
pub fn document() -> serde_json::Value {
    http::routes().document("fraud")
}

/// Starts the consumer and opens its doors.
///
/// # Errors
/// When its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let fraud = Arc::new(Fraud::new(settings::read(host.settings())?)?);
        let pool = host.pool::<Fraud>()?;
        host.start(fraud, |door| http::routes().with_state(http::RouteState::new(door, pool))).await
    })
}
