//! What differs between our rows and a provider's books. Pure.

use std::collections::BTreeMap;

use events::{Currency, OrderId, Timestamp};
use gateway::{ProviderPayment, ProviderRefund, RefundStatus};
use serde::{Serialize, Serializer};

use super::books::ProviderBooks;
use super::rows::RecordedPayment;
use crate::payment::State;

#[cfg(test)]
mod tests;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// A payment that we recorded is not at the provider.
    MissingThere,
    /// A payment of an order of ours, of which there is no row here.
    MissingHere,
    /// What is held or taken, or the currency, is not the same.
    PaymentDiffers,
    /// A payment that is not the recorded one has money of the same order.
    SecondPayment,
    /// It has ended here, and the customer can still complete it there.
    StillOpen,
    /// A refund of which we recorded nothing: made by hand, or its answer was lost.
    RefundMissingHere,
    /// What was given back is not the same.
    RefundsDiffer,
}

runtime::names!(DifferenceKind {
    MissingThere: "missing_there",
    MissingHere: "missing_here",
    PaymentDiffers: "payment_differs",
    SecondPayment: "second_payment",
    StillOpen: "still_open",
    RefundMissingHere: "refund_missing_here",
    RefundsDiffer: "refunds_differ",
});

impl Serialize for DifferenceKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One difference, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerDifference {
    pub kind: DifferenceKind,
    #[serde(serialize_with = "shown")]
    pub order_id: OrderId,
    /// The provider's id of the payment.
    pub payment_id: String,
    pub here: String,
    pub there: String,
}

/// Sums in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PaymentSums {
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
}

/// The sums of all payments that were compared, in one currency; fees are those of the whole account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurrencyTotals {
    #[serde(serialize_with = "shown")]
    pub currency: Currency,
    pub here: PaymentSums,
    pub there: PaymentSums,
    pub fees: i64,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    pub gateway: &'static str,
    #[serde(serialize_with = "shown")]
    pub since: Timestamp,
    /// Orders that are the same on both sides.
    pub equal: u64,
    /// Orders that were not compared: a call is under way, or something changed in the last minutes.
    pub moving: u64,
    /// Payments of other systems in the same account.
    pub foreign: u64,
    pub differences: Vec<LedgerDifference>,
    pub totals: Vec<CurrencyTotals>,
}

fn shown<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// What a provider has of one order.
#[derive(Clone, Debug, Default)]
struct ProviderOrder {
    payments: Vec<ProviderPayment>,
    refunds: Vec<ProviderRefund>,
}

