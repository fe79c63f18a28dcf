//! Test tokens: what each makes happen.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

macro_rules! tokens {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A payment method of the sandbox. What follows a colon names the card (`tok_approved:4242`); else each customer has one of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Token {
            $($(#[$doc])* $variant,)*
        }

        impl Token {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

tokens! {
    Approved = "tok_approved",
    Declined = "tok_declined",
    InsufficientFunds = "tok_insufficient_funds",
    /// Everything succeeds, but the issuer's checks of code, address and postal code fail.
    ChecksFail = "tok_checks_fail",
    /// 3-D Secure; what the customer says is what happens.
    ThreeDsPasses = "tok_3ds_passes",
    /// 3-D Secure; the bank refuses whatever the customer says.
    ThreeDsFails = "tok_3ds_fails",
    /// 3-D Secure; the customer is expected never to answer. If they do after all, it is as with `tok_3ds_passes`.
    ThreeDsAbandoned = "tok_3ds_abandoned",
    CaptureFails = "tok_capture_fails",
    /// The first attempt to void fails.
    VoidFailsOnce = "tok_void_fails_once",
    /// The first five attempts to void fail.
    VoidFails = "tok_void_fails",
    /// Refunds are pending until the sandbox's webhook door is told, or a look-up after a while.
    RefundPending = "tok_refund_pending",
    RefundFails = "tok_refund_fails",
    /// Every call is done at once, but answered late.
    Slow = "tok_slow",
    /// Every call is done, and its first answer is lost.
    AnswerLostOnce = "tok_answer_lost_once",
    /// Nothing is ever answered, look-ups neither.
    NoAnswer = "tok_no_answer",
    /// Nothing is held or answered until the order is a minute old, by the time in its id.
    DownAMinute = "tok_down_a_minute",
    /// Nothing is held or answered until the order is a day old.
    DownADay = "tok_down_a_day",
    /// The first attempts to authorize and to capture do nothing, and answer with a stored server error.
    Stored500 = "tok_stored_500",
    WrongAmount = "tok_wrong_amount",
    WrongCurrency = "tok_wrong_currency",
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownToken(String);

impl fmt::Display for UnknownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Token::ALL.iter().map(|token| token.as_str()).collect();
        let Self(text) = self;
        write!(f, "expected one of the sandbox's test tokens ({}), got {text:?}", known.join(", "))
    }
}

impl Token {
    pub(crate) fn challenges(self) -> bool {
        [Self::ThreeDsPasses, Self::ThreeDsFails, Self::ThreeDsAbandoned].contains(&self)
    }

    /// How old an order must be before anything is done for it.
    pub(crate) fn down_for(self) -> Duration {
        let down = [(Self::DownAMinute, 60), (Self::DownADay, 24 * 3_600)];
        Duration::from_secs(down.iter().find(|(token, _)| *token == self).map_or(0, |(_, seconds)| *seconds))
    }

    /// Attempts to void, from the first, that fail.
    pub(crate) fn voids_refused(self) -> u32 {
        let refused = [(Self::VoidFailsOnce, 1), (Self::VoidFails, 5)];
        refused.iter().find(|(token, _)| *token == self).map_or(0, |(_, attempts)| *attempts)
    }
}

impl FromStr for Token {
    type Err = UnknownToken;

    fn from_str(text: &str) -> Result<Self, UnknownToken> {
        let name = text.split_once(':').map_or(text, |(name, _)| name);
        Self::ALL.iter().copied().find(|token| token.as_str() == name).ok_or_else(|| UnknownToken(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_read_as_it_is_written_with_or_without_a_card() {
        for token in Token::ALL {
            assert_eq!(token.as_str().parse(), Ok(*token));
            assert_eq!(format!("{}:4242", token.as_str()).parse(), Ok(*token));
        }
        let error = "tok_aproved".parse::<Token>().unwrap_err().to_string();
        assert!(error.contains("tok_approved") && error.contains("tok_aproved"), "{error}");
    }
}
