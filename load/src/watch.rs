//! Watches the topics as any user could: sees each order accepted and ended, and what asks for a person, and when.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use events::{
    Event, FraudReviewRequested, OrderAccepted, OrderCancelled, OrderCompleted, OrderFailed, OrderRejected,
    PaymentActionRequired, PaymentCaptured,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::addresses::{ANSWER, PipelineAddresses};

#[derive(Clone, Debug)]
pub struct OrderEnd {
    pub status: &'static str,
    /// Why, as a code; empty when all shipped.
    pub reason: String,
    pub at: Instant,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub references: HashMap<String, u64>,
    pub ends: HashMap<u64, OrderEnd>,
    pub by_status: BTreeMap<&'static str, u64>,
    /// Terminal events that were said a second time: each is a defect.
    pub ended_twice: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// It was accepted: nothing has to be done.
    Nothing,
    Customer,
    Staff,
    /// Its money is taken, and its parcels may leave: the last moment to recall them.
    Parcel,
}

#[derive(Debug)]
pub struct Call {
    pub asks: Asks,
    pub order_id: String,
    pub reference: u64,
}

#[derive(Clone)]
pub struct WatchThread {
    seen: Arc<Mutex<Seen>>,
}

impl WatchThread {
    /// Watches the orders of `source` from now on; what asks for somebody comes through the channel.
    pub fn start(pipeline: &PipelineAddresses, source: &str) -> anyhow::Result<(Self, Receiver<Call>)> {
        let mut config = pipeline.kafka();
        config.set("group.id", "quadrille-load").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create().context("KAFKA_… settings")?;
        let mut ends = TopicPartitionList::new();
        let topics = ["orders", "payments", "fraud"].map(|name| pipeline.topic(name));
        for (name, partition) in pipeline.partitions(&consumer, topics)? {
            let (_, end) = consumer.fetch_watermarks(&name, partition, ANSWER)?;
            ends.add_partition_offset(&name, partition, Offset::Offset(end))?;
        }
        consumer.assign(&ends)?;
        let watch = Self { seen: Arc::default() };
        let (calls, called) = channel();
        let (pipeline, source) = (pipeline.clone(), source.to_owned());
        let watcher = OrderWatcher { pipeline, source, watch: watch.clone(), calls, early: HashMap::new() };
        std::thread::Builder::new().name("watch".into()).spawn(move || watcher.run(&consumer))?;
        Ok((watch, called))
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OrderWatcher {
    pipeline: PipelineAddresses,
    source: String,
    watch: WatchThread,
    calls: Sender<Call>,
    /// What was heard of orders before their acceptance was: they stand on different topics.
    early: HashMap<String, Vec<Asks>>,
}

impl OrderWatcher {
    fn run(mut self, consumer: &BaseConsumer) {
        loop {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => drop(self.take(&message)),
                Some(Err(error)) => tracing::warn!(%error, "watching"),
                None => {}
            }
            if Arc::strong_count(&self.watch.seen) == 1 {
                return; // nobody looks any more
            }
        }
    }

    /// Nothing comes of a message that is none of ours.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<()> {
        let event_type = message.headers()?.iter().find(|header| header.key == "ce_type")?.value?;
        let at = Instant::now();
        match std::str::from_utf8(event_type).ok()? {
            OrderAccepted::TYPE => {
                let event: OrderAccepted = self.read(message)?;
                if event.source == self.source {
                    self.accepted(event.order_id.to_string(), event.reference.parse().ok()?);
                }
            }
            OrderCompleted::TYPE => {
                let event: OrderCompleted = self.read(message)?;
                let reason = event.reason.map(|reason| reason.code.as_str().to_owned()).unwrap_or_default();
                self.end(&event.source, &event.reference, "COMPLETED", reason, at);
            }
            OrderFailed::TYPE => {
                let event: OrderFailed = self.read(message)?;
                self.end(&event.source, &event.reference, "FAILED", event.reason.code.as_str().to_owned(), at);
            }
            OrderCancelled::TYPE => {
                let event: OrderCancelled = self.read(message)?;
                self.end(&event.source, &event.reference, "CANCELLED", event.reason.code.as_str().to_owned(), at);
            }
            OrderRejected::TYPE => {
                let event: OrderRejected = self.read(message)?;
                self.end(&event.source, &event.reference, "REJECTED", "invalid".to_owned(), at);
            }
            PaymentActionRequired::TYPE => self.call(message, Asks::Customer),
            FraudReviewRequested::TYPE => self.call(message, Asks::Staff),
            PaymentCaptured::TYPE => self.call(message, Asks::Parcel),
            _ => {}
        }
        Some(())
    }

    fn read<E: Event>(&self, message: &BorrowedMessage<'_>) -> Option<E> {
        self.pipeline.codec.decode(message.payload()).inspect_err(|error| tracing::warn!(%error, "watching")).ok()
    }

    fn end(&self, source: &str, reference: &str, status: &'static str, reason: String, at: Instant) {
        let Ok(reference) = reference.parse() else { return };
        if source != self.source {
            return;
        }
        let mut seen = self.watch.seen();
        if seen.ends.insert(reference, OrderEnd { status, reason, at }).is_some() {
            seen.ended_twice += 1;
        } else {
            *seen.by_status.entry(status).or_insert(0) += 1;
        }
    }

    fn accepted(&mut self, order_id: String, reference: u64) {
        self.watch.seen().references.insert(order_id.clone(), reference);
        let early = self.early.remove(&order_id).unwrap_or_default();
        for asks in [Asks::Nothing].into_iter().chain(early) {
            let _ = self.calls.send(Call { asks, order_id: order_id.clone(), reference }); // nobody there: nobody reacts
        }
    }

    /// Its key is the order's id.
    fn call(&mut self, message: &BorrowedMessage<'_>, asks: Asks) {
        let Some(order_id) = message.key().and_then(|key| std::str::from_utf8(key).ok()) else { return };
        let reference = self.watch.seen().references.get(order_id).copied();
        match reference {
            Some(reference) => {
                let _ = self.calls.send(Call { asks, order_id: order_id.to_owned(), reference }); // as above
            }
            None => self.early.entry(order_id.to_owned()).or_default().push(asks),
        }
    }
}
