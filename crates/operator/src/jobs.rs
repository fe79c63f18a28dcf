//! Jobs: one act with all dead letters of a filter, kept in a table: a tracker that restarts, or another instance, goes on where the last one was.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::all::{Course, Report};
use crate::error::OperatorError;
use crate::filter::{Bulk, Filter};
use crate::operator::Operator;
use crate::plan::{Act, Note};
use crate::store::{self, Action, JobLease, JobView};

/// How long a job rests when somebody who is needed does not answer.
const REST: Duration = Duration::from_secs(5);
/// How often instances look for jobs that others began, or let go.
const LOOK: Duration = Duration::from_secs(1);

/// Works on jobs until told to stop, one at a time.
pub async fn work(operator: Operator, wake: Arc<Notify>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let holder = operator.clock.mint();
    while !shutdown.is_cancelled() {
        let now = operator.clock.now();
        let worked = match store::take_job(&operator.tracker, holder, now).await {
            Ok(Some(job)) => operator.work_on(job, holder, &shutdown).await,
            Ok(None) => Ok(false),
            Err(failure) => Err(failure.into()),
        };
        if let Err(error) = &worked {
            tracing::warn!(%error, "jobs on dead letters wait");
        }
        if !matches!(worked, Ok(true)) {
            let woken = tokio::time::timeout(LOOK, wake.notified());
            shutdown.run_until_cancelled(woken).await;
        }
    }
    Ok(())
}

impl Operator {
    pub async fn begin_job(&self, bulk: &Bulk) -> Result<JobView, OperatorError> {
        let now = self.clock.now();
        let (job_id, total) = (self.clock.mint(), store::count_letters(&self.tracker, &bulk.filter, now).await?);
        let filter = serde_json::to_string(&bulk.filter).map_err(unreadable)?;
        let mut tx = self.tracker.begin().await?;
        let job = store::begin_job(&mut tx, job_id, bulk, &filter, total, now).await?;
        let detail = format!("{} of {total} dead letters", bulk.act.name());
        store::note(&mut tx, &Action { job_id: Some(job_id), ..self.action("start_job", &bulk.note) }, "done", &detail)
            .await?;
        tx.commit().await?;
        Ok(job)
    }

    /// Stops a job between two dead letters, or lets one that was stopped go on where it was; none: there is no such job.
    pub async fn turn_job(&self, job_id: Uuid, on: bool, note: &Note) -> Result<Option<JobView>, OperatorError> {
        let now = self.clock.now();
        let mut tx = self.tracker.begin().await?;
        let (what, expected, detail, turned) = match on {
            true => ("start_job", "stopped", "goes on where it was", store::resume_job(&mut tx, job_id, now).await?),
            false => ("stop_job", "running", "stopped", store::end_job(&mut tx, job_id, "stopped", now).await?),
        };
        if turned {
            store::note(&mut tx, &Action { job_id: Some(job_id), ..self.action(what, note) }, "done", detail).await?;
            tx.commit().await?;
        }
        match store::job(&self.tracker, job_id).await? {
            Some(job) if !turned => {
                Err(OperatorError::Refused(format!("expected a job that is {expected}, this one is {}", job.state)))
            }
            job => Ok(job),
        }
    }

    /// Works on a job until it is through, stopped, or can't go on for now; returns whether to look for another at once.
    async fn work_on(&self, job: JobView, holder: Uuid, shutdown: &CancellationToken) -> Result<bool, OperatorError> {
        let hold = JobLease { job_id: job.job_id, holder };
        let course =
            Course { behind: job.behind_at.map(|at| at.0).zip(job.behind_id), until: job.begun_at.0, job: Some(hold) };
        let mut report = Report::default();
        let went = match bulk(job) {
            Ok(bulk) => self.go_through(&bulk, course, shutdown, &mut report, &mut |_| {}).await,
            Err(unknown) => Err(unknown),
        };
        let now = self.clock.now();
        match went {
            Ok(()) if report.stopped => store::release_job(&self.tracker, hold, None, now, now).await?,
            Ok(()) => {
                let mut db = self.tracker.acquire().await?;
                store::end_job(&mut db, hold.job_id, "done", now).await?;
            }
            Err(OperatorError::Lost) => {}
            Err(error) => {
                let why = error.to_string();
                store::release_job(&self.tracker, hold, Some(&why), now, now.plus(REST)).await?;
                return Err(error);
            }
        }
        Ok(true)
    }
}

fn bulk(job: JobView) -> Result<Bulk, OperatorError> {
    let Some(act) = Act::OF_MANY.into_iter().find(|act| act.name() == job.what) else {
        return Err(OperatorError::Refused(format!(
            "job {} is of kind {:?}: expected `retry`, `skip` or `compensate`. Nothing was done; stop it, or let the version that began it go on",
            job.job_id, job.what
        )));
    };
    let filter: Filter = serde_json::from_str(&job.filter).map_err(unreadable)?;
    let note = Note { who: job.who, why: job.why };
    Ok(Bulk { act, filter, note, rate: job.rate, max_loops: job.max_loops, dry_run: false })
}

fn unreadable(source: serde_json::Error) -> OperatorError {
    OperatorError::Failed(runtime::Failure::Stored { what: "saga_tracker.job.filter".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use events::Timestamp;

    use super::*;
    use runtime::sql::Timestamptz;

    fn job(what: &str) -> JobView {
        let at = Timestamptz(Timestamp::from_millis(1));
        JobView {
            job_id: Uuid::from_u128(7),
            begun_at: at,
            who: "ann".into(),
            why: String::new(),
            what: what.into(),
            filter: "{}".into(),
            rate: None,
            max_loops: 5,
            state: "running".into(),
            total: 3,
            done: 0,
            refused: 0,
            behind_at: None,
            behind_id: None,
            left: 3,
            refusal: None,
            waits_for: None,
            changed_at: at,
        }
    }

    #[test]
    fn a_job_of_an_unknown_kind_is_refused_and_no_retry_of_all() {
        for (what, act) in [("retry", Act::Retry), ("skip", Act::Skip), ("compensate", Act::Compensate)] {
            assert_eq!(bulk(job(what)).unwrap().act.name(), act.name());
        }
        for what in ["", "Retry", "edit", "replay"] {
            let refused = bulk(job(what));
            assert!(
                matches!(&refused, Err(OperatorError::Refused(why)) if why.contains(&format!("{what:?}"))),
                "{refused:?}"
            );
        }
    }
}
