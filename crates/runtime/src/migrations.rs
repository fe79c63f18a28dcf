//! Migrations: each schema has its own table of what was run; only `quadrille migrate` runs them, consumers check and refuse to start on another version.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

/// A schema that is not at this binary's version.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Some were not run.
    #[error("schema {schema} lacks migration {version} ({description}): run `quadrille migrate` of this version first")]
    Behind {
        /// The PostgreSQL schema.
        schema: String,
        /// The first that was not run.
        version: i64,
        /// What it does.
        description: String,
    },
    /// It is newer, or was changed.
    #[error(
        "schema {schema} has migration {version} that this binary does not have, or has otherwise: start the version that ran it, or a later one"
    )]
    Foreign {
        /// The PostgreSQL schema.
        schema: String,
        /// The one in question.
        version: i64,
    },
    /// The database refuses.
    #[error("migrations of schema {schema}: {source}")]
    Database {
        /// The PostgreSQL schema.
        schema: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// One can't be run.
    #[error("migrations of schema {schema}: {source}")]
    Run {
        /// The PostgreSQL schema.
        schema: String,
        /// Which, and why.
        source: sqlx::migrate::MigrateError,
    },
}

/// The migrations of the runtime's own schema and of the outbox, which every database has.
pub fn house() -> [(&'static str, Migrator); 2] {
    [("runtime", sqlx::migrate!("../../migrations/runtime")), ("outbox", sqlx::migrate!("../../migrations/outbox"))]
}

/// Runs what was not run yet in one schema; returns how many that were.
///
/// # Errors
/// When one fails: it and what follows were not run.
pub async fn run(database_url: &str, schema: &str, mut migrator: Migrator) -> Result<usize, MigrationError> {
    let database = |source| MigrationError::Database { schema: schema.to_owned(), source };
    let mut db = PgConnection::connect(database_url).await.map_err(database)?;
    sqlx::query(AssertSqlSafe(format!("create schema if not exists {schema}")))
        .execute(&mut db)
        .await
        .map_err(database)?;
    let table = format!("{schema}.migration");
    let failed = |source| MigrationError::Run { schema: schema.to_owned(), source };
    db.ensure_migrations_table(&table).await.map_err(failed)?;
    let before = db.list_applied_migrations(&table).await.map_err(failed)?.len();
    migrator.dangerous_set_table_name(table);
    let all = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).count();
    migrator.run_direct(None, &mut db, false).await.map_err(failed)?;
    db.close().await.map_err(database)?;
    Ok(all - before.min(all))
}

/// Checks that a schema is at exactly this binary's version.
///
/// # Errors
/// When it is behind, or foreign.
pub async fn check(pool: &PgPool, schema: &str, migrator: &Migrator) -> Result<(), MigrationError> {
    let database = |source| MigrationError::Database { schema: schema.to_owned(), source };
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
                let (version, description) = (migration.version, migration.description.to_string());
                return Err(MigrationError::Behind { schema: schema.to_owned(), version, description });
            }
            Some((version, checksum)) if checksum.as_slice() != migration.checksum.as_ref() => {
                return Err(MigrationError::Foreign { schema: schema.to_owned(), version: *version });
            }
            Some(_) => {}
        }
    }
    match applied.iter().find(|(version, _)| !migrator.version_exists(*version)) {
        Some((version, _)) => Err(MigrationError::Foreign { schema: schema.to_owned(), version: *version }),
        None => Ok(()),
    }
}
