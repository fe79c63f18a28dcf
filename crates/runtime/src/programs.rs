//! The programs of topics.yaml, and where each listens unless it is told otherwise.

use std::net::{Ipv4Addr, SocketAddr};

use choreography::Choreography;

/// Where a program listens unless it is told otherwise; none for a name that topics.yaml does not have.
pub fn default_address(name: &str) -> Option<SocketAddr> {
    let (_, program) = Choreography::embedded().all_programs().find(|(other, _)| *other == name)?;
    Some((Ipv4Addr::LOCALHOST, program.port).into())
}

pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    Choreography::embedded().all_programs().map(|(name, _)| name)
}
