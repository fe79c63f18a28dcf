//! Stripe's test cards: what each number and each `pm_card_…` does.

use serde::{Deserialize, Serialize};

/// When a card asks for 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Never.
    NotRequired,
    /// Unless it was saved with 3-D Secure before.
    UnlessSetUp,
    /// At each payment.
    Always,
}

/// What the issuer or Radar answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Approved.
    Approved,
    /// Declined, with `code` and `decline_code`.
    Declined(&'static str, &'static str),
    /// Blocked by Radar before the issuer is asked.
    Blocked,
}

/// What follows a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing.
    Nothing,
    /// A dispute with this reason.
    Dispute(&'static str),
    /// An inquiry: a dispute that moves no money.
    Inquiry,
    /// An early fraud warning.
    EarlyFraudWarning,
}

/// How a refund to the card goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPath {
    /// At once, for good.
    Succeeds,
    /// At once, and it fails later.
    FailsLater,
    /// Pending first.
    PendingFirst,
}

/// A test card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestCard {
    /// `pm_card_visa`.
    pub token: &'static str,
    /// `4242424242424242`.
    pub number: &'static str,
    /// `visa`, `mastercard`, `amex`.
    pub brand: &'static str,
    /// When it asks for 3-D Secure.
    pub authentication: Authentication,
    /// What the issuer answers.
    pub authorization: Authorization,
    /// What follows a capture.
    pub aftermath: Aftermath,
    /// How refunds go.
    pub refund: RefundPath,
    /// `normal`, `elevated`, `highest`.
    pub risk_level: &'static str,
    /// Checks of CVC, line 1 and postal code: `pass`, `fail`, `unavailable`.
    pub checks: [&'static str; 3],
}

const VISA: TestCard = TestCard {
    token: "pm_card_visa",
    number: "4242424242424242",
    brand: "visa",
    authentication: Authentication::NotRequired,
    authorization: Authorization::Approved,
    aftermath: Aftermath::Nothing,
    refund: RefundPath::Succeeds,
    risk_level: "normal",
    checks: ["pass", "pass", "pass"],
};

const fn card(token: &'static str, number: &'static str) -> TestCard {
    TestCard { token, number, ..VISA }
}

const fn declined(
    token: &'static str,
    number: &'static str,
    code: &'static str,
    decline_code: &'static str,
) -> TestCard {
    TestCard { authorization: Authorization::Declined(code, decline_code), ..card(token, number) }
}

const fn authenticated(token: &'static str, number: &'static str) -> TestCard {
    TestCard { authentication: Authentication::Always, ..card(token, number) }
}

