//! docs/protocol.md's tables of payments, cell by cell: each input in each state.

use super::*;

/// What an input does to a payment in this state, in short: `·` nothing, `!` a conflict, else the new state (where it changed) or `remembered`, then
/// what is said, then what the gateway is asked.
fn cell(desk: &mut Desk, input: Input) -> String {
    let before = desk.world.payment(ORDER).cloned().unwrap_or_else(|| Payment::new(ORDER));
    if desk.decide(input).is_err() {
        return "!".into();
    }
    let after = desk.payment().clone();
    let mut words = Vec::new();
    if after.state != before.state {
        words.push(after.state.as_str().to_owned());
    } else if after != before {
        words.push("remembered".into());
    }
    words.extend(desk.said().into_iter().map(ToOwned::to_owned));
    words.extend(desk.called());
    if words.is_empty() { "·".into() } else { words.join(" ") }
}

/// One row of the tables: what the input does in each state, in the order of [`State::ALL`]. Whatever it did, done again it is nothing or refused.
fn row(input: &Input, expected: [&str; 12]) {
    for (state, expected) in State::ALL.into_iter().zip(expected) {
        let mut desk = Desk::at(state);
        assert_eq!(cell(&mut desk, input.clone()), expected, "{input:?} in {state:?}");
        let again = cell(&mut desk, input.clone());
        assert!(again == "·" || again == "!", "{input:?} in {state:?}, again: {again}");
    }
}

const N: &str = "·";
const X: &str = "!";

#[test]
fn stock_reserved_asks_for_the_money_once() {
    row(&reserved(), ["AUTHORIZING authorize:1", N, N, N, N, N, N, N, N, N, N, N]);
}

#[test]
fn an_expired_reservation_gives_up_only_who_waits_for_the_customer() {
    row(&expired(), ["remembered", "remembered", "remembered authorize:1?", N, N, N, N, N, N, N, N, N]);
}

#[test]
fn an_authorization_is_told_once() {
    let input = answer(Operation::Authorize, 1, authorized(1_501));
    let told = "AUTHORIZED PaymentAuthorized";
    row(&input, [X, told, told, N, N, N, N, N, N, N, N, N]);
}

#[test]
fn a_required_action_is_told_once() {
    let input = answer(Operation::Authorize, 1, action_required());
    row(&input, [X, "ACTION_REQUIRED PaymentActionRequired", N, N, N, N, N, N, N, N, N, N]);
}

#[test]
fn a_decline_after_another_answer_is_a_conflict() {
    let input = answer(Operation::Authorize, 1, declined());
    // Looked up while the customer is waited for, it means that they did not confirm.
    row(&input, [X, "DECLINED PaymentDeclined", "VOIDING void:1", X, X, N, X, N, N, N, N, N]);
}

#[test]
fn a_look_up_that_is_late_sees_the_capture_that_we_made_since() {
    let input = answer(Operation::Authorize, 1, captured(1_501));
    let outside = "remembered";
    row(&input, [X, outside, outside, X, N, X, N, N, N, X, X, N]);
}

#[test]
fn a_passed_3ds_is_kept_until_our_own_answer_is_there() {
    row(&passed(), ["remembered", "remembered", "AUTHORIZED PaymentAuthorized", N, N, N, N, N, N, N, N, N]);
}

#[test]
fn a_failed_3ds_voids_only_who_waits_for_it() {
    let contradicts = "remembered";
    row(
        &not_passed(),
        [
            "remembered",
            "remembered",
            "VOIDING void:1",
            contradicts,
            contradicts,
            contradicts,
            contradicts,
            N,
            N,
            N,
            N,
            N,
        ],
    );
}

#[test]
fn fraud_rejected_lets_go_of_what_is_held() {
    row(&fraud_rejected(), [X, X, X, "VOIDING void:1", X, "VOIDING void:1", X, N, N, N, N, N]);
}

#[test]
fn fulfillment_rejected_lets_go_of_what_is_held() {
    row(&rejected(), [X, X, X, "VOIDING void:1", X, "VOIDING void:1", X, N, N, N, N, N]);
}

#[test]
fn fulfillment_confirmed_takes_the_money() {
    row(&confirmed(), [X, X, X, "CAPTURING capture:1", N, N, N, N, N, N, N, N]);
}

#[test]
fn fulfillment_cancelled_lets_go_gives_back_or_is_remembered() {
    let input = cancelled(vec![given_up(2, "2", 1)]);
    let void = "VOIDING void:1";
    let expected =
        ["VOIDED PaymentVoided", "remembered", void, void, "remembered", void, "REFUNDING refund:1", N, N, N, N, N];
    row(&input, expected);
}

#[test]
fn the_end_of_the_hold_lapses_only_what_is_held() {
    for state in State::ALL {
        let mut desk = Desk::at(state);
        desk.now = START.plus(8 * DAY);
        let expected = if state == State::Authorized { "LAPSED PaymentCaptureFailed" } else { N };
        if state == State::New {
            desk.does(Input::AuthorizationDue { order_id: ORDER });
            assert!(desk.said.is_empty() && desk.state() == State::New);
            continue;
        }
        assert_eq!(cell(&mut desk, Input::AuthorizationDue { order_id: ORDER }), expected, "in {state:?}");
    }
}

#[test]
fn a_capture_is_told_always_and_contradicts_a_failed_one() {
    let input = answer(Operation::Capture, 1, captured(1_501));
    // Declined: there never was a capture, so there can't be an answer to one.
    row(&input, [X, X, X, X, "CAPTURED PaymentCaptured", X, N, N, N, X, N, N]);
}

