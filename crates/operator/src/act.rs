//! One thing done with one dead letter: what is asked of others first, then the queue, the audit record and the job in one transaction.

use runtime::parking;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::dead_letter::{LetterCase, schema};
use crate::edit;
use crate::error::OperatorError;
use crate::operator::Operator;
use crate::plan::{Act, Note, PlanStep, plan};
use crate::store::{self, Action, JobLease};

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActOutcome {
    /// The dead letter.
    pub letter_id: String,
    /// `retry`, `edit`, `skip` or `compensate`.
    pub what: &'static str,
    /// What that comes to.
    pub step: String,
    /// What came of it; absent: it was only asked what would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

pub(crate) struct Planned<'p> {
    letter: LetterCase<'p>,
    act: &'p Act,
    step: PlanStep,
    /// The value that its record gets instead of its own.
    value: Option<Vec<u8>>,
}

impl Planned<'_> {
    pub fn outcome(&self, done: Option<String>) -> ActOutcome {
        let letter_id = self.letter.row.letter_id.to_string();
        ActOutcome { letter_id, what: self.act.name(), step: self.step.to_string(), done }
    }
}

/// What was planned, as it goes on record, and as a part of a job if it is one.
struct Doing<'d> {
    planned: &'d Planned<'d>,
    action: Action<'d>,
    job: Option<JobLease>,
}

impl Operator {
    /// Does one thing with one dead letter, or says what it would be.
    ///
    /// # Errors
    /// When it is refused, or somebody who is needed does not answer: nothing was done, or a cancellation was asked for that may be asked for again.
    pub async fn one(
        &self,
        letter_id: Uuid,
        act: &Act,
        note: &Note,
        max_loops: i32,
        dry_run: bool,
    ) -> Result<ActOutcome, OperatorError> {
        let row = store::letter(&self.tracker, letter_id).await?;
        let row = row.ok_or_else(|| OperatorError::Refused(format!("no dead letter {letter_id} was heard of")))?;
        let held = self.held(std::slice::from_ref(&row)).await?;
        let letter = LetterCase { row: &row, held: held.get(&letter_id) };
        let planned = self.planned(letter, act, max_loops)?;
        if dry_run {
            return Ok(planned.outcome(None));
        }
        self.done(&planned, note, None).await
    }

