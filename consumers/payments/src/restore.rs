//! Payments told again after a restore: what the gateway answered, from what was said of it. Nobody is asked.

use std::collections::BTreeMap;

use events::{
    Action, AuthorizationExpiring, DisputeClosed, DisputeOutcome, Event as _, FraudWarningReceived,
    PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentChangedOutside,
    PaymentDeclined, PaymentDisputed, PaymentRefundFailed, PaymentRefunded, PaymentVoided, ReasonCode, RefundCompleted,
    RefundFailed, RefundRequested,
};
use gateway::{
    ActionResult, Dispute, DisputeStatus, DisputedFunds, Hold, Money, Operation, Outcome, PaymentChange, ProviderNotice,
};
use runtime::restore::{Restore, RetoldEvent};
use runtime::{Conflict, Effects};

use crate::batch::BatchState;
use crate::call::Call;
use crate::decide::DecisionContext;
use crate::gateways::Reach;
use crate::input::{Answer, Input};
use crate::payment::State;
use crate::refunds::{Asked, CustomerRefund, RefundAttempt, RefundData};
use crate::settings::Payments;

impl Restore for Payments {
    /// Each was a batch of its own: the gateway was asked after it.
    fn settled(&self, world: &mut BatchState) {
        world.calls.clear();
        world.refund_calls.clear();
    }

