//! Migrations: each schema has its own table of what was run; only `quadrille migrate` runs them, consumers check and refuse to start on another version.

use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool, SqlSafeStr as _};

use crate::failure::cause;
use crate::postgres::pooler::{Pooled, lends_sessions};
use crate::postgres::sql;

/// A schema that is not at this binary's version.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// It is at another version, or can't be brought to this one: the message says what a person must do.
    #[error("{0}")]
    Unfit(String),
    /// The database refuses.
    #[error("schema {schema} of the database {place}: {}", cause(source))]
    Database {
        /// The PostgreSQL schema.
        schema: String,
        /// Which database, without a password.
        place: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// Sessions don't last behind its address.
    #[error("{0}")]
    Pooled(#[from] Pooled),
}

/// The migrations of the runtime's own schema and of the outbox, which every database has.
pub fn house() -> [(&'static str, Migrator); 2] {
    [("runtime", sqlx::migrate!("../../migrations/runtime")), ("outbox", sqlx::migrate!("../../migrations/outbox"))]
}

/// Held by the one that migrates; others wait for it, and then find nothing to do.
const ONE_AT_A_TIME: &str = "select pg_advisory_lock(hashtextextended('quadrille migrate', 0))";

/// Runs what was not run yet in one schema; returns how many that were. Of several that run at once one migrates, and the others wait.
///
/// # Errors
/// When one fails: it and what follows were not run.
pub async fn run(database_url: &str, schema: &str, migrator: Migrator) -> Result<usize, MigrationError> {
    let failed_at =
        |place: &str, source| MigrationError::Database { schema: schema.into(), place: place.into(), source };
    let options = sql::address(database_url).map_err(|source| failed_at("that is set", source))?;
    let place = sql::place(&options);
    let database = |source| failed_at(&place, source);
    let mut db = options.connect().await.map_err(database)?;
    if lends_sessions(&options).await.map_err(database)? {
        return Err(Pooled::new(&options, "`quadrille migrate`").into());
    }
    sqlx::query(ONE_AT_A_TIME).execute(&mut db).await.map_err(database)?;
    let (encoding, exists, may_create): (String, bool, bool) = sqlx::query_as(
        "select current_setting('server_encoding'), to_regnamespace($1) is not null, has_database_privilege(current_database(), 'create')",
    )
    .bind(schema)
    .fetch_one(&mut db)
    .await
    .map_err(database)?;
    if encoding != "UTF8" {
        return Err(MigrationError::Unfit(format!(
            "the database {place} has the encoding {encoding}: expected UTF8, as names and addresses in any language are stored in it. \
             Create it with `create database … encoding 'UTF8' template template0`"
        )));
    }
    if !exists && !may_create {
        let user = options.get_username();
        return Err(MigrationError::Unfit(format!(
            "the database {place} has no schema {schema}, and the user {user} may create none: have it created by `create schema {schema} authorization {user}`, \
             or let the user create it by `grant create on database`"
        )));
    }
    if !exists {
        let statement = AssertSqlSafe(format!("create schema if not exists {schema}"));
        sqlx::query(statement).execute(&mut db).await.map_err(database)?;
    }
    let table = format!("{schema}.migration");
    let failed = |error| MigrationError::Unfit(format!("migrations of schema {schema}: {error}"));
    db.ensure_migrations_table(&table).await.map_err(failed)?;
    let before = db.list_applied_migrations(&table).await.map_err(failed)?.len();
    let mut migrator = without_create(schema, &migrator);
    migrator.dangerous_set_table_name(table);
    let all = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).count();
    migrator.run_direct(None, &mut db, false).await.map_err(failed)?;
    db.close().await.map_err(database)?;
    Ok(all - before.min(all))
}

/// The same migrations, under the same checksums, without the statement that creates the schema: it is there, and whoever may not create one may not
/// say so either.
fn without_create(schema: &str, migrator: &Migrator) -> Migrator {
    let create = format!("create schema if not exists {schema};");
    let of = |migration: &Migration| {
        let sql = migration.sql.as_str().replace(&create, "");
        Migration { sql: AssertSqlSafe(sql).into_sql_str(), ..migration.clone() }
    };
    Migrator { migrations: migrator.iter().map(of).collect(), ..Migrator::DEFAULT }
}

/// Checks that a schema is at exactly this binary's version.
pub async fn check(pool: &PgPool, schema: &str, migrator: &Migrator) -> Result<(), MigrationError> {
    let database = |source| {
        let place = sql::place(&pool.connect_options());
        MigrationError::Database { schema: schema.to_owned(), place, source }
    };
    let foreign = |version: &i64| {
        Err(MigrationError::Unfit(format!(
            "schema {schema} has migration {version} that this binary does not have, or has otherwise: start the version that ran it, or a later one"
        )))
    };
    let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(format!("{schema}.migration"))
        .fetch_one(pool)
        .await
        .map_err(database)?;
    let applied: Vec<(i64, Vec<u8>)> = if exists {
        let statement = format!("select version, checksum from {schema}.migration where success order by version");
        sqlx::query_as(AssertSqlSafe(statement)).fetch_all(pool).await.map_err(database)?
    } else {
        Vec::new()
    };
    for migration in migrator.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => {
                return Err(MigrationError::Unfit(format!(
                    "schema {schema} lacks migration {} ({}): run `quadrille migrate` of this version first",
                    migration.version, migration.description
                )));
            }
            Some((version, checksum)) if checksum.as_slice() != migration.checksum.as_ref() => return foreign(version),
            Some(_) => {}
        }
    }
    let unknown = applied.iter().find(|(version, _)| !migrator.version_exists(*version));
    unknown.map_or(Ok(()), |(version, _)| foreign(version))
}
