//! Events that a test writes to the topics by itself: what no consumer said, said again, or said out of order.

use std::collections::HashMap;

use events::Event;
use runtime::{Codec, Registry};

use crate::kafka::{Record, produce};
use crate::pipeline::Pipeline;

impl Pipeline {
    /// Our schemas, under the ids of the registry.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn codec(&self) -> Codec {
        Registry::codec(&self.database.pool).await.expect("our schemas and their ids")
    }

    /// Writes an event to its topic, as its consumer would; the same event again has the same id.
    pub async fn publish<E: Event>(&self, event: &E) {
        let value = self.codec().await.encode(event).expect("an event of ours");
        self.publish_bytes::<E>(&event.key(), &value);
    }

    /// Writes what is framed already to an event's topic, with the headers of that event.
    pub fn publish_bytes<E: Event>(&self, key: &str, value: &[u8]) {
        let id = events::derive_id(key, "test", E::TYPE, "").to_string();
        let time = self.clock.now().to_string();
        let headers = [
            ("ce_type", E::TYPE),
            ("ce_id", &id),
            ("ce_source", E::TOPIC),
            ("ce_correlationid", key),
            ("ce_time", &time),
        ];
        produce(&self.topic(E::TOPIC), &[(Some(key.as_bytes()), value, &headers)]);
    }

    /// Writes records again that were read from a topic, as a producer does that did not hear the broker's answer.
    pub fn publish_again(&self, topic: &str, records: &[Record]) {
        for record in records {
            let headers: Vec<(&str, &str)> = sorted(&record.headers);
            produce(
                &self.topic(topic),
                &[(record.key.as_deref(), record.value.as_deref().unwrap_or_default(), &headers)],
            );
        }
    }
}

fn sorted(headers: &HashMap<String, String>) -> Vec<(&str, &str)> {
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.sort_unstable();
    headers
}
