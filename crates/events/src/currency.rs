//! Currencies: ISO 4217 codes and how many decimals their minor unit has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All currencies that ISO 4217 lists for payments, without precious metals, funds and test codes.
const KNOWN: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
    CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN \
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD \
    TWD TZS UAH UGX USD UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// An ISO 4217 currency code.
///
/// From an event any three capital letters are taken, because a later version may know more currencies; `parse` takes
/// only those that this version knows, and is what validates an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text is no currency that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an ISO 4217 currency code in capitals such as \"EUR\", got {0:?}")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The United States dollar.
    pub const USD: Self = Self(*b"USD");
    /// The Japanese yen, which has no minor unit.
    pub const JPY: Self = Self(*b"JPY");
    /// The Kuwaiti dinar, whose minor unit is a thousandth.
    pub const KWD: Self = Self(*b"KWD");

    /// The code, three capital letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is made of three capital letters only")
    }

    /// How many decimals the minor unit has: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// Minor units for people: `1234` is `12.34 EUR`, `1234 JPY`, `1.234 KWD`.
    pub fn format(self, minor_units: i64) -> String {
        let exponent = self.exponent() as usize;
        let sign = if minor_units < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", minor_units.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let point = if exponent == 0 { "" } else { "." };
        format!("{sign}{whole}{point}{fraction} {self}")
    }

    fn of_letters(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of_letters(text)
            .filter(|currency| KNOWN.split_ascii_whitespace().any(|known| known == currency.as_str()))
            .ok_or_else(|| UnknownCurrency(text.to_owned()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of_letters(&text).ok_or_else(|| serde::de::Error::custom(UnknownCurrency(text)))
    }
}

#[cfg(feature = "openapi")]
crate::codes::openapi_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_follow_iso_4217() {
        assert_eq!(Currency::EUR.exponent(), 2);
        assert_eq!(Currency::JPY.exponent(), 0);
        assert_eq!(Currency::KWD.exponent(), 3);
    }

    #[test]
    fn minor_units_are_shown_with_the_currencys_own_decimals() {
        assert_eq!(Currency::EUR.format(1234), "12.34 EUR");
        assert_eq!(Currency::EUR.format(-5), "-0.05 EUR");
        assert_eq!(Currency::JPY.format(1234), "1234 JPY");
        assert_eq!(Currency::KWD.format(1234), "1.234 KWD");
    }

    #[test]
    fn only_known_currencies_validate_but_later_ones_can_be_read() {
        assert_eq!("EUR".parse(), Ok(Currency::EUR));
        for wrong in ["eur", "XXZ", "EURO", "", "€€"] {
            assert_eq!(wrong.parse::<Currency>(), Err(UnknownCurrency(wrong.to_owned())));
        }
        assert!(serde_json::from_str::<Currency>("\"XXZ\"").is_ok());
        assert!(serde_json::from_str::<Currency>("\"eur\"").is_err());
    }
}
