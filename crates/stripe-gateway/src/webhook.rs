//! What Stripe posts: the signature over the raw body, and the ids in it. Nothing else of a webhook is believed: its object is fetched again.

use std::time::Duration;

use events::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use runtime::settings::Secret;
use serde::Deserialize;
use sha2::Sha256;

use crate::objects::{Expandable, Identified};
use crate::outcomes::moment;

/// The header that a webhook is signed in.
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";
/// Bytes at most of a webhook's body. Stripe's are a few thousand; what is longer is refused unread.
pub const LONGEST_BODY: usize = 256 * 1024;

/// The types of events that an endpoint must be subscribed to.
pub const EVENT_TYPES: [&str; 14] = [
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
];

/// A webhook that is not Stripe's, or can't be shown to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// There is nothing to check it by.
    #[error("expected a signing secret in payments.stripe.webhook_secrets, got none: no webhook is taken")]
    NoSecret,
    /// The header is missing, or not Stripe's.
    #[error("expected a header Stripe-Signature such as \"t=…,v1=…\", got {0}")]
    BadHeader(&'static str),
    /// It may be an old one that is sent again by somebody else.
    #[error(
        "expected a webhook signed within {tolerance:?}, got one that is {distance:?} away: check this machine's clock"
    )]
    OutOfTolerance {
        /// What is allowed.
        tolerance: Duration,
        /// How far it is from now, before or after.
        distance: Duration,
    },
    /// No secret of ours signed this body.
    #[error(
        "expected a signature by one of {secrets} secrets, got none that fits: the body was changed on the way, or the secret is another endpoint's"
    )]
    Forged {
        /// How many were tried.
        secrets: usize,
    },
    /// It is too long to be Stripe's.
    #[error("expected a body of at most {LONGEST_BODY} bytes, got {0}")]
    TooLong(usize),
    /// It is signed, and no event.
    #[error("expected an event of Stripe's in JSON, got something else: {0}")]
    Unreadable(String),
}

/// An event, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Stripe's id of the event: by it a repetition is known.
    pub id: String,
    /// Its type, such as `payment_intent.succeeded`.
    pub event_type: String,
    /// When it happened.
    pub created: Timestamp,
    /// Whether it is of live mode.
    pub livemode: bool,
    /// The connected account that it happened in; none: the endpoint's own.
    pub account: Option<String>,
    /// What it is about; none for a type that nobody here asks for.
    pub subject: Option<EventSubject>,
}

/// What an event is about, to be fetched again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSubject {
    /// A PaymentIntent.
    Payment(String),
    /// A refund.
    Refund(String),
    /// A dispute.
    Dispute(String),
    /// An early fraud warning.
    FraudWarning(String),
}

/// Checks that a webhook was signed by one of these secrets (while one is replaced there are two), and not long ago.
///
/// # Errors
/// When it was not, or that can't be told.
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[Secret],
    tolerance: Duration,
    now: Timestamp,
) -> Result<(), WebhookError> {
    if body.len() > LONGEST_BODY {
        return Err(WebhookError::TooLong(body.len()));
    }
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).filter(|secret| !secret.trim().is_empty()).collect();
    if secrets.is_empty() {
        return Err(WebhookError::NoSecret);
    }
    let header = header.ok_or(WebhookError::BadHeader("none"))?;
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let times: Vec<&str> = fields().filter(|(name, _)| *name == "t").map(|(_, time)| time).collect();
    let [time] = times[..] else { return Err(WebhookError::BadHeader("one without one time")) };
    let signed_at = time.parse().map(moment).map_err(|_| WebhookError::BadHeader("one whose time is no number"))?;
    let signatures: Vec<[u8; 32]> =
        fields().filter(|(name, _)| *name == "v1").filter_map(|(_, hex)| from_hex(hex)).collect();
    if signatures.is_empty() {
        return Err(WebhookError::BadHeader("one without a signature v1"));
    }
    let is_signed_by = |secret: &&str| {
        // A key of any length is taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        // In constant time, whatever fits or not.
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    if !secrets.iter().any(is_signed_by) {
        return Err(WebhookError::Forged { secrets: secrets.len() });
    }
    let distance = now.since(signed_at).max(signed_at.since(now));
    if distance > tolerance {
        return Err(WebhookError::OutOfTolerance { tolerance, distance });
    }
    Ok(())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// An event as Stripe's API has it.
#[derive(Debug, Deserialize)]
pub(crate) struct EventObject {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    livemode: bool,
    #[serde(default)]
    account: Option<String>,
    data: EventData,
}

#[derive(Debug, Deserialize)]
struct EventData {
    object: EventDataObject,
}

/// Some have no id, such as a balance; none of those is asked for.
#[derive(Debug, Deserialize)]
struct EventDataObject {
    #[serde(default)]
    id: Option<String>,
}

/// Reads the ids of an event whose signature was checked.
///
/// # Errors
/// When it is no event of Stripe's.
pub fn parse(body: &[u8]) -> Result<WebhookEvent, WebhookError> {
    let event: EventObject =
        serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))?;
    event.read().map_err(|id| WebhookError::Unreadable(format!("{id:?} where an id belongs")))
}

