//! What a person's wish comes to for one dead letter: pure, so that a dry run says exactly what would be done.

use std::fmt;

use choreography::Choreography;
use events::OrderId;
use serde_json::Value;

use crate::kind::{LetterKind, LetterStatus};

const PAYMENTS: &str = "payments";

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Retry,
    /// The same, with this data instead.
    Edit(Value),
    /// It is never decided; its order is cancelled, unless nothing of the order hangs on it.
    Skip,
    /// Its order is cancelled; the dead letter stays.
    Compensate,
}

impl Act {
    /// Those that can be done with all dead letters of a filter.
    pub const OF_MANY: [Self; 3] = [Self::Retry, Self::Skip, Self::Compensate];

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Edit(_) => "edit",
            Self::Skip => "skip",
            Self::Compensate => "compensate",
        }
    }
}

/// How often a record may go round unless somebody says otherwise.
pub const MAX_LOOPS: i32 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub who: String,
    /// Their reason; may be empty for a retry.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiedAs {
    Record,
    Timer,
    /// An answer or a decision, which nobody can bring again: of payments, an attempt at the gateway that waits for a person.
    Attempt,
}

#[derive(Clone, Debug)]
pub struct LetterFacts {
    pub kind: LetterKind,
    pub status: LetterStatus,
    pub consumers: Vec<String>,
    pub what: DiedAs,
    pub order_id: Option<OrderId>,
    /// How often its record was given back before.
    pub loops: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// Its record goes back to its place among the waiting events of its key, at its consumer.
    Requeue {
        consumer: &'static str,
    },
    Rearm {
        consumer: &'static str,
    },
    AskPayments {
        order_id: OrderId,
    },
    /// First its order's cancellation is asked for, where one hangs on it; then it is left out.
    Drop {
        consumer: &'static str,
        cancel: Option<OrderId>,
    },
    Cancel {
        order_id: OrderId,
    },
}

impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requeue { consumer } => {
                write!(f, "{consumer} decides its record again, before all of the same key that waits behind it")
            }
            Self::Rearm { consumer } => write!(f, "the timer of {consumer} fires again"),
            Self::AskPayments { order_id } => write!(f, "payments tries the stuck attempt of order {order_id} again"),
            Self::Drop { consumer, cancel: Some(order_id) } => {
                write!(
                    f,
                    "the cancellation of order {order_id} is asked for, then {consumer} leaves it out and goes on"
                )
            }
            Self::Drop { consumer, cancel: None } => {
                write!(f, "{consumer} leaves it out and goes on; no order hangs on it")
            }
            Self::Cancel { order_id } => write!(f, "the cancellation of order {order_id} is asked for"),
        }
    }
}

/// Says what an act comes to for this dead letter, or why it is not done: what was expected, what is so, what to do. `max_loops` is how often a record may have been given back at most to be given back again.
pub fn plan(act: &Act, letter: &LetterFacts, max_loops: i32) -> Result<PlanStep, String> {
    match act {
        Act::Compensate => cancellable(letter).map(|order_id| PlanStep::Cancel { order_id }),
        Act::Retry | Act::Edit(_) | Act::Skip if letter.kind == LetterKind::Order => Err(
            "expected an event that died, got an order that is stuck: compensate it, or give it more time with `quadrille deadlines move`"
                .into(),
        ),
        Act::Retry | Act::Edit(_) => retry(act, letter, max_loops),
        Act::Skip => skip(letter),
    }
}

fn retry(act: &Act, letter: &LetterFacts, max_loops: i32) -> Result<PlanStep, String> {
    still_open(letter)?;
    if letter.loops >= max_loops {
        return Err(format!(
            "expected a record that went round fewer than {max_loops} times, this one did {} times: mend the cause, then raise --max-loops; or edit, or skip it",
            letter.loops
        ));
    }
    let consumer = consumer(letter)?;
    match (letter.what, act, letter.order_id) {
        (DiedAs::Record, _, _) => Ok(PlanStep::Requeue { consumer }),
        (DiedAs::Timer | DiedAs::Attempt, Act::Edit(_), _) => Err(
            "expected a record to edit; this was a timer, an answer or a decision, which has none: retry it as it is"
                .into(),
        ),
        (DiedAs::Timer, _, _) => Ok(PlanStep::Rearm { consumer }),
        (DiedAs::Attempt, _, Some(order_id)) if consumer == PAYMENTS => Ok(PlanStep::AskPayments { order_id }),
        (DiedAs::Attempt, _, _) => Err(format!(
            "expected a record, a timer, or a stuck attempt of payments; {consumer} kept neither of this one: compensate its order"
        )),
    }
}

fn skip(letter: &LetterFacts) -> Result<PlanStep, String> {
    still_open(letter)?;
    let consumer = consumer(letter)?;
    if letter.what == DiedAs::Attempt && consumer == PAYMENTS {
        return Err(
            "expected an event or a timer; this is an attempt at the gateway, and money hangs on it: retry it, until the gateway says what became of it"
                .into(),
        );
    }
    let hangs = Choreography::embedded().consumers.get(consumer).is_some_and(|program| program.decides);
    Ok(PlanStep::Drop { consumer, cancel: letter.order_id.filter(|_| hangs) })
}

fn still_open(letter: &LetterFacts) -> Result<(), String> {
    let so = match letter.status {
        LetterStatus::Open => return Ok(()),
        LetterStatus::Retrying => "it is being tried again: its consumer says soon what comes of it",
        LetterStatus::Recovered => "it was decided after all",
        LetterStatus::Skipped => "it was skipped",
        LetterStatus::DiedAgain => "it was tried again and died again, as a dead letter of its own: take that one",
    };
    Err(format!("expected a dead letter that is open; {so}"))
}

