//! Events in every order, repeated and late.

use runtime::{Cause, Codec, Consumer as _};
use uuid::Uuid;

use super::*;
use crate::Loyalty;
use crate::row::Account;

const ORDER: OrderId = OrderId(Uuid::from_u128(7));

fn completed(currency: Currency) -> Input {
    Input::Completed(ORDER, "c-1".into(), currency)
}

/// The account after these inputs, and how many timers were set.
fn after(inputs: &[Input]) -> (Option<Account>, usize) {
    let (codec, mut world, mut timers) = (Codec::of_catalogue().unwrap(), BatchState::default(), 0);
    for input in inputs {
        let cause = Cause::answer("test");
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut effects = Effects::new(&codec, Loyalty::NAME, &cause, now);
        decide(&mut world, input, Duration::from_secs(60), now, &mut effects);
        timers += effects.timer_changes().count();
    }
    (world.accounts.get(&"c-1".to_owned()).copied(), timers)
}

fn inputs() -> [Input; 4] {
    [Input::Captured(ORDER, 2_550), Input::Refunded(ORDER, 560), completed(Currency::EUR), Input::Matured(ORDER)]
}

#[test]
fn events_in_any_order_come_to_the_same_points_and_repeated_ones_count_once() {
    let [captured, refunded, completed, _] = inputs();
    let expected = (Some(Account { pending: 19, spendable: 0 }), 1);
    for [first, second, third] in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let all = [&captured, &refunded, &completed];
        let once = [first, second, third].map(|at| all[at].clone());
        assert_eq!(after(&once), expected, "{once:?}");
        assert_eq!(after(&[once.clone(), once.clone()].concat()), expected, "{once:?} twice");
    }
}

#[test]
fn points_mature_once_and_a_refund_that_comes_later_takes_spendable_ones_back() {
    let [captured, refunded, completed, matured] = inputs();
    let mature = [captured, completed, matured.clone(), matured.clone()];
    assert_eq!(after(&mature), (Some(Account { pending: 0, spendable: 25 }), 1));
    let late = [&mature[..], &[refunded.clone(), refunded]].concat();
    assert_eq!(after(&late), (Some(Account { pending: 0, spendable: 19 }), 1));
    assert_eq!(after(&[matured]), (None, 0), "an order that was forgotten");
}

#[test]
fn a_point_is_a_whole_unit_of_the_currency() {
    for (currency, amount, points) in [(Currency::EUR, 99, 0), (Currency::JPY, 99, 99), (Currency::KWD, 12_999, 12)] {
        let order = [Input::Captured(ORDER, amount), completed(currency)];
        assert_eq!(after(&order).0.unwrap().pending, points, "{currency:?}");
    }
}
