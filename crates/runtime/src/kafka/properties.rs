//! Properties of librdkafka that come from outside: which there are, what only looks like one, and which are not for others to choose.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::nearest::distance;

/// The names of librdkafka 2.12, of which one is named that is nearest to a misspelt one.
const NAMES: &str = "\
    acks allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms auto.commit.enable \
    auto.commit.interval.ms auto.offset.reset batch.num.messages batch.size bootstrap.servers broker.address.family broker.address.ttl \
    broker.version.fallback builtin.features check.crcs client.dns.lookup client.id client.rack compression.codec compression.level compression.type \
    connections.max.idle.ms consume.callback.max.messages coordinator.query.interval.ms debug delivery.report.only.error delivery.timeout.ms \
    enable.auto.commit enable.auto.offset.store enable.gapless.guarantee enable.idempotence enable.metrics.push enable.partition.eof \
    enable.random.seed enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification fetch.error.backoff.ms fetch.max.bytes \
    fetch.message.max.bytes fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms group.id group.instance.id group.protocol group.protocol.type \
    group.remote.assignor heartbeat.interval.ms https.ca.location https.ca.pem internal.termination.signal isolation.level linger.ms \
    log.connection.close log.queue log.thread.name max.in.flight max.in.flight.requests.per.connection max.partition.fetch.bytes \
    max.poll.interval.ms message.copy.max.bytes message.max.bytes message.send.max.retries message.timeout.ms metadata.broker.list \
    metadata.max.age.ms metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy offset.store.method offset.store.path \
    offset.store.sync.interval.ms partition.assignment.strategy partitioner plugin.library.paths produce.offset.report \
    queue.buffering.backpressure.threshold queue.buffering.max.kbytes queue.buffering.max.messages queue.buffering.max.ms queued.max.messages.kbytes \
    queued.min.messages queuing.strategy receive.message.max.bytes reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms \
    request.required.acks request.timeout.ms retries retry.backoff.max.ms retry.backoff.ms sasl.kerberos.keytab sasl.kerberos.kinit.cmd \
    sasl.kerberos.min.time.before.relogin sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms \
    sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds \
    sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds \
    sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.jwt.template.file \
    sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem \
    sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.client.id \
    sasl.oauthbearer.client.secret sasl.oauthbearer.config sasl.oauthbearer.extensions sasl.oauthbearer.grant.type \
    sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.method sasl.oauthbearer.scope sasl.oauthbearer.token.endpoint.url sasl.password \
    sasl.username security.protocol session.timeout.ms socket.blocking.max.ms socket.connection.setup.timeout.ms socket.keepalive.enable \
    socket.max.fails socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms ssl.ca.certificate.stores \
    ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.cipher.suites ssl.crl.location ssl.curves.list \
    ssl.endpoint.identification.algorithm ssl.engine.id ssl.engine.location ssl.key.location ssl.key.password ssl.key.pem ssl.keystore.location \
    ssl.keystore.password ssl.providers ssl.sigalgs.list statistics.interval.ms sticky.partitioning.linger.ms topic.blacklist \
    topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms \
    topic.metadata.refresh.sparse transaction.timeout.ms transactional.id";

/// What the promise rests on that no order is lost, doubled or out of turn: the values that it takes, and why.
const OURS: [(&str, &[&str], &str); 13] = [
    (
        "auto.offset.reset",
        &["earliest", "beginning", "smallest"],
        "events before a group's first start would never be read",
    ),
    ("isolation.level", &["read_committed"], "records of aborted transactions would be taken"),
    ("enable.auto.commit", &["false"], "offsets are committed after what was decided"),
    ("auto.commit.enable", &["false"], "offsets are committed after what was decided"),
    ("enable.auto.offset.store", &["false"], "offsets are committed after what was decided"),
    ("enable.idempotence", &["true"], "events would be doubled, and change places"),
    ("acks", &["all", "-1"], "a broker that fails would lose events"),
    ("request.required.acks", &["all", "-1"], "a broker that fails would lose events"),
    ("message.timeout.ms", &["0"], "events that wait for a broker would be dropped"),
    ("delivery.timeout.ms", &["0"], "events that wait for a broker would be dropped"),
    ("partitioner", &["murmur2_random"], "events of an order would go to other partitions, out of turn"),
    ("allow.auto.create.topics", &["false"], "topics are made by `quadrille topics apply`, with their settings"),
    ("transactional.id", &[], "the relay publishes without Kafka's transactions"),
];

/// Limits in milliseconds: the least and the most, and why.
const LIMITS: [(&str, u64, u64, &str); 2] = [
    (
        "max.poll.interval.ms",
        30_000,
        600_000,
        "an instance that decides is not to be thrown out, and one that stands still is to be",
    ),
    (
        "session.timeout.ms",
        6_000,
        60_000,
        "an instance is not to be thrown out for a pause, and orders are not to wait long for one that is gone",
    ),
];

