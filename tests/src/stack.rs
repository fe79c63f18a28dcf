//! Where the real parts are: from the environment, or from what `cargo xtask up` wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The addresses of Kafka, PostgreSQL and the registry.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// A database whose role may create databases.
    pub database_url: String,
    /// The registry's Confluent API.
    pub registry_url: String,
}

/// A binary of ours, such as `quadrille-orders`: cargo put it beside the tests.
///
/// # Panics
/// When it is not built: says how to build it.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let path = test.parent().and_then(Path::parent).expect("target/<profile>/deps").join(name);
    assert!(path.is_file(), "{} is not built: run `cargo xtask test`, or `cargo build` first", path.display());
    path
}

/// The stack that the tests run against.
///
/// # Panics
/// When it is not there: says how to start it.
pub fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        let written = written();
        let of = |name: &str| {
            #[allow(clippy::disallowed_methods)] // tests have no settings of their own
            let set = std::env::var(name).ok();
            set.or_else(|| written.get(name).cloned())
                .unwrap_or_else(|| panic!("{name} is not set: these tests need the real parts; run `cargo xtask test`, or `cargo xtask up` first"))
        };
        Stack { kafka: of("KAFKA_BOOTSTRAP_SERVERS"), database_url: of("DATABASE_URL"), registry_url: of("SCHEMA_REGISTRY_URL") }
    })
}

fn written() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.quadrille/env");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
