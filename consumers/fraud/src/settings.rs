//! The consumer and its settings: what each rule gives, and from how many points on someone looks, or the answer is no.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use events::Currency;
use runtime::settings::{Secret, Section};
use runtime::{Consumer as _, Settings, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Default)]
pub struct Fraud {
    pub(crate) settings: FraudSettings,
}

impl Fraud {
    /// A consumer with these settings. Fails when they contradict each other; the message says which and how.
    pub fn new(settings: FraudSettings) -> anyhow::Result<Self> {
        settings.check()?;
        Ok(Self { settings })
    }
}

/// Amounts from which an order counts as high and as very high, in minor units of their currency. Read from code, so that a currency that is
/// not set still has sensible ones.
const LIMITS: [(&str, Limit); 8] = [
    ("CHF", Limit { high: 200_000, very_high: 1_000_000 }),
    ("EUR", Limit { high: 200_000, very_high: 1_000_000 }),
    ("GBP", Limit { high: 200_000, very_high: 1_000_000 }),
    ("INR", Limit { high: 20_000_000, very_high: 100_000_000 }),
    ("JPY", Limit { high: 300_000, very_high: 1_500_000 }),
    ("KRW", Limit { high: 3_000_000, very_high: 15_000_000 }),
    ("KWD", Limit { high: 600_000, very_high: 3_000_000 }),
    ("USD", Limit { high: 200_000, very_high: 1_000_000 }),
];

/// Amounts of one currency, in its minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    /// Above this an order's amount counts as high.
    pub high: i64,
    /// Above this it counts as very high.
    pub very_high: i64,
}

/// The settings, section `fraud`; points are added up to the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FraudSettings {
    /// A score of this or more is reviewed by a person.
    pub review_at: i64,
    /// A score of this or more is rejected at once.
    pub reject_at: i64,
    /// How long a person may take.
    pub review_timeout: Span,
    /// What must be left of the authorization when a review ends: time to pick, pack and capture. Where less than twice this is left of it, the
    /// review gets half of what is left.
    pub capture_margin: Span,
    /// Limits by currency, in minor units; what is not set here has limits in code, or those of `other_limit`.
    #[schema(value_type = BTreeMap<String, Limit>)]
    pub limits: BTreeMap<Currency, Limit>,
    /// Limits of every other currency, in whole units (whatever its exponent).
    pub other_limit: Limit,
    /// Points of an amount above `high`.
    pub high_amount_points: i64,
    /// Points of an amount above `very_high`, in place of those for `high`.
    pub very_high_amount_points: i64,
    /// Points when goods go to another country than the invoice.
    pub country_mismatch_points: i64,
    /// Points when they go to the same country, under another postal code.
    pub postal_code_mismatch_points: i64,
    /// Points of a security code that did not match.
    pub cvc_points: i64,
    /// Points of an address line that is not the issuer's.
    pub address_check_points: i64,
    /// Points of a postal code that is not the issuer's.
    pub postal_code_check_points: i64,
    /// What counts as too much in too short a time.
    pub velocity: VelocitySettings,
}

/// Limits of what is counted over a window of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct VelocitySettings {
    /// How far from an order others are counted with it, by when they were placed. Counts are kept for twice as long.
    pub window: Span,
    /// Key under which customers, cards and addresses are hashed before they are counted. Without it, whoever reads the table can try guesses.
    /// Another key forgets what was counted.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(default)]
    pub key: Secret,
    /// Amounts of the window, in one currency, are too much above this many times the `high` limit of that currency.
    pub amount_factor: i64,
    /// Of one customer.
    pub customer: SubjectLimits,
    /// Of one card.
    pub card: SubjectLimits,
    /// To one address.
    pub address: SubjectLimits,
}

/// Limits of one kind of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectLimits {
    /// More orders than this in the window are too many; the order that is looked at counts.
    pub orders: i64,
    /// Points of too many orders.
    pub orders_points: i64,
    /// Points of too high a sum.
    pub amount_points: i64,
}

pub fn section() -> Section {
    Section::consumer(Fraud::NAME, &Fraud::defaults()).with(&FraudSettings::default()).checked(|all| {
        all.keep(Fraud::NAME, &Fraud::defaults())?;
        read(all)?.check()
    })
}

pub(crate) fn read(all: &Settings) -> anyhow::Result<FraudSettings> {
    all.refuse_unknown(&section())?;
    Ok(all.section(Fraud::NAME)?)
}

