//! What Stripe's objects mean: a payment's state for each operation, a refund's, a card's checks. Pure.

use events::{Action, Card, Check, Timestamp};
use gateway::{Hold, Money, Operation, Outcome, RefundStatus};

use crate::currency::{AmountError, from_stripe};
use crate::failure::refused;
use crate::objects::{CardDetails, Charge, IntentStatus, PaymentIntent, RefundObject, RefundState};

/// What a payment's state means for its authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationState {
    /// This came of it.
    Ended(Outcome),
    /// Refused, and the payment is still open: it is to be cancelled first.
    ToCancel { code: String, detail: String },
    /// It was not confirmed yet.
    Unconfirmed,
}

pub(crate) fn authorization(intent: &PaymentIntent) -> AuthorizationState {
    let ended = AuthorizationState::Ended;
    match &intent.status {
        IntentStatus::RequiresCapture => ended(hold(intent).map_or_else(unreadable, Outcome::Authorized)),
        IntentStatus::RequiresAction => ended(action_required(intent)),
        IntentStatus::RequiresConfirmation => AuthorizationState::Unconfirmed,
        IntentStatus::RequiresPaymentMethod => match failure(intent) {
            Some((code, detail)) => AuthorizationState::ToCancel { code, detail },
            None => AuthorizationState::Unconfirmed,
        },
        IntentStatus::Canceled => {
            let (code, detail) = failure(intent).unwrap_or_else(|| gone(intent));
            ended(Outcome::Declined { code, detail })
        }
        IntentStatus::Succeeded => ended(captured(intent)),
        IntentStatus::Processing | IntentStatus::Other(_) => ended(undecided(intent)),
    }
}

/// What a payment's state means for a capture of so much; none: it was not captured.
pub(crate) fn capture(intent: &PaymentIntent, asked: Money) -> Option<Outcome> {
    match &intent.status {
        IntentStatus::Succeeded => Some(captured(intent)),
        IntentStatus::Canceled if asked.amount == 0 => Some(Outcome::Captured { money: asked }),
        IntentStatus::Canceled => {
            let (code, detail) = gone(intent);
            Some(Outcome::CaptureFailed { code, detail })
        }
        IntentStatus::RequiresCapture => None,
        IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation | IntentStatus::RequiresAction => {
            let detail = format!("the payment is {}: nothing is held", intent.status);
            Some(refused(Operation::Capture, "not_held", &detail))
        }
        IntentStatus::Processing | IntentStatus::Other(_) => Some(undecided(intent)),
    }
}

/// What a payment's state means for a void; none: it is still open. `zero`: nothing, in the payment's currency.
pub(crate) fn void(intent: &PaymentIntent, zero: Money) -> Option<Outcome> {
    match &intent.status {
        IntentStatus::Canceled => {
            let was_held = |charge: &&Charge| charge.status.as_deref() == Some("succeeded");
            let held = intent.charge().filter(was_held);
            let money = held.map(|charge| from_stripe(charge.amount, charge.currency.as_deref()));
            Some(money.unwrap_or(Ok(zero)).map_or_else(unreadable, |money| Outcome::Voided { money }))
        }
        IntentStatus::Succeeded => Some(captured(intent)),
        IntentStatus::RequiresCapture
        | IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::RequiresAction
        | IntentStatus::Processing
        | IntentStatus::Other(_) => None,
    }
}

pub(crate) fn refund(refund: &RefundObject) -> Outcome {
    let refund_id = refund.id.clone();
    let money = match from_stripe(refund.amount, refund.currency.as_deref()) {
        Ok(money) => money,
        Err(error) => return unreadable(error),
    };
    match refund_status(refund) {
        RefundStatus::Succeeded => Outcome::Refunded { refund_id, money },
        RefundStatus::Pending => Outcome::RefundPending { refund_id, money },
        RefundStatus::Failed { detail } => Outcome::RefundFailed { refund_id: Some(refund_id), detail },
    }
}

