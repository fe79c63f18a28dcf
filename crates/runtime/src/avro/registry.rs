//! The schema registry: asked only for ids that nobody here knows yet, and by `quadrille topics apply`, which stores what consumers start from.

mod asked;
mod kept;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::asked::AskedIds;
use crate::avro::codec::{self, Codec, CodecError, LARGEST_SCHEMA};
use crate::failure::Backoff;
use crate::settings::{Secret, Settings};

pub use self::kept::{Corrected, Correction, StoredError};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who takes longer to answer is not back: less than a batch waits.
const IS_BACK_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of an answer: a schema's text as a JSON string, and what is said of it.
const LARGEST_ANSWER: usize = 2 * LARGEST_SCHEMA;
const MOST_REFERENCES: usize = 64;

/// A registry with the Confluent API.
#[derive(Clone)]
pub struct Registry {
    url: String,
    /// Who asks, and with which password: as the settings have them at the time.
    settings: Option<Settings>,
    http: reqwest::Client,
    pool: PgPool,
    asked: Arc<AskedIds>,
}

/// The registry refused, or can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its address is none.
    #[error("SCHEMA_REGISTRY_URL can't be read: expected http://host:port/path, got something else ({0})")]
    Address(&'static str),
    /// No answer.
    #[error("schema registry {url} can't be reached ({}): check SCHEMA_REGISTRY_URL", innermost(.source))]
    Unreachable {
        /// Its address, without what is secret.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that is none of a registry.
    #[error(
        "schema registry {url} answers {what} with something else than expected ({reason}): check SCHEMA_REGISTRY_URL"
    )]
    Unexpected {
        /// Its address, without what is secret.
        url: String,
        /// What was asked.
        what: String,
        /// What is wrong with it.
        reason: String,
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

/// What an error comes from: its own text says only what was being done.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error).to_string()
}

/// Why a schema is not known although it was asked for.
#[derive(Debug)]
pub(crate) enum NotLearned {
    /// There is no such schema, or it can't be read by: then, and only then, its records are poison.
    Unreadable(CodecError),
    /// The registry gives no answer, or refuses to: nobody knows yet.
    Away(String),
}

#[derive(Deserialize)]
struct Definition {
    schema: String,
    /// None: Avro.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<SchemaReference>>,
}

