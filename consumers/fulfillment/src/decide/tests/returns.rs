//! Returns: what may come back, once, and how each ends.

use std::time::Duration;

use events::{ReturnAnnounced, ReturnId, ReturnReceived, ReturnRefused};
use proptest::collection::vec;
use proptest::prelude::*;
use runtime::Span;
use uuid::Uuid;

use super::house::{House, left, order_id};
use crate::input::{Input, Reply};
use crate::returns::{CustomerReturn, ReceivedUnits, ReturnInput, ReturnReply, ReturnState};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn id(number: u128) -> ReturnId {
    ReturnId(Uuid::from_u128(number))
}

fn announce(number: u128, units: &[(&str, i64)]) -> Input {
    Input::Return(ReturnInput::Announce {
        order_id: order_id(),
        return_id: id(number),
        units: units.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect(),
        refund: true,
        reason: "too small".into(),
        requested_by: "eve".into(),
    })
}

fn receive(number: u128, units: &[(&str, i64, i64)], warehouse: Option<&str>) -> Input {
    let came = units.iter().map(|(sku, intact, damaged)| {
        let (sku, intact, damaged) = ((*sku).to_owned(), *intact, *damaged);
        ReceivedUnits { sku, intact, damaged }
    });
    Input::Return(ReturnInput::Receive {
        order_id: order_id(),
        return_id: id(number),
        units: came.collect(),
        warehouse: warehouse.map(Into::into),
        received_by: "hall".into(),
    })
}

fn refuse(number: u128, reason: &str) -> Input {
    let (reason, refused_by) = (reason.to_owned(), "eve".to_owned());
    Input::Return(ReturnInput::Refuse { order_id: order_id(), return_id: id(number), reason, refused_by })
}

fn patient(mut house: House) -> House {
    house.settings(|settings| settings.returnable_for = Span(5_000 * DAY)); // the order's id is an old one
    house
}

/// Two units of a left from BER, one of b from HAM.
fn shipped() -> House {
    patient(House::closed())
}

/// What was replied, and the names of what was said.
fn ask(house: &mut House, input: Input) -> (ReturnReply, Vec<String>) {
    let decided = house.hear(input).unwrap();
    let Reply::Return(reply) = decided.reply.clone() else { panic!("{:?}", decided.reply) };
    let is_new = matches!(reply, ReturnReply::Done { replayed: false, .. });
    assert_eq!(decided.changed, is_new, "the order's version guards each change: {reply:?}");
    assert_eq!(is_new, !decided.names().is_empty(), "what changes is told, once: {reply:?}");
    (reply, decided.names().into_iter().map(ToOwned::to_owned).collect())
}

fn done(house: &mut House, input: Input) -> CustomerReturn {
    let (reply, _) = ask(house, input);
    let ReturnReply::Done { returned, .. } = reply else { panic!("{reply:?}") };
    *returned
}

#[test]
fn a_return_is_announced_received_in_part_and_told_with_where_its_units_are() {
    let mut house = shipped();
    let announced: ReturnAnnounced = house.hear(announce(1, &[("a", 2), ("b", 1)])).unwrap().event();
    let from: Vec<_> =
        announced.lines.iter().map(|line| (line.sku.as_str(), line.quantity, line.warehouse.as_str())).collect();
    assert_eq!(from, [("a", 2, "BER"), ("b", 1, "HAM")]);
    assert!(announced.refund && announced.requested_by == "eve");
    let received: ReturnReceived = house.hear(receive(1, &[("a", 1, 1)], None)).unwrap().event();
    let came: Vec<_> = received
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.intact, line.damaged, line.warehouse.as_str()))
        .collect();
    assert_eq!(came, [("a", 1, 1, "BER")], "what did not come is not there");
    assert_eq!((received.reason.as_str(), received.received_by.as_str()), ("too small", "hall"));
    // What did not come may be announced again, and be received elsewhere.
    assert_eq!(done(&mut house, announce(2, &[("b", 1)])).state(), ReturnState::Announced);
    let received: ReturnReceived = house.hear(receive(2, &[("b", 1, 0)], Some("CGN"))).unwrap().event();
    assert_eq!(received.lines[0].warehouse.as_str(), "CGN");
    assert!(matches!(ask(&mut house, announce(3, &[("a", 1)])).0, ReturnReply::TooMuch(_)), "all of it is back");
}

#[test]
fn whatever_is_asked_again_changes_nothing_and_with_another_body_it_is_refused() {
    let mut house = shipped();
    let first = done(&mut house, announce(1, &[("a", 1)]));
    assert_eq!(done(&mut house, announce(1, &[("a", 1)])), first);
    for other in [announce(1, &[("a", 2)]), announce(1, &[("b", 1)]), announce(1, &[("a", 1), ("b", 1)])] {
        assert_eq!(ask(&mut house, other).0, ReturnReply::Differs(ReturnState::Announced));
    }
    let received = done(&mut house, receive(1, &[("a", 0, 1)], None));
    assert_eq!(done(&mut house, receive(1, &[("a", 0, 1)], None)), received);
    assert_eq!(done(&mut house, announce(1, &[("a", 1)])), received, "its key is known for ever");
    for other in [receive(1, &[("a", 1, 0)], None), receive(1, &[("a", 0, 1)], Some("CGN"))] {
        assert_eq!(ask(&mut house, other).0, ReturnReply::Differs(ReturnState::Received));
    }
    assert_eq!(ask(&mut house, refuse(1, "worn")).0, ReturnReply::Ended(ReturnState::Received));
    done(&mut house, announce(2, &[("b", 1)]));
    let refused: ReturnRefused = house.hear(refuse(2, "worn")).unwrap().event();
    assert_eq!((refused.reason.as_str(), refused.refused_by.as_str()), ("worn", "eve"));
    assert_eq!(ask(&mut house, refuse(2, "worn")).1, [""; 0]);
    assert_eq!(ask(&mut house, refuse(2, "late")).0, ReturnReply::Differs(ReturnState::Refused));
    assert_eq!(ask(&mut house, receive(2, &[("b", 1, 0)], None)).0, ReturnReply::Ended(ReturnState::Refused));
    done(&mut house, announce(3, &[("b", 1)])); // what was refused is with the customer
}

