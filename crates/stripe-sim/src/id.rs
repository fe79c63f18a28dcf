//! Ids as Stripe's look: a prefix and 24 random letters and digits.

use sha2::{Digest as _, Sha256};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random letters and digits.
#[must_use]
pub fn random(length: usize) -> String {
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// A new id: `prefix` with its underscore (`pi_`).
#[must_use]
pub fn new(prefix: &str) -> String {
    format!("{prefix}{}", random(24))
}

/// A share between 0 and 1, drawn.
#[must_use]
pub fn draw() -> f64 {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// The SHA-256 of an API key, in hexadecimal digits: what is kept of it.
#[must_use]
pub fn fingerprint(api_key: &str) -> String {
    hex(&Sha256::digest(api_key.as_bytes()))
}

/// Hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_stripes_and_differ() {
        let (one, other) = (new("pi_"), new("pi_"));
        assert!(one.starts_with("pi_") && one.len() == 27 && one != other, "{one} {other}");
    }

    #[test]
    fn a_fingerprint_is_the_keys_sha_256() {
        // printf sk_test_1 | sha256sum
        assert_eq!(fingerprint("sk_test_1"), "28ab62a8e0300d274eb7828beb50a6e0c0af14937bc73d8bad978cc89a8b3ffe");
    }
}