#[derive(Deserialize)]
struct SchemaReference {
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Registered {
    id: i64,
}

#[derive(Deserialize)]
struct No {
    error_code: i64,
}

impl Registry {
    /// The registry at `url`; ids are kept in the database behind `pool`.
    ///
    /// # Errors
    /// When this machine has no usable TLS.
    pub fn new(url: &str, pool: PgPool) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), settings: None, http, pool, asked: Arc::default() })
    }

    /// The registry of the settings, with the user that they name.
    pub fn from_settings(settings: &Settings, pool: PgPool) -> Result<Self, reqwest::Error> {
        let asks = settings.common().schema_registry_user.is_some().then(|| settings.clone());
        Ok(Self { settings: asks, ..Self::new(&settings.common().schema_registry_url, pool)? })
    }

    /// A request that says who asks, where a user is set. Its password is read again, as a rotated one is another.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        let Some(settings) = &self.settings else { return request };
        let now = settings.read_again().unwrap_or_else(|_| settings.clone());
        match &now.common().schema_registry_user {
            Some(user) => request.basic_auth(user, now.common().schema_registry_password.as_ref().map(Secret::expose)),
            None => request,
        }
    }

    /// Makes an id known to the codec, from what is stored or else from the registry, which is asked once.
    pub(crate) async fn look_up(&self, codec: &Codec, id: u32) -> Result<(), NotLearned> {
        if let Some(refusal) = self.asked.refused(id) {
            return Err(NotLearned::Unreadable(refusal));
        }
        // Another process may have asked, or `topics apply` stored it, since this one started.
        match self.kept(id).await {
            Ok(Some(definition)) if codec.learn(id, &definition).is_ok_and(|is_news| is_news) => return Ok(()),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, id, "stored schemas can't be read: the registry is asked"),
        }
        self.asked.waits_for(id);
        let definition = self.definition(id).await.map_err(|error| NotLearned::Away(error.to_string()))?;
        let learned = definition.and_then(|definition| codec.learn(id, &definition).map(|_| definition));
        self.asked.answered(id, learned.as_ref().err());
        let definition = learned.map_err(NotLearned::Unreadable)?;
        if let Err(error) = self.keep(id, "", &definition).await {
            tracing::warn!(%error, id, "schema not kept: it is asked for again at the next start");
        }
        Ok(())
    }

    /// Whether what is known of an id was not asked for lately: a registry that was built anew may have given it to another schema.
    pub(crate) fn is_doubtful(&self, id: u32) -> bool {
        self.asked.is_doubtful(id)
    }

    /// Whether it answers again: asked for the id that it did not answer for.
    pub(crate) async fn is_back(&self) -> bool {
        let Some(id) = self.asked.unanswered() else { return true };
        matches!(tokio::time::timeout(IS_BACK_WITHIN, self.definition(id)).await, Ok(Ok(_)))
    }

    /// Makes an unknown id known to the codec; a registry that can't be reached is asked again until `stop`.
    ///
    /// # Errors
    /// When there is no such schema, or it can't be read by; [`CodecError::AskRegistry`] when stopped.
    pub async fn learn(&self, codec: &Codec, id: u32, stop: &CancellationToken) -> Result<(), CodecError> {
        let mut backoff = Backoff::default();
        loop {
            match self.look_up(codec, id).await {
                Ok(()) => return Ok(()),
                Err(NotLearned::Unreadable(error)) => return Err(error),
                Err(NotLearned::Away(error)) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(error, id, ?wait, "schema id not known here, the registry will be asked again");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stop.cancelled() => return Err(CodecError::AskRegistry(id)),
                    }
                }
            }
        }
    }

    /// What the registry has under an id, as one text that refers to nothing outside; the inner error: it has nothing that can be read by.
    async fn definition(&self, id: u32) -> Result<Result<String, CodecError>, RegistryError> {
        let what = format!("schema id {id}");
        let Some(found) = self.ask::<Definition>(&what, &["schemas", "ids", &id.to_string()]).await? else {
            return Ok(Err(CodecError::UnknownSchema(id)));
        };
        if let Some(kind) = found.kind.filter(|kind| kind != "AVRO") {
            return Ok(Err(CodecError::NotAvro(id, kind.chars().take(20).collect())));
        }
        let references = found.references.unwrap_or_default();
        if references.is_empty() {
            return Ok(Ok(found.schema));
        }
        Ok(match self.referenced(references).await? {
            Ok(referenced) => codec::whole(id, &found.schema, &referenced),
            Err(reason) => Err(CodecError::Avro { event: what, done: "read", reason }),
        })
    }

    /// The texts of what a schema refers to, and of what these refer to; the inner error: it refers to too much, or to nothing.
    async fn referenced(&self, first: Vec<SchemaReference>) -> Result<Result<Vec<String>, String>, RegistryError> {
        let (mut waiting, mut seen, mut texts) = (VecDeque::from(first), BTreeSet::new(), Vec::new());
        while let Some(SchemaReference { subject, version }) = waiting.pop_front() {
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Ok(Err(format!("it refers to more than {MOST_REFERENCES} schemas, which is the limit")));
            }
            let what = format!("version {version} of subject {subject}");
            let path = ["subjects", &subject, "versions", &version.to_string()];
            let Some(found) = self.ask::<Definition>(&what, &path).await? else {
                return Ok(Err(format!("it refers to {what}, which the registry does not have")));
            };
            texts.push(found.schema);
            waiting.extend(found.references.unwrap_or_default());
        }
        Ok(Ok(texts))
    }

    /// Registers a schema under a subject that only takes compatible ones, stores its id, and returns it.
    ///
    /// # Errors
    /// When the registry can't be reached, finds the schema incompatible with an earlier version, or the id can't be stored.
    pub async fn register(&self, subject: &str, definition: &str) -> Result<u32, RegistryError> {
        let schema = self.request(Method::POST, self.at(&["subjects", subject, "versions"])?);
        let schema = schema.json(&serde_json::json!({ "schema": definition }));
        let registered: Registered = self.write(subject, schema).await?;
        let rule = self.request(Method::PUT, self.at(&["config", subject])?);
        let rule = rule.json(&serde_json::json!({ "compatibility": "FULL_TRANSITIVE" }));
        let _: serde_json::Value = self.write(subject, rule).await?;
        let id = registered.id as u32;
        self.keep(id, subject, definition).await?;
        Ok(id)
    }

    /// Asks for a change. Two that make the same thing at once meet: the registry refuses one of them with a conflict, and finds the thing made
    /// when it is asked again. A schema that is incompatible is a conflict too, and stays one.
    async fn write<T: DeserializeOwned>(&self, what: &str, request: RequestBuilder) -> Result<T, RegistryError> {
        let again = request.try_clone();
        let (mut status, mut body) = self.send(what, request).await?;
        if let Some(again) = again.filter(|_| status == StatusCode::CONFLICT) {
            (status, body) = self.send(what, again).await?;
        }
        self.answer(what, status, &body)
    }

    /// Asks a question; none: the registry itself says that there is no such thing, which a proxy or a wrong path in front of it does not.
    async fn ask<T: DeserializeOwned>(&self, what: &str, path: &[&str]) -> Result<Option<T>, RegistryError> {
        let (status, body) = self.send(what, self.request(Method::GET, self.at(path)?)).await?;
        let says_no =
            || serde_json::from_slice(&body).is_ok_and(|No { error_code }| (40_400..40_500).contains(&error_code));
        if status == StatusCode::NOT_FOUND && says_no() {
            return Ok(None);
        }
        self.answer(what, status, &body).map(Some)
    }

    fn answer<T: DeserializeOwned>(&self, what: &str, status: StatusCode, body: &[u8]) -> Result<T, RegistryError> {
        if !status.is_success() {
            let body = String::from_utf8_lossy(body).chars().take(2_000).collect();
            return Err(RegistryError::Refused { what: what.to_owned(), status: status.as_u16(), body });
        }
        serde_json::from_slice(body).map_err(|error| self.unexpected(what, error.to_string()))
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), RegistryError> {
        let unreachable =
            |source: reqwest::Error| RegistryError::Unreachable { url: self.shown(), source: source.without_url() };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.unexpected(what, format!("more than {LARGEST_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body))
    }

    fn at(&self, path: &[&str]) -> Result<Url, RegistryError> {
        let mut url = Url::parse(&self.url).map_err(|_| RegistryError::Address("it is no URL"))?;
        url.path_segments_mut().map_err(|()| RegistryError::Address("it has no path"))?.pop_if_empty().extend(path);
        Ok(url)
    }

    /// Its address without user, password and query: these may be secret.
    fn shown(&self) -> String {
        let Ok(mut url) = Url::parse(&self.url) else { return "(its address is no URL)".to_owned() };
        let _ = url.set_username("").and_then(|()| url.set_password(None)); // only what has no host refuses, and has none either
        url.set_query(None);
        url.to_string()
    }

    fn unexpected(&self, what: &str, reason: String) -> RegistryError {
        RegistryError::Unexpected { url: self.shown(), what: what.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Report 36, the registry's part; and of the same kind: a token in the query, and an address that is none.
    #[tokio::test]
    async fn no_error_shows_what_is_secret_in_the_address() {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:9/none").unwrap();
        for url in [
            "http://svc-orders:s3cr3t@127.0.0.1:9/apis/ccompat/v7",
            "http://127.0.0.1:9/apis/ccompat/v7?token=s3cr3t",
            "svc-orders:s3cr3t@127.0.0.1",
            "http://svc-orders:s3cr3t@:port/",
        ] {
            let registry = Registry::new(url, pool.clone()).unwrap();
            let error = registry.definition(1).await.unwrap_err();
            let chain = format!("{:#} {error:?}", anyhow::Error::new(registry.definition(1).await.unwrap_err()));
            assert!(!chain.contains("s3cr3t") && chain.contains("SCHEMA_REGISTRY_URL"), "{url}: {chain}");
            assert!(!url.contains(":9/") || error.to_string().contains("refused"), "the cause: {error}");
        }
    }

    #[tokio::test]
    async fn paths_are_below_the_registrys_own_and_names_of_subjects_are_one_part_of_them() {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:9/none").unwrap();
        let registry = Registry::new("http://registry/apis/ccompat/v7/", pool).unwrap();
        let url = registry.at(&["subjects", "shop/order placed?", "versions"]).unwrap();
        assert_eq!(url.as_str(), "http://registry/apis/ccompat/v7/subjects/shop%2Forder%20placed%3F/versions");
    }

    #[test]
    fn a_no_is_believed_for_a_while_and_a_yes_is_not_doubted_for_longer() {
        let asked = AskedIds::default();
        assert!(asked.is_doubtful(1) && asked.refused(1).is_none() && asked.unanswered().is_none());
        asked.waits_for(1);
        assert_eq!(asked.unanswered(), Some(1));
        asked.answered(1, None);
        asked.answered(2, Some(&CodecError::UnknownSchema(2)));
        assert!(!asked.is_doubtful(1) && !asked.is_doubtful(2) && asked.unanswered().is_none());
        assert!(asked.refused(1).is_none());
        assert!(matches!(asked.refused(2), Some(CodecError::UnknownSchema(2))));
    }
}
