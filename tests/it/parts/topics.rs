//! Topics that are away, were made anew, or were set by hand.

use std::collections::BTreeMap;

use super::*;
use kafka_admin::topics::{Applied, WantedTopic, apply, ready as led};
use quadrille_tests::{Setup, produce};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &stack().kafka).create().unwrap()
}

fn kafka() -> BTreeMap<String, String> {
    [("bootstrap.servers".to_owned(), stack().kafka.clone())].into()
}

fn wanted(name: &str, partitions: i32) -> WantedTopic {
    let config = [("retention.ms".to_owned(), "86400000".to_owned())].into();
    WantedTopic { name: name.to_owned(), partitions, replicas: 1, keyed: true, config }
}

/// Report 12: the topic is away, and comes back empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_away_is_told_and_one_that_is_made_anew_is_read_from_its_beginning() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay"], partitions: 1, ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    until_ready(&pipeline, &["orders"]).await;
    let topic = pipeline.topic("order-placed");
    let place = |id: &str| {
        let body = tea().body().to_string();
        produce(&topic, &[(None, body.as_bytes(), &[("ce_id", id)])]);
    };
    place("first");
    let orders = "select count(*) from orders.\"order\"";
    pipeline.until_count(orders, 1, "the first order").await;
    admin().delete_topics(&[&topic], &AdminOptions::new()).await.unwrap();
    let took = told(&pipeline, &["orders"], &format!("topic {topic} does not exist")).await;
    assert!(took < TOLD_WITHIN, "told after {took:?}");
    let body = tea().body();
    assert_eq!(post(&pipeline, &body, Duration::from_secs(20)).await, Some(503));
    tokio::time::sleep(Duration::from_secs(3)).await; // looks that find it missing
    apply(&kafka(), &[wanted(&topic, 1)]).await.unwrap();
    led(&kafka(), &[wanted(&topic, 1)]).await.unwrap();
    place("second");
    place("third");
    pipeline.until_count(orders, 3, "the orders of the topic that is new").await;
    until_ready(&pipeline, &["orders"]).await;
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// As after a broker that was the last of its cluster to stop: no address is left of any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_no_broker_any_more_finds_them_when_it_is_given_its_servers_again() {
    let client: BaseConsumer = ClientConfig::new().create().unwrap();
    let asked = tokio::task::spawn_blocking(move || {
        let before = client.fetch_metadata(Some("order-placed"), Duration::from_secs(1)).is_ok();
        let added = bootstrap::add(client.client(), &stack().kafka);
        let after = client.fetch_metadata(Some("order-placed"), Duration::from_secs(20)).is_ok();
        (before, added, bootstrap::add(client.client(), "nul\0"), after)
    });
    assert_eq!(asked.await.unwrap(), (false, 1, 0, true));
}

/// Report 20, and partitions that were added by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_apply_leaves_alone_what_topics_yaml_does_not_name() {
    let names = ["set", "grown", "other"].map(|what| format!("qtest_{}.{what}", std::process::id()));
    let all: Vec<WantedTopic> = names.iter().map(|name| wanted(name, 2)).collect();
    apply(&kafka(), &all).await.unwrap();
    led(&kafka(), &all).await.unwrap();
    let (admin, options) = (admin(), AdminOptions::new());
    let by_hand = AlterConfig::new(ResourceSpecifier::Topic(&names[0]))
        .set("segment.ms", "3600000")
        .set("compression.type", "zstd")
        .set("retention.ms", "1000");
    admin.alter_configs(&[by_hand], &options).await.unwrap();
    admin.create_partitions(&[NewPartitions::new(&names[1], 5)], &options).await.unwrap();
    let since = Instant::now();
    loop {
        // A broker under load may not know a partition's leader for a moment.
        let applied = match apply(&kafka(), &all).await {
            Ok(applied) => applied,
            Err(error) => {
                assert!(since.elapsed() < Duration::from_secs(20), "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let of = |name: &str| applied.iter().find(|(topic, _)| topic == name).map(|(_, applied)| *applied);
        assert_eq!(of(&names[2]), Some(Applied::Updated), "the rest is done");
        if of(&names[1]) == Some(Applied::Larger { found: 5, wanted: 2 }) {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{applied:?}"); // Kafka spreads the news of partitions
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(&names[0])], &options).await.unwrap();
    let entries = described.into_iter().flat_map(|resource| resource.unwrap().entries);
    let set: BTreeMap<String, String> = entries
        .filter(|entry| entry.source == ConfigSource::DynamicTopic)
        .filter_map(|entry| Some((entry.name, entry.value?)))
        .collect();
    let expected = [("compression.type", "zstd"), ("retention.ms", "86400000"), ("segment.ms", "3600000")];
    assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &options).await.unwrap();
}

/// Reports 05 and 31, by the program itself.
#[tokio::test]
async fn what_kubernetes_and_shells_set_is_left_alone_and_what_the_promise_rests_on_is_refused_by_name() {
    let run = |settings: &[(&str, &str)]| {
        let mut command = std::process::Command::new(quadrille_tests::binary("quadrille"));
        command.args(["topics", "apply"]).envs(settings.iter().copied());
        command
            .env("DATABASE_URL", "postgres://nobody:s3cr3t@127.0.0.1:9/none")
            .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
            .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
            .env("QUADRILLE_TOPIC_PREFIX", format!("qtest_{}.env.", std::process::id()));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for (name, value, nearest) in [
        ("KAFKA_AUTO_OFFSET_RESET", "latest", "earliest"),
        ("KAFKA_ISOLATION_LEVEL", "read_uncommitted", "read_committed"),
        ("KAFKA_BOOTSTRAP_SERVER", "k:1", "bootstrap.servers"),
    ] {
        let told = run(&[(name, value)]);
        assert!(told.contains(&name[6..].to_lowercase().replace('_', ".")) && told.contains(nearest), "{name}: {told}");
        assert!(!told.contains("topic qtest"), "refused before anything is done: {told}");
    }
    let injected = [
        ("KAFKA_PORT", "tcp://10.96.14.7:9092"),
        ("KAFKA_SERVICE_HOST", "10.96.14.7"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.96.14.7"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_HOME", "/opt/kafka"),
        ("KAFKA_OPTS", "-Djava.security.auth.login.config=/etc/kafka/jaas.conf"),
        ("KAFKA_TOPIC", "order-placed"),
    ];
    let told = run(&injected);
    assert!(told.contains("order-placed: created"), "{told}");
    assert!(told.contains("127.0.0.1:9") && !told.contains("s3cr3t"), "host and cause: {told}");
    let names: Vec<String> = choreography::Choreography::embedded()
        .topics
        .iter()
        .map(|(name, _)| format!("qtest_{}.env.{name}", std::process::id()))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    admin().delete_topics(&names, &AdminOptions::new()).await.unwrap();
}
