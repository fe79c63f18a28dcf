//! Requests and answers to our own calls, decided in batches like events, each caller answered once its batch is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::item::BatchItem;
use crate::engine::linger;
use crate::health::{Health, Open};
use crate::vocabulary::{Abandoned, Committed, RequestError, Work};

const LARGEST_BATCH: usize = 400;
/// Requests that may wait; further callers wait for a place.
pub(crate) const WAITING: usize = 4_096;
/// How long a caller waits; longer than a batch takes that waits for locks.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls to the outside that may be open at once, by consumer.
const OPEN_CALLS: usize = 512;

/// The way in for requests: what is submitted is decided like an event, together with what others submit at that moment.
pub struct RequestQueue<C: Consumer> {
    queue: mpsc::Sender<BatchItem<C>>,
    health: Arc<Health>,
}

impl<C: Consumer> Clone for RequestQueue<C> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), health: Arc::clone(&self.health) }
    }
}

impl<C: Consumer> RequestQueue<C> {
    pub(crate) fn new(queue: mpsc::Sender<BatchItem<C>>, health: Arc<Health>) -> Self {
        Self { queue, health }
    }

    /// Has a request decided; returns when it is committed.
    ///
    /// # Errors
    /// When it contradicts the order's state, can't be decided, or the consumer is stopping.
    pub async fn submit(&self, work: Work<C::Input>) -> Result<Committed<C::Reply>, RequestError> {
        if let Some(why) = self.health.refuses() {
            return Err(RequestError::Unavailable(why));
        }
        let (reply, answer) = oneshot::channel();
        let gone = || RequestError::Unavailable(format!("{} is stopping: ask again under the same key", C::NAME));
        let item = BatchItem { reply: Some(reply), ..BatchItem::asked(work, self.health.open()) };
        let answered = async {
            self.queue.send(item).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        tokio::select! {
            answered = answered => answered,
            () = self.health.until_it_refuses() => Err(RequestError::Unavailable(self.health.refuses().unwrap_or_default())),
            () = tokio::time::sleep(PATIENCE) => {
                Err(RequestError::Unavailable(format!("not decided within {} s: ask again under the same key", PATIENCE.as_secs())))
            }
        }
    }
}

/// Decides what waits at the routes, until nobody can knock any more: what gathered while the last batch was decided, and where that was much, what comes
/// within a linger besides (see [`linger`]).
pub(crate) async fn attend<C: Consumer>(
    engine: Arc<Engine<C>>,
    mut queue: mpsc::Receiver<BatchItem<C>>,
) -> Result<(), Abandoned> {
    let mut waiting = Vec::with_capacity(LARGEST_BATCH);
    let mut wait = Duration::ZERO;
    loop {
        let taken = tokio::select! {
            taken = queue.recv_many(&mut waiting, LARGEST_BATCH) => taken,
            () = engine.shutdown.cancelled() => return Ok(()),
        };
        if taken == 0 {
            return Ok(());
        }
        if !wait.is_zero() && taken < LARGEST_BATCH {
            tokio::time::sleep(wait).await;
            while waiting.len() < LARGEST_BATCH
                && let Ok(item) = queue.try_recv()
            {
                waiting.push(item);
            }
        }
        waiting.retain(|item| !item.is_abandoned());
        let (items, began) = (waiting.len(), Instant::now());
        metrics::histogram!("quadrille_batch_size", "consumer" => C::NAME, "from" => "door").record(items as f64);
        engine.process(std::mem::take(&mut waiting)).await?;
        wait = linger::next(Duration::ZERO, began.elapsed(), items);
    }
}

/// Makes the calls that batches decided, many at once, and brings their answers to the door.
pub(crate) async fn call_out<C: Consumer>(
    engine: Arc<Engine<C>>,
    mut calls: mpsc::UnboundedReceiver<(C::Call, Open)>,
    door: mpsc::Sender<BatchItem<C>>,
) {
    let open = Arc::new(Semaphore::new(OPEN_CALLS));
    let tracker = TaskTracker::new();
    loop {
        let call = tokio::select! {
            call = calls.recv() => call,
            () = engine.shutdown.cancelled() => None,
        };
        let (Some((call, still_open)), Ok(permit)) = (call, Arc::clone(&open).acquire_owned().await) else { break };
        let (engine, door) = (Arc::clone(&engine), door.clone());
        tracker.spawn(async move {
            let answer = tokio::select! {
                answer = engine.consumer.call(call) => answer,
                () = engine.shutdown.cancelled() => None, // its timer asks again
            };
            drop(permit);
            if let Some(work) = answer {
                let _ = door.send(BatchItem::asked(work, still_open)).await;
            }
        });
    }
    tracker.close();
    tracker.wait().await;
}
