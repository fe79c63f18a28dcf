//! The way to the sandbox, for payments and for the sandbox's own routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::{Currency, OrderId, Timestamp};
use gateway::{
    ActionResult, Buyer, Gateway, Money, Operation, Outcome, PendingLedger, PendingOutcome, PendingProbe, RefundStatus,
    Request,
};
use runtime::{Clock, Span};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::entry::EntryState;
use crate::job::{Done, Job, Ticket};
use crate::ledger;
use crate::settings::SandboxSettings;
use crate::store;
use crate::worker::SandboxWorker;

/// Calls that may wait for the next transaction; further ones wait for a place.
const WAITING: usize = 4_096;

#[derive(Clone, Debug)]
pub struct Sandbox {
    jobs: mpsc::Sender<Ticket>,
    settings: SandboxSettings,
    down: Arc<AtomicBool>,
    /// Where its book is read page by page; none for one that is closed.
    book: Option<PgPool>,
}

/// The sandbox does not answer: its worker has stopped, or its database is away.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the sandbox gateway does not answer: it is stopping, or its database can't be reached; ask again")]
pub struct Unavailable;

impl Sandbox {
    /// Opens the sandbox over its book; the worker must be run for anything to be answered. Holds last as long as `validity`.
    pub fn open(settings: SandboxSettings, validity: Span, pool: PgPool, clock: Clock) -> (Self, SandboxWorker) {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let worker = SandboxWorker::new(settings.clone(), validity, pool.clone(), clock, waiting);
        (Self { jobs, settings, down: Arc::default(), book: Some(pool) }, worker)
    }

    pub fn closed(settings: SandboxSettings) -> Self {
        let (jobs, _) = mpsc::channel(1);
        Self { jobs, settings, down: Arc::default(), book: None }
    }

    /// The customer's answer to a 3-D Secure challenge: what came of it, or, where the payment waits for no answer any more, its state. An answer that
    /// comes before the payment is kept, and counts when the payment comes.
    pub(crate) async fn act(
        &self,
        order_id: OrderId,
        passed: bool,
    ) -> Result<Result<ActionResult, EntryState>, Unavailable> {
        match self.run(Job::Act { order_id, passed }).await?.0 {
            Done::Acted(acted) => Ok(acted),
            Done::Outcome(_) | Done::Settled(_) => Err(Unavailable),
        }
    }

    /// Ends a pending refund, and tells how it stands now: one that has ended stays as it is. None where the sandbox does not know it.
    pub(crate) async fn settle(&self, refund_id: &str, succeeded: bool) -> Result<Option<RefundStatus>, Unavailable> {
        match self.run(Job::Settle { refund_id: refund_id.to_owned(), succeeded }).await?.0 {
            Done::Settled(status) => Ok(status),
            Done::Outcome(_) | Done::Acted(_) => Err(Unavailable),
        }
    }

    /// Has it do and answer nothing from now on, as a provider that is down; or everything again. Of this process alone.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Release);
    }

    fn call(&self, job: Job) -> PendingOutcome<'_> {
        Box::pin(async move {
            if !self.settings.latency.0.is_zero() {
                tokio::time::sleep(self.settings.latency.0).await;
            }
            if self.down.load(Ordering::Acquire) {
                return Outcome::Unknown { detail: "the sandbox is told to answer nobody".to_owned() };
            }
            match self.run(job).await {
                Ok((Done::Outcome(outcome), delay)) => {
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    outcome
                }
                Ok((Done::Acted(_) | Done::Settled(_), _)) | Err(Unavailable) => {
                    Outcome::Unknown { detail: Unavailable.to_string() }
                }
            }
        })
    }

    async fn run(&self, job: Job) -> Result<(Done, Duration), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Ticket { job, reply }).await.map_err(|_| Unavailable)?;
        answer.await.map_err(|_| Unavailable)
    }
}

impl Gateway for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    /// Looks up what nobody ever asked for: any answer will do.
    fn alive(&self) -> PendingProbe<'_> {
        Box::pin(async {
            let request = Request {
                order_id: OrderId(Uuid::nil()),
                key: "order:none:probe".to_owned(),
                attempt: 1,
                since: Timestamp::from_millis(0),
                money: Money { amount: 0, currency: Currency::EUR },
                payment_id: None,
                refund_id: None,
            };
            let outcome = self.call(Job::LookUp { operation: Operation::Authorize, request }).await;
            if let Outcome::Unknown { detail } = outcome { Err(detail) } else { Ok(()) }
        })
    }

    fn authorize<'c>(&'c self, request: &'c Request, buyer: &'c Buyer) -> PendingOutcome<'c> {
        self.call(Job::Authorize { request: request.clone(), buyer: buyer.clone() })
    }

    fn capture<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        self.call(Job::Change { operation: Operation::Capture, request: request.clone() })
    }

    fn void<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        self.call(Job::Change { operation: Operation::Void, request: request.clone() })
    }

    fn refund<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c> {
        self.call(Job::Change { operation: Operation::Refund, request: request.clone() })
    }

    fn look_up<'c>(&'c self, operation: Operation, request: &'c Request) -> PendingOutcome<'c> {
        self.call(Job::LookUp { operation, request: request.clone() })
    }

    fn ledger<'c>(&'c self, since: Timestamp, page: Option<&'c str>) -> PendingLedger<'c> {
        Box::pin(async move {
            match self.book.as_ref().filter(|_| !self.down.load(Ordering::Acquire)) {
                Some(book) => {
                    ledger::page(book, since, page).await.map_err(|error| format!("the sandbox's book: {error}"))
                }
                None => Err(Unavailable.to_string()),
            }
        })
    }

    fn forgets(&self) -> &'static [&'static str] {
        &store::FORGETS
    }
}
