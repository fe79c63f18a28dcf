//! Schemas by their ids in the database: what the registry said when it was last asked, and what it had said of the same ids before.

use std::fmt;

use sqlx::PgPool;

use super::{Registry, RegistryError};
use crate::avro::codec::{self, Codec, CodecError};

/// An id under which the registry has not what the database had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// The id.
    pub id: u32,
    /// What it was kept for: the subject, or nothing for a schema of others.
    pub subject: String,
    /// What it stands for now.
    pub correction: Correction,
}

/// What an id stands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Another schema.
    Replaced,
    /// None: the registry does not know it, or what it has can't be read by.
    Gone,
}

impl fmt::Display for Corrected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, subject, correction } = self;
        let subject = if subject.is_empty() { "a schema of others" } else { subject };
        let now = match correction {
            Correction::Replaced => "the registry has another schema under it now",
            Correction::Gone => "the registry has no Avro schema under it any more",
        };
        write!(
            f,
            "schema id {id} was {subject}, and {now}: was it built anew? Corrected; events that were written by the former one can still be read. \
             Restart what runs, so that it writes with the new ids"
        )
    }
}

impl Registry {
    /// What `topics apply` stored: (schema id, schema text).
    pub async fn stored(pool: &PgPool) -> Result<Vec<(u32, String)>, sqlx::Error> {
        rows(pool, "select schema_id, definition from runtime.schema_id order by schema_id").await
    }

    /// A codec that knows what is stored, and what the same ids stood for before.
    pub async fn codec(pool: &PgPool) -> Result<Codec, StoredError> {
        let codec = Codec::new(&Self::stored(pool).await?)?;
        let former = "select schema_id, definition from runtime.schema_id_former order by schema_id, replaced_at desc";
        for (id, definition) in rows(pool, former).await? {
            if let Err(error) = codec.learn_former(id, &definition) {
                tracing::warn!(id, %error, "a former schema is left out");
            }
        }
        Ok(codec)
    }

    pub(super) async fn kept(&self, id: u32) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("select definition from runtime.schema_id where schema_id = $1")
            .bind(id as i32)
            .fetch_optional(&self.pool)
            .await
    }

    /// Stores what the registry has under an id; what was stored there and is another schema becomes a former one.
    pub(super) async fn keep(&self, id: u32, subject: &str, definition: &str) -> Result<(), sqlx::Error> {
        if let Some(kept) = self.kept(id).await?
            && !codec::same_schema(&kept, definition)
        {
            tracing::warn!(
                id,
                "the registry has another schema under this id than the database had: was it built anew?"
            );
            self.retire(id, &kept).await?;
        }
        // What is ours already keeps its subject.
        sqlx::query(
            "insert into runtime.schema_id (schema_id, subject, definition) values ($1, $2, $3)
             on conflict (schema_id) do update set subject = excluded.subject where schema_id.subject = ''",
        )
        .bind(id as i32)
        .bind(subject)
        .bind(definition)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Keeps what is stored under an id as a former schema of it, for reading, no more for writing; what can't be read by is forgotten.
    async fn retire(&self, id: u32, definition: &str) -> Result<(), sqlx::Error> {
        let statement = if codec::is_readable(definition) {
            "with gone as (delete from runtime.schema_id where schema_id = $1 returning schema_id, subject, definition)
             insert into runtime.schema_id_former (schema_id, subject, definition) select schema_id, subject, definition from gone
             on conflict (schema_id, md5(definition)) do update set replaced_at = now()"
        } else {
            "delete from runtime.schema_id where schema_id = $1"
        };
        sqlx::query(statement).bind(id as i32).execute(&self.pool).await?;
        Ok(())
    }

    /// Compares every id that is stored with what the registry has under it, and corrects what is stored: a registry that was built anew, or restored
    /// from an older state, gives ids a second time. Returns what was not the same.
    ///
    /// # Errors
    /// When the registry can't be reached, or the database not be written.
    pub async fn reconcile(&self) -> Result<Vec<Corrected>, RegistryError> {
        let stored: Vec<(i32, String, String)> =
            sqlx::query_as("select schema_id, subject, definition from runtime.schema_id order by schema_id")
                .fetch_all(&self.pool)
                .await?;
        let mut corrected = Vec::new();
        for (id, subject, definition) in stored {
            let id = id as u32;
            let correction = match self.definition(id).await? {
                Ok(found) if codec::same_schema(&found, &definition) => continue,
                Ok(found) => {
                    self.keep(id, "", &found).await?;
                    Correction::Replaced
                }
                Err(_) => {
                    self.retire(id, &definition).await?;
                    Correction::Gone
                }
            };
            corrected.push(Corrected { id, subject, correction });
        }
        Ok(corrected)
    }
}

async fn rows(pool: &PgPool, statement: &'static str) -> Result<Vec<(u32, String)>, sqlx::Error> {
    let rows: Vec<(i32, String)> = sqlx::query_as(statement).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(id, definition)| (id as u32, definition)).collect())
}

/// The stored schemas can't be had.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The database does not answer.
    #[error("stored schemas can't be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A schema of this binary is none.
    #[error(transparent)]
    Codec(#[from] CodecError),
}
