//! What a decision has besides its change of state: events to publish, timers, calls, and dead letters.

use std::collections::BTreeMap;

use events::{DeadLetterResolved, Event, EventId, OrderId, Resolution, Timestamp, derive_id};
use uuid::Uuid;

use crate::avro::codec::{Codec, CodecError};
use crate::dead_letter::burial as dead_letter;
use crate::kafka::headers::Headers;
use crate::telemetry::Spans;
use crate::vocabulary::{Cause, ErrorInfo, Escalation, Origin, Timer, TraceContext};

/// The largest event that is sent, in bytes with key and headers. The topics take more: what is appended always fits.
pub const LARGEST_EVENT: usize = 900_000;

/// A row for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic, without the deployment's prefix.
    pub topic: &'static str,
    /// The record's key: the order's id, or what the topic is keyed by.
    pub key: Option<Vec<u8>>,
    /// The event's derived id.
    pub event_id: Uuid,
    /// CloudEvents and trace headers.
    pub headers: Headers,
    /// The framed value.
    pub payload: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub letter_id: Uuid,
    pub resolution: Resolution,
    pub by: String,
}

/// Collects what one decision wants done; the runtime does it in the transaction of the batch, calls after its commit.
pub struct Effects<'c, C> {
    codec: &'c Codec,
    producer: &'static str,
    cause: &'c Cause,
    cause_text: String,
    now: Timestamp,
    thread: Option<TraceContext>,
    pub(crate) said: Vec<Outgoing>,
    pub(crate) timers: BTreeMap<(OrderId, String, String), Option<Timestamp>>,
    pub(crate) calls: Vec<C>,
    pub(crate) deaths: Vec<ErrorInfo>,
    pub(crate) resolved: Vec<Resolved>,
    pub(crate) broken: Option<CodecError>,
}

impl<'c, C> Effects<'c, C> {
    /// An empty collection for one cause.
    pub fn new(codec: &'c Codec, producer: &'static str, cause: &'c Cause, now: Timestamp) -> Self {
        let thread = cause.thread.clone();
        Self {
            codec,
            producer,
            cause,
            cause_text: cause.id.to_string(),
            now,
            thread,
            said: Vec::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            deaths: Vec::new(),
            resolved: Vec::new(),
            broken: None,
        }
    }

    /// The thread of the cause, or else of the order as given by [`Effects::follow`].
    pub fn thread(&self) -> TraceContext {
        self.thread.clone().unwrap_or_default()
    }

    /// The order's own thread, for a cause that does not say one (a timer, an answer, a request).
    pub fn follow(&mut self, thread: &TraceContext) {
        if self.thread.is_none() {
            self.thread = Some(thread.clone());
        }
    }

    /// Notes in the order's own thread that it went on by this event: what its calls and timers bring later is said because of it.
    pub fn go_on(&self, thread: &mut TraceContext) {
        if self.cause.origin == Origin::Topic {
            thread.event = Some(self.cause.id);
        }
    }

    /// Moves the thread on to a span of this decision, where its trace is recorded.
    pub(crate) fn trace(&mut self, spans: &mut Spans, consumer: &'static str) {
        if let Some(thread) = &mut self.thread {
            spans.begin(consumer, self.cause.id, thread);
        }
    }

    /// Says an event because of the cause. `discriminator` tells apart several events of one type that one cause brings
    /// (shipment, allocation, channel, attempt); else it is empty.
    pub fn emit<E: Event>(&mut self, event: &E, discriminator: &str) {
        let key = event.key();
        let event_id = derive_id(&self.cause_text, self.producer, E::TYPE, discriminator);
        match self.codec.encode(event) {
            Ok(payload) if payload.len() + key.len() + 1_000 > LARGEST_EVENT => {
                self.broken = Some(CodecError::Avro {
                    event: E::TYPE.into(),
                    done: "written",
                    reason: format!("it has {} bytes, and {LARGEST_EVENT} is the limit", payload.len()),
                });
            }
            Ok(payload) => {
                let headers = self.headers(E::TYPE, event_id, &key);
                let (key, payload) = (Some(key.into_bytes()), Some(payload));
                self.said.push(Outgoing { topic: E::TOPIC, key, event_id, headers, payload });
            }
            Err(error) => self.broken = Some(error),
        }
    }

