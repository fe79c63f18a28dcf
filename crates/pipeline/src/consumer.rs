//! What the pipeline knows of one consumer.

use std::pin::Pin;

use choreography::Choreography;
use kafka_admin::replay::{Moved, Point, ReplayError};
use runtime::restore::{Restore, Restored, Retelling};
use runtime::settings::Section;
use runtime::{Host, Settings, Starting};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// Tells a consumer its orders again.
pub type Retell = dyn for<'r> Fn(&'r Retelling<'r>, &'r Settings, &'r PgPool) -> RestoreFuture<'r>;
pub type RestoreFuture<'r> = Pin<Box<dyn Future<Output = anyhow::Result<Restored>> + 'r>>;

pub struct ConsumerEntry {
    pub name: &'static str,
    pub is_optional: bool,
    pub start: for<'h> fn(&'h Host) -> Starting<'h>,
    pub section: fn() -> Section,
    /// Its PostgreSQL schemas with their migrations, its own first.
    pub schemas: Vec<(String, Migrator)>,
    pub subscriptions: Vec<&'static str>,
    /// The topics of which it consumes every record.
    pub raw_topics: Vec<&'static str>,
    pub publications: Vec<&'static str>,
    /// The statements of its tables, made from their columns.
    pub statements: Vec<String>,
    /// The OpenAPI document of its routes; none: it has no routes of its own.
    pub document: Option<fn() -> Value>,
    /// Tells it its orders again, after a restore; none: what it consumes again is all that it needs.
    pub retell: Option<Box<Retell>>,
}

impl ConsumerEntry {
    pub(crate) fn new<C: runtime::Consumer>(
        start: for<'h> fn(&'h Host) -> Starting<'h>,
        section: fn() -> Section,
    ) -> Self {
        Self {
            name: C::NAME,
            is_optional: Choreography::embedded().consumers.get(C::NAME).is_some_and(|program| program.optional),
            start,
            section,
            schemas: vec![(C::NAME.replace('-', "_"), C::migrations())],
            subscriptions: C::subscribes_to(),
            raw_topics: C::raw_topics(),
            publications: C::publishes(),
            statements: C::TABLES.iter().flat_map(|statements| statements()).collect(),
            document: None,
            retell: None,
        }
    }

    pub(crate) fn document(self, document: fn() -> Value) -> Self {
        Self { document: Some(document), ..self }
    }

    pub(crate) fn schema(mut self, (name, migrations): (&str, fn() -> Migrator)) -> Self {
        self.schemas.push((name.to_owned(), migrations()));
        self
    }

    pub(crate) fn restore<C: Restore>(self, new: fn(&Settings) -> anyhow::Result<C>) -> Self {
        let retell: Box<Retell> = Box::new(move |retelling, settings, pool| {
            Box::pin(async move { Ok(retelling.of(&new(settings)?, pool).await?) })
        });
        Self { retell: Some(retell), ..self }
    }

    /// Sets its group to a point of all topics that it reads.
    ///
    /// # Errors
    /// While one of its instances runs, and what Kafka says.
    pub async fn reset(&self, settings: &Settings, to: Point) -> Result<Vec<Moved>, ReplayError> {
        kafka_admin::replay::reset(settings, self.name, &self.subscriptions, &self.raw_topics, to).await
    }
}
