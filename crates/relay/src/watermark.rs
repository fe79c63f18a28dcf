//! What the relay says itself: up to which moment everything that was committed is published (`RelayAdvanced`).

use std::time::Instant;

use events::{Event as _, RelayAdvanced, Timestamp, derive_id};
use rdkafka::message::{Header, OwnedHeaders};
use sqlx::PgConnection;

use super::error::RelayError;
use super::outbound::Outbound;
use super::record::CONTENT_TYPE;
use super::settings::RelaySettings;
use runtime::Codec;

const SOURCE: &str = "outbox-relay";

pub(super) struct RelayWatermark {
    codec: Option<Codec>,
    said_at: Option<Instant>,
    /// What was said last, but for the moment: what changes it is news.
    said: Option<(Vec<i32>, i64)>,
}

pub(super) struct RelayProgress<'p> {
    pub database: &'p str,
    pub shards: &'p [i16],
    pub published_until: Timestamp,
    pub last_seq: i64,
    pub backlog: i64,
}

impl RelayWatermark {
    /// Reads the ids of our schemas, as `quadrille topics apply` stored them.
    pub async fn load(db: &mut PgConnection) -> Result<Self, RelayError> {
        let stored: Vec<(i32, String)> = sqlx::query_as("select schema_id, definition from runtime.schema_id where subject like '%RelayAdvanced' order by schema_id")
            .fetch_all(db)
            .await?;
        let stored: Vec<_> = stored.into_iter().map(|(id, definition)| (id as u32, definition)).collect();
        let codec = Codec::new(&stored).and_then(|codec| codec.check_writers(&[RelayAdvanced::TYPE]).map(|()| codec));
        let codec =
            codec.inspect_err(|error| tracing::warn!(%error, "the relay publishes, but says no watermarks")).ok();
        Ok(Self { codec, said_at: None, said: None })
    }

    /// Whether it is time: often while the relay advances, rarely while nothing happens.
    pub fn is_due(&self, progress: &RelayProgress<'_>, settings: &RelaySettings) -> bool {
        let Some(at) = self.said_at else { return self.codec.is_some() };
        let now = (numbers(progress.shards), progress.last_seq);
        let is_news = self.said.as_ref() != Some(&now);
        self.codec.is_some()
            && at.elapsed() >= if is_news { settings.watermark_interval } else { settings.idle_watermark_interval }
    }

    pub async fn emit(
        &mut self,
        outbound: &mut Outbound,
        name: &str,
        progress: RelayProgress<'_>,
        now: Timestamp,
    ) -> Result<(), RelayError> {
        let Some(codec) = &self.codec else { return Ok(()) };
        let event = RelayAdvanced {
            database: progress.database.to_owned(),
            relay: name.to_owned(),
            shards: numbers(progress.shards),
            published_until: progress.published_until,
            last_seq: progress.last_seq,
            backlog: progress.backlog,
        };
        self.said = Some((event.shards.clone(), event.last_seq));
        self.said_at = Some(Instant::now());
        match codec.encode(&event) {
            Ok(payload) => {
                outbound.announce(RelayAdvanced::TOPIC, event.key().as_bytes(), headers(&event, now), &payload).await
            }
            Err(error) => {
                tracing::warn!(%error, "the relay's watermark can't be encoded");
                Ok(())
            }
        }
    }
}

fn numbers(shards: &[i16]) -> Vec<i32> {
    shards.iter().copied().map(i32::from).collect()
}

fn headers(event: &RelayAdvanced, now: Timestamp) -> OwnedHeaders {
    let cause = format!("{}/{:?}/{}", event.database, event.shards, event.published_until);
    let id = derive_id(&cause, SOURCE, RelayAdvanced::TYPE, &event.relay).to_string();
    let time = now.to_string();
    let all = [
        ("ce_specversion", "1.0"),
        ("ce_id", id.as_str()),
        ("ce_type", RelayAdvanced::TYPE),
        ("ce_source", SOURCE),
        ("ce_time", time.as_str()),
        ("ce_subject", event.database.as_str()),
        ("ce_correlationid", event.database.as_str()),
        ("ce_causationid", cause.as_str()),
        ("content-type", CONTENT_TYPE),
    ];
    all.into_iter().fold(OwnedHeaders::new_with_capacity(9), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
