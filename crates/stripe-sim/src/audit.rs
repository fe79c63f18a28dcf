//! The ledger's check: what money did, entry by entry, against what must hold, and against the objects. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::effects::LedgerEntry;
use crate::record::{DisputeState, IntentStatus, PaymentRecord};

/// An entry, in the order in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The payment.
    pub payment_id: String,
    /// What money did.
    pub entry: LedgerEntry,
    /// Minor units.
    pub amount: i64,
}

/// Sums of a currency, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerSums {
    /// Held, and neither captured nor released.
    pub held: i64,
    /// Captured.
    pub captured: i64,
    /// Given back, what is on its way included.
    pub refunded: i64,
    /// Lost to disputes, open ones included.
    pub disputed: i64,
    /// Stripe's fees.
    pub fees: i64,
    /// What is the account's: captured − refunded − disputed − fees.
    pub net: i64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Payments that were looked at.
    pub payments: usize,
    /// Payments with money held or captured.
    pub payments_with_money: usize,
    /// Sums by currency.
    pub currencies: BTreeMap<String, LedgerSums>,
    /// What is wrong, payment by payment.
    pub violations: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MoneyPosition {
    held: i64,
    captured: i64,
    returned: i64,
    refunded: i64,
    disputed: i64,
}

impl MoneyPosition {
    fn apply(&mut self, entry: LedgerEntry, amount: i64) {
        match entry {
            LedgerEntry::Hold | LedgerEntry::ReleaseUndone => self.held += amount,
            LedgerEntry::Release => self.held -= amount,
            LedgerEntry::Capture => {
                self.held -= amount;
                self.captured += amount;
            }
            LedgerEntry::CaptureUndone => {
                self.held += amount;
                self.captured -= amount;
            }
            LedgerEntry::Refund => self.refunded += amount,
            LedgerEntry::RefundFailed => self.refunded -= amount,
            LedgerEntry::Dispute => self.disputed += amount,
            LedgerEntry::Reinstated => self.disputed -= amount,
        }
        self.returned = self.refunded + self.disputed;
    }

    fn has_money(&self) -> bool {
        self.held > 0 || self.captured > 0
    }

    /// What must hold after each entry.
    fn violation(&self, amount: i64) -> Option<String> {
        if self.held < 0 || self.captured < 0 || self.refunded < 0 || self.disputed < 0 {
            Some(format!("less than nothing is held, captured or gone: {self:?}"))
        } else if self.held + self.captured > amount {
            Some(format!("more is held and captured than its amount {amount}: {self:?}"))
        } else if self.returned > self.captured {
            Some(format!("more was refunded and disputed than captured: {self:?}"))
        } else {
            None
        }
    }
}

/// Checks all payments. `group` is a key of metadata: at most one payment of each of its values has money at a time (an order that is held twice).
#[must_use]
pub fn audit(payments: &[PaymentRecord], rows: &[LedgerRow], group: Option<&str>) -> LedgerReport {
    let by_id: BTreeMap<&str, &PaymentRecord> = payments.iter().map(|payment| (payment.id.as_str(), payment)).collect();
    let mut report = LedgerReport { payments: payments.len(), ..LedgerReport::default() };
    let mut positions: BTreeMap<&str, MoneyPosition> = BTreeMap::new();
    let mut with_money: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let Some(payment) = by_id.get(row.payment_id.as_str()) else {
            report.violations.push(format!("{}: the ledger has an entry of no payment", row.payment_id));
            continue;
        };
        let position = positions.entry(&payment.id).or_default();
        position.apply(row.entry, row.amount);
        if let Some(violation) = position.violation(payment.amount) {
            report.violations.push(format!("{}: {violation}", payment.id));
        }
        if let Some(value) = group.and_then(|key| payment.metadata.get(key)) {
            let holders = with_money.entry(value).or_default();
            holders.retain(|holder| *holder != payment.id);
            if position.has_money() {
                holders.push(&payment.id);
            }
            if holders.len() > 1 {
                report.violations.push(format!(
                    "{} {value}: money of several payments at once: {}",
                    group.unwrap_or_default(),
                    holders.join(", ")
                ));
            }
        }
    }
    for payment in payments {
        let position = positions.get(payment.id.as_str()).copied().unwrap_or_default();
        report
            .violations
            .extend(disagreements(payment, position).into_iter().map(|found| format!("{}: {found}", payment.id)));
        let sums = report.currencies.entry(payment.currency.clone()).or_default();
        let fees: i64 = payment.transactions.iter().map(|moved| moved.fee).sum();
        sums.held += position.held;
        sums.captured += position.captured;
        sums.refunded += position.refunded;
        sums.disputed += position.disputed;
        sums.fees += fees;
        sums.net += position.captured - position.returned - fees;
        report.payments_with_money += usize::from(position.has_money());
    }
    report.ok = report.violations.is_empty();
    report
}

/// Where a payment's objects and its balance transactions say something else than the ledger.
fn disagreements(payment: &PaymentRecord, position: MoneyPosition) -> Vec<String> {
    let held = if payment.status == IntentStatus::RequiresCapture { payment.amount } else { 0 };
    let withdrawn = |state: DisputeState| match state {
        DisputeState::NeedsResponse | DisputeState::UnderReview | DisputeState::Lost => true,
        DisputeState::Won
        | DisputeState::WarningNeedsResponse
        | DisputeState::WarningUnderReview
        | DisputeState::WarningClosed => false,
    };
    let disputed =
        payment.disputes.iter().filter(|dispute| withdrawn(dispute.status)).map(|dispute| dispute.amount).sum::<i64>();
    let objects = [held, payment.captured(), payment.captured() - payment.unrefunded(), disputed];
    let ledger = [position.held, position.captured, position.refunded, position.disputed];
    let mut found = Vec::new();
    if objects != ledger {
        found.push(format!(
            "held, captured, refunded, disputed are {objects:?} by its objects, {ledger:?} by the ledger"
        ));
    }
    let moved: i64 = payment.transactions.iter().map(|moved| moved.amount).sum();
    if moved != position.captured - position.returned {
        found.push(format!(
            "its balance transactions add up to {moved}, the ledger to {}",
            position.captured - position.returned
        ));
    }
    found
}
