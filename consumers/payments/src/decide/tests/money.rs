//! Money, for any order: what is taken and given back is exactly the value of what ships and what does not.

use events::{PaymentCaptured, PaymentRefunded, line_value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// An order whose lines each lie in one allocation: quantity, amount, units confirmed, units that then do not ship.
fn orders() -> impl Strategy<Value = Vec<(i64, i64, i64, i64)>> {
    let line = (1..30_i64, 0..1_000_000_i64).prop_flat_map(|(quantity, amount)| {
        (0..=quantity).prop_flat_map(move |confirmed| (Just(quantity), Just(amount), Just(confirmed), 0..=confirmed))
    });
    vec(line, 1..6)
}

/// EDGE 25: the exponent of the currency plays no part in minor units.
fn currencies() -> impl Strategy<Value = Currency> {
    prop_oneof![Just(Currency::EUR), Just(Currency::JPY), Just(Currency::KWD)]
}

proptest! {
    #[test]
    fn captured_less_refunded_is_the_value_of_what_ships(order in orders(), currency in currencies()) {
        let lines: Vec<Line> = order.iter().zip(1..).map(|((quantity, amount, ..), at)| line(&format!("{at}"), *quantity, *amount)).collect();
        let total: i64 = lines.iter().map(|line| line.amount).sum();
        let units = |of: fn(&(i64, i64, i64, i64)) -> i64| order.iter().zip(1_u128..).map(move |(line, at)| (at, of(line)));
        let mut desk = Desk::new();
        desk.does(Input::Reserved(Box::new(StockReserved { total, currency, lines: lines.clone(), ..stock_reserved() })));
        if total > 0 {
            desk.answers(Outcome::Authorized(Hold { money: Money { amount: total, currency }, ..hold(total) }));
        }
        desk.does(confirmed_of(units(|line| line.2).map(|(at, units)| item(at, &at.to_string(), units)).collect()));
        if let [call] = &desk.calls[..] {
            let money = call.request.money;
            desk.answers(Outcome::Captured { money });
        }
        let taken: PaymentCaptured = desk.event();
        prop_assert_eq!(taken.amount + taken.remainder, total);

        desk.does(cancelled(units(|line| line.3).map(|(at, units)| given_up(at, &at.to_string(), units)).collect()));
        if let [call] = &desk.calls[..] {
            let money = call.request.money;
            desk.answers(Outcome::Refunded { refund_id: "re_1".into(), money });
        }
        let back: PaymentRefunded = desk.event();
        let ships: i64 = order.iter().map(|(quantity, amount, confirmed, gone)| line_value(*amount, *quantity, confirmed - gone)).sum();
        prop_assert_eq!(taken.amount - back.amount, ships);
        let payment = desk.payment();
        prop_assert_eq!((payment.captured, payment.refunded, payment.open()), (taken.amount, back.amount, 0));
    }
}