    fn retell(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let order_id = event.order_id;
        let known = world.payment(order_id).ok_or_else(|| event.untold())?;
        let acts = known.state == State::ActionRequired;
        let (state, captured_outside) = (known.state, known.case.captured_outside);
        let (operation, outcome) = match event.told.event_type() {
            PaymentActionRequired::TYPE if event.is_last && known.state == State::Authorizing => {
                // The payment's id is not told: the attempt stays open, payments asks again under the same key when it starts, and hears it.
                effects.emit(&event.read::<PaymentActionRequired>()?, "");
                return Ok(());
            }
            PaymentActionRequired::TYPE => {
                let PaymentActionRequired { action, url, .. } = event.read()?;
                let payment_id = known.payment_id.clone().unwrap_or_default();
                (Operation::Authorize, Outcome::ActionRequired { payment_id, action, url })
            }
            PaymentAuthorized::TYPE => {
                let PaymentAuthorized { payment_id, amount, currency, capture_before, card, gateway, .. } =
                    event.read()?;
                world.payment_mut(order_id).0.gateway = Some(gateway); // not the one for new orders, perhaps
                let money = Money { amount, currency };
                let hold =
                    payment_id.map(|payment_id| Hold { payment_id, money, capture_before: Some(capture_before), card });
                match hold {
                    Some(hold) if !acts => (Operation::Authorize, Outcome::Authorized(hold)),
                    hold => return self.action_result(world, event, ActionResult::Passed { hold }, effects),
                }
            }
            PaymentDeclined::TYPE => {
                let PaymentDeclined { reason, .. } = event.read()?;
                let (code, detail) = parted(&reason.detail);
                (Operation::Authorize, Outcome::Declined { code, detail })
            }
            PaymentCaptured::TYPE => {
                let PaymentCaptured { amount, remainder, currency, .. } = event.read()?;
                match known.case.settlement.is_captured() {
                    true => {
                        let money = Money { amount: remainder, currency };
                        (Operation::Refund, Outcome::Refunded { refund_id: String::new(), money })
                    }
                    false => (Operation::Capture, Outcome::Captured { money: Money { amount, currency } }),
                }
            }
            PaymentCaptureFailed::TYPE => {
                let PaymentCaptureFailed { reason, .. } = event.read()?;
                if reason.code == ReasonCode::AuthorizationExpired {
                    return self.decided(world, event, &Input::AuthorizationDue { order_id }, effects);
                }
                let (code, detail) = parted(&reason.detail);
                (Operation::Capture, Outcome::CaptureFailed { code, detail })
            }
            AuthorizationExpiring::TYPE => {
                return self.decided(world, event, &Input::AuthorizationDue { order_id }, effects);
            }
            PaymentVoided::TYPE => {
                let PaymentVoided { amount, currency, reason, .. } = event.read()?;
                if reason.code == ReasonCode::ActionFailed {
                    self.action_result(world, event, ActionResult::Failed { detail: reason.detail }, effects)?;
                }
                if let Some(input) = event.input {
                    // Said at once: fulfillment let go before anyone was asked.
                    let (payment, call) = world.payment_mut(order_id);
                    (payment.case.stop, call.fresh) = (None, true);
                    return self.decided(world, event, input, effects);
                }
                let currency = currency.ok_or_else(|| event.untold())?;
                if let Some(amount) = captured_outside {
                    return self.undone_by_refund(world, event, Money { amount, currency }, effects);
                }
                let state = world.payment(order_id).map_or(State::New, |payment| payment.state);
                if [State::Authorizing, State::ActionRequired].contains(&state) {
                    // What the gateway answered was not said, as nobody waited for it any more: money was held, or the customer was asked.
                    let outcome = match amount {
                        amount if amount == 0 || state == State::ActionRequired => Outcome::ActionRequired {
                            payment_id: String::new(),
                            action: Action::ThreeDSecure,
                            url: None,
                        },
                        amount => {
                            let money = Money { amount, currency };
                            let known = world.payment(order_id).and_then(|payment| payment.payment_id.clone());
                            let (payment_id, capture_before, card) = (known.unwrap_or_default(), None, None);
                            Outcome::Authorized(Hold { payment_id, money, capture_before, card })
                        }
                    };
                    self.answered(world, event, (Operation::Authorize, outcome), effects)?;
                }
                let money = Money { amount, currency };
                match world.payment(order_id).is_some_and(|payment| payment.case.settlement.is_captured()) {
                    true => (Operation::Refund, Outcome::Refunded { refund_id: String::new(), money }),
                    false => (Operation::Void, Outcome::Voided { money }),
                }
            }
            RefundRequested::TYPE | RefundCompleted::TYPE | RefundFailed::TYPE => {
                return self.refund_retold(world, event, effects);
            }
            PaymentRefunded::TYPE => {
                let PaymentRefunded { amount, currency, .. } = event.read()?;
                let money = Money { amount, currency };
                if known.is_stuck() {
                    self.rules(event).step(world, order_id, effects).retry("")?; // a person had it tried again
                }
                (Operation::Refund, Outcome::Refunded { refund_id: String::new(), money })
            }
            PaymentRefundFailed::TYPE => {
                let PaymentRefundFailed { reason, amount, .. } = event.read()?;
                let detail = reason.detail.rsplit("the gateway: ").next().unwrap_or_default().to_owned();
                if matches!(state, State::Refunded | State::Voided) {
                    let detail = detail.rsplit("had succeeded: ").next().unwrap_or_default();
                    return self.rules(event).step(world, order_id, effects).refund_failed_late(amount, detail);
                }
                if let (State::Voiding, Some(amount)) = (state, captured_outside) {
                    let currency = known.currency.ok_or_else(|| event.untold())?;
                    self.found_taken(world, event, Money { amount, currency }, effects)?;
                }
                (Operation::Refund, Outcome::RefundFailed { refund_id: None, detail })
            }
            PaymentChangedOutside::TYPE => {
                let PaymentChangedOutside { payment_id, amount, currency, .. } = event.read()?;
                let money = Money { amount, currency };
                if state == State::Voiding {
                    return self.found_taken(world, event, money, effects);
                }
                return self.changed(world, event, payment_id, PaymentChange::Captured { money }, effects);
            }
            FraudWarningReceived::TYPE => {
                let FraudWarningReceived { payment_id, warning_id, reason, actionable, .. } = event.read()?;
                let change = PaymentChange::FraudWarning { warning_id, reason, actionable };
                return self.changed(world, event, payment_id, change, effects);
            }
            PaymentDisputed::TYPE => {
                let told: PaymentDisputed = event.read()?;
                let status = named(DisputeStatus::ALL, DisputeStatus::as_str, &told.status);
                let dispute = Dispute {
                    dispute_id: told.dispute_id,
                    status: status.ok_or_else(|| event.untold())?,
                    money: Money { amount: told.amount, currency: told.currency },
                    funds: funds(&told.funds).ok_or_else(|| event.untold())?,
                    reason: told.reason,
                    evidence_due_by: told.evidence_due_by,
                };
                return self.changed(world, event, told.payment_id, PaymentChange::Disputed(dispute), effects);
            }
            DisputeClosed::TYPE => {
                let told: DisputeClosed = event.read()?;
                let dispute = Dispute {
                    dispute_id: told.dispute_id,
                    status: match told.outcome {
                        DisputeOutcome::Won => DisputeStatus::Won,
                        DisputeOutcome::Lost => DisputeStatus::Lost,
                        DisputeOutcome::Closed => DisputeStatus::Closed,
                        DisputeOutcome::Other(_) => return Err(event.untold()),
                    },
                    money: Money { amount: told.amount, currency: told.currency },
                    funds: funds(&told.funds).ok_or_else(|| event.untold())?,
                    reason: told.reason,
                    evidence_due_by: None,
                };
                return self.changed(world, event, told.payment_id, PaymentChange::Disputed(dispute), effects);
            }
            _ => return Err(event.untold()),
        };
        self.answered(world, event, (operation, outcome), effects)
    }
}

