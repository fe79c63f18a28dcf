//! A database for each test, copied from one that was migrated once and knows the ids of all event schemas.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use runtime::{Registry, migrations};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::deadline;
use crate::stack::stack;

/// How long the test's own connections may take to close.
const CLOSE: Duration = Duration::from_secs(10);

/// A database of one test; dropped by [`Database::drop_it`], or by the next run.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name; also a name that nothing else in this run has.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Connections for the test itself.
    pub pool: PgPool,
}

fn url(database: &str) -> String {
    let base = &stack().database_url;
    let (server, _) = base.rsplit_once('/').unwrap_or_else(|| panic!("DATABASE_URL names no database: {base}"));
    format!("{server}/{database}")
}

/// Names of this run begin with this; those of runs that are gone are dropped by the next.
fn run_name() -> String {
    format!("qtest_{}", std::process::id())
}

async fn template() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let made = TEMPLATE.get_or_init(|| async {
        let mut server = PgConnection::connect(&stack().database_url).await.expect("PostgreSQL of the stack");
        drop_stale(&mut server).await;
        let name = format!("{}_template", run_name());
        create(&mut server, &format!("create database {name}")).await;
        for (schema, migrator) in pipeline::schemas() {
            migrations::run(&url(&name), &schema, migrator).await.expect("migrations run on an empty database");
        }
        let pool = PgPoolOptions::new().max_connections(1).connect(&url(&name)).await.expect("the template");
        let registry = Registry::new(&stack().registry_url, pool.clone()).expect("an HTTP client");
        for entry in events::catalogue() {
            registry
                .register(&choreography::subject(entry.topic, entry.event_type), entry.schema)
                .await
                .expect("the registry takes our schemas");
        }
        pool.close().await;
        name
    });
    made.await.clone()
}

/// Databases of test runs whose process is gone.
async fn drop_stale(server: &mut PgConnection) {
    let all: Vec<String> = sqlx::query_scalar("select datname::text from pg_database where datname like 'qtest\\_%'")
        .fetch_all(&mut *server)
        .await
        .expect("pg_database");
    for name in all {
        let alive =
            name.split('_').nth(1).is_some_and(|process| std::path::Path::new(&format!("/proc/{process}")).exists());
        if !alive {
            let _ = drop_database(&name).await;
        }
    }
}

/// The address of the stack's PostgreSQL for its superuser.
pub fn superuser_url() -> String {
    let (_, place) = stack().database_url.rsplit_once('@').expect("an address with a user");
    format!("postgres://postgres:quadrille@{}/postgres", place.split('/').next().unwrap_or(place))
}

/// Drops a database and ends its sessions, as the superuser: no other role may end an autovacuum worker that is in it.
///
/// # Errors
/// PostgreSQL can't be reached, or refuses.
pub async fn drop_database(name: &str) -> sqlx::Result<()> {
    let mut server = PgConnection::connect(&superuser_url()).await?;
    sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).execute(&mut server).await?;
    server.close().await
}

/// Only one copy of a template can be made at a time.
async fn create(server: &mut PgConnection, statement: &str) {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(server)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

impl Database {
    /// A fresh copy.
    pub async fn fresh() -> Self {
        deadline::begin();
        Self::copied(&template().await).await
    }

    /// One in which nothing is yet.
    pub async fn empty() -> Self {
        deadline::begin();
        Self::copied("template0").await
    }

    /// A copy of this one as it is now: a dump.
    pub async fn copy(&self) -> Self {
        self.disconnect().await;
        Self::copied(&self.name).await
    }

    /// Takes the place of this one by what was copied from it before.
    pub async fn restore(&self, dump: &Self) {
        dump.disconnect().await;
        let mut server = PgConnection::connect(&stack().database_url).await.expect("PostgreSQL of the stack");
        drop_database(&self.name).await.expect("the database goes");
        create(&mut server, &format!("create database {} template {}", self.name, dump.name)).await;
    }

    async fn disconnect(&self) {
        let mut server = PgConnection::connect(&stack().database_url).await.expect("PostgreSQL of the stack");
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&self.name)
            .execute(&mut server)
            .await
            .expect("our own sessions end");
    }

    async fn copied(template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        deadline::at(|| format!("a copy of the database {template}"));
        let name = format!("{}_{}", run_name(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut server = PgConnection::connect(&stack().database_url).await.expect("PostgreSQL of the stack");
        create(&mut server, &format!("create database {name} template {template}")).await;
        // A test's own statement that waits for a lock, for ever, is a failure.
        let options =
            PgConnectOptions::from_str(&url(&name)).expect("an address").options([("statement_timeout", "120s")]);
        let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await.expect("the fresh database");
        Self { url: url(&name), name, pool }
    }

    /// Drops it.
    pub async fn drop_it(self) {
        let _ = tokio::time::timeout(CLOSE, self.pool.close()).await; // a connection that is held is ended by force
        let _ = drop_database(&self.name).await;
    }
}
