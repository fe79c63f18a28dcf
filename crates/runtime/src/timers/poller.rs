//! The timer poller: reads due timers without locks and has them decided like events, with their order's row locked.

use std::sync::Arc;
use std::time::Duration;

use events::Timestamp;

use crate::consumer::Consumer;
use crate::engine::item::BatchItem;
use crate::engine::{Due, Engine};
use crate::failure::{Backoff, Failure};
use crate::timers::store::Fired;
use crate::vocabulary::{Abandoned, Cause, Work};

const BATCH: i64 = 400;
/// The longest rest: timers that another instance armed are seen after it.
const REST: Duration = Duration::from_secs(1);

/// Fires timers until told to stop.
pub(crate) async fn sweep<C: Consumer>(engine: Arc<Engine<C>>) -> Result<(), Abandoned> {
    let mut backoff = Backoff::default();
    while !engine.shutdown.is_cancelled() {
        engine.scheduled.send_if_modified(|next| next.take().is_some());
        match look(&engine).await {
            Ok(Due::Now(timers)) => {
                backoff = Backoff::default();
                metrics::counter!("quadrille_timers_fired_total", "consumer" => C::NAME).increment(timers.len() as u64);
                engine.process(timers.into_iter().map(|timer| fired(&engine, timer)).collect()).await?;
            }
            Ok(Due::At(next)) => rest(&engine, next).await,
            Err(failure) => {
                let wait = engine.look_again_in(&mut backoff, failure, "timers")?;
                engine.or_stop(tokio::time::sleep(wait)).await;
            }
        }
    }
    Ok(())
}

async fn look<C: Consumer>(engine: &Engine<C>) -> Result<Due<Fired>, Failure> {
    let due = engine.timers.due(engine.warm.pool(), engine.clock.now(), BATCH).await?;
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
        let is_sooner = |due: &Option<Timestamp>| due.is_some_and(|due| next.is_none_or(|next| due < next));
        let due = scheduled.wait_for(is_sooner).await.ok().and_then(|due| *due);
        engine.sleep_until(due).await;
    };
    let rest = async {
        tokio::select! {
            () = engine.sleep_until(next) => {}
            () = sooner => {}
            () = tokio::time::sleep(REST) => {}
        }
    };
    engine.or_stop(rest).await;
}