#[test]
fn what_can_not_come_back_is_refused_and_says_what_was_expected_and_what_came() {
    let mut house = shipped();
    done(&mut house, announce(9, &[("a", 1)]));
    for (input, says) in [
        (announce(1, &[("a", 2)]), "at most 1 units of a, which shipped and are in no other return, got 2"),
        (announce(1, &[("c", 1)]), "expected SKUs of the order that have shipped (a, b), got \"c\""),
        (announce(1, &[("a", 0)]), "got 0"),
        (announce(1, &[]), "at least one unit"),
        (receive(9, &[("a", 1, 1)], None), "at most 1 units of a, as announced"),
        (receive(9, &[("b", 1, 0)], None), "at most 0 units of b"),
        (receive(9, &[("a", -1, 1)], None), "got -1 intact"),
        (receive(9, &[("a", 0, 0)], None), "refuse the return if nothing did"),
    ] {
        let (reply, _) = ask(&mut house, input.clone());
        let (ReturnReply::Invalid(detail) | ReturnReply::TooMuch(detail)) = reply else {
            panic!("{input:?}: {reply:?}")
        };
        assert!(detail.contains(says), "{input:?}: {detail}");
    }
    for input in [receive(1, &[("a", 1, 0)], None), refuse(1, "worn")] {
        assert_eq!(ask(&mut house, input).0, ReturnReply::Unknown);
    }
}

#[test]
fn only_what_left_can_come_back_in_whatever_state_its_order_is() {
    for house in House::in_every_state() {
        let mut house = patient(house);
        let has_left = house.order().units_dispatched() > 0;
        let (reply, _) = ask(&mut house, announce(1, &[("a", 1)]));
        assert_eq!(matches!(reply, ReturnReply::Done { .. }), has_left, "{reply:?}");
    }
    let mut house = patient(House::released());
    house.answer(0, left()).unwrap();
    done(&mut house, announce(1, &[("a", 2)]));
    assert!(matches!(ask(&mut house, announce(2, &[("b", 1)])).0, ReturnReply::Invalid(_)), "b stands in the house");
    house.answer(1, left()).unwrap();
    done(&mut house, announce(3, &[("b", 1)]));
    assert_eq!(ask(&mut patient(House::external()), announce(1, &[("a", 1)])).0, ReturnReply::Unknown);
}

#[test]
fn an_old_order_is_not_returned_any_more_and_what_is_on_its_way_has_a_month() {
    let mut house = shipped();
    done(&mut house, announce(1, &[("a", 1)]));
    done(&mut house, announce(2, &[("b", 1)]));
    let age = house.now.since(order_id().minted_at().unwrap());
    house.settings(|settings| settings.returnable_for = Span(age));
    house.now = house.now.plus(29 * DAY);
    assert!(matches!(ask(&mut house, announce(3, &[("a", 1)])).0, ReturnReply::TooOld(_)));
    assert_eq!(done(&mut house, receive(1, &[("a", 1, 0)], None)).state(), ReturnState::Received);
    house.now = house.now.plus(2 * DAY);
    assert!(matches!(ask(&mut house, receive(2, &[("b", 1, 0)], None)).0, ReturnReply::TooOld(_)));
    assert_eq!(done(&mut house, refuse(2, "late")).state(), ReturnState::Refused);
    assert_eq!(done(&mut house, receive(1, &[("a", 1, 0)], None)).state(), ReturnState::Received, "it was received");
}

/// An act of a sequence: what is asked, of which return, and how many units.
fn acts() -> impl Strategy<Value = Vec<(u8, u128, i64, i64)>> {
    vec((0..3_u8, 0..6_u128, 0..3_i64, 0..3_i64), 1..30)
}

proptest! {
    #[test]
    fn no_sequence_of_returns_brings_more_back_than_left(acts in acts()) {
        let mut house = shipped();
        for (act, number, some, more) in acts {
            let input = match act {
                0 => announce(number, &[("a", some), ("b", more)]),
                1 => receive(number, &[("a", some, more), ("b", more.min(1), 0)], None),
                _ => refuse(number, "worn"),
            };
            ask(&mut house, input);
            for (sku, shipped) in [("a", 2), ("b", 1)] {
                let taken = house.world.returns().flat_map(|(_, returned)| returned.taken());
                let units: i64 = taken.filter(|(line, _)| line.sku.as_str() == sku).map(|(_, units)| units).sum();
                prop_assert!(units <= shipped, "{units} of {sku}");
            }
        }
    }
}
