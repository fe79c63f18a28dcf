//! What pays: the token of an order in Stripe's forms.

/// A payment method of Stripe's, as an order names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PaymentMethod {
    /// `pm_…`: a payment method, good for one payment unless it is attached to a customer.
    Once(String),
    /// `ctoken_…`: a confirmation token of Elements.
    ConfirmationToken(String),
    /// `cus_…/pm_…`: a customer's saved payment method.
    Saved { customer: String, payment_method: String },
}

/// The order's token is none of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a payment method of Stripe's (\"pm_…\"), a confirmation token (\"ctoken_…\") or a customer's saved method (\"cus_…/pm_…\"), got {0:?}"
)]
pub(crate) struct PaymentMethodError(String);

impl PaymentMethod {
    pub fn parse(token: &str) -> Result<Self, PaymentMethodError> {
        let id = |text: &str, prefix: &str| {
            let rest = text.strip_prefix(prefix)?;
            let is_id = !rest.is_empty() && text.len() <= 255;
            (is_id && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then(|| text.to_owned())
        };
        let parsed = match token.split_once('/') {
            Some((customer, method)) => id(customer, "cus_")
                .zip(id(method, "pm_"))
                .map(|(customer, payment_method)| Self::Saved { customer, payment_method }),
            None => id(token, "pm_").map(Self::Once).or_else(|| id(token, "ctoken_").map(Self::ConfirmationToken)),
        };
        // What is no token may be anything, a card's number too: only its beginning is repeated.
        parsed.ok_or_else(|| PaymentMethodError(token.chars().take(4).chain("…".chars()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_all_else_is_refused_without_being_repeated() {
        assert_eq!(PaymentMethod::parse("pm_card_visa"), Ok(PaymentMethod::Once("pm_card_visa".into())));
        assert_eq!(PaymentMethod::parse("ctoken_1A"), Ok(PaymentMethod::ConfirmationToken("ctoken_1A".into())));
        let saved = PaymentMethod::Saved { customer: "cus_1".into(), payment_method: "pm_1".into() };
        assert_eq!(PaymentMethod::parse("cus_1/pm_1"), Ok(saved));
        for wrong in [
            "",
            "pm_",
            "tok_visa",
            "cus_1",
            "cus_1/",
            "cus_1/ctoken_1",
            "pm_1/pm_2",
            "pm_1?x=y",
            "pm_é",
            "4242424242424242",
        ] {
            let error = PaymentMethod::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("pm_…"), "{error}");
            assert!(wrong.len() < 6 || !error.contains(wrong), "{error}");
        }
        assert!(PaymentMethod::parse(&format!("pm_{}", "a".repeat(253))).is_err(), "ids have 255 characters at most");
    }
}
