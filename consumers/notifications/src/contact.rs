//! Where a customer is written to, in which language, and whether an address can be used at all.

use events::{Channel, Person};
use serde::{Deserialize, Serialize};

/// Contact of one order's customer. Personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub name: String,
    pub email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Language as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The shop's own number of the order: what the customer knows it by.
    pub reference: String,
}

impl Contact {
    pub fn of(person: Person, reference: String) -> Self {
        let Person { name, email, phone, locale, .. } = person;
        Self { name, email, phone, locale, reference }
    }

    /// Whom to write to on this channel. Fails with what is wrong with the address, without the address.
    pub(crate) fn recipient(&self, channel: &Channel) -> Result<String, &'static str> {
        match channel {
            Channel::Email => email(&self.email),
            Channel::Sms => phone(self.phone.as_deref().unwrap_or_default()),
            Channel::Other(_) => Err("this version has no such channel"),
        }
    }
}

/// An address that a mail server would at least try: local part, @, domain. More can't be known without sending.
fn email(address: &str) -> Result<String, &'static str> {
    let address = address.trim();
    if address.is_empty() {
        return Err("the order names no e-mail address");
    }
    let odd = |char: char| char.is_whitespace() || char.is_control();
    match address.rsplit_once('@') {
        Some((local, domain))
            if !local.is_empty()
                && !domain.is_empty()
                && !address.contains(odd)
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && (!local.contains('@') || local.starts_with('"')) =>
        {
            Ok(address.to_owned())
        }
        _ => Err("the e-mail address is none: expected name@domain"),
    }
}

/// A number in international form (E.164), blanks and punctuation taken out.
fn phone(number: &str) -> Result<String, &'static str> {
    let plain: String = number.chars().filter(|char| !matches!(char, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    let digits = plain.strip_prefix('+').unwrap_or_default();
    let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if fits { Ok(plain) } else { Err("the phone number is none: expected international form, such as +49 30 1234567") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_server_would_take_is_not_used() {
        assert_eq!(email(" ada@example.org "), Ok("ada@example.org".to_owned()));
        assert_eq!(email(""), Err("the order names no e-mail address"));
        for wrong in [
            "ada",
            "@example.org",
            "ada@",
            "a da@example.org",
            "ada@@example.org",
            "ada@.org",
            "ada@example.org\nBcc: x@y.z",
        ] {
            assert!(email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_phone_number_is_used_in_international_form_only() {
        assert_eq!(phone("+49 (30) 123-4567"), Ok("+49301234567".to_owned()));
        for wrong in ["", "030 1234567", "+49", "+49 30 CALLME", "+1234567890123456"] {
            assert!(phone(wrong).is_err(), "{wrong}");
        }
    }
}