#[test]
fn a_failed_capture_lapses_and_contradicts_a_capture() {
    let input = answer(Operation::Capture, 1, Outcome::CaptureFailed { code: "no".into(), detail: "no".into() });
    row(&input, [X, X, X, X, "LAPSED PaymentCaptureFailed", N, X, N, N, X, N, N]);
}

#[test]
fn a_void_is_told_once() {
    let input = answer(Operation::Void, 1, Outcome::Voided { money: eur(1_501) });
    // In the states without a void there can't be an answer to one.
    row(&input, [X, X, X, X, X, X, X, "VOIDED PaymentVoided", X, X, N, X]);
}

#[test]
fn a_failed_void_waits_for_the_next_attempt() {
    let input = answer(Operation::Void, 1, Outcome::VoidFailed { detail: "no".into() });
    row(&input, [X, X, X, X, X, X, X, "remembered", X, X, N, X]);
}

#[test]
fn a_refund_is_told_once() {
    let input = answer(Operation::Refund, 1, refunded(501));
    row(&input, [X, X, X, X, X, X, X, X, "REFUNDED PaymentRefunded", X, X, N]);
}

#[test]
fn a_pending_refund_is_waited_for() {
    let input = answer(Operation::Refund, 1, pending(501));
    row(&input, [X, X, X, X, X, X, X, X, "remembered", X, X, N]);
}

#[test]
fn a_failed_refund_is_stuck_and_told_to_people() {
    let input =
        answer(Operation::Refund, 1, Outcome::RefundFailed { refund_id: Some("re_1".into()), detail: "no".into() });
    row(&input, [X, X, X, X, X, X, X, X, "remembered PaymentRefundFailed", X, X, N]);
    let mut desk = Desk::at(State::Refunding);
    desk.does(input);
    assert!(desk.payment().is_stuck());
    assert_eq!(desk.dead, ["refund_failed"]);
    assert!(desk.timers.is_empty(), "{:?}", desk.timers);
}

#[test]
fn a_person_retries_only_what_is_stuck() {
    for state in State::ALL {
        let mut desk = Desk::at(state);
        let expected = if state == State::New { Reply::Unknown } else { Reply::NotStuck(state) };
        assert_eq!(desk.decide(retry()), Ok(expected), "in {state:?}");
        assert!(desk.calls.is_empty());
    }
}

#[test]
fn an_answer_to_another_operation_than_was_asked_is_a_conflict() {
    for (state, operation, outcome) in [
        (State::Authorizing, Operation::Authorize, refunded(501)),
        (State::Capturing, Operation::Capture, authorized(1_501)),
        (State::Voiding, Operation::Void, refunded(501)),
        (State::Refunding, Operation::Refund, Outcome::Voided { money: eur(1_501) }),
        (State::Captured, Operation::Capture, refunded(501)),
    ] {
        assert!(Desk::at(state).decide(answer(operation, 1, outcome)).is_err(), "{operation} in {state:?}");
        assert!(
            Desk::at(state).decide(answer(operation, 2, Outcome::NotFound)).is_err(),
            "{operation}:2 was never made"
        );
    }
}

#[test]
fn a_timer_of_another_version_does_nothing() {
    for state in State::ALL.into_iter().skip(1) {
        assert_eq!(cell(&mut Desk::at(state), Input::UnknownTimer { order_id: ORDER }), N);
    }
}

#[test]
fn flags_turn_the_answer_round() {
    let stopped = |state| {
        let mut desk = Desk::at(state);
        desk.does(cancelled(vec![]));
        desk
    };
    for outcome in [authorized(1_501), action_required()] {
        let input = answer(Operation::Authorize, 1, outcome);
        assert_eq!(cell(&mut stopped(State::Authorizing), input), "VOIDING void:1");
    }
    let declined = answer(Operation::Authorize, 1, declined());
    assert_eq!(cell(&mut stopped(State::Authorizing), declined), "DECLINED PaymentDeclined");
    let mut late = Desk::at(State::Authorizing);
    late.does(expired());
    assert_eq!(cell(&mut late, answer(Operation::Authorize, 1, authorized(1_501))), "AUTHORIZED PaymentAuthorized");
    let mut late = Desk::at(State::Authorizing);
    late.does(expired());
    assert_eq!(cell(&mut late, answer(Operation::Authorize, 1, action_required())), "VOIDING void:1");

    let mut stopped = Desk::at(State::Capturing);
    stopped.does(cancelled(vec![given_up(2, "2", 1)]));
    let mut failed = Desk { world: stopped.world.clone(), ..Desk::new() };
    assert_eq!(
        cell(&mut stopped, answer(Operation::Capture, 1, captured(1_501))),
        "REFUNDING PaymentCaptured refund:1"
    );
    let failure = Outcome::CaptureFailed { code: "no".into(), detail: "no".into() };
    assert_eq!(cell(&mut failed, answer(Operation::Capture, 1, failure)), "VOIDING void:1");
}

#[test]
fn what_was_kept_counts_with_our_own_answer() {
    for input in [passed(), not_passed()] {
        let mut early = Desk::new();
        early.does(input.clone());
        early.does(reserved());
        let mut overtaken = Desk::at(State::Authorizing);
        overtaken.does(input.clone());
        let expected = if input == passed() { "AUTHORIZED PaymentAuthorized" } else { "VOIDING void:1" };
        for desk in [&mut early, &mut overtaken] {
            assert_eq!(cell(desk, answer(Operation::Authorize, 1, action_required())), expected);
        }
    }
}

#[test]
fn an_expiry_before_anything_else_is_remembered() {
    let mut desk = Desk::new();
    desk.does(expired()).does(reserved());
    assert_eq!(cell(&mut desk, answer(Operation::Authorize, 1, action_required())), "VOIDING void:1");
    assert_eq!(desk.payment().case.undoing.as_ref().unwrap().reason.code, ReasonCode::ReservationExpired);
}
