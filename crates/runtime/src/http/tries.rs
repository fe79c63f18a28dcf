//! How many wrong keys an address may show: a bounded memory of who showed which.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Different wrong keys that an address may show within [`WITHIN`].
const MOST: u32 = 10;
/// How long wrong keys are remembered; an address with too many waits for the rest of it.
const WITHIN: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once. When there are more, the one that began first is forgotten.
const ADDRESSES: usize = 4_096;

struct Tried {
    since: Instant,
    wrong: u32,
    /// The beginning of the last wrong key's digest: the same key again, as of a program that was set up wrongly, is no guess.
    last: [u8; 8],
}

/// Wrong keys by address. An IPv6 address counts as its network of 64 bits, which one caller has whole.
#[derive(Default)]
pub(crate) struct Tries(HashMap<IpAddr, Tried>);

impl Tries {
    /// In how many seconds this address may show a key again; none: now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let tried = self.0.get(&network(address))?;
        let left = WITHIN.checked_sub(now.duration_since(tried.since))?;
        (tried.wrong >= MOST).then(|| u32::try_from(left.as_secs()).unwrap_or(u32::MAX) + 1)
    }

    /// It showed a wrong key.
    pub fn wrong(&mut self, address: IpAddr, digest: &[u8; 32], now: Instant) {
        let address = network(address);
        if !self.0.contains_key(&address) && self.0.len() >= ADDRESSES {
            self.0.retain(|_, tried| now.duration_since(tried.since) < WITHIN);
            if self.0.len() >= ADDRESSES
                && let Some(first) = self.0.iter().min_by_key(|(_, tried)| tried.since).map(|(address, _)| *address)
            {
                self.0.remove(&first);
            }
        }
        let mut last = [0; 8];
        last.copy_from_slice(&digest[..8]);
        let tried = self.0.entry(address).or_insert(Tried { since: now, wrong: 0, last: [0; 8] });
        if now.duration_since(tried.since) >= WITHIN {
            *tried = Tried { since: now, wrong: 0, last: [0; 8] };
        }
        if tried.wrong == 0 || tried.last != last {
            tried.wrong += 1;
        }
        tried.last = last;
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn guess(tries: &mut Tries, address: IpAddr, guesses: std::ops::Range<u8>, now: Instant) {
        for guess in guesses {
            tries.wrong(address, &[guess; 32], now);
        }
    }

    #[test]
    fn who_guesses_waits_and_others_do_not() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        guess(&mut tries, EVE, 0..9, now);
        assert_eq!(tries.wait(EVE, now), None);
        guess(&mut tries, EVE, 9..10, now);
        assert_eq!(tries.wait(EVE, now), Some(61));
        assert_eq!(tries.wait(EVE, now + Duration::from_secs(50)), Some(11));
        assert_eq!(tries.wait("192.0.2.8".parse().unwrap(), now), None);
        let later = now + WITHIN;
        assert_eq!(tries.wait(EVE, later + Duration::from_millis(1)), None);
        guess(&mut tries, EVE, 10..11, later);
        assert_eq!(tries.wait(EVE, later), None, "it counts anew");
    }

    #[test]
    fn the_same_wrong_key_again_is_no_guess() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for _ in 0..100 {
            tries.wrong(EVE, &[7; 32], now);
        }
        assert_eq!(tries.wait(EVE, now), None);
    }

    #[test]
    fn a_caller_with_many_addresses_is_one_and_the_memory_is_bounded() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for guess in 0..10_u8 {
            tries.wrong(format!("2001:db8::{guess:x}").parse().unwrap(), &[guess; 32], now);
        }
        assert!(tries.wait("2001:db8::ffff".parse().unwrap(), now).is_some());
        for address in 0..2 * ADDRESSES as u32 {
            tries.wrong(IpAddr::V4(address.into()), &[1; 32], now + Duration::from_millis(1));
        }
        assert_eq!(tries.0.len(), ADDRESSES);
    }
}
