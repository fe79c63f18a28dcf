//! Assessments told again after a restore: as they were decided then, not as rules would decide now.

use std::convert::Infallible;

use events::{Event as _, FraudCleared, FraudRejected, FraudReviewRequested, RuleHit};
use runtime::restore::{Restore, RetoldEvent};
use runtime::{Conflict, Effects, TraceContext};

use crate::decide::{self, DEADLINE};
use crate::input::{Authorized, Input};
use crate::row::{Assessment, BatchState, State};
use crate::settings::Fraud;

impl Restore for Fraud {
    const FORCED: &'static [&'static str] = &[FraudCleared::TYPE, FraudRejected::TYPE, FraudReviewRequested::TYPE];

    fn retell(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        let (order_id, at) = (event.order_id, event.told.at);
        let authorized = match event.input {
            Some(Input::Authorized(authorized)) => Some(&**authorized),
            Some(Input::Voided(_) | Input::Ruled { .. } | Input::Deadline(_)) | None => None,
        };
        let known = world.order(order_id).cloned();
        if let (None, Some(authorized)) = (&known, authorized) {
            decide::count(world, authorized, at);
        }
        let thread = effects.thread();
        let begun =
            |score, rules| known.clone().unwrap_or_else(|| begun(authorized, score, rules, event, thread.clone()));
        let row = match event.told.event_type() {
            FraudCleared::TYPE => {
                let FraudCleared { score, rules, decided_by, .. } = event.read()?;
                ended(begun(score, rules), State::Cleared, &decided_by, event)
            }
            FraudRejected::TYPE => {
                let FraudRejected { score, rules, decided_by, .. } = event.read()?;
                ended(begun(score, rules), State::Rejected, &decided_by, event)
            }
            FraudReviewRequested::TYPE if known.is_none() => {
                let FraudReviewRequested { score, rules, deadline, .. } = event.read()?;
                let carried =
                    authorized.map(|authorized| decide::carried(&authorized.event)).ok_or_else(|| event.untold())?;
                effects.schedule(DEADLINE, order_id, "", deadline);
                let row = begun(score, rules);
                Assessment { deadline: Some(deadline), carried: Some(carried), ..row }
            }
            FraudReviewRequested::TYPE => return Ok(()),
            _ => return Err(event.untold()),
        };
        if row.state != State::Review {
            effects.cancel_timer(DEADLINE, order_id, "");
        }
        world.orders.insert(order_id, row);
        Ok(())
    }
}

fn begun(
    authorized: Option<&Authorized>,
    score: i64,
    rules: Vec<RuleHit>,
    event: &RetoldEvent<'_, Input>,
    thread: TraceContext,
) -> Assessment {
    Assessment {
        state: State::Review,
        score,
        rules,
        amount: authorized.map_or(0, |authorized| authorized.event.amount),
        currency: authorized.map(|authorized| authorized.event.currency),
        ..Assessment::closed(event.told.at, thread)
    }
}

fn ended(row: Assessment, state: State, by: &str, event: &RetoldEvent<'_, Input>) -> Assessment {
    let (decided_by, decided_at) = (Some(by.to_owned()), Some(event.told.at));
    Assessment { state, decided_by, decided_at, carried: None, ..row }
}