    /// CloudEvents in binary mode; `ce_specversion`, `content-type` and `ce_sequence` are the same for all, or known late: the relay adds them.
    fn headers(&self, event_type: &str, event_id: Uuid, subject: &str) -> Headers {
        let mut headers = Headers::with_capacity(192);
        headers.push_uuid("ce_id", event_id);
        headers.push("ce_type", event_type);
        headers.push("ce_source", self.producer);
        headers.push_time("ce_time", self.now);
        headers.push_key("ce_subject", subject);
        // Whoever walks back finds an event: what is in no topic is named beside it.
        let event = self.thread.as_ref().and_then(|thread| thread.event).filter(|_| self.cause.origin != Origin::Topic);
        headers.push_uuid("ce_causationid", event.unwrap_or(self.cause.id));
        if event.is_some() {
            headers.push("ce_triggerid", &self.cause_text);
        }
        match &self.thread {
            Some(thread) if *thread.correlation_id != *subject => {
                headers.push("ce_correlationid", &thread.correlation_id);
            }
            Some(_) | None => headers.push_key("ce_correlationid", subject),
        }
        if let Some(traceparent) = self.thread.as_ref().and_then(|thread| thread.traceparent.as_deref()) {
            headers.push("traceparent", traceparent);
        }
        headers
    }

    /// Looks at the order again at `due`; a later call for the same timer replaces the earlier.
    pub fn schedule(&mut self, kind: &str, order_id: OrderId, discriminator: &str, due: Timestamp) {
        self.timers.insert((order_id, kind.to_owned(), discriminator.to_owned()), Some(due));
    }

    /// Forgets a timer.
    pub fn cancel_timer(&mut self, kind: &str, order_id: OrderId, discriminator: &str) {
        self.timers.insert((order_id, kind.to_owned(), discriminator.to_owned()), None);
    }

    /// Makes a call after the commit. It must be repeatable under its own key: the process may die between commit and call, and the
    /// consumer's timer then asks for it again.
    pub fn call(&mut self, call: C) {
        self.calls.push(call);
    }

    /// Lays the case before a person: a dead letter of the cause, with an error class and what is wrong. The decision itself stands.
    /// Returns the letter's id, by which [`Effects::resolve`] later says what became of it.
    pub fn dead_letter(&mut self, order_id: OrderId, class: &str, message: impl Into<String>) -> Uuid {
        self.dead_letter_after(order_id, class, message, 1, self.now)
    }

    /// The same after so many attempts since then.
    pub fn dead_letter_after(
        &mut self,
        order_id: OrderId,
        class: &str,
        message: impl Into<String>,
        attempts: i32,
        since: Timestamp,
    ) -> Uuid {
        let (class, message) = (class.to_owned(), message.into());
        // With the time: the same cause may bring the same case again, after a person had it tried again.
        let discriminator = format!("{class}/{}", self.now.as_millis());
        let letter_id = derive_id(&self.cause_text, self.producer, dead_letter::TOPIC, &discriminator);
        let (order_id, escalation) = (Some(order_id), Some(Escalation { letter_id, attempts, since }));
        self.deaths.push(ErrorInfo { stage: "decide", class, message, order_id, escalation });
        letter_id
    }

    /// Says what became of a dead letter of this consumer; `by`: the account of the person behind it, or nothing.
    pub fn resolve(&mut self, letter_id: Uuid, order_id: Option<OrderId>, resolution: Resolution, by: &str) {
        let event = DeadLetterResolved {
            letter_id: EventId(letter_id),
            consumer: self.producer.to_owned(),
            order_id: order_id.map_or_else(String::new, |id| id.to_string()),
            resolution: resolution.clone(),
            by: by.to_owned(),
        };
        self.emit(&event, &letter_id.to_string());
        self.resolved.push(Resolved { letter_id, resolution, by: by.to_owned() });
    }

    /// The cause of this decision.
    pub fn cause(&self) -> &Cause {
        self.cause
    }

    /// The timers that this decision armed (with their due time) or disarmed, for tests of rules.
    pub fn timer_changes(&self) -> impl Iterator<Item = (Timer, bool)> + '_ {
        self.timers.iter().map(|((order_id, kind, discriminator), due)| {
            let (kind, discriminator) = (kind.clone(), discriminator.clone());
            (Timer { order_id: *order_id, kind, discriminator, due: due.unwrap_or(self.now) }, due.is_some())
        })
    }

    /// What was said, for tests of rules.
    pub fn said(&self) -> &[Outgoing] {
        &self.said
    }

    /// Takes the calls that were decided, for tests of rules that play the outside.
    pub fn take_calls(&mut self) -> Vec<C> {
        std::mem::take(&mut self.calls)
    }

    /// The dead letters that were decided, for tests of rules.
    pub fn dead_letters(&self) -> &[ErrorInfo] {
        &self.deaths
    }

    /// The error of an event that could not be encoded, for tests of rules.
    pub fn broken(&self) -> Option<&CodecError> {
        self.broken.as_ref()
    }
}
