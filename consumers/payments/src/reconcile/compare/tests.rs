use std::time::Duration;

use gateway::Money;
use uuid::Uuid;

use super::*;

/// An order that `--since` reaches back to, and one that it does not.
const ORDER: OrderId = OrderId(Uuid::from_u128(20));
const OLDER: OrderId = OrderId(Uuid::from_u128(5));
const FIRST: OrderId = OrderId(Uuid::from_u128(10));

fn ours(state: State, held: i64, captured: i64) -> RecordedPayment {
    RecordedPayment {
        order_id: ORDER,
        gateway: Some("stripe".into()),
        payment_id: Some("pi_1".into()),
        state,
        currency: Some(Currency::EUR),
        held,
        captured,
        refunded: 0,
        refund_ids: Vec::new(),
        is_moving: false,
        is_taken_over: false,
    }
}

fn theirs(payment_id: &str, held: i64, captured: i64) -> ProviderPayment {
    let payment_id = payment_id.to_owned();
    ProviderPayment { payment_id, order_id: ORDER, currency: Currency::EUR, held, captured, is_open: false }
}

fn refund(refund_id: &str, amount: i64, status: RefundStatus) -> ProviderRefund {
    let money = Money { amount, currency: Currency::EUR };
    ProviderRefund { refund_id: refund_id.into(), payment_id: "pi_1".into(), order_id: ORDER, money, status }
}

fn failed() -> RefundStatus {
    RefundStatus::Failed { detail: "the account is closed".into() }
}

fn compared(
    ours: Vec<RecordedPayment>,
    payments: Vec<ProviderPayment>,
    refunds: Vec<ProviderRefund>,
) -> Reconciliation {
    let books = ProviderBooks { payments, refunds, ..ProviderBooks::default() };
    compare(("stripe", Timestamp::from_millis(0).plus(Duration::from_secs(1))), ours, books, FIRST)
}

fn kinds(
    ours: impl IntoIterator<Item = RecordedPayment>,
    payments: impl IntoIterator<Item = ProviderPayment>,
    refunds: impl IntoIterator<Item = ProviderRefund>,
) -> Vec<DifferenceKind> {
    let compared = compared(Vec::from_iter(ours), Vec::from_iter(payments), Vec::from_iter(refunds));
    compared.differences.iter().map(|difference| difference.kind).collect()
}

#[test]
fn payments_that_are_the_same_on_both_sides_are_equal() {
    for (state, held, captured, (held_there, captured_there)) in [
        (State::Authorized, 1_500, 0, (1_500, 0)),
        (State::Captured, 0, 700, (0, 700)),
        (State::Captured, 0, 0, (0, 0)), // nothing shipped
        (State::Voided, 0, 0, (0, 0)),
        (State::Declined, 0, 0, (0, 0)),
        (State::Lapsed, 1_500, 0, (1_500, 0)), // its end here and there are two moments
        (State::Lapsed, 1_500, 0, (0, 0)),
    ] {
        let compared =
            compared(vec![ours(state, held, captured)], vec![theirs("pi_1", held_there, captured_there)], vec![]);
        assert_eq!((compared.equal, &compared.differences), (1, &vec![]), "{state:?}");
    }
    let free = RecordedPayment { currency: None, payment_id: None, gateway: None, ..ours(State::Voided, 0, 0) };
    assert_eq!(kinds([free], [], []), []);
}

#[test]
fn each_difference_of_a_payment_is_named() {
    use DifferenceKind::{MissingHere, MissingThere, PaymentDiffers, SecondPayment, StillOpen};
    for (what, ours, theirs, expected) in [
        ("captured by hand", ours(State::Authorized, 1_500, 0), vec![theirs("pi_1", 0, 1_500)], vec![PaymentDiffers]),
        ("cancelled outside", ours(State::Authorized, 1_500, 0), vec![theirs("pi_1", 0, 0)], vec![PaymentDiffers]),
        ("another amount", ours(State::Captured, 0, 700), vec![theirs("pi_1", 0, 701)], vec![PaymentDiffers]),
        ("held after its end", ours(State::Voided, 0, 0), vec![theirs("pi_1", 1_500, 0)], vec![PaymentDiffers]),
        ("missing there", ours(State::Captured, 0, 700), vec![], vec![MissingThere]),
        (
            "a second hold",
            ours(State::Captured, 0, 700),
            vec![theirs("pi_1", 0, 700), theirs("pi_2", 1, 0)],
            vec![SecondPayment],
        ),
        (
            "a second one that holds nothing",
            ours(State::Captured, 0, 700),
            vec![theirs("pi_1", 0, 700), theirs("pi_2", 0, 0)],
            vec![],
        ),
        (
            "a hold whose id was never recorded",
            RecordedPayment { payment_id: None, ..ours(State::Voided, 0, 0) },
            vec![theirs("pi_1", 1_500, 0)],
            vec![SecondPayment],
        ),
        (
            "money at the other gateway",
            RecordedPayment { gateway: Some("sandbox".into()), ..ours(State::Captured, 0, 700) },
            vec![theirs("pi_1", 0, 700)],
            vec![SecondPayment],
        ),
        (
            "declined, and still open",
            ours(State::Declined, 0, 0),
            vec![ProviderPayment { is_open: true, ..theirs("pi_1", 0, 0) }],
            vec![StillOpen],
        ),
        (
            "another currency",
            ours(State::Captured, 0, 700),
            vec![ProviderPayment { currency: Currency::USD, ..theirs("pi_1", 0, 700) }],
            vec![PaymentDiffers],
        ),
    ] {
        assert_eq!(kinds([ours], theirs, []), expected, "{what}");
    }
    assert_eq!(kinds([], [theirs("pi_1", 0, 0)], []), [MissingHere]);
}

