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
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::addresses::PipelineAddresses;

/// How an order ended.
#[derive(Clone, Debug)]
pub struct OrderEnd {
    /// COMPLETED, REJECTED, CANCELLED or FAILED.
    pub status: &'static str,
    /// Why, as a code; empty when all shipped.
    pub reason: String,
    /// When we heard of it.
    pub at: Instant,
}

/// What was seen of the orders of one source.
#[derive(Debug, Default)]
pub struct Seen {
    /// References by order id.
    pub references: HashMap<String, u64>,
    /// Ends by reference.
    pub ends: HashMap<u64, OrderEnd>,
    /// How many ended with each status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Terminal events that were said a second time: each is a defect.
    pub ended_twice: u64,
}

/// What happened that somebody may react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// It was accepted: nothing has to be done.
    Nothing,
    /// Its customer must pass 3-D Secure.
    Customer,
    /// The shop's staff must look at it.
    Staff,
    /// Its money is taken, and its parcels may leave: the last moment to recall them.
    Parcel,
}

/// An order that somebody may react to.
#[derive(Debug)]
pub struct Call {
    /// What happened.
    pub asks: Asks,
    /// The order.
    pub order_id: String,
    /// Its reference.
    pub reference: u64,
}

/// A watcher on a thread of its own.
pub struct WatchThread {
    seen: Arc<Mutex<Seen>>,
}

impl WatchThread {
    /// Watches the orders of `source` from now on; what asks for somebody comes through the channel.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn start(pipeline: &PipelineAddresses, source: &str) -> anyhow::Result<(Self, Receiver<Call>)> {
        let mut config = ClientConfig::new();
        for (name, value) in &pipeline.settings.common().kafka {
            config.set(name, value);
        }
        config.set("group.id", "quadrille-load").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create().context("KAFKA_… settings")?;
        assign_at_end(&consumer, &["orders", "payments", "fraud"].map(|name| pipeline.topic(name)))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (calls, called) = channel();
        let (pipeline, source) = (pipeline.clone(), source.to_owned());
        let watcher = OrderWatcher { pipeline, source, seen: Arc::clone(&seen), calls, early: HashMap::new() };
        std::thread::Builder::new().name("watch".into()).spawn(move || watcher.run(&consumer))?;
        Ok((Self { seen }, called))
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn assign_at_end(consumer: &BaseConsumer, topics: &[String]) -> anyhow::Result<()> {
    let patience = Duration::from_secs(10);
    let mut list = TopicPartitionList::new();
    for name in topics {
        let metadata = consumer.fetch_metadata(Some(name), patience).context("Kafka does not answer")?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let (_, high) = consumer.fetch_watermarks(name, partition.id(), patience)?;
            list.add_partition_offset(name, partition.id(), Offset::Offset(high))?;
        }
    }
    consumer.assign(&list)?;
    Ok(())
}

struct OrderWatcher {
    pipeline: PipelineAddresses,
    source: String,
    seen: Arc<Mutex<Seen>>,
    calls: Sender<Call>,
    /// What was heard of orders before their acceptance was: they stand on different topics.
    early: HashMap<String, Vec<Asks>>,
}

impl OrderWatcher {
    fn run(mut self, consumer: &BaseConsumer) {
        loop {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => tracing::warn!(%error, "watching"),
                None => {}
            }
            if Arc::strong_count(&self.seen) == 1 {
                return; // nobody looks any more
            }
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let event_type =
            message.headers().and_then(|headers| headers.iter().find(|header| header.key == "ce_type")?.value);
        let Some(event_type) = event_type.and_then(|text| std::str::from_utf8(text).ok()) else { return };
        let at = Instant::now();
        match event_type {
            OrderAccepted::TYPE => {
                let Some(event) = self.read::<OrderAccepted>(message).filter(|event| event.source == self.source)
                else {
                    return;
                };
                let Ok(reference) = event.reference.parse() else { return };
                self.accepted(event.order_id.to_string(), reference);
            }
            OrderCompleted::TYPE => {
                let Some(event) = self.read::<OrderCompleted>(message) else { return };
                let reason = event.reason.map(|reason| reason.code.as_str().to_owned()).unwrap_or_default();
                self.end(&event.source, &event.reference, "COMPLETED", reason, at);
            }
            OrderFailed::TYPE => {
                let Some(event) = self.read::<OrderFailed>(message) else { return };
                self.end(&event.source, &event.reference, "FAILED", event.reason.code.as_str().to_owned(), at);
            }
            OrderCancelled::TYPE => {
                let Some(event) = self.read::<OrderCancelled>(message) else { return };
                self.end(&event.source, &event.reference, "CANCELLED", event.reason.code.as_str().to_owned(), at);
            }
            OrderRejected::TYPE => {
                let Some(event) = self.read::<OrderRejected>(message) else { return };
                self.end(&event.source, &event.reference, "REJECTED", "invalid".to_owned(), at);
            }
            PaymentActionRequired::TYPE => self.call(message, Asks::Customer),
            FraudReviewRequested::TYPE => self.call(message, Asks::Staff),
            PaymentCaptured::TYPE => self.call(message, Asks::Parcel),
            _ => {}
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<E: Event>(&self, message: &BorrowedMessage<'_>) -> Option<E> {
        self.pipeline.codec.decode(message.payload()).inspect_err(|error| tracing::warn!(%error, "watching")).ok()
    }

    fn end(&self, source: &str, reference: &str, status: &'static str, reason: String, at: Instant) {
        let Ok(reference) = reference.parse() else { return };
        if source != self.source {
            return;
        }
        let mut seen = self.seen();
        if seen.ends.insert(reference, OrderEnd { status, reason, at }).is_some() {
            seen.ended_twice += 1;
        } else {
            *seen.by_status.entry(status).or_insert(0) += 1;
        }
    }

    fn accepted(&mut self, order_id: String, reference: u64) {
        self.seen().references.insert(order_id.clone(), reference);
        let early = self.early.remove(&order_id).unwrap_or_default();
        for asks in [Asks::Nothing].into_iter().chain(early) {
            let _ = self.calls.send(Call { asks, order_id: order_id.clone(), reference }); // nobody there: nobody reacts
        }
    }

    /// Its key is the order's id.
    fn call(&mut self, message: &BorrowedMessage<'_>, asks: Asks) {
        let Some(order_id) = message.key().and_then(|key| std::str::from_utf8(key).ok()) else { return };
        let reference = self.seen().references.get(order_id).copied();
        match reference {
            Some(reference) => {
                let _ = self.calls.send(Call { asks, order_id: order_id.to_owned(), reference }); // as above
            }
            None => self.early.entry(order_id.to_owned()).or_default().push(asks),
        }
    }
}
