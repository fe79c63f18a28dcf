//! The schema registry: asked only for ids that nobody here knows yet, and by `quadrille topics apply`, which stores what consumers start from.

use std::time::Duration;

use serde::Deserialize;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::codec::{Codec, CodecError};
use crate::failure::Backoff;

/// A registry with the Confluent API.
#[derive(Clone)]
pub struct Registry {
    url: String,
    http: reqwest::Client,
    pool: PgPool,
}

/// The registry refused, or can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error("schema registry {url} can't be reached ({source}): check SCHEMA_REGISTRY_URL")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that is not a yes.
    #[error("schema registry refuses {what}: {status}: {body}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The ids can't be stored.
    #[error("schema ids can't be stored: {0}")]
    Store(#[from] sqlx::Error),
}

#[derive(Deserialize)]
struct Definition {
    schema: String,
}

#[derive(Deserialize)]
struct Registered {
    id: i64,
}

impl Registry {
    /// The registry at `url`; ids are kept in the database behind `pool`.
    ///
    /// # Errors
    /// When this machine has no usable TLS.
    pub fn new(url: &str, pool: PgPool) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http, pool })
    }

    /// What `topics apply` stored: (schema id, schema text).
    ///
    /// # Errors
    /// What the database says.
    pub async fn stored(pool: &PgPool) -> Result<Vec<(u32, String)>, sqlx::Error> {
        let rows: Vec<(i32, String)> =
            sqlx::query_as("select schema_id, definition from runtime.schema_id order by schema_id")
                .fetch_all(pool)
                .await?;
        Ok(rows.into_iter().map(|(id, definition)| (id as u32, definition)).collect())
    }

    /// Makes an unknown id known to the codec; a registry that can't be reached is asked again until the process stops.
    ///
    /// # Errors
    /// [`CodecError::UnknownSchema`] when the registry says that there is no such id: then, and only then, the record is poison.
    pub(crate) async fn learn(&self, codec: &Codec, id: u32, shutdown: &CancellationToken) -> Result<(), CodecError> {
        let mut backoff = Backoff::default();
        loop {
            match self.definition(id).await {
                Ok(Some(definition)) => {
                    self.remember(id, "", &definition)
                        .await
                        .unwrap_or_else(|error| tracing::warn!(%error, id, "schema not kept"));
                    return codec.learn(id, &definition);
                }
                Ok(None) => return Err(CodecError::UnknownSchema(id)),
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(%error, id, ?wait, "schema id not known here, the registry will be asked again");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = shutdown.cancelled() => return Err(CodecError::AskRegistry(id)),
                    }
                }
            }
        }
    }

    async fn definition(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let response = self
            .http
            .get(format!("{}/schemas/ids/{id}", self.url))
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let found: Definition = self.answer(&format!("schema id {id}"), response).await?;
        Ok(Some(found.schema))
    }

    /// Registers a schema under a subject that only takes compatible ones, stores its id, and returns it.
    ///
    /// # Errors
    /// When the registry can't be reached, finds the schema incompatible with an earlier version, or the id can't be stored.
    pub async fn register(&self, subject: &str, definition: &str) -> Result<u32, RegistryError> {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let registered: Registered =
            self.write(subject, self.http.post(url).json(&serde_json::json!({ "schema": definition }))).await?;
        let id = registered.id as u32;
        let url = format!("{}/config/{subject}", self.url);
        let rule = serde_json::json!({ "compatibility": "FULL_TRANSITIVE" });
        let _: serde_json::Value = self.write(subject, self.http.put(url).json(&rule)).await?;
        self.remember(id, subject, definition).await?;
        Ok(id)
    }

    async fn remember(&self, id: u32, subject: &str, definition: &str) -> Result<(), sqlx::Error> {
        sqlx::query("insert into runtime.schema_id (schema_id, subject, definition) values ($1, $2, $3) on conflict (schema_id) do nothing")
            .bind(id as i32)
            .bind(subject)
            .bind(definition)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Asks for a change. Two that make the same thing at once meet: the registry refuses one of them with a conflict, and finds the thing made
    /// when it is asked again. A schema that is incompatible is a conflict too, and stays one.
    async fn write<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, RegistryError> {
        let again = request.try_clone();
        let mut response = request.send().await.map_err(|source| self.unreachable(source))?;
        if let Some(again) = again
            && response.status() == reqwest::StatusCode::CONFLICT
        {
            response = again.send().await.map_err(|source| self.unreachable(source))?;
        }
        self.answer(what, response).await
    }

    async fn answer<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        response: reqwest::Response,
    ) -> Result<T, RegistryError> {
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.unwrap_or_default();
            return Err(RegistryError::Refused { what: what.to_owned(), status: status.as_u16(), body });
        }
        response.json().await.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { url: self.url.clone(), source }
    }
}
