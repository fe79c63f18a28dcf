//! Events that were deleted before they were read.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use crate::consumer::Consumer;
use crate::kafka::consumer_loop::{Listener, Stopped};
use crate::kafka::rebalance::{Partition, PartitionProgress, list};

/// One question to the broker; the loop does not poll meanwhile.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two rounds of them where it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

const FOREIGN_LOST: &str = "records from outside were deleted before they were read, and can't be brought back from here: have their senders send again what was never answered \
     (the same reference makes no second order), and give the topic a longer retention";
const FOREIGN_UNSEEN: &str = "the group has never read this partition, and its first records are deleted: unless they are older than this installation, have their senders send \
     again what was never answered (the same reference makes no second order)";
const OURS_UNSEEN: &str = "the group has never read this partition, and its first events are deleted: a new consumer begins with what is left; one that has run before gets the \
     rest by `quadrille relay rewind`, as far as the outbox goes back";

/// How many events are gone between where a group stands (none: it has read nothing yet) and where the log begins.
fn missing(committed: Option<i64>, low: i64) -> i64 {
    (low - committed.unwrap_or_default()).max(0)
}

impl<C: Consumer> Listener<C> {
    /// Looks whether events of partitions that came were deleted unread: `auto.offset.reset=earliest` alone would jump over them in silence. What
    /// the broker does not answer about is paused, and asked again when it is back.
    pub(crate) fn check_nothing_lost(&self, assigned: &[Partition]) -> Result<(), Stopped> {
        let mut unanswered = self.context.with(|progress| progress.unchecked.clone());
        unanswered.extend_from_slice(assigned);
        unanswered.sort_unstable();
        unanswered.dedup();
        self.ask_for_lost(unanswered)
    }

    /// Asks again about partitions that are not read yet, if there are any, now and then.
    pub(crate) fn check_the_unchecked(&self) -> Result<(), Stopped> {
        match self.unanswered_since.get() {
            Some(asked) if asked.elapsed() >= ASK_AGAIN => {
                self.ask_for_lost(self.context.with(|progress| progress.unchecked.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn ask_for_lost(&self, partitions: Vec<Partition>) -> Result<(), Stopped> {
        let unanswered = match self.committed(&partitions) {
            Ok(committed) => self.compare(committed)?,
            Err(error) => {
                tracing::warn!(consumer = C::NAME, %error, partitions = partitions.len(), "the group's offsets are not known: asked again before its partitions are read");
                partitions.clone()
            }
        };
        let paused = self.context.with(|progress| progress.unchecked.clone());
        let go_on = paused.into_iter().filter(|partition| !unanswered.contains(partition));
        let turned = self.kafka.pause(&list(unanswered.clone())).and_then(|()| self.kafka.resume(&list(go_on)));
        self.unanswered_since.set((!unanswered.is_empty()).then(Instant::now));
        self.context.with(|progress| progress.unchecked = unanswered);
        turned.map_err(|source| Stopped::Kafka { consumer: C::NAME, source })
    }

    fn committed(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Option<i64>)>, KafkaError> {
        let committed = self.kafka.committed_offsets(list(partitions.to_vec()), ANSWER)?;
        let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            element.error()?;
            let partition = (element.topic().to_owned(), element.partition());
            Ok((partition, element.offset().to_raw().filter(|_| matches!(element.offset(), Offset::Offset(_)))))
        };
        committed.elements().iter().map(of).collect()
    }

    /// Returns the partitions whose log the broker does not tell about.
    fn compare(&self, committed: Vec<(Partition, Option<i64>)>) -> Result<Vec<Partition>, Stopped> {
        let mut unanswered = Vec::new();
        let mut answers = true;
        for (partition, committed) in committed {
            let low = match answers.then(|| self.kafka.fetch_watermarks(&partition.0, partition.1, ANSWER)) {
                Some(Ok((low, _))) => low,
                failed => {
                    answers = false; // one wait is enough for this round
                    if let Some(Err(error)) = failed {
                        tracing::warn!(consumer = C::NAME, topic = partition.0, partition = partition.1, %error, "where the log begins is not known: asked again before it is read");
                    }
                    unanswered.push(partition);
                    continue;
                }
            };
            self.judge(&partition, committed, low)?;
            // Where the log begins, it is told once: from now on the group has an offset there.
            if committed.is_some() || low > 0 {
                let next = committed.map_or(low, |committed| committed.max(low));
                self.context.with(|progress: &mut PartitionProgress| progress.resume(partition, next));
            }
        }
        Ok(unanswered)
    }

    /// What is ours can be published again: the loop does not go on before somebody decides. What strangers wrote can't be brought back from here,
    /// and waiting helps nobody: it is told, counted, and the rest is read.
    fn judge(&self, (topic, partition): &Partition, committed: Option<i64>, low: i64) -> Result<(), Stopped> {
        let foreign = self.topology.known(topic).is_some_and(|name| self.raw_topics.contains(name));
        let lost = missing(committed, low);
        if lost == 0 {
            return Ok(());
        }
        if foreign {
            metrics::counter!("quadrille_lost_records_total", "consumer" => C::NAME, "topic" => topic.clone())
                .increment(lost.unsigned_abs());
        }
        match committed {
            Some(committed) if !foreign => {
                let (consumer, topic, partition) = (C::NAME, topic.clone(), *partition);
                return Err(Stopped::Lost { consumer, topic, partition, committed, low, lost });
            }
            Some(committed) => {
                tracing::error!(consumer = C::NAME, topic, partition, lost, committed, low, "{FOREIGN_LOST}");
            }
            None if foreign => tracing::error!(consumer = C::NAME, topic, partition, gone = lost, "{FOREIGN_UNSEEN}"),
            None => tracing::warn!(consumer = C::NAME, topic, partition, gone = lost, "{OURS_UNSEEN}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_found_whether_the_group_has_read_before_or_not() {
        for (committed, low, lost) in [(Some(7), 7, 0), (Some(7), 9, 2), (Some(0), 1, 1), (None, 0, 0), (None, 3, 3)] {
            assert_eq!(missing(committed, low), lost, "{committed:?}, {low}");
        }
        assert_eq!(missing(Some(9), 7), 0, "the group is further than the log begins");
    }
}
