//! Gives a Kafka client its bootstrap servers again.
//!
//! librdkafka 2.10 and later forgets a broker that is not in a metadata response, and a broker that is the last of its cluster to stop names none, not even
//! itself. A client that hears this right after its connections broke forgets all brokers and never looks for one again, however long Kafka has been back:
//! <https://github.com/confluentinc/librdkafka/issues/5301>. Two of seven consumers stood still for good after Kafka was stopped for a minute.
//!
//! To be deleted with the first librdkafka that mends this; our failover drill tells.

use std::ffi::CString;

use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::{Client, ClientContext};

/// Has the client look for its brokers at these servers (`host:port,…`), too. Nothing changes for those that it knows.
///
/// Returns how many could be read of `servers`.
pub fn add<C: ClientContext>(client: &Client<C>, servers: &str) -> usize {
    let Ok(servers) = CString::new(servers) else { return 0 };
    #[allow(unsafe_code, reason = "rdkafka has no safe function for it")]
    // SAFETY: the client lives as long as the reference, the text as long as the call, which copies it; librdkafka allows it at any time, on any thread.
    let added = unsafe { rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) };
    usize::try_from(added).unwrap_or_default()
}
