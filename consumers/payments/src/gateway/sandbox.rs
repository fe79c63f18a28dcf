//! The sandbox: a gateway that needs no provider. Test tokens say what happens, its book in PostgreSQL survives a `kill -9`.
//!
//! Calls of one moment are done in one transaction of its own (never in one of payments): a provider's book, not ours. The latency that is set
//! is waited for by each call on its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::OrderId;
use runtime::{Clock, Span};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::{Buyer, Gateway, Operation, Outcome, Request};
use crate::payment::Verdict;
use crate::world::RefundStatus;

mod book;
mod entry;
pub(crate) mod http;
mod job;
mod keeper;
mod store;
mod token;

pub use entry::EntryState;
pub use job::Acted;
pub use keeper::SandboxWorker;
pub(super) use store::FORGETS;
pub use token::Token;

use job::{Done, Job};
use keeper::Ticket;

/// The PostgreSQL schema of the book.
pub const SCHEMA: &str = "sandbox";
/// Calls that may wait for the next transaction; further ones wait for a place.
const WAITING: usize = 4_096;

/// The sandbox's settings, section `payments.sandbox`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SandboxSettings {
    /// How long each call takes before it is done, as a provider's network and machines would.
    pub latency: Span,
    /// How much longer `tok_slow` takes to be answered; it is done at once.
    pub slow_by: Span,
    /// After how long a look-up finds a pending refund given back.
    pub refund_settles_after: Span,
    /// Where customers reach the HTTP routes of payments: the address of a 3-D Secure challenge begins so.
    pub public_url: String,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            latency: Span::millis(20),
            slow_by: Span::secs(3),
            refund_settles_after: Span::secs(60),
            public_url: "http://127.0.0.1:8082".to_owned(),
        }
    }
}

/// The way to the sandbox; its keeper does what is asked.
#[derive(Clone, Debug)]
pub struct Sandbox {
    jobs: mpsc::Sender<Ticket>,
    settings: SandboxSettings,
    /// Whether it was told to answer nobody.
    silent: Arc<AtomicBool>,
}

/// The sandbox does not answer: its keeper has stopped, or its database is away.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the sandbox gateway does not answer: it is stopping, or its database can't be reached; ask again")]
pub struct Silent;

/// The migrations of the schema `sandbox`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/sandbox")
}

impl Sandbox {
    /// Opens the sandbox over its book; the keeper must be run for anything to be answered. Holds last as long as `validity`.
    pub fn open(settings: SandboxSettings, validity: Span, pool: PgPool, clock: Clock) -> (Self, SandboxWorker) {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let keeper = SandboxWorker::new(settings.clone(), validity, pool, clock, waiting);
        (Self { jobs, settings, silent: Arc::default() }, keeper)
    }

    /// A sandbox without a keeper: no call is answered.
    pub fn closed(settings: SandboxSettings) -> Self {
        let (jobs, _) = mpsc::channel(1);
        Self { jobs, settings, silent: Arc::default() }
    }

    /// The customer's answer to a 3-D Secure challenge. What comes of it is told, as a provider's webhook would.
    ///
    /// # Errors
    /// When the sandbox does not answer; nothing may have been done.
    pub async fn act(&self, order_id: OrderId, passed: bool) -> Result<Acted, Silent> {
        match self.run(Job::Act { order_id, passed }).await?.0 {
            Done::Acted(acted) => Ok(acted),
            Done::Outcome(_) | Done::Settled(_) => Err(Silent),
        }
    }

    /// Ends a pending refund, and tells how it stands now: one that has ended stays as it is. None where the sandbox does not know it.
    ///
    /// # Errors
    /// When the sandbox does not answer; nothing may have been done.
    pub async fn settle(&self, refund_id: &str, succeeded: bool) -> Result<Option<RefundStatus>, Silent> {
        match self.run(Job::Settle { refund_id: refund_id.to_owned(), succeeded }).await?.0 {
            Done::Settled(status) => Ok(status),
            Done::Outcome(_) | Done::Acted(_) => Err(Silent),
        }
    }

    /// Has it do and answer nothing from now on, as a provider that is down; or everything again. Of this process alone.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Release);
    }

    async fn call(&self, job: Job) -> Outcome {
        if !self.settings.latency.0.is_zero() {
            tokio::time::sleep(self.settings.latency.0).await;
        }
        if self.silent.load(Ordering::Acquire) {
            return Outcome::Unknown { detail: "the sandbox is told to answer nobody".to_owned() };
        }
        match self.run(job).await {
            Ok((Done::Outcome(outcome), delay)) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                outcome
            }
            Ok((Done::Acted(_) | Done::Settled(_), _)) | Err(Silent) => Outcome::Unknown { detail: Silent.to_string() },
        }
    }

    async fn run(&self, job: Job) -> Result<(Done, Duration), Silent> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Ticket { job, reply }).await.map_err(|_| Silent)?;
        answer.await.map_err(|_| Silent)
    }
}

impl Gateway for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn authorize(&self, request: &Request, buyer: &Buyer) -> Outcome {
        self.call(Job::Authorize { request: request.clone(), buyer: buyer.clone() }).await
    }

    async fn capture(&self, request: &Request) -> Outcome {
        self.call(Job::Change { operation: Operation::Capture, request: request.clone() }).await
    }

    async fn void(&self, request: &Request) -> Outcome {
        self.call(Job::Change { operation: Operation::Void, request: request.clone() }).await
    }

    async fn refund(&self, request: &Request) -> Outcome {
        self.call(Job::Change { operation: Operation::Refund, request: request.clone() }).await
    }

    async fn look_up(&self, operation: Operation, request: &Request) -> Outcome {
        self.call(Job::LookUp { operation, request: request.clone() }).await
    }
}

impl Acted {
    /// What payments is told; none where the payment is over.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Told(verdict) => Some(verdict.clone()),
            Self::Early { passed: true } => Some(Verdict::Passed { hold: None }),
            Self::Early { passed: false } => Some(Verdict::Failed { detail: book::NOT_CONFIRMED.to_owned() }),
            Self::Over(_) => None,
        }
    }
}
