//! What is valid, what is not, and that the sums hold.

use proptest::prelude::*;

use super::*;
use crate::decide::tests::order;

fn codes(order: &OrderPlaced) -> Vec<String> {
    let faults = validate(order).expect_err("it is invalid");
    faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.code)).collect()
}

#[test]
fn an_empty_order_is_answered_with_every_reason_at_once() {
    assert_eq!(
        codes(&OrderPlaced::default()),
        [
            "/source required",
            "/reference required",
            "/customer/id required",
            "/customer/name required",
            "/customer/email required",
            "/lines required",
            "/currency required",
            "/ship_to/name required",
            "/ship_to/line1 required",
            "/ship_to/city required",
            "/ship_to/country required",
        ]
    );
}

#[test]
fn each_line_is_checked_and_named_by_its_position() {
    let mut order = order();
    order.lines[0] = PlacedLine { id: Some("2".into()), sku: String::new(), quantity: 0, unit_price: -1 };
    order.lines[1].quantity = MOST_UNITS + 1;
    assert_eq!(
        codes(&order),
        [
            "/lines/0/sku required",
            "/lines/0/quantity too_small",
            "/lines/0/unit_price too_small",
            "/lines/1/id duplicate",
            "/lines/1/quantity too_large",
        ]
    );
}

#[test]
fn limits_hold_on_both_sides() {
    let mut order = order();
    order.reference = Some("é".repeat(LONGEST_REFERENCE));
    order.lines[0].sku = "é".repeat(LONGEST_SKU);
    order.lines = (0..MOST_LINES).map(|_| PlacedLine { id: None, ..order.lines[0].clone() }).collect();
    assert!(validate(&order).is_ok());
    order.reference = Some("é".repeat(LONGEST_REFERENCE + 1));
    order.lines.push(order.lines[0].clone());
    assert_eq!(codes(&order), ["/reference too_long", "/lines too_many"]);
}

#[test]
fn amounts_that_do_not_fit_are_faults_and_not_overflows() {
    let huge = PlacedLine { quantity: MOST_UNITS, unit_price: LARGEST_AMOUNT, ..order().lines[0].clone() };
    assert_eq!(codes(&OrderPlaced { lines: vec![huge], ..order() }), ["/lines too_large"]);
    let beyond = OrderPlaced { shipping: i64::MAX, tax: i64::MAX, discount: i64::MIN, ..order() };
    assert_eq!(codes(&beyond), ["/shipping too_large", "/discount too_small", "/tax too_large"]);
    assert_eq!(codes(&OrderPlaced { discount: 2801, ..order() }), ["/discount too_large"]);
}

#[test]
fn a_payment_method_is_needed_only_if_there_is_something_to_pay() {
    let without = OrderPlaced { payment_method: String::new(), ..order() };
    assert_eq!(codes(&without), ["/payment_method required"]);
    assert_eq!(validate(&OrderPlaced { discount: 2800, ..without }).map(|priced| priced.total), Ok(0));
}

#[test]
fn addresses_contact_and_currency_have_their_forms() {
    for email in ["ada", "@example.org", "ada@", "a@b@c", "ada@ex ample.org", "ada@example..org"] {
        let mut order = order();
        order.customer.email = email.into();
        assert_eq!(codes(&order), ["/customer/email invalid"], "{email}");
    }
    for country in ["gb", "GBR", "G1", "ÄÖ", "ZZ", "XX", "AA", "UK"] {
        let mut order = order();
        order.bill_to = Some(Address { country: country.into(), ..order.ship_to.clone() });
        assert_eq!(codes(&order), ["/bill_to/country invalid"], "{country}");
        assert!(!validate(&order).unwrap_err()[0].detail.contains(&format!("{country:?}")), "{country} is repeated");
    }
    assert_eq!(codes(&OrderPlaced { currency: "EURO".into(), ..order() }), ["/currency invalid"]);
    let mut broken = order();
    broken.ship_to.city = "Lon\0don".into();
    assert_eq!(codes(&broken), ["/ship_to/city control_character"]);
}

