//! How many wrong keys an address may show: a bounded memory of who showed which.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Different wrong keys that an address may show within [`WITHIN`].
const MOST: u32 = 10;
/// How long wrong keys are remembered; an address with too many waits for the rest of it.
const WITHIN: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once. When there are more, the one that began first is forgotten.
const ADDRESSES: usize = 4_096;

/// Wrong keys of an address that are known again: the same key again, as of a program that was set up wrongly, is no guess.
const KNOWN_AGAIN: usize = 4;

#[derive(Clone, Copy)]
struct AddressTries {
    since: Instant,
    wrong: u32,
    /// The beginnings of the last wrong keys' digests, the newest first.
    last: [[u8; 8]; KNOWN_AGAIN],
}

/// Wrong keys by address, and the right ones that came from there. An IPv6 address counts as its network of 64 bits, which one caller has whole.
#[derive(Default)]
pub(crate) struct Tries {
    wrong: HashMap<IpAddr, AddressTries>,
    right: HashSet<(IpAddr, [u8; 32])>,
}

impl Tries {
    /// In how many seconds this address may show a key again; none: now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let tried = self.wrong.get(&network(address))?;
        let left = WITHIN.checked_sub(now.duration_since(tried.since))?;
        (tried.wrong >= MOST).then(|| u32::try_from(left.as_secs()).unwrap_or(u32::MAX) + 1)
    }

    /// A right key came from there: others' guesses there don't keep it out. When there are too many, all are forgotten.
    pub fn right(&mut self, address: IpAddr, digest: &[u8; 32]) {
        let right = (network(address), *digest);
        if self.right.len() >= ADDRESSES && !self.right.contains(&right) {
            self.right.clear();
        }
        self.right.insert(right);
    }

    /// Whether this key came from there before, and was right.
    pub fn came_before(&self, address: IpAddr, digest: &[u8; 32]) -> bool {
        self.right.contains(&(network(address), *digest))
    }

    /// It showed a wrong key. Whether that is news: the same key again is none.
    pub fn wrong(&mut self, address: IpAddr, digest: &[u8; 32], now: Instant) -> bool {
        let address = network(address);
        if !self.wrong.contains_key(&address) && self.wrong.len() >= ADDRESSES {
            self.wrong.retain(|_, tried| now.duration_since(tried.since) < WITHIN);
            if self.wrong.len() >= ADDRESSES
                && let Some(first) = self.wrong.iter().min_by_key(|(_, tried)| tried.since).map(|(address, _)| *address)
            {
                self.wrong.remove(&first);
            }
        }
        let last: [u8; 8] = std::array::from_fn(|at| digest[at]);
        let none = AddressTries { since: now, wrong: 0, last: [[0; 8]; KNOWN_AGAIN] };
        let tried = self.wrong.entry(address).or_insert(none);
        if now.duration_since(tried.since) >= WITHIN {
            *tried = none;
        }
        let known = KNOWN_AGAIN.min(tried.wrong as usize);
        if tried.last[..known].contains(&last) {
            return false;
        }
        tried.wrong += 1;
        tried.last.rotate_right(1);
        tried.last[0] = last;
        true
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
    fn the_same_wrong_keys_again_are_no_guesses() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let news = (0..100_u8).filter(|turn| tries.wrong(EVE, &[turn % 4; 32], now)).count();
        assert_eq!((news, tries.wait(EVE, now)), (4, None), "four programs there have old keys");
    }

    #[test]
    fn a_right_key_is_known_where_it_came_from_and_nowhere_else() {
        let mut tries = Tries::default();
        tries.right(EVE, &[1; 32]);
        let elsewhere = "192.0.2.8".parse().unwrap();
        let known = [(EVE, [1; 32]), (EVE, [2; 32]), (elsewhere, [1; 32])].map(|(at, key)| tries.came_before(at, &key));
        assert_eq!(known, [true, false, false]);
        for address in 0..2 * ADDRESSES as u32 {
            tries.right(IpAddr::V4(address.into()), &[1; 32]);
            assert!(tries.right.len() <= ADDRESSES);
        }
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
        assert_eq!(tries.wrong.len(), ADDRESSES);
    }
}
