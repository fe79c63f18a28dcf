//! The virtual clock: what is due is done in order, each thing at the moment it was due.

use std::sync::Arc;
use std::time::Duration;

use sqlx::types::Json;
use tokio_util::sync::CancellationToken;

use crate::api::{ApiOperation, execute};
use crate::effects::{DueTask, RuleEffects};
use crate::record::SimulatedRefundState;
use crate::rules::NewDispute;
use crate::simulator::Simulator;
use crate::store::{ApiCaller, BookError, BookTransaction};

/// How often the clock looks what is due by itself.
const TICK: Duration = Duration::from_millis(250);
/// A task that can't be done now is tried again so much later.
const AGAIN_AFTER_MS: i64 = 1_000;

/// Moves the clock on, and does what is due by then. Gives the time (milliseconds), and how many things were done.
///
/// # Errors
/// When the database can't be reached.
pub async fn advance(simulator: &Simulator, by_ms: i64) -> Result<(i64, usize), BookError> {
    sqlx::query("update book set clock_offset_ms = clock_offset_ms + $1").bind(by_ms).execute(&simulator.pool).await?;
    let done = run_due(simulator).await?;
    prune(simulator).await?;
    simulator.wake.notify_waiters();
    let book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    Ok((book.now, done))
}

/// Does what is due, oldest first; gives how many things that were.
///
/// # Errors
/// When the database can't be reached.
pub async fn run_due(simulator: &Simulator) -> Result<usize, BookError> {
    let _alone = simulator.due.lock().await;
    let mut done = 0;
    loop {
        let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
        let due: Option<(i64, i64, Json<DueTask>)> = sqlx::query_as(
            "select id, due_ms, body from tasks where due_ms <= $1 order by due_ms, id limit 1 for update skip locked",
        )
        .bind(book.now)
        .fetch_optional(&mut *book.sql)
        .await?;
        let Some((task_id, due_ms, task)) = due else { return Ok(done) };
        book.now = due_ms;
        match run(&mut book, &task.0).await {
            Ok(()) => {}
            Err(BookError::Api(error)) if error.code != Some("lock_timeout") => {
                tracing::info!(%error, task = ?task.0, "what was due is not possible any more");
            }
            Err(error) => {
                drop(book);
                sqlx::query("update tasks set due_ms = due_ms + $2 where id = $1")
                    .bind(task_id)
                    .bind(AGAIN_AFTER_MS)
                    .execute(&simulator.pool)
                    .await?;
                tracing::warn!(%error, task = ?task.0, "what was due is tried again");
                continue;
            }
        }
        sqlx::query("delete from tasks where id = $1").bind(task_id).execute(&mut *book.sql).await?;
        book.commit().await?;
        done += 1;
    }
}

async fn run(book: &mut BookTransaction, task: &DueTask) -> Result<(), BookError> {
    let payment_id = match task {
        DueTask::RollForward { operation, id, parameters, scope } => {
            let caller = ApiCaller::of_scope(scope, &book.settings);
            if let Some(operation) = ApiOperation::find(operation) {
                execute(book, &caller, operation, id, parameters).await?;
            }
            return Ok(());
        }
        DueTask::ExpireHold { payment, .. }
        | DueTask::SettleRefund { payment, .. }
        | DueTask::FailRefund { payment, .. }
        | DueTask::OpenDispute { payment, .. }
        | DueTask::WarnOfFraud { payment }
        | DueTask::CloseEvidence { payment, .. }
        | DueTask::DecideDispute { payment, .. }
        | DueTask::RollBack { payment, .. } => payment,
    };
    let scope: Option<String> = sqlx::query_scalar("select scope from objects where id = $1")
        .bind(payment_id)
        .fetch_optional(&mut *book.sql)
        .await?;
    let Some(scope) = scope else { return Ok(()) };
    let Some(mut payment) = book.lock_payment(&scope, "payment_intent", payment_id).await? else { return Ok(()) };
    let (before, mut effects, context) = (payment.clone(), RuleEffects::default(), book.context());
    match task {
        DueTask::ExpireHold { charge, .. } => payment.expire_hold(charge, context, &mut effects),
        DueTask::SettleRefund { refund, .. } => payment.settle_refund(refund, context, &mut effects),
        DueTask::FailRefund { refund, reason, .. } => {
            payment.fail_refund(refund, (SimulatedRefundState::Failed, reason), context, &mut effects)
        }
        DueTask::OpenDispute { reason, inquiry, .. } => {
            let new = NewDispute { reason: reason.clone(), inquiry: *inquiry, amount: None };
            payment.open_dispute(&new, context, &mut effects)?;
        }
        DueTask::WarnOfFraud { .. } => payment.warn_of_fraud(context, &mut effects),
        DueTask::CloseEvidence { dispute, .. } => payment.close_evidence(dispute, context, &mut effects),
        DueTask::DecideDispute { dispute, won, .. } => payment.decide_dispute(dispute, *won, context, &mut effects),
        DueTask::RollBack { operation, object, .. } => payment.roll_back(operation, object, context, &mut effects),
        DueTask::RollForward { .. } => {}
    }
    if payment != before {
        let caller = ApiCaller::of_scope(&scope, &book.settings);
        book.save(&caller, &payment, effects).await?;
    }
    Ok(())
}

/// Forgets idempotency keys and events that are old enough.
async fn prune(simulator: &Simulator) -> Result<(), BookError> {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let (keys, events) = (book.settings.idempotency_keys_expire_after, book.settings.events_expire_after);
    let (now, seconds) = (book.now, book.context().seconds());
    sqlx::query("delete from idempotency_keys where created_ms <= $1")
        .bind(now - keys * 1_000)
        .execute(&mut *book.sql)
        .await?;
    sqlx::query("delete from objects where object = 'event' and created < $1")
        .bind(seconds - events)
        .execute(&mut *book.sql)
        .await?;
    book.commit().await
}

/// Does what is due as time passes, until told to stop.
pub async fn tick(simulator: Arc<Simulator>, shutdown: CancellationToken) {
    let mut ticks = 0_u64;
    while !shutdown.is_cancelled() {
        let mut ran = run_due(&simulator).await.map(|done| done > 0);
        // Once a minute is often enough for what is kept for a day.
        if ticks.is_multiple_of(240) && ran.is_ok() {
            ran = prune(&simulator).await.map(|()| false);
        }
        ticks += 1;
        match ran {
            Ok(true) => simulator.wake.notify_waiters(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what is due waits"),
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => {}
        }
    }
}
