//! Waits until every consumer has consumed everything: what is measured next has the machine to itself.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use choreography::Choreography;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::addresses::{ANSWER, PipelineAddresses};

/// How long consumers may take to catch up without any progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns when no group lags behind its topics; answers how long that took.
pub fn await_none(pipeline: &PipelineAddresses) -> anyhow::Result<Duration> {
    let names = Choreography::embedded().consumers.names();
    let groups: Vec<BaseConsumer> = names.map(|group| client(pipeline, group)).collect::<Result<_, _>>()?;
    let began = Instant::now();
    let (mut last, mut progress) = (i64::MAX, Instant::now());
    loop {
        let lag = groups.iter().map(|group| lag(pipeline, group)).sum::<anyhow::Result<i64>>()?;
        if lag == 0 {
            return Ok(began.elapsed());
        }
        if lag < last {
            (last, progress) = (lag, Instant::now());
        }
        if progress.elapsed() > PATIENCE {
            bail!("consumers lag by {lag} events and make no progress: does one of them not run?");
        }
        std::thread::sleep(Duration::from_millis(200)); // between two looks
    }
}

fn client(pipeline: &PipelineAddresses, group: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = pipeline.kafka();
    config.set("group.id", pipeline.topic(group)).set("enable.auto.commit", "false");
    config.create().context("KAFKA_… settings")
}

/// Events that a group has not committed, in the partitions that it reads.
fn lag(pipeline: &PipelineAddresses, group: &BaseConsumer) -> anyhow::Result<i64> {
    let topics = Choreography::embedded().topic_settings("local").context("topics.yaml")?;
    let mut list = TopicPartitionList::new();
    for (name, partition) in pipeline.partitions(group, topics.iter().map(|topic| pipeline.topic(&topic.name)))? {
        list.add_partition(&name, partition);
    }
    let committed = group.committed_offsets(list, ANSWER).context("Kafka does not answer")?;
    let mut lag = 0;
    for element in committed.elements() {
        if let Offset::Offset(next) = element.offset() {
            let (_, high) = group.fetch_watermarks(element.topic(), element.partition(), ANSWER)?;
            lag += (high - next).max(0);
        }
    }
    Ok(lag)
}
