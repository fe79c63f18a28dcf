//! Words of each language: amounts, moments, reasons.

use events::{Currency, ReasonCode, Timestamp, Why};
use serde::{Deserialize, Serialize};

/// A language that we write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

runtime::names!(Locale { En: "en", De: "de" });

impl Locale {
    /// The language of a BCP 47 tag such as `de-CH`, or else `default`.
    pub fn of(tag: Option<&str>, default: Self) -> Self {
        let language = tag.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        match language.to_ascii_lowercase().as_str() {
            "en" => Self::En,
            "de" => Self::De,
            _ => default,
        }
    }

    pub(crate) fn pick<T>(self, english: T, german: T) -> T {
        match self {
            Self::En => english,
            Self::De => german,
        }
    }

    /// An amount of minor units: `12.34 EUR`, `12,34 EUR`.
    pub(crate) fn money(self, minor_units: i64, currency: Currency) -> String {
        let text = currency.format(minor_units);
        self.pick(text.clone(), text.replace('.', ","))
    }

    /// A moment to the minute: `2026-01-31 12:00 UTC`, `31.01.2026, 12:00 Uhr (UTC)`.
    pub(crate) fn moment(self, moment: Timestamp) -> String {
        let text = moment.to_string();
        let (Some((date, time)), true) = (text.split_once('T'), text.ends_with('Z')) else { return text };
        let minute = time.get(..5).unwrap_or(time);
        let mut parts = date.rsplitn(3, '-');
        match (self, parts.next(), parts.next(), parts.next()) {
            (Self::De, Some(day), Some(month), Some(year)) => format!("{day}.{month}.{year}, {minute} Uhr (UTC)"),
            (Self::De | Self::En, ..) => format!("{date} {minute} UTC"),
        }
    }

    /// Why an order, or a part of it, was given up, as a customer should hear it. Whom the fraud rules stopped hears that we could not accept
    /// the order: not which rule, or that it was one.
    pub(crate) fn reason(self, code: &ReasonCode) -> &'static str {
        match code {
            ReasonCode::OutOfStock => self.pick("it is out of stock", "nicht mehr auf Lager"),
            ReasonCode::Declined => self.pick("the payment was declined", "die Zahlung wurde abgelehnt"),
            ReasonCode::ActionFailed => self.pick(
                "the payment was not confirmed with your bank",
                "die Zahlung wurde bei Ihrer Bank nicht bestätigt",
            ),
            ReasonCode::ReservationExpired => {
                self.pick("the payment was not completed in time", "die Zahlung wurde nicht rechtzeitig abgeschlossen")
            }
            ReasonCode::FraudRejected | ReasonCode::ReviewTimedOut => {
                self.pick("we could not accept the order", "wir konnten die Bestellung nicht annehmen")
            }
            ReasonCode::NothingToShip => {
                self.pick("nothing of it could be shipped", "nichts davon konnte versandt werden")
            }
            ReasonCode::CaptureFailed | ReasonCode::AuthorizationExpired => {
                self.pick("the payment could not be collected", "die Zahlung konnte nicht eingezogen werden")
            }
            ReasonCode::Cancelled => self.pick("it was cancelled", "storniert"),
            ReasonCode::Other(_) => self.pick("it could not be carried out", "nicht durchführbar"),
        }
    }

    pub(crate) fn why(self, why: &Why) -> &'static str {
        match why {
            Why::Short | Why::Lost => self.pick("not found in the warehouse", "im Lager nicht auffindbar"),
            Why::Refused | Why::Late => self.pick("the warehouse could not ship it", "vom Lager nicht versandt"),
            Why::Damaged => self.pick("damaged", "beschädigt"),
            Why::Recalled => self.pick("recalled before it left", "vor dem Versand zurückgerufen"),
            Why::Order(code) => self.reason(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_tags_first_part_or_the_default() {
        for (tag, language) in [(Some("de-CH"), Locale::De), (Some("EN_us"), Locale::En), (Some("de"), Locale::De)] {
            assert_eq!(Locale::of(tag, Locale::En), language);
        }
        assert_eq!(Locale::of(Some("fr"), Locale::De), Locale::De);
        assert_eq!(Locale::of(None, Locale::En), Locale::En);
    }

    #[test]
    fn amounts_and_moments_are_written_as_the_language_does() {
        assert_eq!(Locale::De.money(123_456, Currency::EUR), "1234,56 EUR");
        assert_eq!(Locale::En.money(1_234, Currency::KWD), "1.234 KWD");
        assert_eq!(Locale::De.money(1_234, Currency::JPY), "1234 JPY");
        let noon = Timestamp::from_millis(1_769_860_800_000);
        assert_eq!(Locale::En.moment(noon), "2026-01-31 12:00 UTC");
        assert_eq!(Locale::De.moment(noon), "31.01.2026, 12:00 Uhr (UTC)");
    }
}
