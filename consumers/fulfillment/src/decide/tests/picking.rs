//! FraudCleared, picking, shortages and their answers.

use std::time::Duration;

use events::{Condition, FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked, ShipmentId, Why};

use super::house::{self, House, all, cleared, order_id, some};
use crate::input::{Answer, Reply};
use crate::parcel::{ParcelState, Shortage};
use crate::row::{NextStep, State};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn fraud_cleared_sends_one_picking_list_to_each_warehouse() {
    let mut house = House::external();
    let decided = house.hear(cleared(&[("a", "BER", 2), ("b", "HAM", 1), ("c", "BER", 1)])).unwrap();
    assert!(decided.names().is_empty() && decided.calls.is_empty());
    let order = house.order();
    assert_eq!(order.state, State::Picking);
    let lists: Vec<_> = order.parcels.iter().map(|parcel| (parcel.warehouse.as_str(), parcel.picks.len())).collect();
    assert_eq!(lists, [("BER", 2), ("HAM", 1)]);
    assert_eq!(decided.armed(), 2);
    assert!(order.parcels.iter().all(|parcel| parcel.state == ParcelState::Picking));
}

#[test]
fn picking_lists_are_in_walking_order_and_what_has_no_place_is_last() {
    let mut house = House::external();
    let mut plan = house::plan(&[("a", "BER", 1), ("b", "BER", 1), ("c", "BER", 1), ("d", "BER", 1)]);
    for (allocation, (aisle, bin)) in plan.iter_mut().zip([("", ""), ("A10", "1"), ("A2", "12"), ("A2", "3")]) {
        allocation.aisle = Some(aisle.to_owned()).filter(|it| !it.is_empty());
        allocation.bin = Some(bin.to_owned()).filter(|it| !it.is_empty());
    }
    house.hear(house::cleared_with(plan)).unwrap();
    let bins: Vec<_> =
        house.order().parcels[0].picks.iter().map(|pick| (pick.aisle.as_deref(), pick.bin.as_deref())).collect();
    assert_eq!(bins, [(Some("A2"), Some("3")), (Some("A2"), Some("12")), (Some("A10"), Some("1")), (None, None)]);
}

#[test]
fn an_order_without_a_plan_is_refused() {
    let mut house = House::external();
    let decided = house.hear(cleared(&[])).unwrap();
    assert_eq!(decided.event::<FulfillmentRejected>().reason.code.as_str(), "nothing_to_ship");
    assert_eq!(house.order().state, State::Closed);
}

#[test]
fn an_order_to_a_refused_country_is_refused_and_the_reason_names_the_country_alone() {
    let mut house = House::external();
    house.settings(|settings| settings.refused_countries = vec!["AQ".to_owned()]);
    let decided = house.hear(house::cleared_to("AQ")).unwrap();
    assert_eq!(
        decided.event::<FulfillmentRejected>().reason.detail,
        "nothing is shipped to AQ: it is one of the refused countries"
    );
    let mut house = House::external();
    house.settings(|settings| settings.refused_countries = vec!["AQ".to_owned()]);
    assert!(house.hear(house::cleared_to("DE")).unwrap().names().is_empty());
    assert_eq!(house.order().state, State::Picking);
}

#[test]
fn fraud_cleared_again_means_nothing_in_any_state() {
    for mut house in House::in_every_state() {
        house.means_nothing(cleared(&[("a", "BER", 2), ("b", "HAM", 1)]));
    }
}

#[test]
fn picking_must_fit_into_the_authorization() {
    let pick_by = |left: Duration| {
        let mut house = House::external();
        house.capture_before = house.now.plus(left);
        let input = house.cleared(&[("a", "BER", 1)]);
        house.hear(input).unwrap();
        house.order().parcels[0].pick_by.since(house.now)
    };
    assert_eq!(pick_by(100 * HOUR), 24 * HOUR, "the setting");
    assert_eq!(pick_by(5 * HOUR), 4 * HOUR, "the authorization without its margin");
    assert_eq!(pick_by(HOUR / 2), HOUR / 2, "no time for a margin");
}

#[test]
fn the_last_picked_shipment_confirms_what_all_have_packed() {
    let mut house = House::picking();
    assert!(house.answer(0, all()).unwrap().names().is_empty());
    let confirmed: FulfillmentConfirmed = house.answer(1, all()).unwrap().event();
    assert_eq!(confirmed.shipments.len(), 2);
    assert_eq!(confirmed.shipments[0].items[0].quantity, 2);
    assert_eq!(house.order().state, State::Confirmed);
}

#[test]
fn a_short_pick_is_asked_of_inventory_and_keeps_the_order_in_picking() {
    let mut house = House::picking();
    let short: FulfillmentShortPicked = house.answer(0, some(&[("a", 1)], Why::Short)).unwrap().event();
    assert_eq!(
        (short.short[0].quantity, &short.short[0].why, &short.short[0].condition),
        (1, &Why::Short, &Condition::Gone)
    );
    assert_eq!(short.tried, [events::WarehouseId::from("BER")]);
    assert!(house.answer(1, all()).unwrap().names().is_empty(), "a shortage is open");
    assert_eq!(house.order().parcels[0].state, ParcelState::Packed);
    assert_eq!(house.order().state, State::Picking);
}

#[test]
fn a_warehouse_that_refuses_is_replaced_by_another_with_its_goods_intact() {
    let mut house = House::picking();
    let short: FulfillmentShortPicked = house.answer(0, some(&[], Why::Refused)).unwrap().event();
    assert_eq!((short.short[0].quantity, &short.short[0].condition), (2, &Condition::Intact));
    house.answer(1, all()).unwrap();
    assert!(house.reallocate(0, &[("a", "MUC", 2)]).unwrap().names().is_empty(), "the replacement is being picked");
    assert_eq!(house.order().parcels[2].warehouse.as_str(), "MUC");
    let confirmed: FulfillmentConfirmed = house.answer(2, all()).unwrap().event();
    let from: Vec<_> = confirmed.shipments.iter().map(|shipment| shipment.warehouse.as_str()).collect();
    assert_eq!(from, ["HAM", "MUC"]);
}

