//! A provider's books, read to their end at a bounded pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use events::{Currency, OrderId, Timestamp};
use gateway::{Gateway, LedgerPage, ProviderEntry, ProviderPayment, ProviderRefund};

/// Between two pages: a provider limits the rate of its lists, and orders are paid meanwhile.
const BETWEEN_PAGES: Duration = Duration::from_millis(250);
/// After each failure of a page; then it is given up.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// What a provider's books say.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderBooks {
    pub payments: Vec<ProviderPayment>,
    pub refunds: Vec<ProviderRefund>,
    /// Payments of other systems in the same account.
    pub foreign: u64,
    pub fees: BTreeMap<Currency, i64>,
}

impl ProviderBooks {
    pub fn orders(&self) -> BTreeSet<OrderId> {
        let payments = self.payments.iter().map(|payment| payment.order_id);
        payments.chain(self.refunds.iter().map(|refund| refund.order_id)).collect()
    }

    fn enter(&mut self, entry: ProviderEntry) {
        match entry {
            ProviderEntry::Payment(payment) => self.payments.push(payment),
            ProviderEntry::ForeignPayment => self.foreign += 1,
            ProviderEntry::Refund(refund) => self.refunds.push(refund),
            ProviderEntry::Fee(money) => *self.fees.entry(money.currency).or_default() += money.amount,
        }
    }
}

/// Else why they can't be read, for people.
pub(super) async fn read(gateway: &dyn Gateway, since: Timestamp) -> Result<ProviderBooks, String> {
    let mut books = ProviderBooks::default();
    let mut page: Option<String> = None;
    loop {
        let LedgerPage { entries, next } = ask(gateway, since, page.as_deref()).await?;
        entries.into_iter().for_each(|entry| books.enter(entry));
        page = next;
        if page.is_none() {
            return Ok(books);
        }
        tokio::time::sleep(BETWEEN_PAGES).await;
    }
}

async fn ask(gateway: &dyn Gateway, since: Timestamp, page: Option<&str>) -> Result<LedgerPage, String> {
    for pause in PAUSES {
        match gateway.ledger(since, page).await {
            Ok(page) => return Ok(page),
            Err(why) => {
                tracing::info!(gateway = gateway.name(), page, why, "a page of the provider's books is asked for again")
            }
        }
        tokio::time::sleep(pause).await;
    }
    gateway.ledger(since, page).await
}