pub(crate) fn refund_status<P>(refund: &RefundObject<P>) -> RefundStatus {
    let failed = || {
        let reason = refund.failure_reason.as_deref().unwrap_or("no reason given");
        RefundStatus::Failed { detail: format!("refund {} is {}: {reason}", refund.id, refund.status) }
    };
    match &refund.status {
        RefundState::Succeeded => RefundStatus::Succeeded,
        RefundState::Pending | RefundState::RequiresAction | RefundState::Other(_) => RefundStatus::Pending,
        RefundState::Failed | RefundState::Canceled => failed(),
    }
}

/// What is held.
///
/// # Errors
/// When the amount can't be read.
pub(crate) fn hold(intent: &PaymentIntent) -> Result<Hold, AmountError> {
    let charge = intent.charge();
    let card = charge.and_then(|charge| Some(card(charge, charge.card()?)));
    let capture_before = charge.and_then(Charge::card).and_then(|card| card.capture_before).map(moment);
    let money = from_stripe(intent.amount_capturable, intent.currency.as_deref())?;
    Ok(Hold { payment_id: intent.id.clone(), money, capture_before, card })
}

/// What was taken.
///
/// # Errors
/// When the amount can't be read.
pub(crate) fn received(intent: &PaymentIntent) -> Result<Money, AmountError> {
    from_stripe(intent.amount_received, intent.currency.as_deref())
}

fn captured(intent: &PaymentIntent) -> Outcome {
    received(intent).map_or_else(unreadable, |money| Outcome::Captured { money })
}

fn action_required(intent: &PaymentIntent) -> Outcome {
    let next = intent.next_action.as_ref();
    let url = next.and_then(|next| next.redirect_to_url.as_ref()?.url.clone());
    let action = match next.and_then(|next| next.kind.as_deref()) {
        Some("redirect_to_url" | "use_stripe_sdk") | None => Action::ThreeDSecure,
        Some(other) => Action::from(other),
    };
    Outcome::ActionRequired { payment_id: intent.id.clone(), action, url }
}

/// Why the last attempt to pay failed, where it did.
pub(crate) fn failure(intent: &PaymentIntent) -> Option<(String, String)> {
    let of_error = intent.last_payment_error.as_ref().map(|error| (error.code().to_owned(), error.detail()));
    of_error.or_else(|| {
        let charge = intent.charge()?;
        Some((charge.failure_code.clone()?, charge.failure_message.clone().unwrap_or_default()))
    })
}

/// How a payment that is cancelled came to that. Stripe said `automatic` where it says `expired` now.
pub(crate) fn is_expired(intent: &PaymentIntent) -> bool {
    matches!(intent.cancellation_reason.as_deref(), Some("expired" | "automatic"))
}

fn gone(intent: &PaymentIntent) -> (String, String) {
    let reason = intent.cancellation_reason.as_deref().unwrap_or("no reason given");
    let code = if is_expired(intent) { "authorization_expired" } else { "canceled" };
    (code.to_owned(), format!("the payment is cancelled at Stripe: {reason}"))
}

fn undecided(intent: &PaymentIntent) -> Outcome {
    let detail = format!("payment {} is {} at Stripe: it is asked for again", intent.id, intent.status);
    Outcome::Unknown { detail }
}

pub(crate) fn unreadable(error: AmountError) -> Outcome {
    Outcome::Unknown { detail: error.to_string() }
}

fn card(charge: &Charge, details: &CardDetails) -> Card {
    let checks = details.checks.clone().unwrap_or_default();
    let check = |text: Option<String>| text.map_or(Check::Unchecked, |text| Check::from(text.as_str()));
    // Without a fingerprint no other card is this one: velocity rules must not count all such cards as one.
    let fingerprint = details.fingerprint.clone().unwrap_or_else(|| format!("unknown:{}", charge.id));
    let authenticated = details.three_d_secure.as_ref().and_then(|three_d_secure| three_d_secure.result.as_deref());
    Card {
        fingerprint,
        brand: details.brand.clone(),
        last4: details.last4.clone(),
        country: details.country.clone(),
        cvc_check: check(checks.cvc_check),
        address_check: check(checks.address_line1_check),
        postal_code_check: check(checks.address_postal_code_check),
        three_d_secure: match authenticated {
            Some("authenticated") => Check::Pass,
            Some("failed") => Check::Fail,
            None | Some("exempted") => Check::Unchecked,
            Some(_) => Check::Unavailable,
        },
    }
}

