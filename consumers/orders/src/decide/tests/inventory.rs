//! What inventory says, in every state.

use super::*;

#[test]
fn inventory_speaking_of_an_unknown_order_is_a_conflict() {
    let mut desk = Desk::default();
    for (result, said) in [
        desk.stock_rejected(),
        desk.released(None),
        desk.committed(None),
        desk.released(Some(nothing_shipped(ReasonCode::Declined))),
        desk.committed(Some(all_shipped())),
    ] {
        assert!(result.unwrap_err().0.contains("unknown"));
        assert!(said.is_empty());
    }
}

#[test]
fn stock_rejected_fails_a_pending_order_and_cancels_a_cancelling_one() {
    let mut desk = Desk::in_state(State::Pending);
    let failed: OrderFailed = the_only(&desk.stock_rejected().1);
    assert_eq!((failed.charged, failed.reason.code), (0, ReasonCode::OutOfStock));
    let why = Why::Order(ReasonCode::OutOfStock);
    assert_eq!(failed.unshipped, [unshipped("1", 2, why.clone()), unshipped("2", 1, why)]);
    assert_eq!(desk.state(), Some(State::Failed));

    let mut desk = Desk::in_state(State::Cancelling);
    let cancelled: OrderCancelled = the_only(&desk.stock_rejected().1);
    assert_eq!((cancelled.total, cancelled.charged), (2700, 0));
    assert_eq!(desk.state(), Some(State::Cancelled));
}

#[test]
fn what_is_not_inventorys_last_word_changes_nothing() {
    for state in OPEN.into_iter().chain(ENDED) {
        let mut desk = Desk::in_state(state);
        for (result, said) in [desk.released(None), desk.committed(None)] {
            assert_eq!((result, said.len(), desk.state()), (Ok(Reply::Nothing), 0, Some(state)));
        }
    }
}

#[test]
fn closed_with_nothing_shipped_fails_a_pending_order_and_cancels_a_cancelling_one() {
    let mut desk = Desk::in_state(State::Pending);
    let failed: OrderFailed = the_only(&desk.released(Some(nothing_shipped(ReasonCode::Declined))).1);
    assert_eq!((failed.reason, failed.charged), (reason(ReasonCode::Declined), 0));

    let mut desk = Desk::in_state(State::Cancelling);
    let cancelled: OrderCancelled = the_only(&desk.released(Some(nothing_shipped(ReasonCode::Cancelled))).1);
    assert_eq!(cancelled.reason.code, ReasonCode::Cancelled);
    let (order, charged) = (desk.world.order(ID).unwrap(), Some(0));
    assert_eq!(
        (order.state, order.ended_at, order.ending.as_ref().map(|ending| ending.charged)),
        (State::Cancelled, Some(NOW), charged)
    );
}

#[test]
fn an_inventory_that_never_heard_the_lines_leaves_them_to_orders() {
    let mut desk = Desk::in_state(State::Cancelling);
    let tombstone = Closed { shipped: Vec::new(), unshipped: Vec::new(), reason: Some(reason(ReasonCode::Cancelled)) };
    let cancelled: OrderCancelled = the_only(&desk.released(Some(tombstone)).1);
    let why = Why::Order(ReasonCode::Cancelled);
    assert_eq!(cancelled.unshipped, [unshipped("1", 2, why.clone()), unshipped("2", 1, why)]);
}

#[test]
fn closed_with_all_shipped_completes_the_order_in_full() {
    let mut desk = Desk::in_state(State::Pending);
    let completed: OrderCompleted = the_only(&desk.committed(Some(all_shipped())).1);
    assert_eq!((completed.charged, completed.total, &completed.reason), (2700, 2700, &None));
    assert_eq!((completed.cancellation, completed.unshipped.len()), (Cancellation::None, 0));
    assert_eq!(desk.state(), Some(State::Completed));
}

#[test]
fn closed_with_a_part_shipped_charges_the_value_of_that_part() {
    let mut desk = Desk::in_state(State::Pending);
    let short = unshipped("1", 1, Why::Short);
    let part = Closed {
        shipped: vec![shipped("1", 1), shipped("2", 1)],
        unshipped: vec![short.clone()],
        reason: Some(reason(ReasonCode::NothingToShip)),
    };
    let completed: OrderCompleted = the_only(&desk.released(Some(part)).1);
    assert_eq!((completed.charged, completed.unshipped), (1080 + 540, vec![short]));
    assert_eq!(completed.cancellation, Cancellation::None);
}

#[test]
fn a_cancellation_is_met_in_part_or_comes_too_late() {
    let part =
        |why, code| Closed { shipped: vec![shipped("1", 2)], unshipped: vec![unshipped("2", 1, why)], reason: code };
    let cancelled = Some(reason(ReasonCode::Cancelled));
    for (closed, expected) in [
        (all_shipped(), Cancellation::TooLate),
        (part(Why::Recalled, cancelled.clone()), Cancellation::InPart),
        (part(Why::Recalled, None), Cancellation::InPart),
        (part(Why::Order(ReasonCode::Cancelled), cancelled), Cancellation::InPart),
        // What was short before could not have left: nothing was cancelled.
        (part(Why::Short, None), Cancellation::TooLate),
    ] {
        let mut desk = Desk::in_state(State::Cancelling);
        let completed: OrderCompleted = the_only(&desk.committed(Some(closed)).1);
        assert_eq!(completed.cancellation, expected);
        assert_eq!(desk.state(), Some(State::Completed));
    }
}

#[test]
fn an_order_that_ended_hears_nothing_any_more() {
    for state in ENDED {
        let mut desk = Desk::in_state(state);
        for (result, said) in [
            desk.stock_rejected(),
            desk.released(Some(nothing_shipped(ReasonCode::Declined))),
            desk.committed(Some(all_shipped())),
        ] {
            assert_eq!((result, said.len(), desk.state()), (Ok(Reply::Nothing), 0, Some(state)));
        }
    }
}

#[test]
fn a_last_word_that_contradicts_the_lines_changes_nothing() {
    let wrong = [
        Closed { shipped: vec![shipped("3", 1)], unshipped: Vec::new(), reason: None },
        Closed { shipped: vec![shipped("1", 3)], unshipped: Vec::new(), reason: None },
        Closed { shipped: vec![shipped("1", -1)], unshipped: Vec::new(), reason: None },
        Closed { unshipped: vec![unshipped("1", 1, Why::Lost)], ..all_shipped() },
        Closed { shipped: vec![shipped("1", 2)], unshipped: Vec::new(), reason: None },
        Closed {
            shipped: Vec::new(),
            unshipped: vec![unshipped("1", 2, Why::Lost), unshipped("2", 1, Why::Lost)],
            reason: None,
        },
    ];
    for closed in wrong {
        let mut desk = Desk::in_state(State::Pending);
        let (result, said) = desk.committed(Some(closed));
        assert!(result.unwrap_err().0.contains("contradicts its lines"));
        assert_eq!((said.len(), desk.state()), (0, Some(State::Pending)));
    }
}
