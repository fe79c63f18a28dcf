//! The steps of an order's way, each between two moments; the view `step` has the same ones.

use std::collections::HashMap;

use events::{OrderId, Timestamp};

use crate::facts::{Facts, Moment};
use crate::status::Status;
use crate::world::BatchState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Placed,
    At(Moment),
    Completed,
}

impl Facts {
    fn end(&self, end: End) -> Option<Timestamp> {
        match end {
            End::Placed => self.placed_at,
            End::At(moment) => self.moments.at(moment),
            End::Completed => self.moments.at(Moment::Ended).filter(|_| self.status == Status::Completed),
        }
    }

    /// The steps of which both ends are known, with how long each took, in the order of an order's way.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, Timestamp, Timestamp)> + '_ {
        STEPS.iter().filter_map(|(name, begin, end)| Some((*name, self.end(*begin)?, self.end(*end)?)))
    }
}

const STEPS: [(&str, End, End); 12] = [
    ("accept", End::Placed, End::At(Moment::Accepted)),
    ("reserve", End::At(Moment::Accepted), End::At(Moment::Reserved)),
    ("authorize", End::At(Moment::Reserved), End::At(Moment::Authorized)),
    ("clear", End::At(Moment::Authorized), End::At(Moment::Cleared)),
    ("pick", End::At(Moment::Cleared), End::At(Moment::Confirmed)),
    ("capture", End::At(Moment::Confirmed), End::At(Moment::Captured)),
    ("dispatch", End::At(Moment::Captured), End::At(Moment::Dispatched)),
    ("commit", End::At(Moment::Dispatched), End::At(Moment::Committed)),
    ("undo", End::At(Moment::Undo), End::At(Moment::Closed)),
    ("end", End::At(Moment::Closed), End::At(Moment::Ended)),
    ("whole", End::Placed, End::At(Moment::Ended)),
    ("complete", End::Placed, End::Completed),
];

/// Where a step stands in an order's way, for sorting.
pub(crate) fn place_of(step: &str) -> usize {
    STEPS.iter().position(|(name, _, _)| *name == step).unwrap_or(STEPS.len())
}

/// Records the steps that became known with this batch, all of whose events were new; `now` is what is known of its orders after it.
/// A batch that is written twice, because its commit failed, is measured twice: a histogram bears it.
pub(crate) fn measure(batch: &BatchState, now: &HashMap<OrderId, Facts>) {
    for (order_id, facts) in &batch.orders {
        let Some(now) = now.get(order_id) else { continue };
        for (name, took) in completed(facts, now) {
            metrics::histogram!("quadrille_step_seconds", "step" => name).record(took);
        }
    }
}

/// The steps that `batch` made known: one end came with it, and both are known now.
fn completed<'t>(batch: &'t Facts, now: &'t Facts) -> impl Iterator<Item = (&'static str, std::time::Duration)> + 't {
    STEPS.iter().filter_map(|(name, begin, end)| {
        let (began, ended) = (now.end(*begin)?, now.end(*end)?);
        // Every event tells when its order was placed: that is no news.
        let news = batch.end(*end) == Some(ended) || *begin != End::Placed && batch.end(*begin) == Some(began);
        news.then(|| (*name, ended.since(began)))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn timeline(status: Status, moments: &[(Moment, i64)]) -> Facts {
        let mut facts = Facts { placed_at: Some(Timestamp::from_millis(5)), status, ..Facts::default() };
        moments.iter().for_each(|(moment, at)| facts.moments.tell(*moment, Timestamp::from_millis(*at)));
        facts
    }

    fn names(batch: &Facts, now: &Facts) -> Vec<&'static str> {
        completed(batch, now).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_step_is_measured_once_whichever_of_its_ends_comes_last() {
        let accepted = timeline(Status::Accepted, &[(Moment::Accepted, 10)]);
        let reserved = timeline(Status::Reserved, &[(Moment::Reserved, 30)]);
        let both = timeline(Status::Reserved, &[(Moment::Accepted, 10), (Moment::Reserved, 30)]);
        assert_eq!(names(&accepted, &accepted), ["accept"]);
        assert_eq!(names(&reserved, &both), ["reserve"], "the end came last");
        assert_eq!(names(&accepted, &both), ["accept", "reserve"], "the beginning came last");
        assert_eq!(names(&both, &both), ["accept", "reserve"], "both came at once");
        assert_eq!(completed(&both, &both).nth(1), Some(("reserve", Duration::from_millis(20))));
        assert_eq!(names(&timeline(Status::Placed, &[]), &both), Vec::<&str>::new(), "other news");
    }

    #[test]
    fn a_second_parcel_is_no_second_dispatch() {
        let now = timeline(Status::Shipping, &[(Moment::Captured, 10), (Moment::Dispatched, 20)]);
        let second = timeline(Status::Shipping, &[(Moment::Dispatched, 25)]);
        assert_eq!(names(&second, &now), Vec::<&str>::new());
    }

    #[test]
    fn only_what_completed_counts_as_complete() {
        let failed = timeline(Status::Failed, &[(Moment::Ended, 50)]);
        assert_eq!(names(&failed, &failed), ["whole"]);
        let completed = timeline(Status::Completed, &[(Moment::Ended, 50)]);
        assert_eq!(names(&completed, &completed), ["whole", "complete"]);
    }

    #[test]
    fn the_database_has_the_same_steps() {
        let migration = include_str!("../../../migrations/saga_tracker/0001_read_models.sql");
        let (_, view) = migration.split_once("create view saga_tracker.step").unwrap();
        let (view, _) = view.split_once(") as s").unwrap();
        assert_eq!(view.matches("    ('").count(), STEPS.len());
        assert!(STEPS.iter().all(|(name, _, _)| view.contains(&format!("    ('{name}',"))));
    }
}