#[test]
fn each_difference_of_refunds_is_named() {
    use DifferenceKind::{RefundMissingHere, RefundsDiffer};
    let done = RefundStatus::Succeeded;
    let refunded = |amount, ids: &[&str]| RecordedPayment {
        refunded: amount,
        refund_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..ours(State::Refunded, 0, 700)
    };
    for (what, ours, theirs, expected) in [
        ("the same", refunded(300, &["re_1"]), vec![refund("re_1", 300, done.clone())], vec![]),
        (
            "a first one that failed",
            refunded(300, &["re_0", "re_1"]),
            vec![refund("re_0", 300, failed()), refund("re_1", 300, done.clone())],
            vec![],
        ),
        ("made by hand", refunded(0, &[]), vec![refund("re_9", 300, done.clone())], vec![RefundMissingHere]),
        ("made by hand, and failed", refunded(0, &[]), vec![refund("re_9", 300, failed())], vec![]),
        (
            "pending by hand",
            refunded(0, &[]),
            vec![refund("re_9", 300, RefundStatus::Pending)],
            vec![RefundMissingHere],
        ),
        ("failed days later", refunded(300, &["re_1"]), vec![refund("re_1", 300, failed())], vec![RefundsDiffer]),
        ("another amount", refunded(300, &["re_1"]), vec![refund("re_1", 299, done.clone())], vec![RefundsDiffer]),
        ("not there", refunded(300, &["re_1"]), vec![], vec![RefundsDiffer]),
        (
            "failed here, done there",
            refunded(0, &["re_1"]),
            vec![refund("re_1", 300, done.clone())],
            vec![RefundsDiffer],
        ),
    ] {
        assert_eq!(kinds([ours], [theirs_of(700)], theirs), expected, "{what}");
    }
}

fn theirs_of(captured: i64) -> ProviderPayment {
    theirs("pi_1", 0, captured)
}

#[test]
fn of_older_orders_what_the_provider_tells_is_compared_and_what_it_does_not_list_is_no_fault() {
    let older = |refunded, ids: &[&str]| RecordedPayment {
        order_id: OLDER,
        refunded,
        refund_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..ours(State::Refunded, 0, 700)
    };
    let of_older = |id, status| ProviderRefund { order_id: OLDER, ..refund(id, 300, status) };
    assert_eq!(kinds([older(300, &["re_1"])], [], [of_older("re_1", RefundStatus::Succeeded)]), []);
    assert_eq!(kinds([older(300, &["re_1"])], [], [of_older("re_1", failed())]), [DifferenceKind::RefundsDiffer]);
    // One of its refunds is older than the list.
    assert_eq!(kinds([older(600, &["re_1", "re_2"])], [], [of_older("re_2", RefundStatus::Succeeded)]), []);
    assert_eq!(
        kinds([older(0, &[])], [], [of_older("re_9", RefundStatus::Succeeded)]),
        [DifferenceKind::RefundMissingHere]
    );
}

#[test]
fn what_moves_is_counted_and_not_compared_and_sums_are_of_what_is_compared() {
    let moving =
        RecordedPayment { order_id: OrderId(Uuid::from_u128(30)), is_moving: true, ..ours(State::Capturing, 1_500, 0) };
    let books = ProviderBooks {
        payments: vec![
            theirs("pi_1", 0, 900),
            ProviderPayment { order_id: moving.order_id, ..theirs("pi_2", 0, 1_500) },
        ],
        refunds: vec![refund("re_1", 200, RefundStatus::Succeeded)],
        foreign: 3,
        fees: BTreeMap::from([(Currency::EUR, 39), (Currency::USD, 2)]),
    };
    let known = RecordedPayment { refunded: 200, refund_ids: vec!["re_1".into()], ..ours(State::Captured, 0, 700) };
    let compared = compare(("stripe", Timestamp::from_millis(0)), vec![known, moving], books, FIRST);
    assert_eq!((compared.equal, compared.moving, compared.foreign), (0, 1, 3));
    let [difference] = &compared.differences[..] else { panic!("{compared:?}") };
    assert_eq!((difference.here.as_str(), difference.there.as_str()), ("CAPTURED: 7.00 EUR taken", "9.00 EUR taken"));
    let [eur, usd] = &compared.totals[..] else { panic!("{compared:?}") };
    assert_eq!(eur.here, PaymentSums { held: 0, captured: 700, refunded: 200 });
    assert_eq!((eur.there, eur.fees, usd.fees), (PaymentSums { held: 0, captured: 900, refunded: 200 }, 39, 2));
    let json = serde_json::to_value(&compared).unwrap();
    assert_eq!(
        (&json["totals"][0]["currency"], &json["differences"][0]["kind"]),
        (&"EUR".into(), &"payment_differs".into())
    );
}
