//! `docker-compose.yml` has the parts of `cargo xtask up`: same versions, ports and settings. Compared here, since a
//! machine without Docker can't start it.

use std::collections::BTreeMap;

use serde_norway::Value;

use crate::programs::{self, ProgramOfDemo};
use crate::stack::{self, Part, Port};

const COMPOSE: &str = include_str!("../../docker-compose.yml");
const DOCKERFILE: &str = include_str!("../../Dockerfile");
/// What Docker has to be told apart from `kafka.properties`: where the broker is reached, and Java's memory.
const KAFKA_ADDRESSES: [&str; 7] = [
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_LOG_DIRS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
];

fn compose() -> Value {
    let mut file: Value = serde_norway::from_str(COMPOSE).unwrap();
    file.apply_merge().unwrap();
    file
}

fn service(name: &str) -> Value {
    compose()["services"].get(name).unwrap_or_else(|| panic!("no service {name}")).clone()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_mapping().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value:?} needs quotes")).to_owned();
    pairs.iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Published for this machine only, under the number that it has inside.
fn published(port: u16) -> Vec<String> {
    vec![format!("{}:{port}:{port}", stack::HOST)]
}

#[test]
fn the_images_have_the_versions_that_xtask_starts() {
    for (name, image) in [
        ("kafka", format!("apache/kafka:{}", stack::KAFKA_VERSION)),
        ("registry", format!("apicurio/apicurio-registry:{}", stack::REGISTRY_VERSION)),
        ("postgres", format!("postgres:{}", stack::POSTGRES_VERSION)),
    ] {
        assert_eq!(service(name)["image"], image.as_str());
    }
}

#[test]
fn each_part_is_published_on_the_port_that_xtask_prefers() {
    for part in Part::ALL {
        assert_eq!(texts(&service(part.name())["ports"]), published(part.ports()[0].default_number()));
    }
}

#[test]
fn kafka_has_every_line_of_kafka_properties_and_nothing_else() {
    let lines = stack::KAFKA_PROPERTIES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variable = |key: &str| format!("KAFKA_{}", key.replace('.', "_").to_uppercase());
    let expected: BTreeMap<String, String> =
        lines.map(|line| line.split_once('=').unwrap()).map(|(key, value)| (variable(key), value.to_owned())).collect();
    let mut found = environment(&service("kafka"));
    let addresses: Vec<Option<String>> = KAFKA_ADDRESSES.iter().map(|key| found.remove(*key)).collect();
    assert_eq!(found, expected);
    assert!(addresses.iter().all(Option::is_some), "each of {KAFKA_ADDRESSES:?} is set");
}

#[test]
fn kafka_is_reached_where_xtask_has_it_with_the_same_memory() {
    let found = environment(&service("kafka"));
    let (client, controller) = (Port::Kafka.default_number(), Port::Controller.default_number());
    let listeners = format!("PLAINTEXT://:{client},DOCKER://:9092,CONTROLLER://:{controller}");
    assert_eq!(found["KAFKA_LISTENERS"], listeners);
    let own = Part::Kafka.address(client);
    assert_eq!(found["KAFKA_ADVERTISED_LISTENERS"], format!("PLAINTEXT://{own},DOCKER://kafka:9092"));
    assert_eq!(found["KAFKA_CONTROLLER_QUORUM_VOTERS"], format!("1@{}:{controller}", stack::HOST));
    let java = format!("{} {}", found["KAFKA_HEAP_OPTS"], found["KAFKA_JVM_PERFORMANCE_OPTS"]);
    assert_eq!(java, stack::KAFKA_JVM.join(" "));
}

#[test]
fn postgres_has_the_same_files_passwords_and_first_start() {
    let postgres = service("postgres");
    let port = Port::Postgres.default_number();
    let config = "/etc/postgresql/postgresql.conf";
    let command = ["postgres", "-c", &format!("config_file={config}"), "-c", "listen_addresses=*", "-c"];
    assert_eq!(texts(&postgres["command"]), [command.as_slice(), &[&format!("port={port}")]].concat());
    let volumes = texts(&postgres["volumes"]);
    for (file, place) in
        [("postgresql.conf", config), ("postgres-init.sql", "/docker-entrypoint-initdb.d/quadrille.sql")]
    {
        assert!(volumes.contains(&format!("./xtask/stack/{file}:{place}:ro")), "{volumes:?}");
    }
    let expected = [
        ("PGPORT", port.to_string()),
        ("POSTGRES_INITDB_ARGS", stack::INITDB_ARGUMENTS.join(" ")),
        ("POSTGRES_PASSWORD", stack::PASSWORD.to_owned()),
        ("POSTGRES_USER", stack::SUPERUSER.to_owned()),
    ];
    assert_eq!(environment(&postgres), expected.map(|(key, value)| (key.to_owned(), value)).into());
}

