//! The keeper of the sandbox's book: takes what was asked at one moment and does it in one transaction.

use std::time::Duration;

use runtime::DatabaseFault;
use runtime::sql::StickyPool;
use runtime::{Clock, Reading, Span};
use sqlx::{Connection as _, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::book::{Book, Terms};
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
pub struct SandboxWorker {
    settings: SandboxSettings,
    validity: Span,
    warm: StickyPool,
    clock: Clock,
    waiting: mpsc::Receiver<Ticket>,
}

impl SandboxWorker {
    pub(super) fn new(
        settings: SandboxSettings,
        validity: Span,
        pool: PgPool,
        clock: Clock,
        waiting: mpsc::Receiver<Ticket>,
    ) -> Self {
        Self { settings, validity, warm: StickyPool::of(pool), clock, waiting }
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
                    if let store::BookError::Database(error) = &error
                        && DatabaseFault::of(error) == DatabaseFault::Connection
                    {
                        runtime::sql::renew_connections();
                    }
                    tracing::warn!(consumer = "payments", %error, jobs = jobs.len(), "the sandbox's book can't be written: not answered")
                }
            }
        }
    }

    async fn settle(&self, jobs: &[Job]) -> Result<Vec<(Done, Duration)>, store::BookError> {
        let mut races = 0;
        loop {
            match self.transact(jobs, races > 0).await {
                Err(store::BookError::Raced) if races < RACES => races += 1,
                result => return result,
            }
        }
    }

    /// What is done under a key is presumed to be new, and payments are read without locks and written at the version that was read, unless `locked`, or
    /// there is more to it than them.
    async fn transact(&self, jobs: &[Job], locked: bool) -> Result<Vec<(Done, Duration)>, store::BookError> {
        let terms = Terms { settings: &self.settings, validity: self.validity.0, now: self.clock.now() };
        let run = |book: &mut Book| jobs.iter().map(|job| book.run(job, terms)).collect();
        let mut db = self.warm.take().await?;
        let done = if locked || jobs.iter().any(Job::needs_locks) {
            let mut tx = db.begin().await?;
            let mut book = store::load(&mut tx, jobs, Reading::Locked).await?;
            let done = run(&mut book);
            store::save(&book, terms.now).execute(&mut tx).await.map_err(store::failed)?;
            tx.commit().await?;
            done
        } else {
            let mut book = store::load(&mut db, jobs, Reading::Recalled).await?;
            let done = run(&mut book);
            store::save(&book, terms.now).execute_autocommit(&mut db).await.map_err(store::failed)?;
            done
        };
        self.warm.keep(db);
        Ok(done)
    }
}