#[test]
fn a_replacement_that_is_short_too_names_every_warehouse_that_was_tried() {
    let mut house = House::picking();
    house.answer(0, some(&[], Why::Short)).unwrap();
    house.reallocate(0, &[("a", "MUC", 2)]).unwrap();
    let short: FulfillmentShortPicked = house.answer(2, some(&[], Why::Short)).unwrap().event();
    let tried: Vec<_> = short.tried.iter().map(events::WarehouseId::as_str).collect();
    assert_eq!(tried, ["BER", "MUC"]);
}

#[test]
fn what_is_found_nowhere_is_left_out_and_the_rest_is_confirmed() {
    let mut house = House::picking();
    house.answer(0, some(&[("a", 1)], Why::Short)).unwrap();
    house.answer(1, all()).unwrap();
    let confirmed: FulfillmentConfirmed = house.reallocate(0, &[]).unwrap().event();
    assert_eq!(confirmed.shipments[0].items[0].quantity, 1);
}

#[test]
fn an_order_of_which_nothing_is_found_is_refused() {
    let mut house = House::picking();
    house.answer(0, some(&[], Why::Short)).unwrap();
    house.answer(1, some(&[], Why::Short)).unwrap();
    assert!(house.reallocate(0, &[]).unwrap().names().is_empty());
    assert_eq!(
        house.reallocate(1, &[]).unwrap().event::<FulfillmentRejected>().reason.code.as_str(),
        "nothing_to_ship"
    );
    assert_eq!(house.order().state, State::Closed);
}

#[test]
fn a_shortage_is_answered_once_and_an_old_answer_is_not_taken_for_the_new_one() {
    let mut house = House::picking();
    house.answer(0, some(&[], Why::Short)).unwrap();
    house.reallocate(0, &[("a", "MUC", 2)]).unwrap();
    house.answer(2, some(&[], Why::Short)).unwrap();
    assert!(house.reallocate(0, &[("a", "MUC", 2)]).unwrap().names().is_empty());
    assert_eq!(house.order().parcels.len(), 3);
    assert_eq!(house.order().parcels[2].shortage, Shortage::Asked, "the new one is still open");
}

#[test]
fn stock_reallocated_means_nothing_once_picking_is_over_and_contradicts_where_nothing_was_short() {
    for mut house in House::in_every_state() {
        match house.order().state {
            State::Picking => assert!(house.reallocate(0, &[]).is_err()),
            State::Confirmed | State::Released | State::Closed => {
                assert!(house.reallocate(0, &[]).unwrap().names().is_empty())
            }
        }
    }
    assert!(House::external().hear(house::reallocated(ShipmentId(order_id().0), &[])).is_err(), "no row");
}

#[test]
fn a_warehouse_that_is_late_has_picked_nothing_and_puts_back_what_it_picks_after_all() {
    let mut house = House::picking();
    house.now = house.now.plus(24 * HOUR);
    let short: FulfillmentShortPicked = house.pick_due(0).unwrap().event();
    assert_eq!((&short.short[0].why, &short.short[0].condition), (&Why::Late, &Condition::Intact));
    let late = house.answer(0, all()).unwrap();
    assert!(late.names().is_empty());
    assert_eq!(late.reply, Reply::Shipment(ParcelState::Dropped, NextStep::PutBack));
    assert_eq!(
        house.answer(0, Answer::PutBack).unwrap().reply,
        Reply::Shipment(ParcelState::Dropped, NextStep::Nothing)
    );
}

#[test]
fn a_pick_timer_that_fires_after_its_order_moved_on_does_nothing() {
    for mut house in House::in_every_state() {
        house.now = house.now.plus(100 * HOUR);
        if house.order().state != State::Picking && !house.order().parcels.is_empty() {
            let decided = house.pick_due(0).unwrap();
            assert!(decided.names().is_empty() && !decided.changed);
        }
    }
    assert!(House::external().hear(house::pick_due_of(ShipmentId(order_id().0))).unwrap().names().is_empty(), "no row");
}

#[test]
fn the_first_answer_to_a_picking_list_counts() {
    let mut house = House::picking();
    house.answer(0, some(&[("a", 1)], Why::Short)).unwrap();
    let again = house.answer(0, all()).unwrap();
    assert!(again.names().is_empty() && !again.changed);
    assert_eq!(again.reply, Reply::Shipment(ParcelState::Packed, NextStep::Wait));
}

#[test]
fn picked_means_nothing_after_picking_and_is_unknown_without_a_row() {
    for mut house in House::in_every_state() {
        if house.order().state != State::Picking && !house.order().parcels.is_empty() {
            assert!(house.answer(0, all()).unwrap().names().is_empty());
        }
    }
    assert_eq!(House::external().hear(house::answered(ShipmentId(order_id().0), all())).unwrap().reply, Reply::Nothing);
}

#[test]
fn an_answer_with_units_that_are_not_on_the_list_is_refused_and_changes_nothing() {
    for wrong in [
        some(&[("a", 3)], Why::Short),
        some(&[("b", 1)], Why::Short),
        some(&[("a", 1), ("a", 1)], Why::Short),
        some(&[("a", -1)], Why::Short),
    ] {
        let mut house = House::picking();
        let before = house.order().clone();
        assert!(house.answer(0, wrong).is_err());
        assert_eq!(*house.order(), before);
    }
}
