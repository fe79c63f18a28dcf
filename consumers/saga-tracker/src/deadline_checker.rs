//! The deadline checker: looks at the orders whose deadline has come, sees how far consumers and relay are, moves deadlines on, and has told what is stuck.
//!
//! Its work is in proportion to what is overdue. Nothing is judged while the tracker itself is behind: it knows too little. What is stuck goes
//! through the engine like an event, and is judged there once more, with the order's row locked.

mod evidence;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use events::{Event as _, OrderId, PaymentCaptured, Timestamp};
use kafka_admin::groups::Groups;
use runtime::{Cause, Clock, Failure, RequestQueue, Work};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::alerts::{self, AlertKind};
use crate::input::{Input, Look};
use crate::settings::TrackerSettings;
use crate::store;
use crate::stuck::situation;
use crate::tracker::{NAME, SagaTracker};
use deadlines::{Evidence, Judged, OpenOrder, RULES, judge};
use evidence::Watcher;

const BATCH: i64 = 500;
/// Batches of one look: what is left waits for the next, so that an outage of many orders leaves room for what the tracker is there for.
const BATCHES: usize = 4;
/// How far consumers are is seen from so long before an order is looked at, so that it is known when they passed its events.
const AHEAD: Duration = Duration::from_secs(110);

pub(crate) struct DeadlineChecker {
    pub pool: PgPool,
    pub clock: Clock,
    pub door: RequestQueue<SagaTracker>,
    pub settings: Arc<TrackerSettings>,
    /// For how long a paid shipment may stand in its warehouse.
    pub hand_over: Duration,
    pub groups: Groups,
    pub databases: HashMap<&'static str, String>,
    pub shutdown: CancellationToken,
}

impl DeadlineChecker {
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
            self.shutdown.run_until_cancelled(tokio::time::sleep(self.settings.look_every.0)).await;
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
        let orders = store::deadlines::open_orders(&mut *self.pool.acquire().await?, &ids).await?;
        let seen: HashMap<OrderId, Timestamp> = due.iter().copied().collect();
        let (mut looks, mut answered, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
        let mut tally = BTreeMap::from([("stuck", 0), ("waiting", 0)]);
        for order in &orders {
            let judged = judge(&RULES, order, &evidence, now);
            *tally.entry(found(&judged)).or_default() += 1;
            answered.extend(answered_since(order, &judged));
            let look_at = self.alert(order, &judged, now).await?;
            match situation(order, &judged) {
                Some((event_id, _)) => stuck.push(self.tell(order, event_id, Arc::clone(&evidence))),
                None => looks.extend(seen.get(&order.order_id).map(|seen| (order.order_id, *seen, look_at))),
            }
        }
        for (found, orders) in tally {
            metrics::counter!("quadrille_looks_total", "found" => found).increment(orders);
        }
        if !answered.is_empty() {
            store::deadlines::resolve(&self.pool, &answered, now).await?;
        }
        store::deadlines::look_again(&self.pool, &looks).await?;
        futures_util::future::join_all(stuck).await;
        Ok(())
    }

    async fn tell(&self, order: &OpenOrder, event_id: Uuid, evidence: Arc<Evidence>) {
        let (order_id, round) = (order.order_id, order.rounds);
        let cause = Cause::request(NAME, &format!("stuck/{order_id}/{event_id}/{round}"));
        let input = Input::Look(Box::new(Look { order_id, event_id, evidence }));
        if let Err(refused) = self.door.submit(Work { cause, input }).await {
            tracing::warn!(consumer = NAME, %order_id, %refused, "not told that it is stuck, will be tried again");
        }
    }

    /// Raises the alerts of an order whose moment has come; returns when to look at it again, also for the others.
    async fn alert(&self, order: &OpenOrder, judged: &Judged<'_>, now: Timestamp) -> Result<Timestamp, Failure> {
        let mut look_at = judged.look_at;
        for (alert_at, kind, text) in [self.review(order, judged), self.hand_over(order)].into_iter().flatten() {
            if now < alert_at {
                look_at = look_at.min(alert_at);
            } else if self.settings.alerts(kind) {
                let mut db = self.pool.acquire().await?;
                alerts::raise(&mut db, kind, &order.order_id.to_string(), &text, now).await?;
            }
        }
        Ok(look_at)
    }

    fn review(&self, order: &OpenOrder, judged: &Judged<'_>) -> Option<(Timestamp, AlertKind, String)> {
        let reviewed = judged.answers.iter().find(|answer| answer.rule.name == "FraudReviewRequested")?;
        let (order_id, ends) = (order.order_id, reviewed.event.moment("deadline")?);
        let text = format!(
            "the review of order {order_id} ends at {ends}, and with it its reservation: clear or reject it, POST /reviews/{order_id}/verdict at fraud"
        );
        Some((ends.minus(self.settings.review_margin.0), AlertKind::ReviewExpiring, text))
    }

    fn hand_over(&self, order: &OpenOrder) -> Option<(Timestamp, AlertKind, String)> {
        let paid = order.events.iter().find(|event| event.event_type == PaymentCaptured::TYPE)?;
        if order.is_disputed() {
            return None;
        }
        let (order_id, paid_at) = (order.order_id, paid.at);
        let from = order.dispute_closed_at().map_or(paid_at, |closed_at| closed_at.max(paid_at));
        let text = format!(
            "order {order_id} is paid since {paid_at}, and not all of its shipments have left: ask the warehouse, and report what it says at \
             fulfillment, POST /orders/{order_id}/shipments/…/handed-over or …/will-not-ship"
        );
        Some((from.plus(self.hand_over), AlertKind::HandOverOverdue, text))
    }
}

/// What was told of the order, and has been answered since.
fn answered_since(order: &OpenOrder, judged: &Judged<'_>) -> Vec<(OrderId, Uuid)> {
    let owed = |event_id: &Uuid| judged.answers.iter().any(|answer| answer.event.event_id == *event_id);
    let told = order.reported.iter().map(|(event_id, _)| *event_id);
    told.filter(|event_id| !owed(event_id) && !judged.beyond_limit).map(|event_id| (order.order_id, event_id)).collect()
}

fn found(judged: &Judged<'_>) -> &'static str {
    match judged.late() {
        _ if judged.overdue().next().is_some() => "stuck",
        Some(why) => why.as_str(),
        None => "waiting",
    }
}