impl Default for FraudSettings {
    fn default() -> Self {
        Self {
            review_at: 60,
            reject_at: 120,
            review_timeout: Span::secs(24 * 3_600),
            capture_margin: Span::secs(24 * 3_600),
            limits: BTreeMap::new(),
            other_limit: Limit { high: 2_000, very_high: 10_000 },
            high_amount_points: 30,
            very_high_amount_points: 60,
            country_mismatch_points: 30,
            postal_code_mismatch_points: 10,
            cvc_points: 60,
            address_check_points: 15,
            postal_code_check_points: 20,
            velocity: VelocitySettings::default(),
        }
    }
}

impl Default for VelocitySettings {
    fn default() -> Self {
        Self {
            window: Span::secs(24 * 3_600),
            key: Secret::default(),
            amount_factor: 5,
            customer: SubjectLimits { orders: 10, orders_points: 40, amount_points: 20 },
            card: SubjectLimits { orders: 10, orders_points: 60, amount_points: 20 },
            address: SubjectLimits { orders: 20, orders_points: 30, amount_points: 10 },
        }
    }
}

impl VelocitySettings {
    /// How old counts get: an order that waited for a window's length still meets those of its time.
    pub(crate) fn kept_for(&self) -> Duration {
        2 * self.window.0
    }
}

impl FraudSettings {
    pub fn limit(&self, currency: Currency) -> Limit {
        let of_code = || LIMITS.iter().find(|(code, _)| *code == currency.as_str()).map(|(_, limit)| *limit);
        self.limits.get(&currency).copied().or_else(of_code).unwrap_or_else(|| {
            let minor_units = 10_i64.pow(currency.exponent());
            let Limit { high, very_high } = self.other_limit;
            Limit { high: high.saturating_mul(minor_units), very_high: very_high.saturating_mul(minor_units) }
        })
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let Self { review_at, reject_at, .. } = self;
        ensure!(
            0 < *review_at && review_at <= reject_at,
            "settings of fraud: expected 0 < review_at <= reject_at, got review_at = {review_at}, reject_at = {reject_at}"
        );
        let other = self.limits.iter().map(|(currency, limit)| (format!("limits.{currency}"), *limit));
        for (name, Limit { high, very_high }) in other.chain([("other_limit".to_owned(), self.other_limit)]) {
            ensure!(
                0 <= high && high <= very_high,
                "settings of fraud: expected 0 <= high <= very_high in {name}, got high = {high}, very_high = {very_high}"
            );
        }
        let window = self.velocity.window.0;
        ensure!(
            !window.is_zero(),
            "settings of fraud: expected velocity.window to be longer than nothing, such as \"24h\""
        );
        ensure!(
            self.velocity.amount_factor > 0,
            "settings of fraud: expected velocity.amount_factor to be at least 1, got {}",
            self.velocity.amount_factor
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_without_limits_of_its_own_has_those_in_whole_units() {
        let settings = FraudSettings::default();
        assert_eq!(settings.limit(Currency::EUR).high, 200_000);
        assert_eq!(settings.limit(Currency::JPY).high, 300_000);
        assert_eq!(settings.limit("SEK".parse().unwrap()).high, 200_000);
        assert_eq!(settings.limit("CLP".parse().unwrap()).high, 2_000, "no minor unit: whole units are what counts");
        assert_eq!(settings.limit("TND".parse().unwrap()).high, 2_000_000, "a minor unit is a thousandth");
    }

    #[test]
    fn limits_of_one_currency_can_be_set_alone() {
        let set = Limit { high: 1, very_high: 2 };
        let settings = FraudSettings { limits: [(Currency::EUR, set)].into(), ..FraudSettings::default() };
        assert_eq!(settings.limit(Currency::EUR), set);
        assert_eq!(settings.limit(Currency::USD).high, 200_000);
    }

    #[test]
    fn settings_that_contradict_each_other_say_which() {
        assert!(FraudSettings::default().check().is_ok());
        let error = FraudSettings { review_at: 200, ..FraudSettings::default() }.check().unwrap_err().to_string();
        assert!(error.contains("review_at = 200, reject_at = 120"), "{error}");
        let turned = BTreeMap::from([(Currency::JPY, Limit { high: 2, very_high: 1 })]);
        let error = FraudSettings { limits: turned, ..FraudSettings::default() }.check().unwrap_err().to_string();
        assert!(error.contains("limits.JPY"), "{error}");
    }
}