#[test]
fn the_registry_has_the_same_settings_memory_and_database() {
    let mut found = environment(&service("registry"));
    for (key, value) in stack::REGISTRY_SETTINGS {
        assert_eq!(found.remove(*key).as_deref(), Some(*value), "{key}");
    }
    let (own, postgres) = (Port::Registry.default_number(), Port::Postgres.default_number());
    let expected = [
        ("APICURIO_DATASOURCE_URL", format!("jdbc:postgresql://postgres:{postgres}/{}", stack::REGISTRY_DATABASE)),
        ("GC_CONTAINER_OPTIONS", "-XX:+UseSerialGC".to_owned()),
        ("JAVA_OPTS_APPEND", stack::REGISTRY_JVM.join(" ")),
        ("QUARKUS_HTTP_HOST", "0.0.0.0".to_owned()),
        ("QUARKUS_HTTP_PORT", own.to_string()),
    ];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)).into());
}

/// The address of a part as other containers have it: by its service's name. Kafka tells them to come back to the
/// listener that they came to, so it has one for them.
fn inside(part: Part) -> String {
    let own = part.address(part.ports()[0].default_number());
    match part {
        Part::Kafka => "kafka:9092".to_owned(),
        Part::Postgres | Part::Registry => own.replace(stack::HOST, part.name()),
    }
}

#[test]
fn each_consumer_has_a_service_with_the_addresses_and_its_own_port() {
    for ProgramOfDemo { name, port, .. } in programs::ALL.iter().filter(|program| !program.optional) {
        let service = service(name);
        assert_eq!(texts(&service["command"]), [format!("quadrille-{name}")]);
        let mut found = with_keys(environment(&service));
        let listens = found.remove(&format!("QUADRILLE_{}__HTTP", name.to_uppercase().replace('-', "_"))).unwrap();
        assert_eq!(listens, format!("0.0.0.0:{port}"), "topics.yaml gives {name} another port");
        assert_eq!(texts(&service["ports"]), published(*port));
        if name == "saga-tracker" {
            tracker_calls_others(&mut found);
        }
        assert_eq!(found, settings());
        assert_eq!(service["depends_on"]["setup"]["condition"], "service_completed_successfully");
    }
    let setup = service("setup");
    assert_eq!(texts(&setup["command"])[2], "quadrille migrate && quadrille topics apply");
    assert_eq!(with_keys(environment(&setup)), settings());
}

/// What every program of ours is told: where the parts are, and that this is a demo, as `cargo xtask up` has it.
fn settings() -> BTreeMap<String, String> {
    let addresses = Part::ALL.map(|part| (part.setting().to_owned(), inside(part)));
    addresses.into_iter().chain([("QUADRILLE_PROFILE".to_owned(), "demo".to_owned())]).collect()
}

/// In containers programs listen for other containers, which they only do with keys: a shop's, and one that people and our own programs show.
fn with_keys(mut found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let keys = found.remove("QUADRILLE_KEYS").unwrap();
    assert!(
        keys.contains("shop shop ${QUADRILLE_SHOP_KEY:?") && keys.contains("admin admin ${QUADRILLE_ADMIN_KEY:?"),
        "{keys}"
    );
    assert_eq!(found.remove("QUADRILLE_API_KEY").as_deref(), Some("${QUADRILLE_ADMIN_KEY}"));
    found
}

/// Where it calls the others: each by its service's name and its own port, and nobody left out.
fn tracker_calls_others(found: &mut BTreeMap<String, String>) {
    let others = programs::ALL.iter().filter(|program| !program.optional && program.name != "saga-tracker");
    for ProgramOfDemo { name, port, .. } in others {
        let upper = name.to_uppercase().replace('-', "_");
        let variable = match name.as_str() {
            "orders" | "payments" => format!("QUADRILLE_SAGA_TRACKER__{upper}_URL"),
            _ => format!("QUADRILLE_SAGA_TRACKER__PROBES__{upper}"),
        };
        assert_eq!(found.remove(&variable), Some(format!("http://{name}:{port}")), "{variable}");
    }
}

#[test]
fn no_service_is_left_uncompared() {
    let services = compose()["services"].as_mapping().unwrap().len();
    assert_eq!(
        services,
        Part::ALL.len() + 1 + programs::chosen(&[]).unwrap().len(),
        "the parts, setup and the programs"
    );
}

#[test]
fn the_image_is_built_with_the_rust_version_of_the_workspace() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(DOCKERFILE.contains(&format!("FROM rust:{version}-")), "the Dockerfile builds with Rust {version}");
}
