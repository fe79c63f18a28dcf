//! What happens at the provider without us: each notice twice, and an older one last, change nothing.

use events::{
    DisputeClosed, DisputeOutcome, FraudWarningReceived, PaymentCaptured, PaymentChangedOutside, PaymentDisputed,
    PaymentRefundFailed, PaymentRefunded, PaymentVoided, RefundCompleted, RefundFailed, RefundRequested,
};
use gateway::{Dispute, DisputeStatus, DisputedFunds, PaymentChange};

use super::refunds::{ask, dispatched, gone_back, id};
use super::*;
use crate::input::AUTHORIZATION;
use crate::refunds::{Asked, RefundReply, RefundState};

fn changed(change: PaymentChange) -> Input {
    let (message_id, payment_id) = ("evt".into(), "pay_1".into());
    Input::Notice(ProviderNotice::Payment { message_id, order_id: ORDER, payment_id, change })
}

fn disputed(amount: i64, status: DisputeStatus, funds: DisputedFunds) -> Input {
    let (dispute_id, reason) = ("du_1".into(), "fraudulent".into());
    let evidence_due_by = (status == DisputeStatus::NeedsResponse).then(|| START.plus(9 * DAY));
    changed(PaymentChange::Disputed(Dispute { dispute_id, status, money: eur(amount), funds, reason, evidence_due_by }))
}

fn refunded_by_hand(status: RefundStatus) -> Input {
    changed(PaymentChange::Refunded { refund_id: "re_9".into(), money: eur(700), status })
}

fn taken_by_hand(amount: i64) -> Input {
    changed(PaymentChange::Captured { money: eur(amount) })
}

fn failed() -> RefundStatus {
    RefundStatus::Failed { detail: "closed account".into() }
}

fn nothing_more(desk: &mut Desk, input: Input) {
    let before = desk.payment().clone();
    let state = desk.state();
    assert_eq!(desk.decide(input.clone()), Ok(Reply::Nothing(state)), "{input:?}");
    assert!(desk.said.is_empty() && desk.calls.is_empty() && desk.dead.is_empty() && *desk.payment() == before);
}

#[test]
fn a_dispute_is_told_as_it_goes_on_and_what_it_withdrew_does_not_go_back_twice() {
    use DisputeStatus::{Inquiry, NeedsResponse, UnderReview, Won};
    use DisputedFunds::{Reinstated, Untouched, Withdrawn};
    let mut desk = Desk::at(State::Captured);
    desk.does(dispatched(1, vec![item(1, "1", 2), item(2, "2", 1)]));
    desk.does(disputed(1_501, Inquiry, Untouched));
    let asked: PaymentDisputed = desk.event();
    assert_eq!((asked.status.as_str(), asked.disputed, asked.evidence_due_by), ("inquiry", 0, None));
    desk.does(disputed(1_501, NeedsResponse, Withdrawn));
    let opened: PaymentDisputed = desk.event();
    assert_eq!((opened.funds.as_str(), opened.disputed, opened.amount), ("withdrawn", 1_501, 1_501));
    assert_eq!(opened.evidence_due_by, Some(START.plus(9 * DAY)));
    for late in [disputed(1_501, NeedsResponse, Withdrawn), disputed(1_501, Inquiry, Untouched)] {
        nothing_more(&mut desk, late);
    }
    let reply = desk.decide(ask(1, Asked::Amount(1))).unwrap();
    assert!(matches!(&reply, Reply::Refund(RefundReply::Refused(no)) if no.left == Some(0)), "{reply:?}");
    desk.does(disputed(1_501, UnderReview, Withdrawn)).does(disputed(1_501, Won, Withdrawn));
    let closed: DisputeClosed = desk.event();
    assert_eq!((closed.outcome, closed.disputed), (DisputeOutcome::Won, 1_501), "its money comes later");
    desk.does(disputed(1_501, Won, Reinstated));
    let closed: DisputeClosed = desk.event();
    assert_eq!((closed.funds.as_str(), closed.disputed, desk.payment().disputed), ("reinstated", 0, 0));
    for late in [disputed(1_501, Won, Withdrawn), disputed(1_501, UnderReview, Withdrawn)] {
        nothing_more(&mut desk, late);
    }
    desk.does(ask(1, Asked::All));
    assert_eq!((desk.called(), desk.state()), (vec!["refund:1".to_owned()], State::Captured));
}