/// Compares; all that the provider has of orders from `first` on is in its books, of older ones perhaps only the newest refunds.
pub(super) fn compare(
    (gateway, since): (&'static str, Timestamp),
    ours: Vec<RecordedPayment>,
    theirs: ProviderBooks,
    first: OrderId,
) -> Reconciliation {
    let mut orders: BTreeMap<OrderId, ProviderOrder> = BTreeMap::new();
    for payment in theirs.payments {
        orders.entry(payment.order_id).or_default().payments.push(payment);
    }
    for refund in theirs.refunds {
        orders.entry(refund.order_id).or_default().refunds.push(refund);
    }
    let mut comparison = Comparison { gateway, differences: Vec::new(), totals: BTreeMap::new() };
    let (mut equal, mut moving) = (0, 0);
    for payment in ours {
        let there = orders.remove(&payment.order_id).unwrap_or_default();
        if payment.is_moving {
            moving += 1;
            continue;
        }
        let before = comparison.differences.len();
        comparison.payment(&payment, &there, payment.order_id >= first);
        comparison.refunds(&payment, &there, payment.order_id >= first);
        equal += u64::from(comparison.differences.len() == before);
    }
    for (order_id, there) in orders {
        comparison.unknown_here(order_id, &there);
    }
    for (currency, fees) in theirs.fees {
        comparison.totals(currency).fees = fees;
    }
    let Comparison { differences, totals, .. } = comparison;
    let totals = totals.into_values().collect();
    Reconciliation { gateway, since, equal, moving, foreign: theirs.foreign, differences, totals }
}

struct Comparison {
    gateway: &'static str,
    differences: Vec<LedgerDifference>,
    totals: BTreeMap<Currency, CurrencyTotals>,
}

impl Comparison {
    fn totals(&mut self, currency: Currency) -> &mut CurrencyTotals {
        let (here, there) = (PaymentSums::default(), PaymentSums::default());
        self.totals.entry(currency).or_insert(CurrencyTotals { currency, here, there, fees: 0 })
    }

    fn differs(&mut self, kind: DifferenceKind, order_id: OrderId, payment_id: &str, here: String, there: String) {
        let payment_id = payment_id.to_owned();
        self.differences.push(LedgerDifference { kind, order_id, payment_id, here, there });
    }

    fn payment(&mut self, ours: &RecordedPayment, there: &ProviderOrder, all_is_listed: bool) {
        let recorded = ours.payment_id.as_deref().filter(|_| ours.gateway.as_deref() == Some(self.gateway));
        for payment in &there.payments {
            let sums = &mut self.totals(payment.currency).there;
            sums.held += payment.held;
            sums.captured += payment.captured;
            let has_money = payment.held > 0 || payment.captured > 0;
            if recorded != Some(&payment.payment_id) && has_money {
                let here = recorded.map_or_else(|| ours.state.as_str().to_owned(), |id| format!("its payment is {id}"));
                self.differs(DifferenceKind::SecondPayment, ours.order_id, &payment.payment_id, here, told(payment));
            }
        }
        let Some(recorded) = recorded else { return };
        let found = there.payments.iter().find(|payment| payment.payment_id == recorded);
        if let Some(currency) = ours.currency.filter(|_| found.is_some() || all_is_listed) {
            let sums = &mut self.totals(currency).here;
            sums.held += ours.held;
            sums.captured += ours.captured;
        }
        match found {
            None if all_is_listed && !ours.is_taken_over => {
                self.differs(
                    DifferenceKind::MissingThere,
                    ours.order_id,
                    recorded,
                    said(ours),
                    "no such payment".into(),
                );
            }
            None => {}
            Some(payment) if !is_same(ours, payment) => {
                self.differs(DifferenceKind::PaymentDiffers, ours.order_id, recorded, said(ours), told(payment));
            }
            Some(payment) if payment.is_open && matches!(ours.state, State::Declined | State::Voided) => {
                self.differs(DifferenceKind::StillOpen, ours.order_id, recorded, said(ours), told(payment));
            }
            Some(_) => {}
        }
    }

    fn refunds(&mut self, ours: &RecordedPayment, there: &ProviderOrder, all_is_listed: bool) {
        let (mut given_back, mut listed) = (0, 0);
        for refund in &there.refunds {
            let is_done = refund.status == RefundStatus::Succeeded;
            if is_done {
                self.totals(refund.money.currency).there.refunded += refund.money.amount;
            }
            if ours.refund_ids.contains(&refund.refund_id) {
                listed += 1;
                given_back += if is_done { refund.money.amount } else { 0 };
            } else if !matches!(refund.status, RefundStatus::Failed { .. }) {
                let here = "no such refund".to_owned();
                self.differs(
                    DifferenceKind::RefundMissingHere,
                    ours.order_id,
                    &refund.payment_id,
                    here,
                    refunded(refund),
                );
            }
        }
        let is_known = listed > 0 && listed == ours.refund_ids.len();
        let (Some(currency), true) = (ours.currency, all_is_listed || is_known) else { return };
        self.totals(currency).here.refunded += ours.refunded;
        if given_back != ours.refunded {
            let told = |amount| format!("{} given back", currency.format(amount));
            let there = told(given_back) + &not_done(there, &ours.refund_ids);
            let payment_id = ours.payment_id.as_deref().unwrap_or("none");
            self.differs(DifferenceKind::RefundsDiffer, ours.order_id, payment_id, told(ours.refunded), there);
        }
    }

    fn unknown_here(&mut self, order_id: OrderId, there: &ProviderOrder) {
        let here = || "no such order".to_owned();
        for payment in &there.payments {
            let sums = &mut self.totals(payment.currency).there;
            sums.held += payment.held;
            sums.captured += payment.captured;
            self.differs(DifferenceKind::MissingHere, order_id, &payment.payment_id, here(), told(payment));
        }
        for refund in &there.refunds {
            if refund.status == RefundStatus::Succeeded {
                self.totals(refund.money.currency).there.refunded += refund.money.amount;
            }
            self.differs(DifferenceKind::RefundMissingHere, order_id, &refund.payment_id, here(), refunded(refund));
        }
    }
}

/// A hold that ran out here may be there for a little longer, or not any more.
fn is_same(ours: &RecordedPayment, theirs: &ProviderPayment) -> bool {
    let is_held = theirs.held == ours.held || ours.state == State::Lapsed && theirs.held == 0;
    let is_currency =
        ours.currency == Some(theirs.currency) || ours.currency.is_none() && theirs.held + theirs.captured == 0;
    is_held && is_currency && theirs.captured == ours.captured
}

fn said(ours: &RecordedPayment) -> String {
    let amounts =
        ours.currency.map_or_else(|| "nothing".to_owned(), |currency| amounts(currency, ours.held, ours.captured));
    format!("{}: {amounts}", ours.state.as_str())
}

fn told(theirs: &ProviderPayment) -> String {
    let open = if theirs.is_open { ", and can still be completed" } else { "" };
    amounts(theirs.currency, theirs.held, theirs.captured) + open
}

fn amounts(currency: Currency, held: i64, captured: i64) -> String {
    match (held, captured) {
        (0, 0) => "nothing held or taken".to_owned(),
        (held, 0) => format!("{} held", currency.format(held)),
        (0, captured) => format!("{} taken", currency.format(captured)),
        (held, captured) => format!("{} held, {} taken", currency.format(held), currency.format(captured)),
    }
}

fn refunded(refund: &ProviderRefund) -> String {
    let status = match &refund.status {
        RefundStatus::Succeeded => "given back",
        RefundStatus::Pending => "pending",
        RefundStatus::Failed { .. } => "failed",
    };
    format!("refund {} of {}: {status}", refund.refund_id, refund.money)
}

/// Our refunds that the provider has, and that have not ended well there.
fn not_done(there: &ProviderOrder, ours: &[String]) -> String {
    let not_done = there.refunds.iter().filter(|refund| refund.status != RefundStatus::Succeeded);
    not_done.filter(|refund| ours.contains(&refund.refund_id)).map(|refund| format!("; {}", refunded(refund))).collect()
}
