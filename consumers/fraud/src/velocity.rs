//! What velocity rules count: orders and amounts of one customer, one card, one address, over a window of time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use events::{Address, Currency, OrderId, PaymentAuthorized, Person, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    Customer,
    Card,
    /// Where the goods go: country, postal code (or town), first line.
    Address,
}

runtime::names!(SubjectKind { Customer: "customer", Card: "card", Address: "address" });

/// A customer, card or address as it is counted: a keyed hash, so that no personal data lies in the table of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub(crate) Uuid);

impl Subject {
    /// The first 128 bits of HMAC-SHA-256 over kind and text.
    pub(crate) fn of(key: &str, kind: SubjectKind, text: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(kind.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(Uuid::from_bytes(first))
    }
}

/// The subjects of one order: a customer, an address, and a card where there is one.
pub(crate) fn subjects(key: &str, authorized: &PaymentAuthorized, person: &Person) -> Vec<(SubjectKind, Subject)> {
    let customer = (SubjectKind::Customer, authorized.customer_id.as_str().to_owned());
    let address = (SubjectKind::Address, place(&person.ship_to));
    let card = authorized.card.as_ref().filter(|card| !card.fingerprint.is_empty());
    let card = card.map(|card| (SubjectKind::Card, format!("{}/{}", authorized.gateway, card.fingerprint)));
    [Some(customer), card, Some(address)]
        .into_iter()
        .flatten()
        .map(|(kind, text)| (kind, Subject::of(key, kind, &text)))
        .collect()
}

/// An address by what parcels go by, without what is easily varied: case, blanks, punctuation, floor and name.
fn place(address: &Address) -> String {
    let area = if address.postal_code.trim().is_empty() { &address.city } else { &address.postal_code };
    let plain = |text: &str| {
        text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
    };
    format!("{}/{}/{}", plain(&address.country), plain(area), plain(&address.line1))
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectTally {
    pub orders: i64,
    /// Sums in minor units, by currency: amounts of different currencies can't be added.
    pub amounts: BTreeMap<Currency, i64>,
}

impl SubjectTally {
    pub(crate) fn add(&mut self, orders: i64, currency: Currency, amount: i64) {
        self.orders = self.orders.saturating_add(orders);
        let sum = self.amounts.entry(currency).or_default();
        *sum = sum.saturating_add(amount);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CountedOrder {
    pub subject: Subject,
    pub kind: SubjectKind,
    pub order_id: OrderId,
    pub currency: Currency,
    pub amount: i64,
    pub at: Timestamp,
}

/// A time, in steps of a small part of the window: orders that were placed at about the same time are counted with the same others, so that a busy
/// subject is summed up once for many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Near {
    from_ms: i64,
    step_ms: i64,
}

impl Near {
    /// Steps of a window: a minute, of a day.
    const STEPS: i64 = 1_440;

    pub fn of(at: Timestamp, window: Duration) -> Self {
        let step_ms = (window.as_millis() as i64 / Self::STEPS).max(1);
        Self { from_ms: at.as_millis().div_euclid(step_ms) * step_ms, step_ms }
    }

    /// What is counted lies behind the first of these and not behind the second: a window before, and a window after what may be decided late.
    pub fn bounds(self, window: Duration) -> (Timestamp, Timestamp) {
        let at = |millis| Timestamp::from_millis(millis);
        (at(self.from_ms).minus(window), at(self.from_ms + self.step_ms).plus(window))
    }
}

/// What is known of the subjects of a batch: the sums of the database, and what the batch itself adds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    stored: HashMap<(Subject, Near), SubjectTally>,
    counts: HashMap<Subject, Vec<CountedOrder>>,
}

impl Tallies {
    pub fn stored(&mut self, subject: Subject, near: Near, orders: i64, currency: Currency, amount: i64) {
        self.stored.entry((subject, near)).or_default().add(orders, currency, amount);
    }

    /// Counts an order: later ones of the same batch see it.
    pub fn count(&mut self, count: CountedOrder) {
        self.counts.entry(count.subject).or_default().push(count);
    }

    pub fn of(&self, subject: Subject, at: Timestamp, window: Duration) -> SubjectTally {
        let near = Near::of(at, window);
        let mut tally = self.stored.get(&(subject, near)).cloned().unwrap_or_default();
        let (after, until) = near.bounds(window);
        let counts = self.counts.get(&subject).into_iter().flatten();
        for count in counts.filter(|count| count.at > after && count.at <= until) {
            tally.add(1, count.currency, count.amount);
        }
        tally
    }

    pub fn counts(&self) -> Vec<&CountedOrder> {
        let mut counts: Vec<&CountedOrder> = self.counts.values().flatten().collect();
        counts.sort_unstable_by_key(|count| (count.subject, count.order_id));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_typed() {
        let typed = |line1: &str, postal_code: &str, name: &str| Address {
            name: name.into(),
            line1: line1.into(),
            postal_code: postal_code.into(),
            country: "DE".into(),
            ..Address::default()
        };
        assert_eq!(place(&typed("Lange Str. 7", "10 115", "Ada")), place(&typed("LANGE STR 7", "10115", "Bob")));
        assert_ne!(place(&typed("Lange Str. 7", "10115", "Ada")), place(&typed("Lange Str. 9", "10115", "Ada")));
    }

    #[test]
    fn a_subject_depends_on_key_and_kind_and_shows_neither() {
        let subject = Subject::of("key", SubjectKind::Customer, "c-1");
        assert_eq!(subject, Subject::of("key", SubjectKind::Customer, "c-1"));
        assert_ne!(subject, Subject::of("other", SubjectKind::Customer, "c-1"));
        assert_ne!(subject, Subject::of("key", SubjectKind::Card, "c-1"));
    }

    #[test]
    fn what_left_the_window_is_not_counted_any_more() {
        let subject = Subject::of("", SubjectKind::Customer, "c-1");
        let mut tallies = Tallies::default();
        for at in [1_000, 2_000] {
            let at = Timestamp::from_millis(at);
            let order_id = OrderId(Uuid::from_u128(at.as_millis() as u128));
            tallies.count(CountedOrder {
                subject,
                kind: SubjectKind::Customer,
                order_id,
                currency: Currency::EUR,
                amount: 5,
                at,
            });
        }
        let window = Duration::from_secs(10);
        let of = |at| tallies.of(subject, Timestamp::from_millis(at), window);
        assert_eq!(of(2_000).orders, 2);
        let later = of(11_500);
        assert_eq!((later.orders, later.amounts[&Currency::EUR]), (1, 5));
        assert_eq!(of(-9_500).orders, 0, "nor is one that was placed long after it");
    }

    #[test]
    fn orders_of_one_time_are_counted_with_the_same_others_and_the_window_is_never_shorter_than_set() {
        let day = Duration::from_secs(86_400);
        let at = Timestamp::from_millis;
        let near = Near::of(at(1_800_000_030_000), day);
        assert_eq!(near, Near::of(at(1_800_000_030_001), day));
        assert_ne!(near, Near::of(at(1_800_000_090_000), day));
        for moment in [1_800_000_000_000, 1_800_000_059_999] {
            let (after, until) = Near::of(at(moment), day).bounds(day);
            assert!(after <= at(moment).minus(day) && until >= at(moment).plus(day), "{moment}");
            assert!(until.since(after) <= 2 * day + Duration::from_secs(60));
        }
        let (after, until) = Near::of(at(7), Duration::from_millis(5)).bounds(Duration::from_millis(5));
        assert_eq!((after.as_millis(), until.as_millis()), (2, 13), "a window of a few milliseconds");
    }
}