impl EventObject {
    pub fn id(&self) -> &String {
        &self.id
    }

    /// # Errors
    /// With what stands where an id belongs: it goes into the path of a call, where it could mean another one.
    pub fn read(self) -> Result<WebhookEvent, String> {
        let Self { id, event_type, created, livemode, account, data } = self;
        let checked = |id: String| {
            let is_id = (1..=255).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            if is_id { Ok(id) } else { Err(id.chars().take(40).collect::<String>()) }
        };
        let id = checked(id)?;
        let about: Option<fn(String) -> EventSubject> = match event_type.split_once('.') {
            _ if !EVENT_TYPES.contains(&event_type.as_str()) => None,
            Some(("payment_intent", _)) => Some(EventSubject::Payment),
            Some(("refund", _)) => Some(EventSubject::Refund),
            Some(("charge", _)) => Some(EventSubject::Dispute),
            Some(("radar", _)) => Some(EventSubject::FraudWarning),
            Some(_) | None => None,
        };
        let subject = about.map(|about| checked(data.object.id.unwrap_or_default()).map(about)).transpose()?;
        Ok(WebhookEvent { id, event_type, created: moment(created), livemode, account, subject })
    }
}

/// The id of an object that may be expanded.
pub(crate) fn id_of(object: Option<&Expandable<Identified>>) -> Option<&str> {
    object.map(Expandable::id)
}

#[cfg(test)]
mod tests {
    use runtime::http::hex;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const AT: i64 = 1_800_000_000;
    const TOLERANCE: Duration = Duration::from_secs(300);
    const BODY: &[u8] = br#"{"id":"evt_1","type":"payment_intent.succeeded","created":1800000000,"livemode":false,"data":{"object":{"id":"pi_1","status":"succeeded"}}}"#;

    fn sign(secret: &str, at: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{at}.").as_bytes());
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }

    fn header(secret: &str, at: i64) -> String {
        format!("t={at},v1={}", sign(secret, at, BODY))
    }

    fn check(header: &str, body: &[u8]) -> Result<(), WebhookError> {
        verify(Some(header), body, &["whsec_old".into(), "whsec_new".into()], TOLERANCE, NOW)
    }

    #[test]
    fn a_signature_is_stripes_own_scheme() {
        // Computed with `printf 1800000000.{} | openssl dgst -sha256 -hmac whsec_new`.
        let known = "t=1800000000,v1=1986deab7895a14a054fddb484fae2a14b005d2d05f7c0337957417e34d10bfe";
        assert_eq!(verify(Some(known), b"{}", &["whsec_new".into()], TOLERANCE, NOW), Ok(()));
    }

    #[test]
    fn any_secret_and_any_of_several_signatures_will_do() {
        assert_eq!(check(&header("whsec_old", AT), BODY), Ok(()));
        assert_eq!(check(&header("whsec_new", AT), BODY), Ok(()));
        let (other, ours) = (sign("whsec_third", AT, BODY), sign("whsec_new", AT, BODY));
        for signatures in [
            format!("v1={other},v1={ours}"),
            format!("v1={ours},v1={other}"),
            format!("v0={other},v1={ours}"),
            format!(" v1={ours} ,x"),
        ] {
            assert_eq!(check(&format!("t={AT},{signatures}"), BODY), Ok(()), "{signatures}");
        }
    }

