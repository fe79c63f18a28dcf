//! The deadline checker: looks at the orders whose deadline has come, sees how far consumers and relay are, moves deadlines on, and has told what is stuck.
//!
//! Its work is in proportion to what is overdue. Nothing is judged while the tracker itself is behind: it knows too little. What is stuck goes
//! through the engine like an event, and is judged there once more, with the order's row locked.

mod evidence;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use events::{Event as _, OrderId, PaymentCaptured, Timestamp};
use kafka_admin::groups::Groups;
use runtime::{Cause, Clock, Failure, RequestQueue, Work};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::input::{Input, Look};
use crate::name::NAME;
use crate::settings::TrackerSettings;
use crate::stuck::situation;
use crate::tracker::SagaTracker;
use crate::{alerts, store};
use deadlines::{AnswerStatus, Evidence, Judged, OpenOrder, RULES, judge};
use evidence::Watcher;

/// Orders that are looked at together.
const BATCH: i64 = 500;
/// Batches of one look: what is left waits for the next, so that an outage of many orders leaves room for what the tracker is there for.
const BATCHES: usize = 4;
/// How far consumers are is seen from so long before an order is looked at, so that it is known when they passed its events.
const AHEAD: Duration = Duration::from_secs(110);

/// What it needs.
pub(crate) struct DeadlineChecker {
    pub pool: PgPool,
    pub clock: Clock,
    pub door: RequestQueue<SagaTracker>,
    pub settings: Arc<TrackerSettings>,
    /// For how long a paid shipment may stand in its warehouse.
    pub hand_over: Duration,
    pub groups: Groups,
    /// Whose outbox is in which database.
    pub databases: HashMap<&'static str, String>,
    pub shutdown: CancellationToken,
}

