//! A reader beside the group: it reads what a consumer subscribes to, from any point, and commits nothing.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ASK, Extents, PartitionRange, Point, ReplayError, client, extents};
use runtime::kafka::record::headers;
use runtime::kafka::topology::Topology;
use runtime::settings::{Properties, Settings};
use runtime::{Codec, CodecError, Consumer, Message, Registry};

/// Between two looks at an empty queue.
const LOOK: Duration = Duration::from_millis(5);
/// How long a page that holds something waits for more.
const FILL: Duration = Duration::from_millis(20);
/// How long a page is filled at most: where records come one by one, it would never end.
const LONGEST: Duration = Duration::from_millis(100);

/// What a consumer subscribes to, read from a point on.
pub struct ReplayReader<C: Consumer> {
    consumer: Arc<C>,
    codec: Codec,
    registry: Registry,
    stop: CancellationToken,
    kafka: Arc<BaseConsumer>,
    topology: Topology,
    subscribes_to: HashSet<&'static str>,
    raw_topics: HashSet<&'static str>,
    extents: BTreeMap<(&'static str, i32), PartitionRange>,
    next: BTreeMap<(&'static str, i32), i64>,
}

#[derive(Debug)]
pub struct ReplayPage<I> {
    /// In the order in which they were read.
    pub inputs: Vec<I>,
    /// Records that were read, whether the consumer subscribes to them or not.
    pub read: u64,
    /// Records that can't be understood: the consumer itself made dead letters of them.
    pub unreadable: u64,
}

impl<C: Consumer> ReplayReader<C> {
    /// A reader of all that `consumer` subscribes to. A schema id that `codec` does not know is asked for until `stop` is cancelled.
    ///
    /// # Errors
    /// When Kafka does not answer, or a topic is missing.
    pub async fn open(
        settings: &Settings,
        consumer: Arc<C>,
        codec: Codec,
        registry: Registry,
        from: Point,
        stop: CancellationToken,
    ) -> Result<Self, ReplayError> {
        let common = settings.common();
        let (subscribes_to, raw_topics) = (C::subscribes_to(), C::raw_topics());
        let topology = Topology::of(&common.topic_prefix, &subscribes_to, &raw_topics);
        let topics: Vec<String> = topology.full_names().into_iter().map(ToOwned::to_owned).collect();
        let kafka = common.kafka.clone();
        let (kafka, found) = tokio::task::spawn_blocking(move || assigned(&kafka, &topics, from)).await??;
        let known = |((full, partition), extent): ((String, i32), PartitionRange)| {
            topology.known(&full).map(|topic| ((topic, partition), extent))
        };
        let extents: BTreeMap<_, _> = found.into_iter().filter_map(known).collect();
        let next = extents.iter().map(|(partition, extent)| (*partition, extent.start)).collect();
        let (subscribes_to, raw_topics) = (subscribes_to.into_iter().collect(), raw_topics.into_iter().collect());
        let kafka = Arc::new(kafka);
        Ok(Self { consumer, codec, registry, stop, kafka, topology, subscribes_to, raw_topics, extents, next })
    }

    /// Whether a topic is read from the very first record that was ever written to it: then nothing of it is known but from here.
    pub fn is_whole(&self, topic: &str) -> bool {
        self.extents.iter().filter(|((of, _), _)| *of == topic).all(|(_, extent)| extent.start == 0)
    }

    pub fn topics(&self) -> impl Iterator<Item = &'static str> + '_ {
        let mut last = None;
        self.extents.keys().map(|(topic, _)| *topic).filter(move |topic| last.replace(*topic) != Some(*topic))
    }

    /// The next offset to read, by topic and partition.
    pub fn next(&self) -> &BTreeMap<(&'static str, i32), i64> {
        &self.next
    }

    /// Records between where reading began and the ends that were found then or asked for since.
    pub fn extent(&self) -> u64 {
        self.extents.values().map(|extent| extent.high.abs_diff(extent.start)).sum()
    }

    /// Asks for the ends as they are now.
    pub async fn look(&mut self) -> Result<(), ReplayError> {
        let kafka = Arc::clone(&self.kafka);
        let asked: Vec<_> =
            self.extents.keys().map(|(topic, part)| (self.topology.full(topic), *topic, *part)).collect();
        let ends = tokio::task::spawn_blocking(move || {
            let of = |(full, topic, part): (String, &'static str, i32)| {
                Ok(((topic, part), kafka.fetch_watermarks(&full, part, ASK)?.1))
            };
            asked.into_iter().map(of).collect::<Result<Vec<_>, KafkaError>>()
        });
        for (partition, high) in ends.await?? {
            if let Some(extent) = self.extents.get_mut(&partition) {
                extent.high = extent.high.max(high);
            }
        }
        Ok(())
    }

    /// Records that are left up to the ends as they were last found.
    pub fn left(&self) -> u64 {
        let left = |(partition, extent): (&(&'static str, i32), &PartitionRange)| {
            let next = self.next.get(partition).copied().unwrap_or(extent.start);
            u64::try_from(extent.high - next).unwrap_or(0)
        };
        self.extents.iter().map(left).sum()
    }

    /// Reads up to so many records; fewer when none comes for `patience`.
    ///
    /// # Errors
    /// What Kafka says, or when a schema can't be had.
    pub async fn page(&mut self, records: usize, patience: Duration) -> Result<ReplayPage<C::Input>, ReplayError> {
        let mut page = ReplayPage { inputs: Vec::new(), read: 0, unreadable: 0 };
        let (began, mut idle) = (Instant::now(), Instant::now());
        while (page.read as usize) < records && !self.stop.is_cancelled() {
            if page.read > 0 && began.elapsed() > LONGEST {
                break;
            }
            match self.poll()? {
                Some(message) => {
                    self.next.insert((message.topic, message.partition), message.offset + 1);
                    page.read += 1;
                    idle = Instant::now();
                    let foreign = message.event_type().is_some_and(|of| !self.subscribes_to.contains(of));
                    if foreign && !self.raw_topics.contains(message.topic) {
                        continue;
                    }
                    match self.decode(&message).await? {
                        Some(input) => page.inputs.push(input),
                        None => page.unreadable += 1,
                    }
                }
                None if idle.elapsed() > if page.read > 0 { FILL } else { patience } => break,
                None => tokio::time::sleep(LOOK).await,
            }
        }
        Ok(page)
    }

    fn poll(&self) -> Result<Option<Message>, KafkaError> {
        match self.kafka.poll(Duration::ZERO).transpose() {
            Ok(message) => {
                Ok(message.and_then(|message| Some(Message::taken(self.topology.known(message.topic())?, &message))))
            }
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "poll");
                Ok(None)
            }
        }
    }

    /// As the consumer loop decodes it; none: it can't be understood.
    async fn decode(&self, message: &Message) -> Result<Option<C::Input>, ReplayError> {
        if message.topic != runtime::DEAD_LETTER_TOPIC
            && message.payload.as_deref().is_some_and(|value| value.first() == Some(&0))
            && let Err(CodecError::AskRegistry(id)) = self.codec.check_known(message.payload.as_deref())
        {
            match self.registry.learn(&self.codec, id, &self.stop).await {
                Ok(()) => {}
                Err(error @ CodecError::AskRegistry(_)) => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        let decoded = catch_unwind(AssertUnwindSafe(|| self.consumer.decode(message, &self.codec)));
        Ok(decoded.ok().and_then(Result::ok).map(|work| work.input))
    }
}

fn assigned(
    kafka: &BTreeMap<String, String>,
    topics: &[String],
    from: Point,
) -> Result<(BaseConsumer, Extents), ReplayError> {
    let client = client(kafka, "quadrille-replay")?;
    let found = extents(&client, topics, from)?;
    let mut list = TopicPartitionList::new();
    for ((topic, partition), extent) in &found {
        list.add_partition_offset(topic, *partition, Offset::Offset(extent.start))?;
    }
    client.assign(&list)?;
    Ok((client, found))
}

/// Which of these ids no record has (`ce_id`, or a dead letter's own, which stands behind the headers of its original), in topics (full names) from a point on to their ends as they are now. Holds no more than the ids
/// that it was given, however much there is to read.
///
/// # Errors
/// What Kafka says, a topic that is missing, or records that are announced and do not come.
pub async fn missing(
    kafka: Properties,
    topics: Vec<String>,
    from: Point,
    mut ids: HashSet<Uuid>,
) -> Result<HashSet<Uuid>, ReplayError> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let read = move || {
        let (client, found) = assigned(&kafka, &topics, from)?;
        let unread = found.iter().filter(|(_, extent)| extent.start < extent.high);
        let mut left: HashSet<(String, i32)> = unread.map(|(partition, _)| partition.clone()).collect();
        while !left.is_empty() && !ids.is_empty() {
            let message = client.poll(ASK).ok_or(KafkaError::NoMessageReceived)??;
            let is_letter = message.topic().ends_with(runtime::DEAD_LETTER_TOPIC);
            let own = if is_letter { runtime::DEAD_LETTER_ID } else { "ce_id" };
            let id = headers(&message).filter(|of| of.key == own).last().and_then(|of| of.value);
            if let Some(id) = id.and_then(|id| Uuid::try_parse_ascii(id).ok()) {
                ids.remove(&id);
            }
            let partition = (message.topic().to_owned(), message.partition());
            if found.get(&partition).is_some_and(|extent| message.offset() + 1 >= extent.high) {
                left.remove(&partition);
            }
        }
        Ok(ids)
    };
    tokio::task::spawn_blocking(read).await?
}
