//! In which order an order's steps are told: what a consumer heard without a word of its own may have come later than it was said.

use events::Timestamp;

use super::story::OrderEvent;
use crate::vocabulary::Work;

/// What is told next.
pub(super) enum RestoreStep<'s, I> {
    /// Something that a topic holds is decided again; of what nothing came then, nothing may come now.
    Decided { work: &'s Work<I>, silent: bool },
    /// What came of something that none does.
    Said(&'s OrderEvent),
}

impl<I> Clone for RestoreStep<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for RestoreStep<'_, I> {}

impl<I> RestoreStep<'_, I> {
    fn is_silent(&self) -> bool {
        matches!(self, Self::Decided { silent: true, .. })
    }
}

pub(super) type Timed<'s, I> = (Timestamp, RestoreStep<'s, I>);

/// The order in which steps are told. When the consumer heard what it said nothing of, no topic tells: not before that was said, and later where what
/// came of the rest contradicts it.
pub(super) struct StepOrder<'s, I> {
    steps: Vec<Timed<'s, I>>,
    /// How many steps that are not silent it comes through, whether one that is stops it, and why.
    reached: Option<(usize, bool, String)>,
    /// What may go further, and what of it is tried now.
    others: Vec<Vec<Timed<'s, I>>>,
    tried: Option<Vec<Timed<'s, I>>>,
}

impl<'s, I> StepOrder<'s, I> {
    pub fn of(steps: Vec<Timed<'s, I>>) -> Self {
        Self { steps, reached: None, others: Vec::new(), tried: None }
    }

    pub fn steps(&self) -> &[Timed<'s, I>] {
        self.tried.as_ref().unwrap_or(&self.steps)
    }

    /// What was told last fails at a step: what is told next, or why nothing is.
    pub fn fails(&mut self, at: usize, why: String) -> Result<(), String> {
        let reached = self.steps().iter().take(at).filter(|(_, step)| !step.is_silent()).count();
        let silent = self.steps().get(at).is_some_and(|(_, step)| step.is_silent());
        let further = |(before, was_silent, _): &(usize, bool, String)| {
            reached > *before || (reached == *before && silent && *was_silent)
        };
        let tried = self.tried.take();
        if self.reached.as_ref().is_none_or(further) {
            self.steps = tried.unwrap_or_else(|| std::mem::take(&mut self.steps));
            self.reached = Some((reached, silent, why));
            self.others = self.later(at);
        }
        self.tried = self.others.pop();
        match &self.reached {
            Some((.., why)) if self.tried.is_none() => Err(why.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// With what may have been heard later than the step that fails: that step itself if it is silent, else one of those before it. What is heard after all that was said is left to the consumer.
    fn later(&self, at: usize) -> Vec<Vec<Timed<'s, I>>> {
        let silent = |index: usize| self.steps.get(index).is_some_and(|(_, step)| step.is_silent());
        let moved = |from: usize, to: usize| {
            let mut steps = self.steps.clone();
            let step = steps.remove(from);
            if to < steps.len() {
                steps.insert(to, step);
            }
            steps
        };
        if silent(at) {
            let next = (at..self.steps.len()).find(|index| !silent(*index));
            return vec![moved(at, next.unwrap_or(self.steps.len()))];
        }
        (0..at.min(self.steps.len())).filter(|index| silent(*index)).map(|index| moved(index, at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::vocabulary::{Cause, Origin};

    /// Inputs by number; the odd ones are silent.
    fn works(numbers: &[u32]) -> Vec<Work<u32>> {
        let cause = Cause { id: Uuid::nil(), thread: None, origin: Origin::Request };
        numbers.iter().map(|input| Work { cause: cause.clone(), input: *input }).collect()
    }

    fn order(works: &[Work<u32>]) -> StepOrder<'_, u32> {
        let step = |work| (Timestamp::from_millis(0), RestoreStep::Decided { work, silent: work.input % 2 == 1 });
        StepOrder::of(works.iter().map(step).collect())
    }

    fn told(order: &StepOrder<'_, u32>) -> Vec<u32> {
        let number = |(_, step): &Timed<'_, u32>| match step {
            RestoreStep::Decided { work, .. } => work.input,
            RestoreStep::Said(_) => 0,
        };
        order.steps().iter().map(number).collect()
    }

    #[test]
    fn what_was_heard_without_a_word_is_told_later_where_the_rest_comes_further() {
        let works = works(&[1, 2, 3, 4]);
        let mut order = order(&works);
        assert_eq!(told(&order), [1, 2, 3, 4]);
        order.fails(1, "the second".into()).unwrap();
        assert_eq!(told(&order), [2, 1, 3, 4]);
        order.fails(3, "the fourth".into()).unwrap();
        assert_eq!(told(&order), [2, 1, 4], "the third is left to the consumer");
        order.fails(2, "the fourth still".into()).unwrap();
        assert_eq!(told(&order), [2, 3, 4]);
        assert_eq!(order.fails(2, "the fourth still".into()), Err("the fourth".into()), "why the best went no further");
    }

    #[test]
    fn what_says_something_that_no_topic_holds_was_heard_after_the_next_that_was_said() {
        let works = works(&[1, 3, 2, 4]);
        let mut order = order(&works);
        for expected in [[3, 2, 1, 4], [2, 3, 1, 4]] {
            order.fails(0, "said too much".into()).unwrap();
            assert_eq!(told(&order), expected);
        }
    }
}
