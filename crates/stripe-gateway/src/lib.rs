//! Stripe as a payment provider.
//!
//! Requests are built by async-stripe, which knows the parameters of one API version, and sent by a pooled client of our own ([`StripeTransport`]); answers
//! are read into structs that do without whatever may be missing, so that no hold is lost to a field. An order has one PaymentIntent, in two steps: it is
//! created unconfirmed, its id is recorded ([`gateway::Outcome::Opened`]), and then it is confirmed: so the id is known before money moves, and a repeated
//! confirmation can't hold twice. What a failed call means is one table, in `failure`. An account that is misconfigured declines no order.
//!
//! Webhooks are checked and read by [`webhook`]; of them only ids are believed ([`StripeGateway::notice`] fetches the object again).

mod currency;
mod failure;
mod http;
mod ledger;
mod limits;
mod notices;
mod objects;
mod outcomes;
mod payment_method;
mod requests;
mod settings;
mod stripe;
mod transport;
pub mod webhook;

pub use failure::{ApiRefusal, CallFailure};
pub use http::{StripeRoutes, routes, take_missed_events};
pub use notices::WebhookNotice;
pub use settings::{StripeMode, StripeSettings};
pub use stripe::StripeGateway;
pub use transport::StripeTransport;
