//! The rules: each looks at one thing and gives points for it, or none. Pure, and without personal data in what they say.

use events::{Address, Card, Check, Currency, RuleHit};

use crate::settings::{FraudSettings, SubjectLimits};
use crate::velocity::{SubjectKind, SubjectTally};

#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleFacts<'f> {
    pub amount: i64,
    pub currency: Currency,
    pub ship_to: &'f Address,
    pub bill_to: &'f Address,
    pub card: Option<&'f Card>,
    /// The order's subjects, with all of the window and the order itself.
    pub tallies: &'f [(SubjectKind, SubjectTally)],
}

pub(crate) fn hits(facts: &RuleFacts<'_>, settings: &FraudSettings) -> Vec<RuleHit> {
    let one_time = [amount(facts, settings), country_mismatch(facts, settings), postal_code_mismatch(facts, settings)];
    let checks = facts.card.map(|card| checks(card, settings)).into_iter().flatten();
    let velocity = facts.tallies.iter().flat_map(|(kind, tally)| {
        [velocity_orders(*kind, tally, settings), velocity_amount(*kind, tally, facts.currency, settings)]
    });
    one_time.into_iter().chain(checks).chain(velocity).flatten().collect()
}

pub(crate) fn score(hits: &[RuleHit]) -> i64 {
    hits.iter().fold(0, |sum, hit| sum.saturating_add(hit.points))
}

/// A hit; a rule that is set to no points is switched off.
fn hit(rule: &str, points: i64, detail: String) -> Option<RuleHit> {
    (points != 0).then(|| RuleHit { rule: rule.to_owned(), points, detail })
}

fn amount(facts: &RuleFacts<'_>, settings: &FraudSettings) -> Option<RuleHit> {
    let limit = settings.limit(facts.currency);
    let (points, passed) = match facts.amount {
        amount if amount > limit.very_high => (settings.very_high_amount_points, limit.very_high),
        amount if amount > limit.high => (settings.high_amount_points, limit.high),
        _ => return None,
    };
    let currency = facts.currency;
    hit("amount", points, format!("{} is above {}", currency.format(facts.amount), currency.format(passed)))
}

fn country_mismatch(facts: &RuleFacts<'_>, settings: &FraudSettings) -> Option<RuleHit> {
    let (ship, bill) = (plain(&facts.ship_to.country), plain(&facts.bill_to.country));
    if ship == bill {
        return None;
    }
    hit("country_mismatch", settings.country_mismatch_points, format!("ships to {ship}, bills to {bill}"))
}

/// Goods and invoice go to the same country, under different postal codes. What has no postal code can't differ in it.
fn postal_code_mismatch(facts: &RuleFacts<'_>, settings: &FraudSettings) -> Option<RuleHit> {
    let same_country = plain(&facts.ship_to.country) == plain(&facts.bill_to.country);
    let (ship, bill) = (plain(&facts.ship_to.postal_code), plain(&facts.bill_to.postal_code));
    if !same_country || ship == bill || ship.is_empty() || bill.is_empty() {
        return None;
    }
    let detail = "ships to another postal code than it bills to".to_owned();
    hit("postal_code_mismatch", settings.postal_code_mismatch_points, detail)
}

fn checks(card: &Card, settings: &FraudSettings) -> [Option<RuleHit>; 3] {
    let of =
        |check, rule, points, detail: &str| if failed(check) { hit(rule, points, detail.to_owned()) } else { None };
    let (address, code) = ("the billing address is not the issuer's", "the billing postal code is not the issuer's");
    [
        of(&card.cvc_check, "cvc_check", settings.cvc_points, "the security code did not match"),
        of(&card.address_check, "address_check", settings.address_check_points, address),
        of(&card.postal_code_check, "postal_code_check", settings.postal_code_check_points, code),
    ]
}

fn velocity_orders(kind: SubjectKind, tally: &SubjectTally, settings: &FraudSettings) -> Option<RuleHit> {
    let limits = subject_limits(kind, settings);
    if tally.orders <= limits.orders {
        return None;
    }
    let detail = format!("{} orders in {}, more than {}", tally.orders, window(settings), limits.orders);
    hit(&format!("velocity_{}_orders", kind.as_str()), limits.orders_points, detail)
}

/// Too high a sum of one customer, with one card, or to one address, in the order's currency. Of one order alone the amount rule speaks.
fn velocity_amount(
    kind: SubjectKind,
    tally: &SubjectTally,
    currency: Currency,
    settings: &FraudSettings,
) -> Option<RuleHit> {
    let sum = tally.amounts.get(&currency).copied().unwrap_or_default();
    let most = settings.limit(currency).high.saturating_mul(settings.velocity.amount_factor);
    if sum <= most || tally.orders < 2 {
        return None;
    }
    let detail = format!("{} in {}, more than {}", currency.format(sum), window(settings), currency.format(most));
    hit(&format!("velocity_{}_amount", kind.as_str()), subject_limits(kind, settings).amount_points, detail)
}

fn subject_limits(kind: SubjectKind, settings: &FraudSettings) -> SubjectLimits {
    match kind {
        SubjectKind::Customer => settings.velocity.customer,
        SubjectKind::Card => settings.velocity.card,
        SubjectKind::Address => settings.velocity.address,
    }
}

