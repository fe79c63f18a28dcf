//! The built-in warehouse: what each default rule provokes, and that it is asked again until it answers.

use std::time::Duration;

use events::{FulfillmentCancelled, FulfillmentConfirmed, FulfillmentShortPicked, ShipmentDispatched, Why};
use runtime::{Consumer, Span};

use super::house::{Decided, House, cleared, order_id};
use crate::Fulfillment;
use crate::row::State;
use crate::settings::Settings;

fn begin(settings: Settings, sku: &str, units: i64) -> (House, Decided) {
    let mut house = House::with(settings);
    let decided = house.hear(cleared(&[(sku, "BER", units)])).unwrap();
    (house, decided)
}

fn release(house: &mut House) -> Decided {
    let captured = house.captured();
    house.hear(captured).unwrap()
}

#[test]
fn it_picks_and_hands_over_by_itself_and_is_waited_for_by_no_timer() {
    let (mut house, picked) = begin(Settings::demo(), "plain", 2);
    assert_eq!((picked.names(), picked.timers()), (vec!["FulfillmentConfirmed"], 0));
    let left = release(&mut house);
    assert_eq!(left.timers(), 0);
    let dispatched: ShipmentDispatched = left.event();
    assert_eq!(dispatched.carrier, "built-in");
    assert!(dispatched.tracking.is_some_and(|tracking| tracking.starts_with("QD")));
    assert_eq!(house.order().state, State::Closed);
}

#[test]
fn two_shipments_are_confirmed_once_and_leave_one_by_one() {
    let mut house = House::with(Settings::demo());
    let picked = house.hear(cleared(&[("a", "BER", 2), ("b", "HAM", 1)])).unwrap();
    assert_eq!(picked.event::<FulfillmentConfirmed>().shipments.len(), 2);
    assert_eq!(release(&mut house).names(), ["ShipmentDispatched", "ShipmentDispatched"]);
}

#[test]
fn a_short_sku_lacks_one_unit_and_its_replacement_does_not() {
    let (mut house, picked) = begin(Settings::demo(), "SHORT-1", 3);
    assert_eq!(picked.event::<FulfillmentShortPicked>().short[0].quantity, 1);
    let confirmed: FulfillmentConfirmed = house.reallocate(0, &[("SHORT-1", "HAM", 1)]).unwrap().event();
    assert_eq!(confirmed.shipments.iter().map(|shipment| shipment.items[0].quantity).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn refused_and_gone_skus_are_given_up_by_every_warehouse_that_their_rule_names() {
    for (sku, why) in [("REFUSE-1", Why::Refused), ("NEVER-1", Why::Refused), ("GONE-1", Why::Short)] {
        let (mut house, picked) = begin(Settings::demo(), sku, 2);
        let short: FulfillmentShortPicked = picked.event();
        assert_eq!((short.short[0].quantity, &short.short[0].why), (2, &why), "{sku}");
        let again = house.reallocate(0, &[(sku, "HAM", 2)]).unwrap();
        let expected = if sku == "REFUSE-1" { "FulfillmentConfirmed" } else { "FulfillmentShortPicked" };
        assert_eq!(again.names(), [expected], "{sku}");
    }
}

#[test]
fn a_late_sku_is_asked_for_again_until_the_deadline_decides() {
    let (mut house, picked) = begin(Settings::demo(), "LATE-1", 1);
    assert_eq!((picked.names().len(), picked.armed()), (0, 1));
    house.now = house.now.plus(Duration::from_secs(10));
    let again = house.pick_due(0).unwrap();
    assert_eq!((again.names().len(), again.armed(), again.changed), (0, 1, false));
    house.settings(|settings| settings.behaviour.clear());
    assert_eq!(house.clone().pick_due(0).unwrap().names(), ["FulfillmentConfirmed"]);
    house.settings(|settings| *settings = Settings::demo());
    house.now = house.now.plus(Duration::from_secs(24 * 3_600));
    assert_eq!(house.pick_due(0).unwrap().event::<FulfillmentShortPicked>().short[0].why, Why::Late);
}

#[test]
fn a_damaged_or_lost_parcel_is_given_up_after_the_capture() {
    for (sku, why) in [("DAMAGED-1", Why::Damaged), ("LOST-1", Why::Lost)] {
        let (mut house, _) = begin(Settings::demo(), sku, 1);
        let cancelled: FulfillmentCancelled = release(&mut house).event();
        assert_eq!(cancelled.items[0].why, why);
        assert_eq!(house.order().state, State::Closed);
    }
}

#[test]
fn a_held_parcel_honours_a_recall_and_a_rushed_one_has_left() {
    for (sku, end) in [("HOLD-1", "FulfillmentCancelled"), ("RUSH-1", "ShipmentDispatched")] {
        let (mut house, _) = begin(Settings::demo(), sku, 1);
        let held = release(&mut house);
        assert_eq!((held.names().len(), held.armed()), (0, 1), "it is asked again");
        let again = house.hand_over_due().unwrap();
        assert_eq!((again.names().len(), again.armed()), (0, 1), "and again");
        assert_eq!(house.cancel().unwrap().names(), [end], "{sku}");
        house.means_nothing(crate::Input::HandOverDue(order_id())); // its timer fires once more
    }
}

#[test]
fn with_delays_the_timers_ask() {
    let settings = Settings { pick_delay: Span::secs(5), hand_over_delay: Span::secs(7), ..Settings::demo() };
    let (mut house, begun) = begin(settings, "plain", 1);
    assert_eq!((begun.names().len(), begun.armed()), (0, 1));
    house.now = house.now.plus(Duration::from_secs(5));
    assert_eq!(house.pick_due(0).unwrap().names(), ["FulfillmentConfirmed"]);
    let captured = release(&mut house);
    assert_eq!((captured.names().len(), captured.armed()), (0, 1));
    house.now = house.now.plus(Duration::from_secs(7));
    assert_eq!(house.hand_over_due().unwrap().names(), ["ShipmentDispatched"]);
}

#[test]
fn a_timer_of_ours_comes_back_as_what_it_was_armed_for() {
    let mut house = House::external();
    house.hear(cleared(&[("a", "BER", 1)])).unwrap();
    let shipment_id = house.order().parcels[0].shipment_id;
    let timer = |kind: &str, discriminator: &str| runtime::Timer {
        order_id: order_id(),
        kind: kind.into(),
        discriminator: discriminator.into(),
        due: house.now,
    };
    let consumer = Fulfillment::new(Settings::demo());
    assert!(
        matches!(consumer.on_timer(&timer(crate::input::PICK, &shipment_id.to_string())), crate::Input::PickDue(_, id) if id == shipment_id)
    );
    assert!(matches!(consumer.on_timer(&timer(crate::input::HAND_OVER, "")), crate::Input::HandOverDue(_)));
    assert!(matches!(consumer.on_timer(&timer("nap", "")), crate::Input::UnknownTimer(_)));
}
