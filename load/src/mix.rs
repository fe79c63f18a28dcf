//! The mixes of orders: what is placed, and how each kind should end.

use serde_json::{Value, json};

/// How an order of a kind may end: terminal status and reason code, any of which is right; `*` is any code.
pub type Ends = &'static [(&'static str, &'static str)];

#[derive(Clone, Copy, Debug)]
pub struct OrderKind {
    pub name: &'static str,
    /// How many of a thousand.
    pub share: u32,
    pub token: &'static str,
    /// The SKU's prefix, which says how the built-in warehouse behaves; plain ones have none.
    pub sku: &'static str,
    pub quantity: i64,
    /// In cents, of a unit.
    pub price: i64,
    pub twist: Twist,
    pub verdict: ReviewRuling,
    pub ends: Ends,
    /// Whether something fails for it alone, on purpose: how long it takes says nothing of the others.
    pub sick: bool,
}

impl OrderKind {
    pub fn may_end(&self, status: &str, reason: &str) -> bool {
        self.ends.iter().any(|(expected, code)| *expected == status && (*code == "*" || *code == reason))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    None,
    /// Asks for cancellation as soon as the order is accepted.
    Cancel,
    /// Asks for cancellation when the money is taken, and the parcel about to leave.
    Recall,
    Twice,
    Invalid,
    /// Has it billed to another country than it is shipped to.
    Abroad,
    /// Places it right behind a record, under the same key, that nobody can read: a dead letter.
    Poison,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewRuling {
    Clear,
    Reject,
    Nobody,
}

const fn kind(name: &'static str, share: u32, token: &'static str, sku: &'static str, ends: Ends) -> OrderKind {
    OrderKind {
        name,
        share,
        token,
        sku,
        quantity: 2,
        price: 1_250,
        twist: Twist::None,
        verdict: ReviewRuling::Clear,
        ends,
        sick: false,
    }
}

pub(crate) const COMPLETED: Ends = &[("COMPLETED", "")];
const DECLINED: Ends = &[("FAILED", "declined")];
const FRAUD: Ends = &[("FAILED", "fraud_rejected")];
const NOTHING_TO_SHIP: Ends = &[("FAILED", "nothing_to_ship")];
/// A cancellation races with the parcel: either may win.
const RACE: Ends = &[("CANCELLED", "cancelled"), ("COMPLETED", "*")];

/// The demo's mix: every way in which an order can end.
pub static DEMO: &[OrderKind] = &[
    kind("plain", 545, "tok_approved", "", COMPLETED),
    OrderKind { twist: Twist::Twice, ..kind("placed twice", 30, "tok_approved", "", COMPLETED) },
    OrderKind { price: 0, ..kind("nothing to pay", 20, "", "", COMPLETED) },
    OrderKind {
        twist: Twist::Invalid,
        ..kind("invalid", 20, "tok_approved", "", &[("REJECTED", "invalid"), ("REFUSED", "invalid")])
    },
    kind("out of stock", 30, "tok_approved", "SOLDOUT-", &[("FAILED", "out_of_stock")]),
    kind("card declined", 40, "tok_declined", "", DECLINED),
    kind("insufficient funds", 20, "tok_insufficient_funds", "", DECLINED),
    kind("3-D Secure passes", 30, "tok_3ds_passes", "", COMPLETED),
    kind("3-D Secure fails", 15, "tok_3ds_fails", "", &[("FAILED", "action_failed")]),
    kind("3-D Secure abandoned", 10, "tok_3ds_abandoned", "", &[("FAILED", "reservation_expired")]),
    kind("slow card", 10, "tok_slow", "", COMPLETED),
    kind("charged, answer lost", 10, "tok_answer_lost_once", "", COMPLETED),
    kind("capture fails", 20, "tok_capture_fails", "", &[("FAILED", "capture_failed")]),
    OrderKind { twist: Twist::Cancel, ..kind("void fails once", 10, "tok_void_fails_once", "HOLD-", RACE) },
    OrderKind { twist: Twist::Abroad, price: 45_000, ..kind("billed abroad", 15, "tok_approved", "", COMPLETED) },
    OrderKind { price: 600_000, ..kind("reviewed, cleared", 20, "tok_approved", "", COMPLETED) },
    OrderKind { verdict: ReviewRuling::Reject, ..kind("reviewed, rejected", 10, "tok_checks_fail", "", FRAUD) },
    OrderKind {
        verdict: ReviewRuling::Nobody,
        ..kind("nobody reviews", 5, "tok_checks_fail", "", &[("FAILED", "review_timed_out")])
    },
    OrderKind { twist: Twist::Abroad, ..kind("fraud", 15, "tok_checks_fail", "", FRAUD) },
    OrderKind { twist: Twist::Cancel, ..kind("cancelled", 40, "tok_approved", "", RACE) },
    kind("short pick", 30, "tok_approved", "SHORT-", COMPLETED),
    kind("found nowhere", 10, "tok_approved", "GONE-", NOTHING_TO_SHIP),
    kind("warehouse refuses", 15, "tok_approved", "REFUSE-", COMPLETED),
    kind("warehouse late", 10, "tok_approved", "LATE-", COMPLETED),
    kind("damaged after packing", 5, "tok_approved", "DAMAGED-", NOTHING_TO_SHIP),
    kind("lost, refund pending", 5, "tok_refund_pending", "LOST-", NOTHING_TO_SHIP),
    OrderKind { twist: Twist::Recall, ..kind("recalled in time", 5, "tok_approved", "HOLD-", RACE) },
    OrderKind { twist: Twist::Recall, ..kind("recalled too late", 5, "tok_approved", "RUSH-", RACE) },
];

/// The benchmark's mix: mostly what a shop has.
pub static MIXED: &[OrderKind] = &[
    kind("plain", 960, "tok_approved", "", COMPLETED),
    kind("card declined", 20, "tok_declined", "", DECLINED),
    OrderKind { twist: Twist::Abroad, ..kind("fraud", 10, "tok_checks_fail", "", FRAUD) },
    OrderKind { twist: Twist::Cancel, ..kind("cancelled", 10, "tok_approved", "", RACE) },
];

/// The same with 65 in a thousand for which something fails, and which end well all the same.
pub static SICK: &[OrderKind] = &[
    kind("plain", 895, "tok_approved", "", COMPLETED),
    kind("card declined", 20, "tok_declined", "", DECLINED),
    OrderKind { twist: Twist::Abroad, ..kind("fraud", 10, "tok_checks_fail", "", FRAUD) },
    OrderKind { twist: Twist::Cancel, ..kind("cancelled", 10, "tok_approved", "", RACE) },
    OrderKind { sick: true, ..kind("gateway down for a minute", 50, "tok_down_a_minute", "", COMPLETED) },
    OrderKind { sick: true, ..kind("gateway answers with errors", 5, "tok_stored_500", "", COMPLETED) },
    OrderKind { sick: true, ..kind("charged, answer lost", 5, "tok_answer_lost_once", "", COMPLETED) },
    OrderKind { sick: true, twist: Twist::Poison, ..kind("behind a poison message", 5, "tok_approved", "", COMPLETED) },
];

pub const WAREHOUSES: [&str; 3] = ["hamburg", "lyon", "turin"];

#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub kinds: &'static [OrderKind],
    /// How many plain SKUs there are; 1 makes it hot.
    pub skus: u64,
}

impl Mix {
    /// The kind of the n-th order: spread evenly, so that any stretch of orders has about the mix's shares.
    pub fn kind(&self, n: u64) -> &'static OrderKind {
        let total: u32 = self.kinds.iter().map(|kind| kind.share).sum();
        // 619 is prime to any total used: every residue comes once a round.
        let mut at = (n.wrapping_mul(619) % u64::from(total)) as u32;
        for kind in self.kinds {
            if at < kind.share {
                return kind;
            }
            at -= kind.share;
        }
        &self.kinds[0]
    }