    pub(crate) fn planned<'p>(
        &self,
        letter: LetterCase<'p>,
        act: &'p Act,
        max_loops: i32,
    ) -> Result<Planned<'p>, OperatorError> {
        let step = plan(act, &letter.facts(), max_loops).map_err(OperatorError::Refused)?;
        let value = match act {
            Act::Edit(data) => Some(edit::mended(letter.original(), data.clone(), &self.codec)?),
            Act::Retry | Act::Skip | Act::Compensate => None,
        };
        Ok(Planned { letter, act, step, value })
    }

    pub(crate) async fn done(
        &self,
        planned: &Planned<'_>,
        note: &Note,
        job: Option<JobLease>,
    ) -> Result<ActOutcome, OperatorError> {
        let (row, what) = (planned.letter.row, planned.act.name());
        let (letter_id, job_id) = (Some(row.letter_id), job.map(|hold| hold.job_id));
        let action = Action { letter_id, order_id: row.order_id, job_id, ..self.action(what, note) };
        let done = self.carry_out(&Doing { planned, action, job }).await?;
        let order_id = row.order_id.map(tracing::field::display);
        tracing::info!(consumer = "saga-tracker", letter_id = %row.letter_id, order_id, what, who = note.who, done, "a dead letter was acted on");
        Ok(planned.outcome(Some(done)))
    }

    /// An action that is about nothing yet.
    pub(crate) fn action<'n>(&self, what: &'static str, note: &'n Note) -> Action<'n> {
        let (action_id, at) = (self.clock.mint(), self.clock.now());
        Action { action_id, at, who: &note.who, why: &note.why, what, letter_id: None, order_id: None, job_id: None }
    }

    /// Where everything is in one database, everything is one transaction. What others must be asked, or what is in a database of its own, is on
    /// record before it is tried, and its outcome after.
    async fn carry_out(&self, doing: &Doing<'_>) -> Result<String, OperatorError> {
        let apart = doing.planned.step.queue_of().is_some_and(|consumer| self.database(consumer).1);
        let begun = apart || doing.planned.step.asks();
        if begun {
            let mut db = self.tracker.acquire().await?;
            store::note(&mut db, &doing.action, "begun", &doing.planned.step.to_string()).await?;
        }
        let done = self.conclude(doing, begun, apart).await;
        if let (Err(error), true) = (&done, begun) {
            let mut db = self.tracker.acquire().await?;
            store::conclude(&mut db, doing.action.action_id, "failed", &error.to_string(), self.clock.now()).await?;
        }
        done
    }

    async fn conclude(&self, doing: &Doing<'_>, begun: bool, apart: bool) -> Result<String, OperatorError> {
        let mut said = Vec::from_iter(self.ask(doing).await?);
        if let (Some(consumer), true) = (doing.planned.step.queue_of(), apart) {
            let mut tx = self.database(consumer).0.begin().await?;
            said.push(self.queue(&mut tx, doing, consumer).await?);
            tx.commit().await?;
        }
        let now = self.clock.now();
        let mut tx = self.tracker.begin().await?;
        if let Some(hold) = doing.job
            && !store::advance_job(&mut tx, hold, doing.planned.letter.position(), None, now).await?
        {
            return Err(OperatorError::Lost);
        }
        if let (Some(consumer), false) = (doing.planned.step.queue_of(), apart) {
            said.push(self.queue(&mut tx, doing, consumer).await?);
        }
        let said = said.join("; ");
        if begun {
            store::conclude(&mut tx, doing.action.action_id, "done", &said, now).await?;
        } else {
            store::note(&mut tx, &doing.action, "done", &said).await?;
        }
        tx.commit().await?;
        Ok(said)
    }

    async fn ask(&self, doing: &Doing<'_>) -> Result<Option<String>, OperatorError> {
        let Action { who, why, .. } = doing.action;
        match &doing.planned.step {
            PlanStep::Cancel { order_id } | PlanStep::Drop { cancel: Some(order_id), .. } => {
                self.apis.cancel(*order_id, who, why).await.map(Some)
            }
            PlanStep::AskPayments { order_id } => self.apis.retry_payment(*order_id, who).await.map(Some),
            PlanStep::Requeue { .. } | PlanStep::Rearm { .. } | PlanStep::Drop { cancel: None, .. } => Ok(None),
        }
    }

    async fn queue(
        &self,
        db: &mut PgConnection,
        doing: &Doing<'_>,
        consumer: &'static str,
    ) -> Result<String, OperatorError> {
        let (schema, id, now) = (schema(consumer), doing.planned.letter.row.letter_id, self.clock.now());
        match doing.planned.step {
            PlanStep::Drop { .. } => {
                parking::skip(db, &schema, id, doing.action.who, now).await?;
                Ok(format!("{consumer} leaves it out"))
            }
            PlanStep::Requeue { .. }
            | PlanStep::Rearm { .. }
            | PlanStep::AskPayments { .. }
            | PlanStep::Cancel { .. } => {
                let retried = parking::retry(db, &schema, id, doing.planned.value.clone(), now).await?;
                let edited = if retried.edited { " with the new data" } else { "" };
                Ok(format!("{consumer} was given it back{edited}, in round {}", retried.loops))
            }
        }
    }
}

impl PlanStep {
    /// The consumer whose queue it changes.
    fn queue_of(&self) -> Option<&'static str> {
        match self {
            Self::Requeue { consumer } | Self::Rearm { consumer } | Self::Drop { consumer, .. } => Some(consumer),
            Self::AskPayments { .. } | Self::Cancel { .. } => None,
        }
    }

    fn asks(&self) -> bool {
        match self {
            Self::AskPayments { .. } | Self::Cancel { .. } | Self::Drop { cancel: Some(_), .. } => true,
            Self::Requeue { .. } | Self::Rearm { .. } | Self::Drop { cancel: None, .. } => false,
        }
    }
}
