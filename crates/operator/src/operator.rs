//! The operator: the databases and the other consumers' APIs with which things are done about dead letters.

use std::collections::BTreeMap;

use anyhow::Context as _;
use choreography::Choreography;
use runtime::{Clock, Codec, Registry, Settings, sql};
use sqlx::PgPool;

use crate::consumer_apis::ConsumerApis;

/// The consumer whose read model tells of dead letters, and in whose schema the audit record and the jobs are.
pub(crate) const TRACKER: &str = "saga-tracker";

pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/saga_tracker")
}

#[derive(Clone)]
pub struct Operator {
    pub(crate) tracker: PgPool,
    pub(crate) clock: Clock,
    apart: BTreeMap<&'static str, PgPool>,
    pub(crate) apis: ConsumerApis,
    pub(crate) codec: Codec,
}

impl Operator {
    /// An operator by the settings of this process, for a tool: it works on the databases, whether or not the tracker runs.
    ///
    /// # Errors
    /// When a setting can't be read, or a database does not answer or is not at this version.
    pub async fn open(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let apis = ConsumerApis::new(settings, &settings.section(TRACKER)?, |_| None)?;
        let url = settings.database_url(TRACKER)?;
        let tracker = sql::pool(url.expose(), "quadrille dead-letters", 2).context("DATABASE_URL")?;
        Self::new(settings, clock, tracker, apis).await
    }

    /// An operator on the tracker's own connections.
    pub async fn new(settings: &Settings, clock: Clock, tracker: PgPool, apis: ConsumerApis) -> anyhow::Result<Self> {
        for (schema, migrator) in runtime::migrations::house().into_iter().chain([("saga_tracker", migrations())]) {
            runtime::migrations::check(&tracker, schema, &migrator).await?;
        }
        let own = settings.database_url(TRACKER)?;
        let mut apart = BTreeMap::new();
        for name in Choreography::embedded().consumers.names() {
            let url = settings.database_url(name)?;
            if url != own {
                let pool = sql::pool(url.expose(), "quadrille dead-letters", 2).with_context(|| name.to_owned())?;
                apart.insert(name, pool);
            }
        }
        let codec = Registry::codec(&tracker).await?;
        Ok(Self { tracker, clock, apart, apis, codec })
    }

    /// The database of a consumer, and whether it is another than the tracker's.
    pub(crate) fn database(&self, consumer: &str) -> (&PgPool, bool) {
        self.apart.get(consumer).map_or((&self.tracker, false), |pool| (pool, true))
    }
}