#[test]
fn what_a_fault_says_of_contact_and_address_repeats_no_personal_data() {
    let mut order = order();
    order.customer.email = "secret at example".into();
    order.customer.name = "Secret ".repeat(100);
    order.ship_to.line1 = "Secret\n".into();
    let faults = validate(&order).unwrap_err();
    assert_eq!(faults.len(), 3);
    order.ship_to.country = "Secret Street 1".into();
    order.currency = "Secret".into();
    order.lines.iter_mut().for_each(|line| line.id = Some("Secret".into()));
    let faults = validate(&order).unwrap_err();
    assert_eq!(faults.len(), 6);
    assert!(faults.iter().all(|fault| !fault.detail.to_lowercase().contains("secret")), "{faults:?}");
}

/// Report 34.
#[test]
fn a_total_that_differs_is_named_and_one_that_agrees_is_taken() {
    let said = |subtotal, total| check(&OrderReading { subtotal, total, ..order().into() });
    assert_eq!(said(Some(2500), Some(2700)).unwrap().total, 2700);
    let fields = |faults: Vec<Fault>| {
        faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.code)).collect::<Vec<_>>()
    };
    assert_eq!(fields(said(None, Some(2499)).unwrap_err()), ["/total mismatch"]);
    assert_eq!(fields(said(Some(1), Some(0)).unwrap_err()), ["/subtotal mismatch", "/total mismatch"]);
}

#[test]
fn what_can_not_be_read_is_named_once_beside_what_is_wrong_else_and_the_list_ends() {
    let mut value = serde_json::to_value(order()).unwrap();
    value["lines"][0]["quantity"] = "2".into();
    value["customer"] = "Ada".into();
    value["tax"] = (-1).into();
    let codes = |value: &serde_json::Value| {
        let faults = check(&OrderPlaced::read(value)).unwrap_err();
        faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.code)).collect::<Vec<_>>()
    };
    assert_eq!(codes(&value), ["/customer invalid_type", "/lines/0/quantity invalid_type", "/tax too_small"]);
    value["lines"] = serde_json::json!(vec![serde_json::json!({}); MOST_LINES]);
    let many = codes(&value);
    assert_eq!((many.len(), many[MOST_FAULTS].as_str()), (MOST_FAULTS + 1, " too_many_faults"));
}

#[test]
fn yen_and_dinar_are_split_in_their_own_minor_units() {
    for currency in ["JPY", "KWD"] {
        let order = OrderPlaced { currency: currency.into(), shipping: 1, discount: 0, ..order() };
        let priced = validate(&order).unwrap();
        assert_eq!(priced.currency.as_str(), currency);
        assert_eq!(priced.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [2001, 500]);
    }
}

#[test]
fn free_lines_share_the_shipping_by_units() {
    let mut order = order();
    order.lines.iter_mut().for_each(|line| line.unit_price = 0);
    let priced = validate(&OrderPlaced { discount: 0, ..order }).unwrap();
    assert_eq!(priced.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [200, 100]);
}

proptest! {
    #[test]
    fn amounts_of_lines_are_never_negative_and_sum_up_to_the_total(
        lines in proptest::collection::vec((1..=MOST_UNITS, 0..1_000_000_i64), 1..20),
        shipping in 0..1_000_000_i64,
        tax in 0..1_000_000_i64,
        discounted in 0..=1000_i128,
    ) {
        let lines = lines.into_iter().map(|(quantity, unit_price)| PlacedLine { id: None, sku: "s".into(), quantity, unit_price });
        let order = OrderPlaced { lines: lines.collect(), shipping, tax, ..order() };
        let gross: i64 = order.lines.iter().map(|line| line.quantity * line.unit_price).sum::<i64>() + shipping + tax;
        let discount = i64::try_from(i128::from(gross) * discounted / 1000).unwrap();
        let priced = validate(&OrderPlaced { discount, ..order }).unwrap();
        prop_assert_eq!(priced.total, gross - discount);
        prop_assert_eq!(priced.lines.iter().map(|line| line.amount).sum::<i64>(), priced.total);
        prop_assert!(priced.lines.iter().all(|line| line.amount >= 0));
    }

    #[test]
    fn no_order_makes_validation_panic(
        numbers in proptest::collection::vec(any::<(i64, i64)>(), 0..4),
        (shipping, discount, tax) in any::<(i64, i64, i64)>(),
        text in any::<String>(),
    ) {
        let line = |(quantity, unit_price)| PlacedLine { id: Some(text.clone()), sku: text.clone(), quantity, unit_price };
        let lines = numbers.into_iter().map(line).collect();
        let order = OrderPlaced { lines, shipping, discount, tax, currency: text.clone(), ..order() };
        let _ = validate(&order);
    }
}