    pub fn body(&self, n: u64, source: &str) -> Value {
        let kind = self.kind(n);
        let sku = |salt: u64| {
            let number = n.wrapping_add(salt).wrapping_mul(2_654_435_761) % self.skus;
            if kind.sku.is_empty() { format!("SKU-{number:04}") } else { format!("{}{}", kind.sku, number % 5) }
        };
        let mut lines = vec![json!({"sku": sku(0), "quantity": kind.quantity, "unit_price": kind.price})];
        if self.skus > 1 && sku(1) != sku(0) {
            lines.push(json!({"sku": sku(1), "quantity": 1, "unit_price": kind.price / 2}));
        }
        // Of this run alone: what other runs placed must not count against a customer, a card or an address here.
        let person = n % 50_000;
        let home = json!({
            "name": format!("Customer {person}"), "line1": format!("{person} {source} Road"), "city": "Dublin",
            "postal_code": format!("D{:02}", person % 100), "country": "IE"
        });
        let mut body = json!({
            "source": source, "reference": n.to_string(),
            "customer": {"id": format!("{source}-{person}"), "name": format!("Customer {person}"), "email": format!("customer-{person}@example.com")},
            "lines": lines, "currency": "EUR", "shipping": 490, "discount": 0, "tax": 310,
            "payment_method": kind.token, "ship_to": home, "bill_to": home,
        });
        match kind.twist {
            Twist::Invalid => {
                body["lines"][0]["quantity"] = json!(0);
                body["customer"]["email"] = json!("nowhere");
            }
            Twist::Abroad => {
                body["bill_to"]["country"] = json!("US");
                body["bill_to"]["postal_code"] = json!("10001");
            }
            Twist::None | Twist::Cancel | Twist::Recall | Twist::Twice | Twist::Poison => {}
        }
        if kind.price == 0 {
            for charge in ["shipping", "tax"] {
                body[charge] = json!(0);
            }
        }
        body
    }

    /// The SKUs that the mix orders, each with units enough for so many orders; those named SOLDOUT have none.
    pub fn stock(&self, orders: u64) -> Vec<(String, &'static str, u64)> {
        let plain = (0..self.skus).map(|number| format!("SKU-{number:04}"));
        let special = self
            .kinds
            .iter()
            .filter(|kind| !kind.sku.is_empty())
            .flat_map(|kind| (0..5).map(|number| format!("{}{number}", kind.sku)));
        let mut skus: Vec<String> = plain.chain(special).collect();
        skus.sort_unstable();
        skus.dedup();
        let each = orders * 4 / self.skus.clamp(1, 100) + 1_000;
        skus.into_iter()
            .flat_map(|sku| {
                let units = if sku.starts_with("SOLDOUT") { 0 } else { each };
                WAREHOUSES.map(|warehouse| (sku.clone(), warehouse, units))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_orders_have_every_kind_by_its_share() {
        for kinds in [DEMO, MIXED, SICK] {
            let mix = Mix { kinds, skus: 1_000 };
            let total: u32 = kinds.iter().map(|kind| kind.share).sum();
            assert_eq!(total, 1_000);
            for kind in kinds {
                let placed = (0..1_000).filter(|n| std::ptr::eq(mix.kind(*n), kind)).count();
                assert_eq!(placed as u32, kind.share, "{}", kind.name);
            }
        }
    }
}
