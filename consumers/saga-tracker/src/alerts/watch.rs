//! The figures that alerts and metrics go by, taken again and again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events::{DisputeOutcome, Timestamp};
use runtime::sql::Timestamptz;
use runtime::{Clock, Failure};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{AlertKind, Outside, keep};
use crate::http::ToldDispute;
use crate::settings::TrackerSettings;
use crate::store::{self, watch as figures};

/// Causes of dead letters that are alerts of their own, the oldest first: of more the rate tells.
const CAUSES: usize = 100;
const WINDOW: Duration = Duration::from_secs(300);
/// How long people are told of what can't be undone any more, such as a dispute that was lost.
const TOLD_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

const CURRENCY: &str = "currency";
const CONSUMER: &str = "consumer";

pub(crate) async fn watch(mut watch: Watch, clock: Clock, shutdown: CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        if let Err(failure) = watch.look(clock.now()).await {
            tracing::warn!(consumer = "saga-tracker", %failure, "figures of alerts can't be taken, will be tried again");
        }
        shutdown.run_until_cancelled(tokio::time::sleep(watch.settings.watch_every.0)).await;
    }
    Ok(())
}

pub(crate) struct Watch {
    pool: PgPool,
    settings: Arc<TrackerSettings>,
    /// The databases of the consumers: a watermark of another one is an old one.
    databases: HashSet<String>,
    /// Gauges by their labels: one whose rows are gone is nothing, and not what it was.
    named: BTreeSet<(&'static str, String)>,
    outside: Outside,
}

impl Watch {
    pub fn new(pool: PgPool, settings: Arc<TrackerSettings>, databases: HashSet<String>, outside: Outside) -> Self {
        Self { pool, settings, databases, named: BTreeSet::new(), outside }
    }

    async fn look(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.stuck(now).await?;
        self.money(now).await?;
        self.refunds(now).await?;
        self.disputes(now).await?;
        self.dead_letters(now).await?;
        self.relays(now).await?;
        self.parked(now).await?;
        self.single_dead_letters(now).await?;
        let aside = self.outside.set_aside().await;
        self.keep(AlertKind::SetAside, &aside, now).await?;
        let not_ready = self.outside.not_ready(self.settings.circuit_open.0, now).await;
        self.keep(AlertKind::CircuitOpen, &not_ready, now).await?;
        metrics::gauge!("quadrille_alerts_undelivered").set(store::alerts::undelivered(&self.pool).await? as f64);
        let open = figures::open_alerts(&self.pool).await?;
        for (_, kind, _) in AlertKind::ALL {
            let count = open.iter().find(|(of, _)| of == kind).map_or(0, |(_, count)| *count);
            metrics::gauge!("quadrille_alerts_open", "kind" => kind).set(count as f64);
        }
        Ok(())
    }

    fn labels(&self, label: &'static str) -> Vec<String> {
        self.named.iter().filter(|(of, _)| *of == label).map(|(_, name)| name.clone()).collect()
    }

    async fn keep(&self, kind: AlertKind, wrong: &[(String, String)], now: Timestamp) -> Result<(), Failure> {
        let wrong = if self.settings.alerts(kind) { wrong } else { &[] };
        let mut tx = self.pool.begin().await?;
        keep(&mut tx, kind, wrong, now).await?;
        Ok(tx.commit().await?)
    }

    /// Stuck orders and reviews are raised where they are found; here those that moved on are resolved.
    async fn stuck(&self, now: Timestamp) -> Result<(), Failure> {
        metrics::gauge!("quadrille_orders_stuck").set(figures::stuck(&self.pool).await? as f64);
        figures::resolve_orders(&self.pool, now, now.minus(TOLD_FOR)).await
    }

    async fn money(&mut self, now: Timestamp) -> Result<(), Failure> {
        let rows = figures::money_at_risk(&self.pool).await?;
        self.named.extend(rows.iter().map(|row| (CURRENCY, row.currency.clone())));
        for currency in self.labels(CURRENCY) {
            let amount = rows.iter().find(|row| row.currency == currency).map_or(0, |row| row.amount);
            metrics::gauge!("quadrille_money_at_risk", CURRENCY => currency).set(amount as f64);
        }
        let too_much = rows.iter().filter(|row| row.amount > self.settings.money_limit(&row.currency));
        let wrong: Vec<(String, String)> = too_much
            .map(|row| {
                let figures::MoneyRow { currency, amount, orders } = row;
                let limit = self.settings.money_limit(currency);
                let text = format!(
                    "{amount} minor units of {currency} are held or taken for {orders} orders that are stuck or have dead letters, \
                     more than {limit}: see GET /dead-letters"
                );
                (currency.clone(), text)
            })
            .collect();
        self.keep(AlertKind::MoneyAtRisk, &wrong, now).await
    }

    /// No order waits for a refund to its customer, so nothing else says that one is late.
    async fn refunds(&self, now: Timestamp) -> Result<(), Failure> {
        let rows = store::unsettled_refunds(&self.pool, now.minus(self.settings.refund_late.0)).await?;
        let alert =
            |(refund_id, order_id, since, refused): (uuid::Uuid, uuid::Uuid, Option<Timestamptz>, Option<String>)| {
                let what = match (refused, since) {
                    (Some(detail), _) => format!("was refused: {detail}"),
                    (None, Some(since)) => format!("was asked for at {}, and is not done", since.0),
                    (None, None) => "is not done".to_owned(),
                };
                let text = format!(
                    "refund {refund_id} of order {order_id} {what}: look at the payment in the gateway, then POST \
                 /orders/{order_id}/refunds/{refund_id}/retry at payments, or pay the customer back by other means"
                );
                (refund_id.to_string(), text)
            };
        let wrong: Vec<_> = rows.into_iter().map(alert).collect();
        self.keep(AlertKind::RefundUnsettled, &wrong, now).await
    }

