//! One thing done with all dead letters of a filter, the oldest first, at a set rate, until it is through or told to stop.

use std::time::Duration;

use events::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::act::ActOutcome;
use crate::dead_letter::LetterCase;
use crate::error::OperatorError;
use crate::filter::Bulk;
use crate::operator::Operator;
use crate::store::{self, JobLease};

const PAGE: i64 = 200;

#[derive(Debug)]
pub struct Progress<'t> {
    pub letter_id: Uuid,
    /// What was done, or would be; or why not.
    pub outcome: Result<&'t ActOutcome, &'t OperatorError>,
    /// How many dead letters of the filter there were when it began.
    pub total: u64,
}

#[derive(Debug, Default)]
pub struct Report {
    pub total: u64,
    /// Done, or of a dry run: would be.
    pub done: u64,
    /// Refused, each for a reason of its own.
    pub refused: u64,
    pub stopped: bool,
    /// What ended it before it was through: who is needed does not answer.
    pub error: Option<OperatorError>,
}

impl Report {
    /// Those that it did not come to: the same again goes on with them.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.done + self.refused)
    }
}

/// Where a run through a filter begins, and whose job it is.
pub(crate) struct Course {
    pub behind: Option<(Timestamp, Uuid)>,
    /// Only those that died up to then: what dies again meanwhile is not taken again.
    pub until: Timestamp,
    pub job: Option<JobLease>,
}

impl Operator {
    /// Does one thing with all dead letters of a filter that died up to now, and tells of each. `stop` ends it between two of them.
    ///
    /// # Errors
    /// When the dead letters can't be counted: nothing was done. What fails later is in the report.
    pub async fn all(
        &self,
        bulk: &Bulk,
        stop: &CancellationToken,
        mut tell: impl FnMut(&Progress<'_>) + Send,
    ) -> Result<Report, OperatorError> {
        let until = self.clock.now();
        let total = store::count_letters(&self.tracker, &bulk.filter, until).await?;
        let mut report = Report { total: u64::try_from(total).unwrap_or(0), ..Report::default() };
        let course = Course { behind: None, until, job: None };
        report.error = self.go_through(bulk, course, stop, &mut report, &mut tell).await.err();
        Ok(report)
    }

    pub(crate) async fn go_through(
        &self,
        bulk: &Bulk,
        mut course: Course,
        stop: &CancellationToken,
        report: &mut Report,
        tell: &mut (impl FnMut(&Progress<'_>) + Send),
    ) -> Result<(), OperatorError> {
        let mut pace = RateLimit::of(bulk.rate.filter(|_| !bulk.dry_run));
        loop {
            let page = store::oldest_letters(&self.tracker, &bulk.filter, course.behind, course.until, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let held = self.held(&page).await?;
            for row in &page {
                if !pace.wait(stop).await {
                    report.stopped = true;
                    return Ok(());
                }
                let letter = LetterCase { row, held: held.get(&row.letter_id) };
                course.behind = Some(letter.position());
                let outcome = self.next(letter, bulk, course.job).await;
                tell(&Progress { letter_id: row.letter_id, outcome: outcome.as_ref(), total: report.total });
                match outcome {
                    Ok(_) => report.done += 1,
                    Err(error) if error.is_of_one() => report.refused += 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn next(
        &self,
        letter: LetterCase<'_>,
        bulk: &Bulk,
        job: Option<JobLease>,
    ) -> Result<ActOutcome, OperatorError> {
        let done = match self.planned(letter, &bulk.act, bulk.max_loops) {
            Ok(planned) if bulk.dry_run => Ok(planned.outcome(None)),
            Ok(planned) => self.done(&planned, &bulk.note, job).await,
            Err(error) => Err(error),
        };
        if let (Err(error), Some(hold)) = (&done, job)
            && error.is_of_one()
        {
            let (mut db, now, why) = (self.tracker.acquire().await?, self.clock.now(), error.to_string());
            if !store::advance_job(&mut db, hold, letter.position(), Some(&why), now).await? {
                return Err(OperatorError::Lost);
            }
        }
        done
    }
}

/// At most so many a second, one after the other: time that was lost is not made up for by a burst.
struct RateLimit {
    between: Option<Duration>,
    next: Instant,
}

impl RateLimit {
    fn of(rate: Option<f64>) -> Self {
        let between = rate.filter(|rate| *rate > 0.0).map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self { between, next: Instant::now() }
    }

    /// When the next one's turn is. One that comes a little late does not push those behind it further: timers are exact to a millisecond.
    fn turn(&mut self, now: Instant, between: Duration) -> Instant {
        let turn = if self.next + between < now { now } else { self.next };
        self.next = turn + between;
        turn
    }

    /// Waits for the next one's turn; false: told to stop.
    async fn wait(&mut self, stop: &CancellationToken) -> bool {
        if let Some(between) = self.between {
            stop.run_until_cancelled(tokio::time::sleep_until(self.turn(Instant::now(), between))).await;
        }
        !stop.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETWEEN: Duration = Duration::from_millis(20);

    #[test]
    fn a_rate_is_kept_by_turns_that_a_late_timer_does_not_shift() {
        let began = Instant::now();
        let mut pace = RateLimit { between: Some(BETWEEN), next: began };
        let mut now = began;
        for nth in 0..100 {
            let turn = pace.turn(now, BETWEEN);
            assert_eq!(turn, began + BETWEEN * nth);
            now = turn + Duration::from_millis(3);
        }
    }

    #[test]
    fn time_that_was_lost_is_not_made_up_for_by_a_burst() {
        let began = Instant::now();
        let mut pace = RateLimit { between: Some(BETWEEN), next: began };
        pace.turn(began, BETWEEN);
        let late = began + Duration::from_secs(60);
        let turns: Vec<Duration> = (0..4).map(|_| pace.turn(late, BETWEEN) - late).collect();
        assert_eq!(turns, [Duration::ZERO, BETWEEN, BETWEEN * 2, BETWEEN * 3]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let stop = CancellationToken::new();
        assert!(RateLimit::of(None).wait(&stop).await);
        let mut slow = RateLimit::of(Some(0.001));
        assert!(slow.wait(&stop).await, "the first one's turn is at once");
        stop.cancel();
        assert!(!slow.wait(&stop).await);
        assert!(!RateLimit::of(None).wait(&stop).await);
    }
}
