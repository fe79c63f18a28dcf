//! The interface between payments and a payment provider. A provider is a crate that implements [`Gateway`], and passes on what its webhooks bring
//! through [`Notices`].

mod ledger;
mod notice;
mod outcome;
mod request;

use std::pin::Pin;

use events::Timestamp;
use runtime::settings::Secret;

pub use ledger::{LedgerPage, ProviderEntry, ProviderPayment, ProviderRefund};
pub use notice::{
    ActionResult, Dispute, DisputeStatus, DisputedFunds, HoldEnd, NoticeEffect, Notices, PaymentChange, ProviderNotice,
};
pub use outcome::{Hold, Obstacle, Outcome, RefundStatus};
pub use request::{Buyer, ExistingPayment, Money, Operation, Request};

/// An outcome that is waited for.
pub type PendingOutcome<'c> = Pin<Box<dyn Future<Output = Outcome> + Send + 'c>>;

/// Whether a provider is there, waited for; else why it is not, for people.
pub type PendingProbe<'c> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'c>>;

/// What a customer's browser goes on with, waited for; none where the provider has no such thing; else why it is not given, for people.
pub type PendingSecret<'c> = Pin<Box<dyn Future<Output = Result<Option<Secret>, String>> + Send + 'c>>;

/// A page of a provider's books, waited for; else why it is not given, for people.
pub type PendingLedger<'c> = Pin<Box<dyn Future<Output = Result<LedgerPage, String>> + Send + 'c>>;

/// A payment provider. No method fails: what is not an answer is [`Outcome::Errored`] (the provider's own failure, which it stores under the
/// key), [`Outcome::NotExecuted`] or [`Outcome::Unknown`] (no answer, or one that can't be understood). Amounts in answers are the provider's: the rules compare them.
pub trait Gateway: std::fmt::Debug + Send + Sync {
    /// Its name, as events carry it.
    fn name(&self) -> &'static str;

    /// Whether it answers at all, and takes our credentials: asked while its circuit is open, and when calls give reason to.
    fn alive(&self) -> PendingProbe<'_>;

    /// Holds the whole amount. It may answer [`Outcome::Opened`] first, and be called again with the payment's id.
    fn authorize<'c>(&'c self, request: &'c Request, buyer: &'c Buyer) -> PendingOutcome<'c>;

    /// Takes over the payment `payment_id` that others made for the order: marks it as the order's, and answers [`Outcome::Authorized`] where the money is
    /// held, [`Outcome::Captured`] where it is taken. One that is not as `expected`, of another amount or of another order is [`Outcome::Declined`], and left as
    /// it is. Of several orders one gets it. It is asked again as often as there is no answer.
    fn adopt<'c>(&'c self, _request: &'c Request, _expected: ExistingPayment) -> PendingOutcome<'c> {
        let detail = format!("the gateway {} takes over no payments that others made", self.name());
        Box::pin(async { Outcome::Declined { code: "adoption_not_supported".to_owned(), detail } })
    }

    /// Takes a part of what is held, or all; the rest is released.
    fn capture<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c>;

    /// Cancels a payment that is open, held, lapsed, or cancelled already. It succeeds on each of them. Of one whose money is taken it answers
    /// [`Outcome::Captured`], where it can tell: that money can only be given back.
    fn void<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c>;

    /// Gives money back.
    fn refund<'c>(&'c self, request: &'c Request) -> PendingOutcome<'c>;

    /// Finds out what was done under the request's key, without doing anything.
    fn look_up<'c>(&'c self, operation: Operation, request: &'c Request) -> PendingOutcome<'c>;

    /// The secret by which the customer's browser goes on with this payment. It is asked for each time, kept nowhere, and for nobody but that customer.
    fn client_secret<'c>(&'c self, _payment_id: &'c str) -> PendingSecret<'c> {
        Box::pin(async { Ok(None) })
    }

    /// A page of its books: payments, refunds and fees that came into being since then, in any order. `page` is the `next` of the page before, none for the
    /// first one. What is missing in the last page is not there.
    fn ledger<'c>(&'c self, _since: Timestamp, _page: Option<&'c str>) -> PendingLedger<'c> {
        Box::pin(async { Err(format!("the gateway {} shows no books", self.name())) })
    }

    /// Statements that delete what it keeps of the orders `$1` in the database of payments; none for a provider elsewhere.
    fn forgets(&self) -> &'static [&'static str] {
        &[]
    }
}
