//! Which amounts Stripe takes in which currency.

use crate::error::ApiError;

/// Amounts are whole units.
const ZERO_DECIMAL: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
/// Amounts have three decimals, the last of them 0.
const THREE_DECIMAL: &str = "bhd jod kwd omr tnd";
/// Amounts are sent with two decimals, though the currency has none: they are multiples of 100.
const WHOLE_HUNDREDS: &str = "isk ugx";
/// What else Stripe charges in, with two decimals.
const TWO_DECIMAL: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve czk dkk dop dzd \
                           egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl \
                           mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd \
                           shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs wst yer zar zmw";
/// Eight digits.
const MAXIMUM: i64 = 99_999_999;

fn is_in(currencies: &str, currency: &str) -> bool {
    currencies.split_whitespace().any(|known| known == currency)
}

/// The least amount of a charge, in the unit that requests have.
fn minimum(currency: &str) -> i64 {
    match currency {
        "gbp" => 30,
        "aed" | "myr" | "pln" | "ron" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        _ if is_in(THREE_DECIMAL, currency) => 200,
        _ => 50,
    }
}

/// Checks a currency and an amount in it; gives the currency in lower case.
///
/// # Errors
/// 400: no currency of Stripe's, an amount below its minimum or above eight digits, or one that the currency has not.
pub fn check(currency: &str, amount: i64) -> Result<String, ApiError> {
    let currency = currency.to_lowercase();
    if ![ZERO_DECIMAL, THREE_DECIMAL, WHOLE_HUNDREDS, TWO_DECIMAL].iter().any(|currencies| is_in(currencies, &currency))
    {
        let message =
            format!("Invalid currency: {currency}. Stripe charges in three-letter ISO currencies, such as eur");
        return Err(ApiError { param: Some("currency".into()), ..ApiError::bad_request(message) });
    }
    check_unit(&currency, amount, "amount")?;
    if amount < minimum(&currency) {
        let message = format!("Amount must be at least {} {currency}, got {amount}", minimum(&currency));
        return Err(ApiError::parameter("amount_too_small", "amount", message));
    }
    if amount > MAXIMUM {
        return Err(ApiError::parameter(
            "amount_too_large",
            "amount",
            format!("Amount must be no more than {MAXIMUM}, got {amount}"),
        ));
    }
    Ok(currency)
}

/// Checks that an amount is positive, and of the currency's unit.
///
/// # Errors
/// 400 for any other.
pub fn check_unit(currency: &str, amount: i64, param: &str) -> Result<(), ApiError> {
    if amount < 1 {
        return Err(ApiError::parameter(
            "parameter_invalid_integer",
            param,
            "This value must be greater than or equal to 1.",
        ));
    }
    let unit = if is_in(WHOLE_HUNDREDS, currency) {
        100
    } else if is_in(THREE_DECIMAL, currency) {
        10
    } else {
        1
    };
    if amount % unit != 0 {
        let message = format!("Invalid amount in {currency}: it must be divisible by {unit}, got {amount}");
        return Err(ApiError::parameter("invalid_charge_amount", param, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_follow_their_currency() {
        let code = |currency, amount| check(currency, amount).map_err(|error| error.code.unwrap_or_default());
        assert_eq!(code("EUR", 50), Ok("eur".into()));
        assert_eq!(code("eur", 49), Err("amount_too_small"));
        assert_eq!(code("eur", 99_999_999), Ok("eur".into()));
        assert_eq!(code("eur", 100_000_000), Err("amount_too_large"));
        assert_eq!(code("eur", 0), Err("parameter_invalid_integer"));
        assert_eq!(code("eur", -5), Err("parameter_invalid_integer"));
        assert_eq!(code("zzz", 500), Err(""));
        assert_eq!(code("isk", 150), Err("invalid_charge_amount"));
        assert_eq!(code("ugx", 200), Ok("ugx".into()));
        assert_eq!(code("kwd", 1_005), Err("invalid_charge_amount"));
        assert_eq!(code("kwd", 1_010), Ok("kwd".into()));
        assert_eq!(code("mga", 101), Ok("mga".into()));
        assert_eq!(code("jpy", 51), Ok("jpy".into()));
    }
}
