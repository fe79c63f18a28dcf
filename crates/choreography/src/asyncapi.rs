//! The choreography as an AsyncAPI 3.0 document: topics as channels, events as messages, who sends and who receives.

use events::CatalogueEntry;
use serde_json::{Map, Value as Json, json};

use crate::model::{Choreography, Owner, Topic};
use crate::topics::TopicSettings;

/// The AsyncAPI document of the choreography with the topic settings of one profile.
///
/// `None` if there is no profile of that name. Events that the catalogue does not know are left out: [`crate::check`]
/// reports them.
pub fn asyncapi(choreography: &Choreography, catalogue: &[CatalogueEntry], profile: &str) -> Option<Json> {
    let settings = choreography.topic_settings(profile)?;
    let known = |name: &str| catalogue.iter().any(|entry| entry.name == name);
    let channels: Map<String, Json> = choreography
        .topics
        .iter()
        .zip(&settings)
        .map(|((name, topic), settings)| (name.to_owned(), channel(name, topic, settings, &known)))
        .collect();
    let messages: Map<String, Json> = catalogue.iter().map(|entry| (entry.name.to_owned(), message(entry))).collect();
    Some(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quadrille",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An order pipeline by choreography: every topic, every event, who says it and who hears it.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/avro",
        "channels": channels,
        "operations": operations(choreography, &known),
        "components": {"messages": messages, "messageTraits": {"cloudEvent": cloud_event()}},
    }))
}

fn channel(name: &str, topic: &Topic, settings: &TopicSettings, known: &impl Fn(&str) -> bool) -> Json {
    let messages: Map<String, Json> = topic
        .events
        .names()
        .filter(|event| known(event))
        .map(|event| (event.to_owned(), json!({"$ref": format!("#/components/messages/{event}")})))
        .collect();
    let number = |key: &str| settings.config.get(key).and_then(|text| text.parse::<i64>().ok());
    let mut configuration = json!({
        "cleanup.policy": [settings.config.get("cleanup.policy")],
        "max.message.bytes": number("max.message.bytes"),
    });
    if let Some(retention) = number("retention.ms") {
        configuration["retention.ms"] = retention.into();
    }
    json!({
        "address": name,
        "description": format!("{} Key: {}.", topic.about.trim_end(), topic.key),
        "messages": messages,
        "bindings": {"kafka": {
            "topic": name,
            "partitions": settings.partitions,
            "replicas": settings.replicas,
            "topicConfiguration": configuration,
            "bindingVersion": "0.5.0",
        }},
    })
}

fn message(entry: &CatalogueEntry) -> Json {
    let schema: Json = serde_json::from_str(entry.schema).unwrap_or_default();
    json!({
        "name": entry.event_type,
        "title": entry.name,
        "summary": schema["doc"],
        "contentType": "application/avro",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": schema},
        "bindings": {"kafka": {
            "key": {"type": "string"},
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "bindingVersion": "0.5.0",
        }},
    })
}

/// The headers that every event carries; `order-placed` alone may lack them.
fn cloud_event() -> Json {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "headers": {
            "type": "object",
            "properties": {
                "ce_specversion": text("CloudEvents version, 1.0."),
                "ce_id": text("The event's id: the same each time the same thing is said."),
                "ce_type": text("The Avro full name of the event."),
                "ce_source": text("Which consumer says it."),
                "ce_time": text("When it happened, RFC 3339."),
                "ce_subject": text("The order's id, or what else the event is about."),
                "ce_correlationid": text("The same for all events of one order."),
                "ce_causationid": text("The id of the event that caused this one; where an order begins, of the request that placed it."),
                "ce_triggerid": text("The id of the answer, timer or request that the event was said upon, which is in no topic; absent: it was an event."),
                "ce_sequence": text("The outbox's sequence number, padded to 20 digits."),
                "content-type": text("application/avro."),
                "traceparent": text("W3C trace context."),
            },
        },
    })
}

fn operations(choreography: &Choreography, known: &impl Fn(&str) -> bool) -> Map<String, Json> {
    let mut operations = Map::new();
    for (name, topic) in choreography.topics.iter() {
        if let Owner::Consumer(owner) = &topic.owner {
            let events: Vec<&str> = topic.events.names().filter(|event| known(event)).collect();
            operations.insert(format!("{owner}.says.{name}"), operation("send", owner, name, &events));
        }
    }
    for consumer in choreography.default_consumers() {
        let heard = choreography.heard_by(consumer);
        for name in choreography.topics_heard_by(consumer) {
            let events = choreography.topics.get(name).into_iter().flat_map(|topic| topic.events.names());
            let events: Vec<&str> = events.filter(|event| heard.contains(event) && known(event)).collect();
            operations.insert(format!("{consumer}.hears.{name}"), operation("receive", consumer, name, &events));
        }
    }
    operations
}

fn operation(action: &str, consumer: &str, topic: &str, events: &[&str]) -> Json {
    let messages: Vec<Json> =
        events.iter().map(|event| json!({"$ref": format!("#/channels/{topic}/messages/{event}")})).collect();
    let mut operation = json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{topic}")},
        "messages": messages,
        "tags": [{"name": consumer}],
    });
    if action == "receive" {
        operation["bindings"] =
            json!({"kafka": {"groupId": {"type": "string", "enum": [consumer]}, "bindingVersion": "0.5.0"}});
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'j>(document: &'j Json, found: &mut Vec<&'j str>) {
        match document {
            Json::Object(object) => {
                found.extend(object.get("$ref").and_then(Json::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Json::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = asyncapi(Choreography::embedded(), events::catalogue(), "local").unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for target in found {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
    }

    #[test]
    fn consumers_receive_what_they_hear_and_send_what_they_own() {
        let document = asyncapi(Choreography::embedded(), events::catalogue(), "production").unwrap();
        let subscribes_to = &document["operations"]["fraud.hears.payments"];
        assert_eq!(subscribes_to["action"], "receive");
        assert_eq!(subscribes_to["messages"].as_array().unwrap().len(), 2);
        assert_eq!(document["operations"]["fraud.says.fraud"]["action"], "send");
        assert_eq!(document["channels"]["orders"]["bindings"]["kafka"]["partitions"], 12);
        assert_eq!(asyncapi(Choreography::embedded(), events::catalogue(), "lunar"), None);
    }
}