#[test]
fn a_dispute_whose_end_is_heard_of_first_is_told_as_ended_and_an_inquiry_may_become_a_dispute_after_all() {
    let mut desk = Desk::at(State::Refunded);
    desk.does(disputed(1_000, DisputeStatus::Lost, DisputedFunds::Withdrawn));
    assert_eq!((desk.event::<DisputeClosed>().outcome, desk.state()), (DisputeOutcome::Lost, State::Refunded));
    nothing_more(&mut desk, disputed(1_000, DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn));
    let mut desk = Desk::at(State::Captured);
    desk.does(disputed(1_501, DisputeStatus::Closed, DisputedFunds::Untouched));
    desk.does(disputed(1_501, DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn));
    assert_eq!(desk.event::<PaymentDisputed>().disputed, 1_501);
    let euro = Dispute {
        dispute_id: "du_2".into(),
        status: DisputeStatus::NeedsResponse,
        money: Money { amount: 5, currency: Currency::USD },
        funds: DisputedFunds::Withdrawn,
        reason: "fraudulent".into(),
        evidence_due_by: None,
    };
    desk.does(changed(PaymentChange::Disputed(euro.clone())));
    assert_eq!((desk.dead.as_slice(), desk.payment().disputed), (&["payment_disputed".to_owned()][..], 1_501));
    nothing_more(&mut desk, changed(PaymentChange::Disputed(euro)));
}

#[test]
fn the_sagas_refund_gives_back_what_is_left_and_what_is_owed_is_a_persons_case_once_the_money_is_back() {
    let all = || cancelled(vec![given_up(1, "1", 2), given_up(2, "2", 1)]);
    let mut desk = Desk::at(State::Captured);
    desk.does(disputed(1_000, DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn)).does(all());
    assert_eq!(desk.calls[0].request.money, eur(501));
    desk.answers(refunded(501));
    let back: PaymentRefunded = desk.event();
    assert_eq!((back.amount, back.items.len()), (501, 2), "all stock is let go of");
    assert_eq!((desk.payment().refunded, desk.payment().refund_shortfall), (501, 1_000));
    desk.does(disputed(1_000, DisputeStatus::Won, DisputedFunds::Reinstated));
    assert_eq!(desk.dead, ["refund_owed"]);
    desk.does(ask(1, Asked::All));
    assert_eq!(desk.calls[0].request.money, eur(1_000), "though nothing of it has shipped");

    let mut whole = Desk::at(State::Captured);
    whole.does(disputed(1_501, DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn)).does(all());
    let back: PaymentRefunded = whole.event();
    assert_eq!((back.amount, whole.calls.len(), whole.state()), (0, 0, State::Refunded));
    // It was refused, as the dispute came meanwhile: once more, what is left.
    let mut refused = Desk::at(State::Captured);
    refused.does(all()).answers(Outcome::RefundFailed { refund_id: None, detail: "charge_disputed".into() });
    refused.does(disputed(1_500, DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn)).does(retry());
    assert_eq!((refused.called(), refused.calls[0].request.money), (vec!["refund:2".to_owned()], eur(1)));
}