/// Names that each consumer has for itself.
const OWN: [(&str, &str); 2] = [
    ("group.id", "the group is the consumer's name behind QUADRILLE_TOPIC_PREFIX"),
    (
        "group.instance.id",
        "instances that share one would throw each other out: set QUADRILLE_<CONSUMER>__INSTANCE_ID for each",
    ),
];

/// A property that can't be used as it is set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// There is none of this name.
    #[error("`{0}` is no property of librdkafka; `{1}` is the nearest")]
    Misspelt(String, String),
    /// There is none of this name, nor of a similar one.
    #[error("`{0}` is no property of librdkafka")]
    Unknown(String),
    /// It is not for others to choose.
    #[error("`{name}` is set to `{got}`: expected {expected}, or nothing, as {why}")]
    Ours {
        /// The name.
        name: String,
        /// Its value.
        got: String,
        /// What it may be.
        expected: String,
        /// What would become of orders.
        why: &'static str,
    },
}

/// Whether librdkafka knows a property.
///
/// # Errors
/// When it does not: as misspelt, where it has one that is like it.
pub fn known(name: &str) -> Result<(), PropertyError> {
    let asked = ClientConfig::new().set(name, "0").create_native_config();
    match asked {
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {}
        Ok(_) | Err(_) => return Ok(()), // another value may do
    }
    let most = (name.len() / 6).clamp(1, 3);
    let near = NAMES.split_whitespace().map(|known| (distance(name, known), known)).min();
    match near.filter(|(distance, _)| *distance <= most) {
        Some((_, nearest)) => Err(PropertyError::Misspelt(name.to_owned(), nearest.to_owned())),
        None => Err(PropertyError::Unknown(name.to_owned())),
    }
}

/// Checks what is set beside our own choices.
///
/// # Errors
/// At the first property that there is not, or that is not for others to choose.
pub fn check(properties: &BTreeMap<String, String>) -> Result<(), PropertyError> {
    for (name, value) in properties {
        known(name)?;
        let ours =
            |expected: String, why| PropertyError::Ours { name: name.clone(), got: value.clone(), expected, why };
        if let Some((_, allowed, why)) = OURS.iter().find(|(ours, ..)| ours == name)
            && !allowed.contains(&value.trim().to_lowercase().as_str())
        {
            return Err(ours(if allowed.is_empty() { "none".into() } else { allowed.join(" or ") }, why));
        }
        if let Some((_, least, most, why)) = LIMITS.iter().find(|(limit, ..)| limit == name)
            && !value.trim().parse().is_ok_and(|value: u64| (*least..=*most).contains(&value))
        {
            return Err(ours(format!("{least} to {most}"), why));
        }
        if let Some((_, why)) = OWN.iter().find(|(own, _)| own == name) {
            return Err(ours("none".into(), why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, value: &str) -> Result<(), PropertyError> {
        check(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn every_name_on_the_list_is_one() {
        for name in NAMES.split_whitespace() {
            assert_eq!(known(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_kubernetes_and_shells_set_is_none_and_like_none() {
        let injected = "port service.host service.port port.9092.tcp port.9092.tcp.addr port.9092.tcp.port port.9092.tcp.proto broker.service.host \
                        headless.service.port.kafka heap.opts home opts topic jmx.opts log4j.opts log.level brokers ssl.keystore.type";
        for name in injected.split_whitespace() {
            assert_eq!(known(name), Err(PropertyError::Unknown(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn a_misspelt_one_names_the_nearest() {
        for (name, nearest) in [
            ("bootstrap.server", "bootstrap.servers"),
            ("sasl.user.name", "sasl.username"),
            ("security.protocl", "security.protocol"),
            ("ssl.ca.locations", "ssl.ca.location"),
        ] {
            let error = known(name).unwrap_err();
            assert_eq!(error, PropertyError::Misspelt(name.into(), nearest.into()));
        }
    }

    #[test]
    fn what_the_promise_rests_on_is_refused_by_name_when_it_is_set_otherwise() {
        for (name, bad, good) in [
            ("auto.offset.reset", "latest", "earliest"),
            ("isolation.level", "read_uncommitted", "read_committed"),
            ("enable.auto.commit", "true", "false"),
            ("enable.idempotence", "false", "true"),
            ("acks", "1", "all"),
            ("partitioner", "consistent_random", "murmur2_random"),
            ("max.poll.interval.ms", "6000", "300000"),
            ("session.timeout.ms", "1800000", "45000"),
            ("message.timeout.ms", "300000", "0"),
        ] {
            let error = checked(name, bad).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(bad), "{error}");
            assert_eq!(checked(name, good), Ok(()), "{name}");
        }
        assert!(checked("group.instance.id", "one").unwrap_err().to_string().contains("INSTANCE_ID"));
        assert!(checked("transactional.id", "x").is_err());
        assert_eq!(checked("sasl.username", "u"), Ok(()));
    }
}