/// A time of Stripe's, which counts seconds.
pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use events::Currency;
    use serde_json::{Value, json};

    use super::*;

    const ZERO: Money = Money { amount: 0, currency: Currency::EUR };

    fn eur(amount: i64) -> Money {
        Money { amount, ..ZERO }
    }

    fn intent(status: &str, more: Value) -> PaymentIntent {
        let mut object = json!({"id": "pi_1", "status": status, "currency": "eur", "amount": 1_500});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    fn declined(code: &str, detail: &str) -> AuthorizationState {
        AuthorizationState::Ended(Outcome::Declined { code: code.into(), detail: detail.into() })
    }

    #[test]
    fn what_is_held_is_read_with_its_end_its_card_and_the_issuers_checks() {
        let card = json!({"brand": "visa", "last4": "4242", "country": "DE", "fingerprint": "f1", "capture_before": 1_800_000_000,
            "checks": {"cvc_check": "pass", "address_line1_check": "fail", "address_postal_code_check": "unavailable"},
            "three_d_secure": {"result": "authenticated"}});
        let charge = json!({"id": "ch_1", "status": "succeeded", "payment_method_details": {"card": card}});
        let read =
            hold(&intent("requires_capture", json!({"amount_capturable": 1_500, "latest_charge": charge}))).unwrap();
        let card = read.card.unwrap();
        assert_eq!((read.payment_id.as_str(), read.money), ("pi_1", eur(1_500)));
        assert_eq!(read.capture_before, Some(Timestamp::from_millis(1_800_000_000_000)));
        assert_eq!((card.fingerprint.as_str(), card.last4.as_deref()), ("f1", Some("4242")));
        let checks = [card.cvc_check, card.address_check, card.postal_code_check, card.three_d_secure];
        assert_eq!(checks, [Check::Pass, Check::Fail, Check::Unavailable, Check::Pass]);

        let bare = json!({"amount_capturable": 1_500, "latest_charge": {"id": "ch_1", "payment_method_details": {"card": {}}}});
        let card = hold(&intent("requires_capture", bare)).unwrap().card.unwrap();
        assert_eq!((card.fingerprint.as_str(), card.three_d_secure), ("unknown:ch_1", Check::Unchecked));
        assert_eq!(
            hold(&intent("requires_capture", json!({"amount_capturable": 1, "latest_charge": "ch_1"}))).unwrap().card,
            None
        );
    }

    #[test]
    fn each_state_of_a_payment_answers_an_authorization() {
        let error =
            json!({"last_payment_error": {"code": "card_declined", "decline_code": "lost_card", "message": "No."}});
        let redirect =
            json!({"next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks/3ds"}}});
        let asked = |url: Option<&str>| {
            let url = url.map(str::to_owned);
            AuthorizationState::Ended(Outcome::ActionRequired {
                payment_id: "pi_1".into(),
                action: Action::ThreeDSecure,
                url,
            })
        };
        let rows = [
            ("requires_payment_method", json!({}), AuthorizationState::Unconfirmed),
            (
                "requires_payment_method",
                error.clone(),
                AuthorizationState::ToCancel { code: "lost_card".into(), detail: "No.".into() },
            ),
            (
                "requires_payment_method",
                json!({"latest_charge": {"id": "ch_1", "failure_code": "expired_card"}}),
                AuthorizationState::ToCancel { code: "expired_card".into(), detail: String::new() },
            ),
            ("requires_confirmation", json!({}), AuthorizationState::Unconfirmed),
            ("requires_action", redirect, asked(Some("https://hooks/3ds"))),
            ("requires_action", json!({"next_action": {"type": "use_stripe_sdk"}}), asked(None)),
            ("canceled", error, declined("lost_card", "No.")),
            (
                "canceled",
                json!({"cancellation_reason": "expired"}),
                declined("authorization_expired", "the payment is cancelled at Stripe: expired"),
            ),
            ("canceled", json!({}), declined("canceled", "the payment is cancelled at Stripe: no reason given")),
            (
                "succeeded",
                json!({"amount_received": 1_200}),
                AuthorizationState::Ended(Outcome::Captured { money: eur(1_200) }),
            ),
        ];
        for (status, more, expected) in rows {
            assert_eq!(authorization(&intent(status, more.clone())), expected, "{status} {more}");
        }
        for (status, more) in
            [("processing", json!({})), ("requires_magic", json!({})), ("requires_capture", json!({}))]
        {
            let read = authorization(&intent(status, more));
            assert!(matches!(read, AuthorizationState::Ended(Outcome::Unknown { .. })), "{status}: {read:?}");
        }
    }

    #[test]
    fn each_state_of_a_payment_answers_a_capture_and_a_void() {
        let held = json!({"amount_capturable": 1_500});
        assert_eq!(capture(&intent("requires_capture", held.clone()), eur(700)), None);
        assert_eq!(void(&intent("requires_capture", held), ZERO), None);
        let taken = intent("succeeded", json!({"amount_received": 700}));
        assert_eq!(capture(&taken, eur(700)), Some(Outcome::Captured { money: eur(700) }));
        assert_eq!(void(&taken, ZERO), capture(&taken, ZERO), "it can only be given back");
        let was_held = json!({"id": "ch_1", "status": "succeeded", "amount": 1_500, "currency": "eur"});
        let let_go = intent("canceled", json!({"latest_charge": was_held}));
        assert_eq!(void(&let_go, ZERO), Some(Outcome::Voided { money: eur(1_500) }));
        assert_eq!(void(&intent("canceled", json!({})), ZERO), Some(Outcome::Voided { money: ZERO }));
        assert_eq!(capture(&let_go, ZERO), Some(Outcome::Captured { money: ZERO }), "nothing ships: it was cancelled");
        let code = |outcome| match outcome {
            Some(Outcome::CaptureFailed { code, .. }) => code,
            other => panic!("expected a failed capture, got {other:?}"),
        };
        assert_eq!(code(capture(&let_go, eur(700))), "canceled");
        let expired = intent("canceled", json!({"cancellation_reason": "expired"}));
        assert_eq!(code(capture(&expired, eur(700))), "authorization_expired");
        assert_eq!(code(capture(&intent("requires_action", json!({})), eur(700))), "not_held");
        assert!(matches!(capture(&intent("processing", json!({})), eur(700)), Some(Outcome::Unknown { .. })));
        assert_eq!(void(&intent("requires_action", json!({})), ZERO), None);
    }

    #[test]
    fn each_state_of_a_refund_is_one_of_ours() {
        let of = |status: &str| {
            let refund_object = json!({"id": "re_1", "status": status, "amount": 300, "currency": "eur", "failure_reason": "lost_or_stolen_card"});
            refund(&serde_json::from_value(refund_object).unwrap())
        };
        let (refund_id, money) = ("re_1".to_owned(), eur(300));
        assert_eq!(of("succeeded"), Outcome::Refunded { refund_id: refund_id.clone(), money });
        for status in ["pending", "requires_action", "brand_new"] {
            assert_eq!(of(status), Outcome::RefundPending { refund_id: refund_id.clone(), money }, "{status}");
        }
        for status in ["failed", "canceled"] {
            let Outcome::RefundFailed { refund_id: Some(_), detail } = of(status) else { panic!("{status}") };
            assert!(detail.contains("lost_or_stolen_card") && detail.contains(status), "{detail}");
        }
        let unreadable = refund(&serde_json::from_value(json!({"id": "re_1", "status": "succeeded"})).unwrap());
        assert!(matches!(unreadable, Outcome::Unknown { .. }), "{unreadable:?}");
    }
}