fn paid(kind: &str, provider: Option<&str>, reference: Option<&str>, amount: Option<i64>) -> OrderPlaced {
    let (provider, reference) = (provider.map(str::to_owned), reference.map(str::to_owned));
    let payment = Some(PlacedPayment { kind: kind.into(), provider, reference, amount });
    OrderPlaced { payment_method: String::new(), payment, ..order() }
}

#[test]
fn an_order_may_say_that_its_money_is_held_or_taken_already_or_settled_outside() {
    let of = |placed: &OrderPlaced| validate(placed).map(|priced| (priced.token, priced.payment)).unwrap();
    let payment = |kind: &str, provider: &str, reference: Option<&str>| OrderPayment {
        kind: kind.into(),
        provider: provider.into(),
        reference: reference.map(str::to_owned),
        amount: 2_700,
        currency: Currency::EUR,
    };
    for kind in ["authorized", "captured"] {
        let expected = (String::new(), Some(payment(kind, "stripe", Some("pi_1"))));
        assert_eq!(of(&paid(kind, Some("stripe"), Some("pi_1"), Some(2_700))), expected);
    }
    assert_eq!(of(&paid("external", None, None, None)).1, Some(payment("external", "external", None)));
    let invoice = of(&paid("external", Some("invoice"), Some("R-17"), None)).1;
    assert_eq!(invoice, Some(payment("external", "invoice", Some("R-17"))));
    assert_eq!(of(&paid("authorize", None, Some("pm_1"), None)), ("pm_1".to_owned(), None), "as `payment_method`");
    let free = OrderPlaced { discount: 2_800, ..paid("external", None, None, None) };
    assert_eq!(of(&free).1, None, "nothing is to be settled");
}

#[test]
fn a_payment_that_contradicts_the_order_or_itself_is_a_fault() {
    for (placed, expected) in [
        (paid("", None, None, None), vec!["/payment/kind required"]),
        (paid("paid", Some("stripe"), Some("pi_1"), None), vec!["/payment/kind invalid"]),
        (
            paid("captured", None, None, Some(2_699)),
            vec!["/payment/amount mismatch", "/payment/provider required", "/payment/reference required"],
        ),
        (paid("authorized", Some("stripe"), None, None), vec!["/payment/reference required"]),
        (paid("authorize", None, None, None), vec!["/payment/reference required"]),
        (paid("external", Some(&"x".repeat(LONGEST_ID + 1)), None, None), vec!["/payment/provider too_long"]),
        (
            OrderPlaced { payment_method: "pm_2".into(), ..paid("authorize", None, Some("pm_1"), None) },
            vec!["/payment_method mismatch"],
        ),
        (
            OrderPlaced { payment_method: "pm_1".into(), ..paid("captured", Some("shop"), Some("7"), None) },
            vec!["/payment_method mismatch"],
        ),
    ] {
        assert_eq!(codes(&placed), expected);
    }
    let same = OrderPlaced { payment_method: "pm_1".into(), ..paid("authorize", None, Some("pm_1"), None) };
    assert!(validate(&same).is_ok());
}

#[test]
fn an_exchange_names_an_earlier_order_whether_it_is_known_or_not() {
    let mut order = order();
    order.exchange_for = Some("019aba2c-3f00-7000-8000-000000000001".into());
    assert!(validate(&order).is_ok());
    order.exchange_for = Some("order 7".into());
    assert_eq!(codes(&order), ["/exchange_for invalid"]);
}