#[test]
fn a_refund_made_at_the_provider_counts_as_one_to_the_customer_until_it_fails() {
    let mut desk = Desk::at(State::Captured);
    desk.does(dispatched(1, vec![item(1, "1", 2), item(2, "2", 1)]));
    nothing_more(&mut desk, refunded_by_hand(failed()));
    desk.does(refunded_by_hand(RefundStatus::Pending));
    let asked: RefundRequested = desk.event();
    assert_eq!((asked.amount, asked.asked.as_str(), asked.requested_by.as_str()), (700, "outside", "sandbox"));
    assert_eq!(asked.provider_refund_id.as_deref(), Some("re_9"));
    assert_eq!((desk.calls.len(), desk.payment().refunds_open), (0, 700), "nothing is asked of the provider");
    nothing_more(&mut desk, refunded_by_hand(RefundStatus::Pending));
    desk.does(refunded_by_hand(RefundStatus::Succeeded));
    let done: RefundCompleted = desk.event();
    assert_eq!((done.amount, done.refunded, desk.payment().refunds_open), (700, 700, 0));
    for late in [RefundStatus::Succeeded, RefundStatus::Pending] {
        nothing_more(&mut desk, refunded_by_hand(late));
    }
    let reply = desk.decide(ask(1, Asked::Amount(802))).unwrap();
    assert!(matches!(&reply, Reply::Refund(RefundReply::Refused(no)) if no.left == Some(801)), "{reply:?}");
    desk.does(refunded_by_hand(failed()));
    assert_eq!((desk.event::<RefundFailed>().amount, desk.payment().refunds_done), (700, 0));
    for late in [failed(), RefundStatus::Succeeded] {
        nothing_more(&mut desk, refunded_by_hand(late));
    }
    assert_eq!(desk.world.refunds().next().unwrap().1.state(), RefundState::Failed);
    // One that is known to be done when it is heard of first.
    let mut other = Desk::at(State::Captured);
    other.does(refunded_by_hand(RefundStatus::Succeeded));
    assert_eq!(other.said(), ["RefundRequested", "RefundCompleted"]);
    other.does(cancelled(vec![given_up(1, "1", 2), given_up(2, "2", 1)]));
    assert_eq!(other.calls[0].request.money, eur(801), "the rest of what does not ship");
}

#[test]
fn money_taken_at_the_provider_pays_for_what_ships() {
    let mut desk = Desk::at(State::Authorized);
    desk.does(taken_by_hand(1_501));
    let told: PaymentChangedOutside = desk.event();
    assert_eq!((told.change.as_str(), told.amount, desk.state()), ("captured", 1_501, State::Authorized));
    assert!(!desk.timers.contains_key(AUTHORIZATION), "it can't run out any more");
    nothing_more(&mut desk, taken_by_hand(1_501));
    desk.does(Input::AuthorizationDue { order_id: ORDER }).does(confirmed());
    assert_eq!(desk.called(), ["capture:1"], "which finds it taken");
    nothing_more(&mut desk, taken_by_hand(1_501));
    desk.answers(captured(1_501));
    assert_eq!((desk.event::<PaymentCaptured>().amount, desk.state()), (1_501, State::Captured));
    nothing_more(&mut desk, taken_by_hand(1_501));
}

#[test]
fn money_taken_at_the_provider_is_given_back_where_the_order_is_undone() {
    for told in [true, false] {
        for undo in [fraud_rejected(), rejected(), cancelled(vec![given_up(1, "1", 2)])] {
            let mut desk = Desk::at(State::Authorized);
            if told {
                desk.does(taken_by_hand(1_501));
            }
            desk.does(undo);
            assert_eq!(desk.called(), ["void:1"]);
            desk.answers(captured(1_501));
            assert_eq!(desk.said(), if told { vec![] } else { vec!["PaymentChangedOutside"] });
            assert_eq!((desk.called(), desk.state()), (vec!["refund:1".to_owned()], State::Voiding));
            desk.does(answer(Operation::Void, 1, captured(1_501)));
            assert!(desk.said.is_empty() && desk.calls.is_empty(), "a look-up that comes late");
            desk.answers(refunded(1_501));
            let voided: PaymentVoided = desk.event();
            assert_eq!((voided.amount, voided.announced, desk.state()), (1_501, true, State::Voided));
            let payment = desk.payment();
            assert_eq!((payment.captured, payment.refunded, payment.voided), (1_501, 1_501, 0));
            nothing_more(&mut desk, taken_by_hand(1_501));
            // Days later.
            desk.does(super::told("m1", failed()));
            assert_eq!((desk.said(), desk.state()), (vec!["PaymentRefundFailed"], State::Voiding));
            desk.does(retry()).answers(Outcome::Refunded { refund_id: "re_2".into(), money: eur(1_501) });
            assert_eq!((desk.said(), desk.payment().refunded), (vec!["PaymentVoided"], 1_501));
        }
    }
}

