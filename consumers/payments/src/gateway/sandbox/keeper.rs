//! The keeper of the sandbox's book: takes what was asked at one moment and does it in one transaction.

use std::time::Duration;

use runtime::{Clock, Span};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::book::Terms;
use super::job::{Done, Job};
use super::{SandboxSettings, store};

/// The most jobs of one transaction.
const LARGEST_BATCH: usize = 400;
/// How often a batch is done again when another instance was first.
const RACES: u32 = 5;

/// A job, and who waits for it.
#[derive(Debug)]
pub(super) struct Ticket {
    pub job: Job,
    pub reply: oneshot::Sender<(Done, Duration)>,
}

/// Does what the sandbox is asked.
#[derive(Debug)]
pub struct Keeper {
    settings: SandboxSettings,
    validity: Span,
    pool: PgPool,
    clock: Clock,
    waiting: mpsc::Receiver<Ticket>,
}

impl Keeper {
    pub(super) fn new(
        settings: SandboxSettings,
        validity: Span,
        pool: PgPool,
        clock: Clock,
        waiting: mpsc::Receiver<Ticket>,
    ) -> Self {
        Self { settings, validity, pool, clock, waiting }
    }

    /// Keeps the book until told to stop, or until nobody can ask any more. A batch that fails is not answered: who asked looks up what was done.
    ///
    /// # Errors
    /// Never: a database that is away for a while must not stop payments, whose own part waits for it too.
    pub async fn keep(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut tickets = Vec::with_capacity(LARGEST_BATCH);
        loop {
            let taken = tokio::select! {
                taken = self.waiting.recv_many(&mut tickets, LARGEST_BATCH) => taken,
                () = shutdown.cancelled() => return Ok(()),
            };
            if taken == 0 {
                return Ok(());
            }
            let (jobs, replies): (Vec<Job>, Vec<_>) =
                tickets.drain(..).map(|ticket| (ticket.job, ticket.reply)).unzip();
            match self.settle(&jobs).await {
                Ok(done) => {
                    for (reply, done) in replies.into_iter().zip(done) {
                        let _ = reply.send(done); // who asked may have gone; it is done all the same
                    }
                }
                Err(error) => {
                    tracing::warn!(consumer = "payments", %error, jobs = jobs.len(), "the sandbox's book can't be written: not answered")
                }
            }
        }
    }

    async fn settle(&self, jobs: &[Job]) -> Result<Vec<(Done, Duration)>, store::BookError> {
        let mut races = 0;
        loop {
            match self.transact(jobs).await {
                Err(store::BookError::Raced) if races < RACES => races += 1,
                result => return result,
            }
        }
    }

    async fn transact(&self, jobs: &[Job]) -> Result<Vec<(Done, Duration)>, store::BookError> {
        let terms = Terms { settings: &self.settings, validity: self.validity.0, now: self.clock.now() };
        let mut tx = self.pool.begin().await?;
        let mut book = store::load(&mut tx, jobs).await?;
        let done = jobs.iter().map(|job| book.run(job, terms)).collect();
        store::save(&mut tx, &book, terms.now).await?;
        tx.commit().await?;
        Ok(done)
    }
}
