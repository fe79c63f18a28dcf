//! The schema registry: asked only for ids that nobody here knows yet, and by `quadrille topics apply`, which stores what consumers start from.

use std::time::Duration;

use serde::Deserialize;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::codec::{Codec, CodecError};
use crate::failure::Backoff;
use crate::settings::{Common, Secret};

/// A registry with the Confluent API.
#[derive(Clone)]
pub struct Registry {
    url: String,
    user: Option<(String, Secret)>,
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
        Ok(Self { url: url.trim_end_matches('/').to_owned(), user: None, http, pool })
    }

    /// The registry of the settings, with the user that they name.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn from_settings(settings: &Common, pool: PgPool) -> Result<Self, reqwest::Error> {
        let password = || settings.schema_registry_password.clone().unwrap_or_default();
        let user = settings.schema_registry_user.clone().map(|user| (user, password()));
        Ok(Self { user, ..Self::new(&settings.schema_registry_url, pool)? })
    }

    /// A request that says who asks, where a user is set. A password from a file is read anew.
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.user {
            Some((user, password)) => {
                let password = password.read_again().unwrap_or_else(|_| password.clone());
                request.basic_auth(user, Some(password.expose()))
            }
            None => request,
        }
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
            .request(reqwest::Method::GET, &format!("/schemas/ids/{id}"))
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
        let versions = self.request(reqwest::Method::POST, &format!("/subjects/{subject}/versions"));
        let registered: Registered =
            self.write(subject, versions.json(&serde_json::json!({ "schema": definition }))).await?;
        let id = registered.id as u32;
        let config = self.request(reqwest::Method::PUT, &format!("/config/{subject}"));
        let rule = serde_json::json!({ "compatibility": "FULL_TRANSITIVE" });
        let _: serde_json::Value = self.write(subject, config.json(&rule)).await?;
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
        RegistryError::Unreachable { url: self.url.clone(), source: source.without_url() }
    }
}
