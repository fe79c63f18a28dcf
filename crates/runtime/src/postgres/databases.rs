//! The databases that consumers are set to use: one for all, unless some have databases of their own.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::postgres::sql;
use crate::settings::{Secret, Settings, SettingsError};

/// The address of each database of these consumers, with who uses it.
pub fn of<'c>(
    settings: &Settings,
    consumers: impl IntoIterator<Item = &'c str>,
) -> Result<BTreeMap<Secret, Vec<&'c str>>, SettingsError> {
    let mut databases: BTreeMap<Secret, Vec<&'c str>> = BTreeMap::new();
    for consumer in consumers {
        databases.entry(settings.database_url(consumer)?).or_default().push(consumer);
    }
    Ok(databases)
}

/// What tells one database from another, by whichever address it is reached: the cluster's identifier and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Its name: what the relays' watermarks know it by.
    pub name: String,
    /// The cluster's.
    pub system_identifier: i64,
}

/// Asks a database who it is.
pub async fn identity(db: &mut PgConnection) -> Result<Identity, sqlx::Error> {
    let (name, system_identifier) =
        sqlx::query_as("select current_database()::text, system_identifier from pg_control_system()")
            .fetch_one(db)
            .await?;
    Ok(Identity { name, system_identifier })
}

/// Checks that different databases have different names, as relays and the tracker know a database by its name.
pub async fn check_names(urls: impl IntoIterator<Item = &str>) -> anyhow::Result<()> {
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    for url in urls {
        let asked = async {
            let mut db = sql::address(url)?.connect().await?;
            let found = identity(&mut db).await?;
            db.close().await.map(|()| found)
        };
        let Identity { name, system_identifier } =
            asked.await.context("a consumer's database can't be asked for its name")?;
        let other = known.insert(name.clone(), system_identifier);
        anyhow::ensure!(
            other.is_none_or(|other| other == system_identifier),
            "two databases of consumers are named `{name}`, on different servers: expected another name for each, as the relays' watermarks, by which \
             late is told from stuck, know a database by its name; rename one"
        );
    }
    Ok(())
}
