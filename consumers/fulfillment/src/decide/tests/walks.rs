//! Random walks of one order with a hostile warehouse, every input again at any later time: what must hold in every one of them.

use std::collections::BTreeMap;
use std::time::Duration;

use events::{
    AllocationId, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked,
    ShipmentDispatched, ShipmentId, Why,
};
use proptest::prelude::*;

use super::house::{self, Decided, House};
use crate::input::{Answer, Input};
use crate::parcel::{Fate, ParcelState};
use crate::row::State;

/// What the world around has heard.
#[derive(Default)]
struct Outside {
    history: Vec<Input>,
    open_shortages: Vec<FulfillmentShortPicked>,
    confirmed: BTreeMap<AllocationId, i64>,
    dispatched: BTreeMap<AllocationId, i64>,
    given_up: BTreeMap<AllocationId, i64>,
    confirmations: usize,
    rejections: usize,
    cancellations: usize,
    captured: bool,
    capture_answered: bool,
}

impl Outside {
    fn hear(&mut self, decided: &Decided) {
        self.open_shortages.extend(decided.events::<FulfillmentShortPicked>());
        for confirmed in decided.events::<FulfillmentConfirmed>() {
            self.confirmations += 1;
            let items = confirmed.shipments.iter().flat_map(|shipment| &shipment.items);
            items.for_each(|item| *self.confirmed.entry(item.allocation_id).or_default() += item.quantity);
        }
        for dispatched in decided.events::<ShipmentDispatched>() {
            assert!(self.captured, "a shipment left before it was paid");
            dispatched
                .items
                .iter()
                .for_each(|item| *self.dispatched.entry(item.allocation_id).or_default() += item.quantity);
        }
        for cancelled in decided.events::<FulfillmentCancelled>() {
            self.cancellations += 1;
            cancelled
                .items
                .iter()
                .for_each(|item| *self.given_up.entry(item.allocation_id).or_default() += item.quantity);
        }
        self.rejections += decided.events::<FulfillmentRejected>().len();
    }
}

/// One step of the world around, chosen by three numbers.
fn step(house: &House, outside: &mut Outside, (what, which, how): (u8, usize, i64)) -> Option<Input> {
    let order = house.world.order(house::order_id());
    let parcel = order.and_then(|order| order.parcels.get(which % order.parcels.len().max(1)));
    let state = order.map(|order| order.state);
    match (what % 9, parcel) {
        (0, _) => Some(house::cleared(&[("a", "BER", 3), ("b", "HAM", 2), ("c", "HAM", 1)])),
        (1, _) if how % 4 == 0 => Some(house::cancellation()),
        (2 | 3, Some(parcel)) if parcel.state == ParcelState::Picking => {
            let items = parcel.picks.iter().enumerate();
            let items = items.map(|(at, pick)| (pick.allocation_id, (how + at as i64) % (pick.quantity + 1)));
            let why = if how % 2 == 0 { Why::Short } else { Why::Refused };
            Some(house::answered(parcel.shipment_id, Answer::Picked { items: items.collect(), rest: Fate::of(why) }))
        }
        (4, _) if !outside.open_shortages.is_empty() => {
            let short = outside.open_shortages.swap_remove(which % outside.open_shortages.len());
            let next =
                ["MUC", "CGN", "LEJ"].into_iter().find(|next| !short.tried.iter().any(|tried| tried.as_str() == *next));
            let moved: Vec<(&str, &str, i64)> = match next {
                Some(next) if how % 3 > 0 => {
                    short.short.iter().map(|item| (item.line_id.as_str(), next, item.quantity)).collect()
                }
                Some(_) | None => Vec::new(),
            };
            Some(house::reallocated(short.shipment_id, &moved))
        }
        (5, _) if state == Some(State::Confirmed) && !outside.capture_answered => {
            outside.capture_answered = true;
            outside.captured = how % 4 > 0;
            Some(if outside.captured { house.captured() } else { house::capture_failed() })
        }
        (6 | 7, Some(parcel)) if state == Some(State::Released) && parcel.state == ParcelState::Packed => {
            let stays = Answer::WillNotShip(Fate::of(if how % 2 == 0 { Why::Recalled } else { Why::Damaged }));
            Some(house::answered(parcel.shipment_id, if how % 3 == 0 { stays } else { house::left() }))
        }
        (8, Some(parcel)) if parcel.state == ParcelState::Packed && how % 3 == 0 => {
            Some(house::answered(parcel.shipment_id, Answer::WillNotShip(Fate::of(Why::Lost))))
        }
        (8, Some(parcel)) => Some(house::pick_due_of(parcel.shipment_id)),
        _ => None,
    }
}

/// Hears everything again that was heard before: it must mean nothing.
fn again(house: &mut House, outside: &Outside, which: usize) {
    if let Some(input) = outside.history.get(which % outside.history.len().max(1)) {
        let before = house.world.order(house::order_id()).cloned();
        let decided = house.hear(input.clone()).unwrap();
        // A timer is not a repetition: it looks at the order anew.
        if !matches!(input, Input::PickDue(..)) {
            assert!(decided.names().is_empty(), "{input:?} again said {:?}", decided.names());
            assert_eq!(house.world.order(house::order_id()).cloned(), before);
        }
    }
}

fn check(house: &House, outside: &Outside) {
    assert!(outside.confirmations <= 1 && outside.cancellations <= 1 && outside.rejections <= 1);
    assert!(
        outside.rejections == 0 || outside.confirmations + outside.cancellations == 0,
        "refused and something else"
    );
    let Some(order) = house.world.order(house::order_id()) else { return };
    for (id, units) in &outside.dispatched {
        assert!(outside.confirmed.get(id).is_some_and(|confirmed| units <= confirmed), "more left than was confirmed");
    }
    if order.state != State::Closed {
        return;
    }
    let mut accounted = outside.dispatched.clone();
    outside.given_up.iter().for_each(|(id, units)| *accounted.entry(*id).or_default() += units);
    assert_eq!(accounted, outside.confirmed, "each confirmed unit left, or was given up, once");
    let ids: Vec<ShipmentId> = order.parcels.iter().map(|parcel| parcel.shipment_id).collect();
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "shipment ids are unique");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn confirmed_units_leave_or_are_given_up_exactly_once_whatever_happens(
        steps in prop::collection::vec((any::<u8>(), any::<usize>(), 0_i64..12, any::<u8>()), 1..60),
    ) {
        let mut house = House::external();
        let mut outside = Outside::default();
        for (what, which, how, also) in steps {
            if also % 5 == 0 {
                house.now = house.now.plus(Duration::from_secs(6 * 3_600));
            }
            if let Some(input) = step(&house, &mut outside, (what, which, how)) {
                let decided = house.hear(input.clone()).unwrap();
                outside.hear(&decided);
                outside.history.push(input);
            }
            if also % 3 == 0 {
                again(&mut house, &outside, which);
            }
            check(&house, &outside);
        }
    }
}