#[test]
fn where_less_ships_than_was_taken_at_the_provider_a_person_cancels_and_all_goes_back() {
    let mut desk = Desk::at(State::Authorized);
    desk.does(taken_by_hand(1_501)).does(confirmed_of(vec![item(1, "1", 2)])).answers(captured(1_501));
    assert_eq!(desk.dead, ["amount_mismatch"]);
    desk.does(cancelled(vec![given_up(1, "1", 2)]));
    assert_eq!(desk.called(), ["void:1"]);
    desk.answers(captured(1_501)).answers(refunded(1_501));
    assert_eq!((desk.said(), desk.state()), (vec!["PaymentVoided"], State::Voided));
}

#[test]
fn a_refund_that_fails_after_it_succeeded_is_a_persons_case_and_made_anew() {
    let mut desk = Desk::at(State::Refunded);
    desk.does(told("m1", RefundStatus::Succeeded));
    assert!(desk.said.is_empty());
    desk.does(told("m2", failed()));
    let failure: PaymentRefundFailed = desk.event();
    assert!(failure.reason.detail.contains("closed account"), "{}", failure.reason.detail);
    assert_eq!((desk.state(), desk.payment().refunded), (State::Refunding, 0));
    assert!(desk.payment().is_stuck() && desk.dead == ["refund_failed"]);
    nothing_more(&mut desk, told("m3", failed()));
    nothing_more(&mut desk, told("m4", RefundStatus::Succeeded));
    desk.does(retry());
    assert_eq!(desk.called(), ["refund:2"]);
    desk.answers(Outcome::Refunded { refund_id: "re_2".into(), money: eur(501) });
    assert_eq!((desk.event::<PaymentRefunded>().amount, desk.state()), (501, State::Refunded));

    let mut desk = Desk::at(State::Captured);
    desk.does(dispatched(1, vec![item(1, "1", 2), item(2, "2", 1)])).does(ask(1, Asked::Amount(500)));
    let answered = RefundInput::Answer { order_id: ORDER, refund_id: id(1), attempt: 1, outcome: gone_back(1, 500) };
    desk.does(Input::Refund(answered)).does(told("m1", failed()));
    assert_eq!((desk.event::<RefundFailed>().amount, desk.payment().refunds_done), (500, 0));
    desk.does(Input::Refund(RefundInput::Retry { order_id: ORDER, refund_id: id(1), by: "eve".into() }));
    assert_eq!((desk.called(), desk.payment().refunds_open), (vec!["refund:2".to_owned()], 500));
}

#[test]
fn a_fraud_warning_is_told_once() {
    let warned = |warning_id: &str| {
        let (warning_id, reason) = (warning_id.into(), "made_with_stolen_card".into());
        changed(PaymentChange::FraudWarning { warning_id, reason, actionable: true })
    };
    let mut desk = Desk::at(State::Captured);
    desk.does(warned("issfr_1"));
    assert!(desk.event::<FraudWarningReceived>().actionable && desk.dead.is_empty());
    nothing_more(&mut desk, warned("issfr_1"));
    desk.does(warned("issfr_2"));
    assert_eq!(desk.said(), ["FraudWarningReceived"]);
}
