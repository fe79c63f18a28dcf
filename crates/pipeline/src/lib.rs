//! All consumers by their names, one line for each: what commands, tests and tools need of them. What is not code (ports, who depends on whom) is in
//! topics.yaml, and a test compares the two.

#![allow(missing_docs, reason = "an inner crate: its names say it")]

mod consumer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use choreography::{Choreography, RuleBreach};
use runtime::settings::Section;
use runtime::{Clock, Host};
use sqlx::migrate::Migrator;

pub use consumer::{ConsumerEntry, RestoreFuture, Retell};

/// One line for each consumer: its type, and those parts of it that not every consumer has. `start` and `section` are functions of its crate.
macro_rules! consumers {
    ($($krate:ident::$consumer:ident $(, $part:ident: $value:expr)*;)*) => {
        /// All consumers, in the order of topics.yaml.
        pub fn consumers() -> Vec<ConsumerEntry> {
            vec![$(ConsumerEntry::new::<$krate::$consumer>($krate::start, $krate::section)$(.$part($value))*),*]
        }
    };
}

consumers! {
    orders::Orders, document: orders::document, restore: |all| Ok(orders::Orders::new(Clock::default(), all.common().trace_share));
    inventory::Inventory, document: inventory::document, restore: |all| Ok(inventory::Inventory::new(all.section("inventory")?));
    payments::Payments, document: payments::document, schema: ("sandbox", sandbox_gateway::migrations),
        restore: |all| payments::Payments::detached(all.section("payments")?);
    fraud::Fraud, document: fraud::document, restore: |all| fraud::Fraud::new(all.section("fraud")?);
    fulfillment::Fulfillment, document: fulfillment::document, restore: |all| Ok(fulfillment::Fulfillment::new(fulfillment::read(all)?));
    notifications::Notifications, restore: |all| Ok(notifications::Notifications::new(all.section("notifications")?));
    saga_tracker::SagaTracker, document: saga_tracker::document;
    loyalty::Loyalty, document: loyalty::document;
}

pub fn consumer(name: &str) -> anyhow::Result<ConsumerEntry> {
    let names = || Choreography::embedded().consumers.names().collect::<Vec<_>>().join(", ");
    consumers()
        .into_iter()
        .find(|consumer| consumer.name == name)
        .ok_or_else(|| anyhow::anyhow!("there is no consumer `{name}`: expected one of {}", names()))
}

pub async fn start(host: &Arc<Host>, name: &str) -> anyhow::Result<()> {
    match name {
        outbox_relay::NAME => outbox_relay::start(host).await,
        name => (consumer(name)?.start)(host).await,
    }
}

pub fn sections() -> Vec<Section> {
    let own = consumers().into_iter().map(|consumer| (consumer.section)());
    [Section::common()].into_iter().chain(own).chain([outbox_relay::section()]).collect()
}

/// The PostgreSQL schemas of all consumers with their migrations; the runtime's own come before them.
pub fn schemas() -> Vec<(String, Migrator)> {
    let house = runtime::migrations::house().map(|(schema, migrator)| (schema.to_owned(), migrator));
    house.into_iter().chain(consumers().into_iter().flat_map(|consumer| consumer.schemas)).collect()
}

pub fn problems(choreography: &Choreography) -> Vec<RuleBreach> {
    let (all, catalogue) = (consumers(), events::catalogue());
    let subscriptions: Vec<(&str, &[&str])> = all.iter().map(|one| (one.name, one.subscriptions.as_slice())).collect();
    let publications: Vec<(&str, &[&str])> = all.iter().map(|one| (one.name, one.publications.as_slice())).collect();
    let mut problems = choreography::check(choreography, catalogue, &subscriptions);
    problems.extend(choreography::check_says(choreography, catalogue, &publications));
    problems
}
