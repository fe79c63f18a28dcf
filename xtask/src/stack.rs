//! What the stack is made of: the single source of versions, default ports, credentials and settings, which
//! `docker-compose.yml` repeats and a test compares.

use clap::ValueEnum;

pub const KAFKA_VERSION: &str = "4.2.0";
/// Version of the Apicurio registry: the newest that runs on Java 17.
pub const REGISTRY_VERSION: &str = "3.0.9";
/// Oldest major version of PostgreSQL that will do, and the version of the image. xtask takes the newest that is
/// installed.
pub const POSTGRES_VERSION: u32 = 15;
pub const JAVA_VERSION: u32 = 17;

pub const KAFKA_PROPERTIES: &str = include_str!("../stack/kafka.properties");
pub const KAFKA_POM: &str = include_str!("../stack/kafka-pom.xml");
pub const POSTGRES_CONF: &str = include_str!("../stack/postgresql.conf");
pub const POSTGRES_INIT: &str = include_str!("../stack/postgres-init.sql");

/// Memory and collector of the broker's JVM. The serial collector has no threads of its own to take from two cores.
pub const KAFKA_JVM: &[&str] = &["-Xms256m", "-Xmx768m", "-XX:+UseSerialGC"];
pub const REGISTRY_JVM: &[&str] = &["-Xmx384m", "-XX:+UseSerialGC"];

/// The registry's settings (its environment) but for its address and its database's.
pub const REGISTRY_SETTINGS: &[(&str, &str)] = &[
    ("APICURIO_STORAGE_KIND", "sql"),
    ("APICURIO_STORAGE_SQL_KIND", "postgresql"),
    ("APICURIO_DATASOURCE_USERNAME", ROLE),
    ("APICURIO_DATASOURCE_PASSWORD", PASSWORD),
    // A handful of schemas are asked for once each: the default of 20 to 100 connections would starve the tests.
    ("APICURIO_DATASOURCE_JDBC_INITIAL_SIZE", "2"),
    ("APICURIO_DATASOURCE_JDBC_MIN_SIZE", "2"),
    ("APICURIO_DATASOURCE_JDBC_MAX_SIZE", "10"),
    ("QUARKUS_HTTP_ACCESS_LOG_ENABLED", "false"),
];

/// PostgreSQL's superuser, as the Debian package and the image have it.
pub const SUPERUSER: &str = "postgres";
/// The role of all consumers; it may create databases, as tests do.
pub const ROLE: &str = "quadrille";
/// Password of [`ROLE`] and [`SUPERUSER`]. No secret: the server listens on 127.0.0.1 only and holds test data.
pub const PASSWORD: &str = "quadrille";
pub const DATABASE: &str = "quadrille";
pub const REGISTRY_DATABASE: &str = "registry";
/// What `initdb` is told, here and in the image: bytes compare as bytes, on every machine.
pub const INITDB_ARGUMENTS: &[&str] = &["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"];

pub const HOST: &str = "127.0.0.1";

/// A port of the stack; its default is taken unless a stranger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    Kafka,
    Controller,
    Registry,
    Postgres,
}

impl Port {
    pub const ALL: [Self; 4] = [Self::Kafka, Self::Controller, Self::Registry, Self::Postgres];

    pub const fn default_number(self) -> u16 {
        match self {
            Self::Kafka => 19092,
            Self::Controller => 19093,
            Self::Registry => 18081,
            Self::Postgres => 15432,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Controller => "controller",
            Self::Registry => "registry",
            Self::Postgres => "postgres",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Apache Kafka, one broker in KRaft mode.
    Kafka,
    /// PostgreSQL.
    Postgres,
    /// The Apicurio schema registry, which keeps its schemas in PostgreSQL.
    Registry,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Registry];

    /// These parts (all, when none is named) and those that they need.
    pub fn with_needed(named: &[Self]) -> Vec<Self> {
        let wanted = |part| named.is_empty() || named.contains(&part);
        Self::ALL.into_iter().filter(|&part| wanted(part) || part == Self::Postgres && wanted(Self::Registry)).collect()
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Registry => "registry",
        }
    }

    pub const fn setting(self) -> &'static str {
        match self {
            Self::Kafka => "KAFKA_BOOTSTRAP_SERVERS",
            Self::Postgres => "DATABASE_URL",
            Self::Registry => "SCHEMA_REGISTRY_URL",
        }
    }

    /// The ports that it listens on, the one for clients first.
    pub const fn ports(self) -> &'static [Port] {
        match self {
            Self::Kafka => &[Port::Kafka, Port::Controller],
            Self::Postgres => &[Port::Postgres],
            Self::Registry => &[Port::Registry],
        }
    }

    pub fn address(self, port: u16) -> String {
        match self {
            Self::Kafka => format!("{HOST}:{port}"),
            Self::Postgres => format!("postgres://{ROLE}:{PASSWORD}@{HOST}:{port}/{DATABASE}"),
            Self::Registry => format!("http://{HOST}:{port}/apis/ccompat/v7"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_brings_postgresql_and_nothing_named_means_all() {
        assert_eq!(Part::with_needed(&[Part::Registry]), [Part::Postgres, Part::Registry]);
        assert_eq!(Part::with_needed(&[Part::Kafka]), [Part::Kafka]);
        assert_eq!(Part::with_needed(&[]), Part::ALL);
    }

    #[test]
    fn the_pom_names_the_version_of_kafka() {
        let named = KAFKA_POM.matches(&format!("<version>{KAFKA_VERSION}</version>")).count();
        assert_eq!(named, 2, "kafka_2.13 and kafka-tools of stack/kafka-pom.xml are of version {KAFKA_VERSION}");
    }
}
