//! Where the pipeline's parts are: the runtime's settings, and each consumer's routes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use runtime::settings::ConsumerSettings;
use runtime::{Codec, Registry, Settings, sql};
use sqlx::PgPool;

const WITH_DOORS: [&str; 4] = ["orders", "inventory", "payments", "fraud"];

pub const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct PipelineAddresses {
    pub settings: Arc<Settings>,
    pub pool: PgPool,
    pub codec: Codec,
    pub http: reqwest::Client,
    doors: Arc<BTreeMap<&'static str, String>>,
}

impl PipelineAddresses {
    pub async fn from_env() -> anyhow::Result<Self> {
        let settings = Settings::from_env()?;
        let pool = sql::pool(settings.common().database_url.expose(), "quadrille load", 4).context("DATABASE_URL")?;
        let codec = Registry::codec(&pool).await.context("schema ids: run `quadrille topics apply` first")?;
        let http = runtime::http::client(settings.common())?.pool_max_idle_per_host(256).build()?;
        let mut doors = BTreeMap::new();
        for consumer in WITH_DOORS {
            let set: ConsumerSettings = settings.section(consumer)?;
            let address = set.http.or_else(|| runtime::default_address(consumer));
            let address = address.with_context(|| format!("{consumer} has no door"))?;
            doors.insert(consumer, runtime::http::url(settings.common(), address));
        }
        Ok(Self { settings: Arc::new(settings), pool, codec, http, doors: Arc::new(doors) })
    }

    /// The address of a consumer's door; of a consumer that has none, a path that nobody answers.
    pub fn door(&self, consumer: &str, path: &str) -> String {
        format!("{}{path}", self.doors.get(consumer).map_or("http://", String::as_str))
    }

    pub fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.extend(self.settings.common().kafka.clone());
        config
    }

    pub fn partitions(
        &self,
        client: &BaseConsumer,
        topics: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Vec<(String, i32)>> {
        let mut found = Vec::new();
        for name in topics {
            let metadata = client.fetch_metadata(Some(&name), ANSWER).context("Kafka does not answer")?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            found.extend(partitions.map(|partition| (name.clone(), partition.id())));
        }
        Ok(found)
    }

    /// A name for a run that no other run has.
    pub fn clock_id(&self) -> String {
        runtime::Clock::default().mint().simple().to_string()
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.settings.common().topic_prefix)
    }
}
