//! Amounts in Stripe's units, and back. Its units are ISO 4217's for most currencies, but not for all.

use events::Currency;
use gateway::Money;

/// The most that Stripe takes: eight digits.
const LARGEST: i64 = 99_999_999;

/// An amount as Stripe counts it, with its lower-case currency code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StripeAmount {
    pub amount: i64,
    pub currency: String,
}

/// An amount that can't be asked for at Stripe, or read from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmountError {
    #[error("expected a currency that Stripe charges in, got {0}: offer the customer another one")]
    Unsupported(Currency),
    #[error(
        "expected a multiple of {step} in {currency}'s minor unit, as Stripe takes it, got {amount}: round the order's prices to it"
    )]
    Indivisible { currency: Currency, amount: i64, step: i64 },
    #[error("expected 1 to {LARGEST} (eight digits) in Stripe's unit of {currency}, got {amount}: split the order")]
    OutOfRange { currency: Currency, amount: i128 },
    #[error("expected an amount with its ISO 4217 currency in Stripe's answer, got {0:?}")]
    Unreadable(String),
}

/// How Stripe counts a currency.
struct Unit {
    /// Decimals of its unit.
    exponent: u32,
    /// What an amount in that unit must be a multiple of.
    step: i64,
}

fn unit(currency: Currency) -> Result<Unit, AmountError> {
    Ok(match (currency.as_str(), currency.exponent()) {
        // Two decimals at Stripe, of which ISO 4217 has none: only whole ones are taken.
        ("ISK" | "UGX", _) => Unit { exponent: 2, step: 100 },
        // The ariary has two decimals in ISO 4217, none at Stripe.
        ("MGA", _) => Unit { exponent: 0, step: 1 },
        // Three decimals, of which card networks carry two.
        ("BHD" | "JOD" | "KWD" | "OMR" | "TND", exponent) => Unit { exponent, step: 10 },
        (_, exponent @ (0 | 2)) => Unit { exponent, step: 1 },
        (_, _) => return Err(AmountError::Unsupported(currency)),
    })
}

/// Our amount in Stripe's unit.
pub(crate) fn to_stripe(money: Money) -> Result<StripeAmount, AmountError> {
    let Money { amount, currency } = money;
    let Unit { exponent, step } = unit(currency)?;
    let (ours, theirs) = (10_i128.pow(currency.exponent()), 10_i128.pow(exponent));
    let scaled = i128::from(amount) * theirs;
    let indivisible = || AmountError::Indivisible {
        currency,
        amount,
        step: i64::try_from(ours * i128::from(step) / theirs).unwrap_or(step),
    };
    if scaled % ours != 0 || (scaled / ours) % i128::from(step) != 0 {
        return Err(indivisible());
    }
    let out_of_range = || AmountError::OutOfRange { currency, amount: scaled / ours };
    let amount = i64::try_from(scaled / ours).ok().filter(|amount| (1..=LARGEST).contains(amount));
    Ok(StripeAmount { amount: amount.ok_or_else(out_of_range)?, currency: currency.as_str().to_ascii_lowercase() })
}

/// An amount of Stripe's in our unit.
pub(crate) fn from_stripe(amount: Option<i64>, currency: Option<&str>) -> Result<Money, AmountError> {
    let unreadable = || AmountError::Unreadable(format!("{amount:?} {currency:?}"));
    let (Some(amount), Some(code)) = (amount, currency) else { return Err(unreadable()) };
    let currency: Currency = code.to_ascii_uppercase().parse().map_err(|_| unreadable())?;
    let Unit { exponent, .. } = unit(currency)?;
    let (ours, theirs) = (10_i128.pow(currency.exponent()), 10_i128.pow(exponent));
    let scaled = i128::from(amount) * ours;
    let ours = (scaled % theirs == 0).then_some(scaled / theirs).and_then(|amount| i64::try_from(amount).ok());
    Ok(Money { amount: ours.ok_or_else(unreadable)?, currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.parse().unwrap() }
    }

    #[test]
    fn amounts_go_to_stripe_and_back_in_each_kind_of_currency() {
        let kinds = [
            ("EUR", 1_234, 1_234),   // two decimals on both sides
            ("HUF", 1_200, 1_200),   // two decimals for charges, whatever payouts do
            ("JPY", 1_234, 1_234),   // none on either side
            ("ISK", 1_234, 123_400), // none in ISO 4217, two at Stripe
            ("UGX", 5, 500),
            ("MGA", 123_400, 1_234), // two in ISO 4217, none at Stripe
            ("KWD", 12_340, 12_340), // three, the last of them 0
            ("TND", 10, 10),
        ];
        for (currency, ours, theirs) in kinds {
            let amount = to_stripe(money(ours, currency)).unwrap();
            assert_eq!((amount.amount, amount.currency.as_str()), (theirs, currency.to_lowercase().as_str()));
            assert_eq!(from_stripe(Some(theirs), Some(&amount.currency)), Ok(money(ours, currency)));
        }
    }

    #[test]
    fn what_stripe_does_not_take_is_refused_with_what_it_would() {
        let refused = [
            (money(12_345, "MGA"), "multiple of 100 in MGA"),
            (money(12_345, "KWD"), "multiple of 10 in KWD"),
            (money(1_000, "IQD"), "got IQD"),
            (money(1_000, "CLF"), "got CLF"),
            (money(0, "EUR"), "expected 1 to 99999999"),
            (money(-5, "EUR"), "got -5"),
            (money(100_000_000, "EUR"), "eight digits"),
            (money(1_000_000, "ISK"), "got 100000000"),
            (money(i64::MAX, "ISK"), "split the order"),
        ];
        for (money, what) in refused {
            let error = to_stripe(money).unwrap_err().to_string();
            assert!(error.contains(what), "{money}: {error}");
        }
    }

    #[test]
    fn an_amount_that_is_missing_foreign_or_between_two_units_is_not_read() {
        for (amount, currency) in
            [(None, Some("eur")), (Some(1), None), (Some(1), Some("zzz")), (Some(150), Some("isk"))]
        {
            assert!(
                matches!(from_stripe(amount, currency), Err(AmountError::Unreadable(_))),
                "{amount:?} {currency:?}"
            );
        }
    }
}