/// The window, for people: whole hours where it is some.
fn window(settings: &FraudSettings) -> String {
    let seconds = settings.velocity.window.0.as_secs();
    if seconds.is_multiple_of(3_600) { format!("{} h", seconds / 3_600) } else { format!("{seconds} s") }
}

/// Only a check that was made and did not match counts; one that could not be made, or is not known, says nothing.
fn failed(check: &Check) -> bool {
    match check {
        Check::Fail => true,
        Check::Pass | Check::Unavailable | Check::Unchecked | Check::Other(_) => false,
    }
}

/// A code without what is typed differently: blanks, hyphens, case.
fn plain(code: &str) -> String {
    code.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(country: &str, postal_code: &str) -> Address {
        Address { country: country.into(), postal_code: postal_code.into(), ..Address::default() }
    }

    fn card(cvc: Check, line: Check, postal_code: Check) -> Card {
        Card {
            fingerprint: "f".into(),
            brand: None,
            last4: None,
            country: None,
            cvc_check: cvc,
            address_check: line,
            postal_code_check: postal_code,
            three_d_secure: Check::Unchecked,
        }
    }

    /// (rule, points) of everything that counts.
    fn hits_of(
        amount: i64,
        currency: Currency,
        to: [&Address; 2],
        card: Option<&Card>,
        tallies: &[(SubjectKind, SubjectTally)],
    ) -> Vec<(String, i64)> {
        let facts = RuleFacts { amount, currency, ship_to: to[0], bill_to: to[1], card, tallies };
        hits(&facts, &FraudSettings::default()).into_iter().map(|hit| (hit.rule, hit.points)).collect()
    }

    fn points(amount: i64, currency: Currency) -> i64 {
        let here = address("DE", "10115");
        hits_of(amount, currency, [&here, &here], None, &[]).iter().map(|(_, points)| points).sum()
    }

    #[test]
    fn amounts_count_by_their_currencys_own_limits_and_exponent() {
        assert_eq!(
            [points(200_000, Currency::EUR), points(200_001, Currency::EUR), points(1_000_001, Currency::EUR)],
            [0, 30, 60]
        );
        assert_eq!([points(300_000, Currency::JPY), points(300_001, Currency::JPY)], [0, 30], "yen have no minor unit");
        assert_eq!([points(600_000, Currency::KWD), points(600_001, Currency::KWD)], [0, 30], "a fils is a thousandth");
    }

    #[test]
    fn another_country_counts_and_then_its_postal_code_does_not() {
        let (berlin, paris) = (address("DE", "10115"), address("FR", "75001"));
        assert_eq!(hits_of(1, Currency::EUR, [&paris, &berlin], None, &[]), [("country_mismatch".to_owned(), 30)]);
        let (typed, hamburg) = (address("de", "10 115"), address("DE", "20095"));
        assert_eq!(hits_of(1, Currency::EUR, [&typed, &berlin], None, &[]), []);
        assert_eq!(
            hits_of(1, Currency::EUR, [&hamburg, &berlin], None, &[]),
            [("postal_code_mismatch".to_owned(), 10)]
        );
        assert_eq!(hits_of(1, Currency::EUR, [&address("DE", ""), &berlin], None, &[]), []);
    }

    #[test]
    fn only_checks_that_failed_count() {
        let here = address("DE", "10115");
        let all = card(Check::Fail, Check::Fail, Check::Fail);
        let rules = hits_of(1, Currency::EUR, [&here, &here], Some(&all), &[]);
        assert_eq!(
            rules.iter().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>(),
            ["cvc_check", "address_check", "postal_code_check"]
        );
        for check in [Check::Pass, Check::Unavailable, Check::Unchecked, Check::from("new")] {
            let none = card(check.clone(), check.clone(), check);
            assert_eq!(hits_of(1, Currency::EUR, [&here, &here], Some(&none), &[]), []);
        }
    }

    #[test]
    fn too_many_orders_and_too_high_a_sum_count_apart() {
        let here = address("DE", "10115");
        let tally = |orders, sum| SubjectTally { orders, amounts: [(Currency::EUR, sum)].into() };
        let velocity = |tally| hits_of(1, Currency::EUR, [&here, &here], None, &[(SubjectKind::Customer, tally)]);
        assert_eq!(velocity(tally(10, 1_000_000)), []);
        assert_eq!(velocity(tally(11, 1)), [("velocity_customer_orders".to_owned(), 40)]);
        assert_eq!(velocity(tally(2, 1_000_001)), [("velocity_customer_amount".to_owned(), 20)]);
        assert_eq!(
            velocity(SubjectTally { orders: 2, amounts: [(Currency::USD, 9_000_000)].into() }),
            [],
            "dollars are not euros"
        );
    }

    #[test]
    fn a_rule_of_no_points_is_switched_off() {
        let settings = FraudSettings { country_mismatch_points: 0, ..FraudSettings::default() };
        let (berlin, paris) = (address("DE", "10115"), address("FR", "75001"));
        let facts = RuleFacts {
            amount: 1,
            currency: Currency::EUR,
            ship_to: &paris,
            bill_to: &berlin,
            card: None,
            tallies: &[],
        };
        assert_eq!(hits(&facts, &settings), []);
    }
}
