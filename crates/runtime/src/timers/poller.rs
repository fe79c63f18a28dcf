//! The sweeper: reads due timers without locks and has them decided like events, with their order's row locked.

use std::sync::Arc;
use std::time::Duration;

use events::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::item::BatchItem;
use crate::failure::{Backoff, Failure, Verdict};
use crate::timers::store::Fired;
use crate::vocabulary::Abandoned;
use crate::vocabulary::{Cause, Work};

/// Timers of one batch.
const BATCH: i64 = 400;
/// The longest rest: timers that another instance armed are seen after it.
const REST: Duration = Duration::from_secs(1);

/// Fires timers until told to stop.
pub(crate) async fn sweep<C: Consumer>(engine: Arc<Engine<C>>) -> Result<(), Abandoned> {
    let mut backoff = Backoff::default();
    while !engine.shutdown.is_cancelled() {
        engine.scheduled.send_if_modified(|next| next.take().is_some());
        let now = engine.clock.now();
        let due = match look(&engine, now).await {
            Ok(Due::Now(timers)) => {
                backoff = Backoff::default();
                timers
            }
            Ok(Due::At(next)) => {
                rest(&engine, next).await;
                continue;
            }
            Err(failure) if matches!(failure.verdict(), Verdict::Retry | Verdict::Park) => {
                let wait = backoff.next_wait();
                tracing::warn!(consumer = C::NAME, %failure, ?wait, "timers can't be read, will be tried again");
                or_stop(&engine.shutdown, tokio::time::sleep(wait)).await;
                continue;
            }
            Err(failure) => return Err(Abandoned::Stop { consumer: C::NAME, failure }),
        };
        metrics::counter!("quadrille_timers_fired_total", "consumer" => C::NAME).increment(due.len() as u64);
        match engine.process(due.into_iter().map(|timer| fired(&engine, timer)).collect()).await {
            Ok(()) => {}
            Err(Abandoned::Stopping) => return Ok(()),
            Err(stop @ Abandoned::Stop { .. }) => return Err(stop),
        }
    }
    Ok(())
}

enum Due {
    Now(Vec<Fired>),
    At(Option<Timestamp>),
}

async fn look<C: Consumer>(engine: &Engine<C>, now: Timestamp) -> Result<Due, Failure> {
    let due = engine.timers.due(engine.warm.pool(), now, BATCH).await?;
    if due.is_empty() { Ok(Due::At(engine.timers.next(engine.warm.pool()).await?)) } else { Ok(Due::Now(due)) }
}

fn fired<C: Consumer>(engine: &Engine<C>, fired: Fired) -> BatchItem<C> {
    let input = engine.consumer.on_timer(&fired.timer);
    let work = Work { cause: Cause::timer(&fired.timer), input };
    BatchItem { fired: Some(fired), ..BatchItem::asked(work, engine.health.open()) }
}

/// Rests until the next timer is due, one is armed that is due earlier, or a second has passed.
async fn rest<C: Consumer>(engine: &Engine<C>, next: Option<Timestamp>) {
    let mut scheduled = engine.scheduled.subscribe();
    let sooner = async {
        // A timer armed while we rest counts from its own time.
        let due = scheduled
            .wait_for(|due| due.is_some_and(|due| next.is_none_or(|next| due < next)))
            .await
            .ok()
            .and_then(|due| *due);
        if let Some(due) = due {
            engine.clock.sleep_until(due).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let next = async {
        match next {
            Some(next) => engine.clock.sleep_until(next).await,
            None => std::future::pending().await,
        }
    };
    let rest = async {
        tokio::select! {
            () = next => {}
            () = sooner => {}
            () = tokio::time::sleep(REST) => {}
        }
    };
    or_stop(&engine.shutdown, rest).await;
}

async fn or_stop(shutdown: &CancellationToken, wait: impl Future<Output = ()>) {
    tokio::select! {
        () = wait => {}
        () = shutdown.cancelled() => {}
    }
}