    #[test]
    fn what_was_not_signed_by_us_and_stripe_is_refused() {
        let forged = Err(WebhookError::Forged { secrets: 2 });
        assert_eq!(check(&header("whsec_third", AT), BODY), forged);
        assert_eq!(check(&header("", AT), BODY), forged, "a blank secret signs nothing");
        assert_eq!(check(&header("whsec_new", AT), b"{}"), forged, "another body");
        assert_eq!(check(&header("whsec_new", AT), &BODY[..BODY.len() - 1]), forged, "cut off");
        assert_eq!(check(&header("whsec_new", AT).replace("t=18", "t=19"), BODY), forged, "another time");
        let v0 = format!("t={AT},v0={}", sign("whsec_new", AT, BODY));
        for wrong in [
            v0.as_str(),
            "",
            "t=1",
            "v1=00",
            "t=x,v1=00",
            &format!("t=1,{}", header("whsec_new", AT)),
            &format!("t={AT},v1=zz"),
            &format!("t={AT},v1={}é", "0".repeat(62)),
        ] {
            assert!(matches!(check(wrong, BODY), Err(WebhookError::BadHeader(_))), "{wrong}");
        }
        assert_eq!(verify(None, BODY, &["whsec_new".into()], TOLERANCE, NOW), Err(WebhookError::BadHeader("none")));
        for secrets in [vec![], vec![Secret::from("")], vec![Secret::from("  ")]] {
            assert_eq!(verify(Some(&header("", AT)), BODY, &secrets, TOLERANCE, NOW), Err(WebhookError::NoSecret));
        }
        let long = vec![b' '; 1_000_000];
        assert_eq!(
            check(&format!("t={AT},v1={}", sign("whsec_new", AT, &long)), &long),
            Err(WebhookError::TooLong(1_000_000))
        );
    }

    #[test]
    fn an_old_webhook_and_one_of_a_later_time_are_refused_at_the_second() {
        for at in [AT - 300, AT + 300] {
            assert_eq!(check(&header("whsec_new", at), BODY), Ok(()), "{at}");
        }
        for at in [AT - 301, AT + 301, 0] {
            assert!(matches!(check(&header("whsec_new", at), BODY), Err(WebhookError::OutOfTolerance { .. })), "{at}");
        }
    }

    #[test]
    fn only_the_ids_of_an_event_are_read() {
        let event = parse(BODY).unwrap();
        assert_eq!(event.subject, Some(EventSubject::Payment("pi_1".into())));
        assert_eq!((event.id.as_str(), event.created, event.livemode), ("evt_1", NOW, false));
        let of = |event_type: &str, id: &str| {
            parse(
                format!(r#"{{"id":"evt_1","type":"{event_type}","data":{{"object":{{"id":"{id}","object":7}}}}}}"#)
                    .as_bytes(),
            )
        };
        let subjects = [
            ("refund.failed", "re_1", Some(EventSubject::Refund("re_1".into()))),
            ("charge.dispute.funds_withdrawn", "du_1", Some(EventSubject::Dispute("du_1".into()))),
            ("radar.early_fraud_warning.created", "issfr_1", Some(EventSubject::FraudWarning("issfr_1".into()))),
            ("payment_intent.created", "pi_1", None),
            ("customer.created", "cus_1", None),
            ("brand_new", "x_1", None),
            ("brand_new", "not an id", None),
        ];
        for (event_type, id, subject) in subjects {
            assert_eq!(of(event_type, id).unwrap().subject, subject, "{event_type}");
        }
        let without_id = br#"{"id":"evt_1","type":"balance.available","data":{"object":{"object":"balance"}}}"#;
        assert_eq!(parse(without_id).unwrap().subject, None);
        for id in ["", "../balance", "pi_1?expand[]=x", "pi 1"] {
            assert!(matches!(of("payment_intent.succeeded", id), Err(WebhookError::Unreadable(_))), "{id}");
        }
        for body in [&b""[..], b"{", b"[]", b"{}", b"\xff", &BODY[..60]] {
            assert!(matches!(parse(body), Err(WebhookError::Unreadable(_))), "{body:?}");
        }
    }
}
