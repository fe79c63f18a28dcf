//! Where the pipeline's parts are: the runtime's settings, and each consumer's routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use runtime::settings::ConsumerSettings;
use runtime::{Codec, Registry, Settings, sql};
use sqlx::PgPool;

/// The consumers whose doors are used here.
const WITH_DOORS: [&str; 4] = ["orders", "inventory", "payments", "fraud"];

/// A pipeline that runs somewhere.
#[derive(Clone)]
pub struct PipelineAddresses {
    /// Its settings, as its consumers read them.
    pub settings: Arc<Settings>,
    /// Its database.
    pub pool: PgPool,
    /// Its schemas.
    pub codec: Codec,
    /// For its doors.
    pub http: reqwest::Client,
    doors: Arc<BTreeMap<&'static str, String>>,
}

impl PipelineAddresses {
    /// The pipeline that the environment names.
    ///
    /// # Errors
    /// When an address is missing, or the database does not answer.
    pub async fn from_env() -> anyhow::Result<Self> {
        let settings = Settings::from_env()?;
        let pool = sql::pool(settings.common().database_url.expose(), "quadrille load", 4).context("DATABASE_URL")?;
        let codec = Registry::codec(&pool).await.context("schema ids: run `quadrille topics apply` first")?;
        let http = runtime::http::client(settings.common())?.pool_max_idle_per_host(256).build()?;
        let mut doors = BTreeMap::new();
        for consumer in WITH_DOORS {
            let set: ConsumerSettings = settings.section(consumer)?;
            let address = set.http.or_else(|| runtime::default_address(consumer));
            doors.insert(
                consumer,
                runtime::http::url(settings.common(), address.with_context(|| format!("{consumer} has no door"))?),
            );
        }
        Ok(Self { settings: Arc::new(settings), pool, codec, http, doors: Arc::new(doors) })
    }

    /// The address of a consumer's door; of a consumer that has none, a path that nobody answers.
    pub fn door(&self, consumer: &str, path: &str) -> String {
        format!("{}{path}", self.doors.get(consumer).map_or("http://", String::as_str))
    }

    /// A name for a run that no other run has.
    pub fn clock_id(&self) -> String {
        runtime::Clock::default().mint().simple().to_string()
    }

    /// The full name of a topic.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.settings.common().topic_prefix)
    }
}