    async fn disputes(&self, now: Timestamp) -> Result<(), Failure> {
        let (mut open, mut lost) = (Vec::new(), Vec::new());
        for (order_id, dispute_id, closed, told) in store::recent_disputes(&self.pool, now.minus(TOLD_FOR)).await? {
            let told = ToldDispute::of(closed, &told)?;
            let amount = told.currency.format(told.amount);
            let what = format!("dispute {dispute_id} of order {order_id}, {amount} ({}, {})", told.reason, told.funds);
            match told.evidence_due_by {
                _ if closed && told.status == DisputeOutcome::Lost.as_str() => {
                    let text = format!(
                        "{what} was lost: what had not shipped is cancelled; look whether the customer is to be served again"
                    );
                    lost.push((dispute_id, text));
                }
                _ if closed => {}
                Some(due) => {
                    let text = format!(
                        "{what} is {}: send evidence at the gateway by {due}, or accept it; what has not shipped is held \
                         (POST /orders/{order_id}/release-hold at fulfillment ships it)",
                        told.status
                    );
                    open.push((dispute_id, text));
                }
                None => {
                    let text = format!("{what} is {}: the bank decides; what has not shipped is held", told.status);
                    open.push((dispute_id, text));
                }
            }
        }
        self.keep(AlertKind::DisputeOpen, &open, now).await?;
        self.keep(AlertKind::DisputeLost, &lost, now).await
    }

    async fn dead_letters(&self, now: Timestamp) -> Result<(), Failure> {
        let count = figures::dead_letters_since(&self.pool, now.minus(WINDOW)).await?;
        metrics::gauge!("quadrille_dead_letters_recent").set(count as f64);
        let limit = self.settings.dead_letters;
        let text = || {
            let minutes = WINDOW.as_secs() / 60;
            format!(
                "{count} dead letters within {minutes} minutes, more than {limit}: `quadrille dead-letters groups` shows them by cause"
            )
        };
        let wrong: Vec<_> = (count > limit).then(|| ("all".to_owned(), text())).into_iter().collect();
        self.keep(AlertKind::DeadLetterRate, &wrong, now).await
    }

    /// One dead letter is enough: something waits for a person. Those of one cause are one alert.
    async fn single_dead_letters(&self, now: Timestamp) -> Result<(), Failure> {
        let causes = figures::open_dead_letters(&self.pool).await?;
        metrics::gauge!("quadrille_dead_letters_open").set(causes.iter().map(|cause| cause.1).sum::<i64>() as f64);
        let alert = |(fingerprint, letters, consumer, error_class, example): figures::CauseRow| {
            let text = format!(
                "{letters} events could not be decided by {consumer} ({error_class}), such as dead letter {example}: \
                 `quadrille dead-letters show {example}` says why, then retry, edit or skip it"
            );
            (fingerprint, text)
        };
        let wrong: Vec<_> = causes.into_iter().take(CAUSES).map(alert).collect();
        self.keep(AlertKind::DeadLetter, &wrong, now).await
    }

    async fn relays(&self, now: Timestamp) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        let rows = store::watermarks(&self.pool).await?;
        for row in rows.into_iter().filter(|row| self.databases.contains(&row.database)) {
            let lag = now.since(row.published_until.0);
            metrics::gauge!("quadrille_published_lag_seconds", "database" => row.database.clone())
                .set(lag.as_secs_f64());
            if lag > self.settings.relay_lag.0 {
                let text = format!(
                    "the outbox of {} is published up to {}, {} s ago, {} events waited then: look at outbox-relay, and `quadrille relay status`",
                    row.database,
                    row.published_until.0,
                    lag.as_secs(),
                    row.backlog
                );
                wrong.push((row.database, text));
            }
        }
        self.keep(AlertKind::RelayLag, &wrong, now).await
    }

    async fn parked(&mut self, now: Timestamp) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        let rows = figures::parked(&self.pool).await?;
        self.named.extend(rows.iter().map(|row| (CONSUMER, row.consumer.clone())));
        for consumer in self.labels(CONSUMER) {
            let row = rows.iter().find(|row| row.consumer == consumer);
            let age = row.map_or(Duration::ZERO, |row| now.since(row.oldest.0));
            metrics::gauge!("quadrille_parked_orders", CONSUMER => consumer.clone())
                .set(row.map_or(0, |row| row.orders) as f64);
            metrics::gauge!("quadrille_parked_oldest_seconds", CONSUMER => consumer).set(age.as_secs_f64());
        }
        for row in rows {
            let age = now.since(row.oldest.0);
            if age > self.settings.parked_age.0 {
                let text = format!(
                    "events of {} orders wait for a retry in {}, the oldest since {}: see its log, and what it calls",
                    row.orders, row.consumer, row.oldest.0
                );
                wrong.push((row.consumer, text));
            }
        }
        self.keep(AlertKind::ParkedAge, &wrong, now).await
    }
}
