//! The settings of the Kafka client of a consumer.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use crate::kafka::properties::{self, PropertyError};
use crate::settings::ConsumerSettings;

/// The client's settings; what the user sets wins, but for what the loop depends on.
pub(crate) fn of_consumer(
    common: &BTreeMap<String, String>,
    settings: &ConsumerSettings,
    group: &str,
) -> Result<ClientConfig, PropertyError> {
    properties::check(common)?;
    properties::check(&settings.kafka)?;
    let mut config = ClientConfig::new();
    let own_protocol = settings.kafka.get("group.protocol").or_else(|| common.get("group.protocol"));
    for (name, value) in [
        ("auto.offset.reset", "earliest"),
        // An idle consumer asks so often; what comes meanwhile is answered at once.
        ("fetch.wait.max.ms", "200"),
        ("fetch.queue.backoff.ms", "10"),
        ("queued.min.messages", "3000"),
        ("queued.max.messages.kbytes", "4096"),
        // A response of a broker is held until the last of its messages is decided: the defaults (50 MB, 1 MB a partition) are all a consumer's memory.
        ("fetch.max.bytes", "2097152"),
        ("fetch.message.max.bytes", "262144"),
        ("max.poll.interval.ms", "60000"),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ] {
        config.set(name, value);
    }
    if own_protocol.is_none_or(|protocol| protocol == "classic") {
        // KIP-848 has these on the broker and refuses them here.
        config.set("partition.assignment.strategy", "cooperative-sticky").set("session.timeout.ms", "10000");
    }
    for (name, value) in common.iter().chain(&settings.kafka) {
        config.set(name, value);
    }
    if let Some(instance) = &settings.instance_id {
        config.set("group.instance.id", instance);
    }
    config.set("group.id", group).set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("isolation.level", "read_committed");
    Ok(config)
}
