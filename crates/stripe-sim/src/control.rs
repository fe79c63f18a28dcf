//! Control of the simulator: `/_sim/…`, its own JSON. docs/stripe-sim.md lists the endpoints. No key is asked for: it listens on loopback.

mod acts;
mod answer;
mod book;
mod ledger;
mod rules;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};

use crate::simulator::Simulator;

/// The routes.
pub fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/_sim/health", get(book::health))
        .route("/_sim/clock", get(book::read_clock).put(book::move_clock))
        .route("/_sim/settings", get(book::read_settings).put(book::change_settings))
        .route("/_sim/reset", post(book::reset))
        .route("/_sim/faults", get(rules::list).post(rules::add).delete(rules::clear))
        .route("/_sim/faults/{id}", delete(rules::remove))
        .route("/_sim/expired_keys", post(rules::expire_key).delete(rules::renew_keys))
        .route("/_sim/webhook_endpoints", get(webhooks::list).post(webhooks::add))
        .route("/_sim/webhook_endpoints/{id}", put(webhooks::change).delete(webhooks::remove))
        .route("/_sim/deliveries", get(webhooks::deliveries))
        .route("/_sim/events/{id}/resend", post(webhooks::resend))
        .route("/_sim/payment_methods", post(acts::new_payment_method))
        .route("/_sim/confirmation_tokens", post(acts::new_confirmation_token))
        .route("/_sim/payment_intents/{id}/{act}", post(acts::on_payment))
        .route("/_sim/refunds/{id}", post(acts::on_refund))
        .route("/_sim/disputes/{id}", post(acts::on_dispute))
        .route("/_sim/ledger", get(ledger::check))
}
