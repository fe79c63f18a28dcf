//! The worker of the sandbox: takes what was asked at one moment and does it in one transaction.

use std::time::Duration;

use runtime::sql::StickyPool;
use runtime::{Clock, DatabaseFault, Span};
use sqlx::{Connection as _, PgPool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::book::BookTerms;
use crate::job::{Done, Job, Ticket};
use crate::settings::SandboxSettings;
use crate::store;

const LARGEST_BATCH: usize = 400;
/// Of all instances of payments one works on the book at a time, until its transaction ends.
const BEGIN: &str = "begin; select pg_advisory_xact_lock(hashtextextended('sandbox', 0))";

#[derive(Debug)]
pub struct SandboxWorker {
    settings: SandboxSettings,
    validity: Span,
    warm: StickyPool,
    clock: Clock,
    waiting: mpsc::Receiver<Ticket>,
}

impl SandboxWorker {
    pub(crate) fn new(
        settings: SandboxSettings,
        validity: Span,
        pool: PgPool,
        clock: Clock,
        waiting: mpsc::Receiver<Ticket>,
    ) -> Self {
        Self { settings, validity, warm: StickyPool::of(pool), clock, waiting }
    }

    /// Works until told to stop, or until nobody can ask any more. A batch that fails is not answered: who asked looks up what was done.
    /// Never fails: a database that is away for a while must not stop payments, whose own part waits for it too.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
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
            match self.transact(&jobs).await {
                Ok(done) => {
                    for (reply, done) in replies.into_iter().zip(done) {
                        let _ = reply.send(done); // who asked may have gone; it is done all the same
                    }
                }
                Err(error) => {
                    if DatabaseFault::of(&error) == DatabaseFault::Connection {
                        runtime::sql::renew_connections();
                    }
                    tracing::warn!(consumer = "payments", %error, jobs = jobs.len(), "the sandbox's book can't be written: not answered")
                }
            }
        }
    }

    async fn transact(&self, jobs: &[Job]) -> Result<Vec<(Done, Duration)>, sqlx::Error> {
        let terms = BookTerms { settings: &self.settings, validity: self.validity.0, now: self.clock.now() };
        let mut db = self.warm.take().await?;
        let mut tx = db.begin_with(BEGIN).await?;
        let before = store::load(&mut tx, jobs).await?;
        let mut book = before.clone();
        let done = jobs.iter().map(|job| book.run(job, terms)).collect();
        store::save(&mut tx, &before, &book, terms.now).await?;
        tx.commit().await?;
        self.warm.keep(db);
        Ok(done)
    }
}
