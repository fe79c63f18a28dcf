//! The programs that there are, and where each listens unless it is told otherwise.

use std::net::{Ipv4Addr, SocketAddr};

/// Where each consumer listens unless it is told otherwise.
const PORTS: [(&str, u16); 8] = [
    ("orders", 8080),
    ("inventory", 8081),
    ("payments", 8082),
    ("fraud", 8083),
    ("fulfillment", 8084),
    ("notifications", 8085),
    ("saga-tracker", 8086),
    ("outbox-relay", 8087),
];

/// Where a consumer's doors listen unless it is told otherwise; none for what is no consumer.
pub fn default_address(name: &str) -> Option<SocketAddr> {
    let (_, port) = PORTS.iter().find(|(other, _)| *other == name)?;
    Some((Ipv4Addr::LOCALHOST, *port).into())
}

/// The names of all programs: consumers and the relay.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    PORTS.iter().map(|(name, _)| *name)
}
