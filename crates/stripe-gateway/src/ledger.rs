//! Stripe's own books by pages: payments, then refunds, then balance transactions, of which the fees are read.

use events::Timestamp;
use gateway::{LedgerPage, ProviderEntry, ProviderPayment, ProviderRefund};
use serde::de::DeserializeOwned;

use crate::currency::{AmountError, from_stripe};
use crate::failure::CallFailure;
use crate::notices::order_of;
use crate::objects::{Expandable, IntentStatus, ListedRefund, ListedTransaction, ObjectList, PaymentIntent};
use crate::outcomes;
use crate::requests::{self, StripeCall};
use crate::stripe::StripeGateway;

const PAYMENTS: &str = "payments";
const REFUNDS: &str = "refunds";
const FEES: &str = "fees";

/// What an object of Stripe's is in the books; none: nothing.
type Entry = Result<Option<ProviderEntry>, AmountError>;

impl StripeGateway {
    /// A page of what came into being since then. A page is named by its list, and by the last id before it.
    pub(crate) async fn ledger_page(&self, since: Timestamp, page: Option<&str>) -> Result<LedgerPage, String> {
        let since = since.as_millis().div_euclid(1_000);
        let (list, last) = page.and_then(|page| page.split_once('/')).unwrap_or((PAYMENTS, ""));
        let last = Some(last).filter(|last| !last.is_empty());
        match list {
            PAYMENTS => self.ledger_list((list, Some(REFUNDS)), requests::list(since, None, last), payment).await,
            REFUNDS => self.ledger_list((list, Some(FEES)), requests::list_all_refunds(since, last), refund).await,
            FEES => self.ledger_list((list, None), requests::list_transactions(since, last), fee).await,
            _ => Err(format!("expected a page of Stripe's books, got {page:?}")),
        }
    }

    async fn ledger_list<T: DeserializeOwned>(
        &self,
        (list, following): (&str, Option<&str>),
        call: StripeCall,
        read: fn(&T) -> (&str, Entry),
    ) -> Result<LedgerPage, String> {
        let answer: Result<ObjectList<T>, CallFailure> = self.transport.send(call).await;
        let ObjectList { data, has_more } = answer.map_err(|failure| failure.to_string())?;
        let mut entries = Vec::with_capacity(data.len());
        let mut last = "";
        for item in &data {
            let (id, entry) = read(item);
            entries.extend(entry.map_err(|error| format!("{id}: {error}"))?);
            last = id;
        }
        let next = match has_more && !data.is_empty() {
            true => Some(format!("{list}/{last}")),
            false => following.map(|list| format!("{list}/")),
        };
        Ok(LedgerPage { entries, next })
    }
}

fn payment(intent: &PaymentIntent) -> (&str, Entry) {
    (&intent.id, payment_entry(intent))
}

/// None of another system's.
fn refund(refund: &ListedRefund) -> (&str, Entry) {
    let intent = refund.payment_intent.as_ref().and_then(Expandable::object);
    let entry = intent.and_then(|intent| Some((intent, order_of(intent)?))).map(|(intent, order_id)| {
        Ok(ProviderEntry::Refund(ProviderRefund {
            refund_id: refund.id.clone(),
            payment_id: intent.id.clone(),
            order_id,
            money: from_stripe(refund.amount, refund.currency.as_deref())?,
            status: outcomes::refund_status(refund),
        }))
    });
    (&refund.id, entry.transpose())
}

/// What Stripe kept of a movement; what it charges by itself is a movement of its own.
fn fee(transaction: &ListedTransaction) -> (&str, Entry) {
    let is_charge = transaction.kind.as_deref() == Some("stripe_fee");
    let amount = transaction.fee - if is_charge { transaction.amount } else { 0 };
    let entry =
        (amount != 0).then(|| from_stripe(Some(amount), transaction.currency.as_deref()).map(ProviderEntry::Fee));
    (&transaction.id, entry.transpose())
}

fn payment_entry(intent: &PaymentIntent) -> Entry {
    let Some(order_id) = order_of(intent) else { return Ok(Some(ProviderEntry::ForeignPayment)) };
    let nothing = from_stripe(Some(0), intent.currency.as_deref())?;
    let (held, captured) = match &intent.status {
        IntentStatus::RequiresCapture => (outcomes::hold(intent)?.money, nothing),
        IntentStatus::Succeeded => (nothing, outcomes::received(intent)?),
        IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::RequiresAction
        | IntentStatus::Processing
        | IntentStatus::Canceled
        | IntentStatus::Other(_) => (nothing, nothing),
    };
    let is_ended =
        matches!(intent.status, IntentStatus::RequiresCapture | IntentStatus::Succeeded | IntentStatus::Canceled);
    Ok(Some(ProviderEntry::Payment(ProviderPayment {
        payment_id: intent.id.clone(),
        order_id,
        currency: nothing.currency,
        held: held.amount,
        captured: captured.amount,
        is_open: !is_ended,
    })))
}