const fn checked(token: &'static str, number: &'static str, checks: [&'static str; 3]) -> TestCard {
    TestCard { checks, ..card(token, number) }
}

/// All test cards of the simulator.
pub const TEST_CARDS: &[TestCard] = &[
    VISA,
    card("pm_card_visa_debit", "4000056655665556"),
    TestCard { brand: "mastercard", ..card("pm_card_mastercard", "5555555555554444") },
    TestCard { brand: "amex", ..card("pm_card_amex", "378282246310005") },
    TestCard { brand: "discover", ..card("pm_card_discover", "6011111111111117") },
    declined("pm_card_chargeDeclined", "4000000000000002", "card_declined", "generic_decline"),
    declined("pm_card_visa_chargeDeclined", "4000000000000002", "card_declined", "generic_decline"),
    declined("pm_card_visa_chargeDeclinedInsufficientFunds", "4000000000009995", "card_declined", "insufficient_funds"),
    declined("pm_card_visa_chargeDeclinedLostCard", "4000000000009987", "card_declined", "lost_card"),
    declined("pm_card_visa_chargeDeclinedStolenCard", "4000000000009979", "card_declined", "stolen_card"),
    declined("pm_card_chargeDeclinedExpiredCard", "4000000000000069", "expired_card", "expired_card"),
    declined("pm_card_chargeDeclinedIncorrectCvc", "4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    declined("pm_card_chargeDeclinedProcessingError", "4000000000000119", "processing_error", "processing_error"),
    declined(
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "4000000000006975",
        "card_declined",
        "card_velocity_exceeded",
    ),
    declined("pm_card_chargeCustomerFail", "4000000000000341", "card_declined", "generic_decline"),
    authenticated("pm_card_authenticationRequired", "4000002760003184"),
    TestCard {
        authentication: Authentication::UnlessSetUp,
        ..card("pm_card_authenticationRequiredOnSetup", "4000002500003155")
    },
    authenticated("pm_card_threeDSecureRequired", "4000000000003220"),
    TestCard {
        authorization: Authorization::Declined("card_declined", "generic_decline"),
        ..authenticated("pm_card_threeDSecureRequiredChargeDeclined", "4000008400001629")
    },
    TestCard {
        authorization: Authorization::Declined("card_declined", "insufficient_funds"),
        ..authenticated("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", "4000008260003178")
    },
    TestCard { aftermath: Aftermath::Dispute("fraudulent"), ..card("pm_card_createDispute", "4000000000000259") },
    TestCard {
        aftermath: Aftermath::Dispute("product_not_received"),
        ..card("pm_card_createDisputeProductNotReceived", "4000000000002685")
    },
    TestCard { aftermath: Aftermath::Inquiry, ..card("pm_card_createDisputeInquiry", "4000000000001976") },
    TestCard { aftermath: Aftermath::EarlyFraudWarning, ..card("pm_card_createIssuerFraudRecord", "4000000000005423") },
    TestCard { refund: RefundPath::FailsLater, ..card("pm_card_refundFail", "4000000000005126") },
    TestCard { refund: RefundPath::PendingFirst, ..card("pm_card_pendingRefund", "4000000000007726") },
    TestCard {
        authorization: Authorization::Blocked,
        risk_level: "highest",
        ..card("pm_card_radarBlock", "4100000000000019")
    },
    TestCard { risk_level: "elevated", ..card("pm_card_riskLevelElevated", "4000000000009235") },
    TestCard { risk_level: "highest", ..card("pm_card_riskLevelHighest", "4000000000004954") },
    checked("pm_card_avsFail", "4000000000000010", ["pass", "fail", "fail"]),
    checked("pm_card_avsZipFail", "4000000000000036", ["pass", "pass", "fail"]),
    checked("pm_card_avsLine1Fail", "4000000000000028", ["pass", "fail", "pass"]),
    checked("pm_card_avsUnchecked", "4000000000000044", ["pass", "unavailable", "unavailable"]),
    checked("pm_card_cvcCheckFail", "4000000000000101", ["fail", "pass", "pass"]),
];

impl TestCard {
    /// The card of a token (`pm_card_visa`, `tok_visa`) or a number.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let bare = |token: &'static str| token.strip_prefix("pm_card_").unwrap_or(token);
        TEST_CARDS.iter().find(|card| {
            card.token == name || card.number == name || name.strip_prefix("tok_") == Some(bare(card.token))
        })
    }

    /// The last four digits.
    #[must_use]
    pub fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }
}

/// A PaymentMethod in the book: a card that a customer brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentMethodRecord {
    /// `pm_…`.
    pub id: String,
    /// The token of its [`TestCard`].
    pub card: String,
    /// Whether it is of live mode.
    pub livemode: bool,
    /// Seconds.
    pub created: i64,
    /// The customer it is saved for: it may be used again and again. Without one, it is for one payment alone.
    pub customer: Option<String>,
    /// Whether the customer passed 3-D Secure when it was saved.
    pub set_up: bool,
    /// The payment that used it.
    pub used_by: Option<String>,
}

impl PaymentMethodRecord {
    /// Its test card.
    #[must_use]
    pub fn test_card(&self) -> &'static TestCard {
        TestCard::find(&self.card).unwrap_or(&VISA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_by_token_and_number() {
        assert_eq!(TestCard::find("tok_visa").map(TestCard::last4), Some("4242"));
        assert_eq!(TestCard::find("4000000000005126").map(|card| card.refund), Some(RefundPath::FailsLater));
        assert_eq!(TestCard::find("pm_card_unknown"), None);
        let mut tokens: Vec<&str> = TEST_CARDS.iter().map(|card| card.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), TEST_CARDS.len(), "a token names one card");
    }

    #[test]
    fn numbers_pass_the_luhn_check() {
        for card in TEST_CARDS {
            let digits = card.number.chars().rev().filter_map(|digit| digit.to_digit(10)).enumerate();
            let sum: u32 =
                digits.map(|(at, digit)| if at % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit }).sum();
            assert_eq!(sum % 10, 0, "{}", card.number);
        }
    }
}
