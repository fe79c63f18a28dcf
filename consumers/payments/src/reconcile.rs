//! Our payments against a provider's own books: asked page by page, then compared with our rows.
//!
//! The provider is read first, and no transaction is open meanwhile. A row that changed since a few minutes before that, or whose call is under way, is not
//! compared: it may be ahead of what the provider was read as.

mod books;
mod compare;
mod daily;
mod rows;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use events::{OrderId, Timestamp};
use gateway::Gateway;
use runtime::{Clock, Consumer as _, Failure, Settings};
use sandbox_gateway::Sandbox;
use sqlx::PgPool;
use stripe_gateway::StripeGateway;

use crate::settings::{self, GatewayName, Payments};

pub use compare::{CurrencyTotals, DifferenceKind, LedgerDifference, PaymentSums, Reconciliation};
pub(crate) use daily::compare_daily;

/// How long before the provider is read a row must have been left alone to be compared.
const MARGIN: Duration = Duration::from_secs(600);

/// Why books were not compared. No variant repeats a key or a secret.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("the books of {gateway} can't be read: {why}")]
    Provider { gateway: &'static str, why: String },
    #[error("our payments can't be read: {0}")]
    Ours(#[from] Failure),
}

/// Compares what came into being since then. Of older payments it compares those of which the provider tells something new, such as a refund.
pub async fn reconcile(
    pool: &PgPool,
    gateway: &dyn Gateway,
    since: Timestamp,
    clock: &Clock,
) -> Result<Reconciliation, ReconcileError> {
    let quiet_since = clock.now().minus(MARGIN);
    // The provider's clock is not quite ours; what it tells of orders before `since` is compared as well.
    let failed = |why| ReconcileError::Provider { gateway: gateway.name(), why };
    let theirs = books::read(gateway, since.minus(MARGIN)).await.map_err(failed)?;
    let first = OrderId::least_at(since);
    let ours = rows::read(pool, gateway.name(), first, &theirs.orders(), quiet_since).await?;
    Ok(compare::compare((gateway.name(), since), ours, theirs, first))
}

/// The same of all configured gateways, or of one; for who has the settings of payments, and nothing else of it.
pub async fn reconcile_all(
    all: &Settings,
    since: Option<Timestamp>,
    only: Option<GatewayName>,
    clock: &Clock,
) -> anyhow::Result<Vec<Reconciliation>> {
    let settings = settings::read(all)?;
    let keep = all.keep(Payments::NAME, &Payments::defaults())?;
    let since = since.unwrap_or(clock.now().minus(settings.reconcile_window.0));
    let days = keep.as_secs() / 86_400;
    ensure!(
        since >= clock.now().minus(keep) && since <= clock.now(),
        "expected a time within the last {days} days, which payments keeps, got {since}"
    );
    let url = all.database_url(Payments::NAME)?;
    let pool = runtime::sql::pool(url.expose(), "quadrille reconcile", 1)?;
    let is_wanted = |name| only.is_none_or(|only| only == name);
    let mut gateways: Vec<Box<dyn Gateway>> = Vec::new();
    if is_wanted(GatewayName::Stripe) && settings.has_stripe() {
        let client = runtime::http::anonymous(all.common())?;
        gateways.push(Box::new(StripeGateway::new(settings.stripe.clone(), client, clock.clone())?));
    }
    if is_wanted(GatewayName::Sandbox) && settings.gateway == GatewayName::Sandbox {
        let validity = settings.authorization_validity;
        let (sandbox, _) = Sandbox::open(settings.sandbox.clone(), validity, pool.clone(), clock.clone());
        gateways.push(Box::new(sandbox));
    }
    let configured = "expected a gateway that payments has settings for; set those of the one that is asked for";
    ensure!(!gateways.is_empty(), configured);
    let mut compared = Vec::new();
    for gateway in gateways {
        let done = reconcile(&pool, &*gateway, since, clock).await;
        compared.push(done.with_context(|| format!("{} was not compared", gateway.name()))?);
    }
    Ok(compared)
}