impl DeadlineChecker {
    /// Checks until told to stop.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut watcher: Option<Watcher> = None;
        while !self.shutdown.is_cancelled() {
            if let Err(failure) = self.look(&mut watcher).await {
                tracing::warn!(
                    consumer = NAME,
                    failure = format!("{failure:#}"),
                    "overdue orders can't be looked at, will be tried again"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.look_every.0) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn look(&self, watcher: &mut Option<Watcher>) -> anyhow::Result<()> {
        let now = self.clock.now();
        if !store::deadlines::is_any_due(&self.pool, now.plus(AHEAD)).await? {
            return Ok(());
        }
        let watcher = match watcher {
            Some(watcher) => watcher,
            None => watcher.insert(Watcher::load(&self.pool, self.groups.clone(), self.databases.clone()).await?),
        };
        watcher.sample(&self.pool, &self.clock, self.settings.sample_every.0).await?;
        for _ in 0..BATCHES {
            let due = store::deadlines::due(&self.pool, self.clock.now(), BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            let Some(evidence) = watcher.evidence(&self.pool).await? else { return Ok(()) };
            let count = due.len();
            self.judge(&due, evidence).await?;
            if count < BATCH as usize {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn judge(&self, due: &[(OrderId, Timestamp)], evidence: Arc<Evidence>) -> Result<(), Failure> {
        let now = self.clock.now();
        let ids: Vec<Uuid> = due.iter().map(|(order_id, _)| order_id.as_uuid()).collect();
        let mut db = self.pool.acquire().await?;
        let orders = store::deadlines::open_orders(&mut db, &ids).await?;
        drop(db);
        let seen: HashMap<OrderId, Timestamp> = due.iter().copied().collect();
        let (mut looks, mut answered, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
        let mut tally = LookTally::default();
        for order in &orders {
            let judged = judge(&RULES, order, &evidence, now);
            tally.count(&judged);
            answered.extend(answered_since(order, &judged));
            let alerted = [self.review(order, &judged, now).await?, self.hand_over(order, now).await?];
            let look_at = alerted.into_iter().flatten().fold(judged.look_at, Timestamp::min);
            match situation(order, &judged) {
                Some((event_id, _)) => stuck.push(self.tell(order, event_id, Arc::clone(&evidence))),
                None => looks.extend(seen.get(&order.order_id).map(|seen| (order.order_id, *seen, look_at))),
            }
        }
        tally.record();
        if !answered.is_empty() {
            store::deadlines::resolve(&self.pool, &answered, now).await?;
        }
        store::deadlines::look_again(&self.pool, &looks).await?;
        futures_util::future::join_all(stuck).await;
        Ok(())
    }

    /// Has told that an order is stuck.
    async fn tell(&self, order: &OpenOrder, event_id: Uuid, evidence: Arc<Evidence>) {
        let (order_id, round) = (order.order_id, order.rounds);
        let cause = Cause::request(NAME, &format!("stuck/{order_id}/{event_id}/{round}"));
        let input = Input::Look(Box::new(Look { order_id, event_id, evidence }));
        if let Err(refused) = self.door.submit(Work { cause, input }).await {
            tracing::warn!(consumer = NAME, %order_id, %refused, "not told that it is stuck, will be tried again");
        }
    }

    /// Alerts of a review that times out soon; returns when to look for that, if it is not yet.
    async fn review(
        &self,
        order: &OpenOrder,
        judged: &Judged<'_>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Failure> {
        let reviewed = judged.answers.iter().find(|answer| answer.rule.name == "FraudReviewRequested");
        let Some(ends) = reviewed.and_then(|answer| answer.event.moment("deadline")) else { return Ok(None) };
        let alert_at = ends.minus(self.settings.review_margin.0);
        if now < alert_at {
            return Ok(Some(alert_at));
        }
        let mut db = self.pool.acquire().await?;
        let text = format!(
            "the review of order {} ends at {ends}, and with it its reservation: clear or reject it, POST /reviews/{}/verdict at fraud",
            order.order_id, order.order_id
        );
        self.raise(&mut db, alerts::AlertKind::ReviewExpiring, order.order_id, &text, now).await?;
        Ok(None)
    }

    /// Alerts of a paid shipment that stands in its warehouse; returns when to look for that, if it is not yet.
    async fn hand_over(&self, order: &OpenOrder, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        let paid = order.events.iter().find(|event| event.event_type == PaymentCaptured::TYPE);
        let Some(alert_at) = paid.map(|event| event.at.plus(self.hand_over)) else { return Ok(None) };
        if now < alert_at {
            return Ok(Some(alert_at));
        }
        let order_id = order.order_id;
        let text = format!(
            "order {order_id} is paid since {}, and not all of its shipments have left: ask the warehouse, and report what it says at \
             fulfillment, POST /orders/{order_id}/shipments/…/handed-over or …/will-not-ship",
            alert_at.minus(self.hand_over)
        );
        let mut db = self.pool.acquire().await?;
        self.raise(&mut db, alerts::AlertKind::HandOverOverdue, order_id, &text, now).await?;
        Ok(None)
    }

    async fn raise(
        &self,
        db: &mut PgConnection,
        kind: alerts::AlertKind,
        order_id: OrderId,
        text: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if self.settings.alerts(kind) {
            alerts::raise(db, kind, &order_id.to_string(), text, now).await?;
        }
        Ok(())
    }
}

/// What was told of the order, and has been answered since.
fn answered_since(order: &OpenOrder, judged: &Judged<'_>) -> Vec<(OrderId, Uuid)> {
    let owed = |event_id: &Uuid| judged.answers.iter().any(|answer| answer.event.event_id == *event_id);
    let told = order.reported.iter().map(|(event_id, _)| *event_id);
    told.filter(|event_id| !owed(event_id) && !judged.beyond_limit).map(|event_id| (order.order_id, event_id)).collect()
}

/// How the orders of one look stand.
#[derive(Default)]
struct LookTally {
    late: HashMap<&'static str, u64>,
    stuck: u64,
    waiting: u64,
}

impl LookTally {
    fn count(&mut self, judged: &Judged<'_>) {
        if judged.answers.iter().any(|answer| answer.status == AnswerStatus::Overdue) {
            self.stuck += 1;
        } else if let Some(why) = judged.late() {
            *self.late.entry(why.as_str()).or_default() += 1;
        } else {
            self.waiting += 1;
        }
    }

    fn record(self) {
        for (why, orders) in self.late {
            metrics::counter!("quadrille_looks_total", "found" => why).increment(orders);
        }
        metrics::counter!("quadrille_looks_total", "found" => "stuck").increment(self.stuck);
        metrics::counter!("quadrille_looks_total", "found" => "waiting").increment(self.waiting);
    }
}