impl Payments {
    fn rules(&self, event: &RetoldEvent<'_, Input>) -> DecisionContext<'_> {
        DecisionContext {
            settings: &self.settings,
            gateway: self.gateways.chosen(),
            reach: &|_| Reach::Answers,
            now: event.told.at,
        }
    }

    fn refund_retold(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let (order_id, at, rules) = (event.order_id, event.told.at, self.rules(event));
        let (refund_id, outcome) = match event.told.event_type() {
            RefundRequested::TYPE => {
                let told: RefundRequested = event.read()?;
                let RefundRequested { refund_id, amount, lines, asked, reason, requested_by, .. } = told;
                if asked == "unshipped" {
                    return Ok(()); // the saga's: its attempt is told by what comes of it
                }
                let units = || {
                    let mut units: BTreeMap<String, i64> = BTreeMap::new();
                    lines.iter().for_each(|line| *units.entry(line.sku.to_string()).or_default() += line.quantity);
                    Asked::Lines(units.into_iter().collect())
                };
                let asked = match asked.as_str() {
                    "all" => Asked::All,
                    "lines" => units(),
                    "outside" => Asked::Outside,
                    _ => Asked::Amount(amount),
                };
                let provider_id = told.provider_refund_id;
                if let Some(provider_id) = &provider_id {
                    let reference = world.reference_mut(provider_id);
                    (reference.order_id, reference.customer_refund) = (Some(order_id), Some(refund_id));
                }
                let attempt = RefundAttempt { provider_id, ..RefundAttempt::new(at) };
                let data = RefundData { asked, lines, reason, requested_by, requested_at: at, attempt, detail: None };
                return rules.refund_opened(world, refund_id, CustomerRefund { order_id, amount, data }, effects);
            }
            RefundCompleted::TYPE => {
                let RefundCompleted { refund_id, amount, currency, unshipped, .. } = event.read()?;
                if unshipped {
                    return Ok(());
                }
                (refund_id, Outcome::Refunded { refund_id: String::new(), money: Money { amount, currency } })
            }
            _ => {
                let RefundFailed { refund_id, detail, .. } = event.read()?;
                (refund_id, Outcome::RefundFailed { refund_id: None, detail })
            }
        };
        let mut step = rules.refund_step(world, order_id, refund_id, effects).ok_or_else(|| event.untold())?;
        step.retold(&outcome)
    }

    fn answered(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        (operation, outcome): (Operation, Outcome),
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let order_id = event.order_id;
        let attempt = world.payment(order_id).map_or(0, |payment| payment.case.made.of(operation));
        // Not as an input: that would make the refund known by an id that is not told.
        let answer = Answer { order_id, operation, attempt, outcome };
        self.rules(event).step(world, order_id, effects).answer(&answer)?;
        world.payment_mut(order_id).0.payment_id.take_if(|id| id.is_empty()); // not told
        Ok(())
    }

    /// A void found that the money was taken at the provider.
    fn found_taken(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        money: Money,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let asks = world.payment(event.order_id).and_then(|payment| payment.case.attempt.as_ref());
        if asks.is_some_and(|attempt| attempt.operation == Operation::Refund) {
            return Ok(()); // and was given back, or tried
        }
        self.answered(world, event, (Operation::Void, Outcome::Captured { money }), effects)
    }

    /// What was taken at the provider was given back, and the order undone.
    fn undone_by_refund(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        money: Money,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        self.found_taken(world, event, money, effects)?;
        let payment = world.payment(event.order_id).ok_or_else(|| event.untold())?;
        if payment.state == State::Voided {
            return Ok(()); // nothing of it was left to give back
        }
        let amount = payment.case.attempt.as_ref().map_or(0, |attempt| attempt.amount);
        if payment.is_stuck() {
            self.rules(event).step(world, event.order_id, effects).retry("")?; // a person had it tried again
        }
        let refunded = Outcome::Refunded { refund_id: String::new(), money: Money { amount, ..money } };
        self.answered(world, event, (Operation::Refund, refunded), effects)
    }

    /// What happened at the provider.
    fn changed(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        payment_id: String,
        change: PaymentChange,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let order_id = event.order_id;
        let (payment, _) = world.payment_mut(order_id);
        if payment.payment_id.is_none() {
            payment.payment_id = Some(payment_id.clone()); // not told before
        }
        let message_id = String::new();
        let notice = ProviderNotice::Payment { message_id, order_id, payment_id, change };
        self.decided(world, event, &Input::Notice(notice), effects)
    }

    fn decided(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        input: &Input,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        self.rules(event).decide(world, input, effects).map(drop)
    }

    fn action_result(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        result: ActionResult,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let notice = ProviderNotice::Action { order_id: event.order_id, result };
        self.decided(world, event, &Input::Notice(notice), effects)
    }
}

fn named<T: Copy, const N: usize>(all: [T; N], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.into_iter().find(|known| name(*known) == text)
}

fn funds(text: &str) -> Option<DisputedFunds> {
    named(DisputedFunds::ALL, DisputedFunds::as_str, text)
}

/// The provider's code and words, which the reason has in one.
fn parted(detail: &str) -> (String, String) {
    let (code, detail) = detail.split_once(": ").unwrap_or((detail, ""));
    (code.to_owned(), detail.to_owned())
}