fn consumer(letter: &LetterFacts) -> Result<&'static str, String> {
    let named = |name: &&'static str| letter.consumers.iter().any(|consumer| consumer == name);
    Choreography::embedded().consumers.names().find(named).ok_or_else(|| {
        format!("expected a consumer of this pipeline, got {:?}: its record was written by others", letter.consumers)
    })
}

fn cancellable(letter: &LetterFacts) -> Result<OrderId, String> {
    if letter.kind == LetterKind::Order && letter.status != LetterStatus::Open {
        return Err("expected an order that is stuck; this one went on, or has ended".into());
    }
    let unknown = "expected a dead letter of a known order; this one does not say whose it is";
    letter.order_id.ok_or_else(|| unknown.into())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ORDER: OrderId = OrderId(Uuid::from_u128(7));

    fn letter(consumer: &str) -> LetterFacts {
        let consumers = vec![consumer.to_owned()];
        LetterFacts {
            kind: LetterKind::Event,
            status: LetterStatus::Open,
            consumers,
            what: DiedAs::Record,
            order_id: Some(ORDER),
            loops: 0,
        }
    }

    fn refusal(act: &Act, letter: &LetterFacts) -> String {
        plan(act, letter, 3).unwrap_err()
    }

    #[test]
    fn a_record_is_given_back_to_the_consumer_that_could_not_decide_it() {
        for act in [Act::Retry, Act::Edit(Value::Null)] {
            assert_eq!(plan(&act, &letter("inventory"), 3), Ok(PlanStep::Requeue { consumer: "inventory" }));
        }
    }

    #[test]
    fn a_stuck_attempt_of_payments_is_tried_again_by_payments() {
        let stuck = LetterFacts { what: DiedAs::Attempt, ..letter("payments") };
        assert_eq!(plan(&Act::Retry, &stuck, 3), Ok(PlanStep::AskPayments { order_id: ORDER }));
        assert!(refusal(&Act::Edit(Value::Null), &stuck).contains("retry it"));
        assert!(refusal(&Act::Skip, &stuck).contains("money hangs on it"));
        assert!(refusal(&Act::Retry, &LetterFacts { what: DiedAs::Attempt, ..letter("fraud") }).contains("compensate"));
    }

    #[test]
    fn a_timer_fires_again_or_is_left_out_with_a_cancellation() {
        let timer = LetterFacts { what: DiedAs::Timer, ..letter("inventory") };
        assert_eq!(plan(&Act::Retry, &timer, 3), Ok(PlanStep::Rearm { consumer: "inventory" }));
        assert_eq!(plan(&Act::Skip, &timer, 3), Ok(PlanStep::Drop { consumer: "inventory", cancel: Some(ORDER) }));
        assert!(refusal(&Act::Edit(Value::Null), &timer).contains("retry it as it is"));
    }

    #[test]
    fn a_domain_event_is_skipped_with_a_cancellation_of_its_order_and_never_in_silence() {
        for (consumer, program) in Choreography::embedded().consumers.iter() {
            let cancel = program.decides.then_some(ORDER);
            assert_eq!(plan(&Act::Skip, &letter(consumer), 3), Ok(PlanStep::Drop { consumer, cancel }));
        }
        let of_no_order = LetterFacts { order_id: None, ..letter("orders") };
        assert_eq!(plan(&Act::Skip, &of_no_order, 3), Ok(PlanStep::Drop { consumer: "orders", cancel: None }));
    }

    #[test]
    fn a_stuck_order_is_compensated_and_neither_retried_nor_skipped() {
        let stuck = LetterFacts { kind: LetterKind::Order, what: DiedAs::Attempt, ..letter("payments") };
        assert_eq!(plan(&Act::Compensate, &stuck, 3), Ok(PlanStep::Cancel { order_id: ORDER }));
        for act in [Act::Retry, Act::Edit(Value::Null), Act::Skip] {
            assert!(refusal(&act, &stuck).contains("deadlines move"));
        }
        assert!(
            refusal(&Act::Compensate, &LetterFacts { status: LetterStatus::Recovered, ..stuck }).contains("went on")
        );
    }

    #[test]
    fn a_letter_that_went_round_too_often_is_refused_with_a_reason_but_may_be_skipped() {
        let round = LetterFacts { loops: 3, ..letter("orders") };
        assert!(refusal(&Act::Retry, &round).contains("fewer than 3 times, this one did 3 times"));
        assert!(plan(&Act::Retry, &round, 4).is_ok());
        assert!(plan(&Act::Skip, &round, 3).is_ok());
    }

    #[test]
    fn what_is_settled_is_not_touched_again() {
        for status in LetterStatus::ALL.into_iter().filter(|status| *status != LetterStatus::Open) {
            for act in [Act::Retry, Act::Edit(Value::Null), Act::Skip] {
                assert!(
                    refusal(&act, &LetterFacts { status, ..letter("orders") }).contains("that is open"),
                    "{status:?}"
                );
            }
        }
    }

    #[test]
    fn a_consumer_that_is_not_ours_is_refused_whatever_its_name_says() {
        let forged = letter("orders; drop schema orders");
        assert!(refusal(&Act::Retry, &forged).contains("written by others"));
        assert!(refusal(&Act::Compensate, &LetterFacts { order_id: None, ..forged }).contains("whose it is"));
    }
}
