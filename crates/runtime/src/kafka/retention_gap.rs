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

/// What a partition's group offset and the beginning of its log tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GapFinding {
    Whole,
    /// The group has read nothing yet, and the log does not begin at its beginning: a new group's lot, or its orders were never seen.
    BeforeTheGroup {
        gone: i64,
    },
    /// So many events behind the group's offset are gone.
    Unread {
        lost: i64,
    },
}

impl GapFinding {
    fn of(committed: Option<i64>, low: i64) -> Self {
        match committed {
            Some(committed) if committed < low => Self::Unread { lost: low - committed },
            Some(_) => Self::Whole,
            None if low > 0 => Self::BeforeTheGroup { gone: low },
            None => Self::Whole,
        }
    }
}

impl<C: Consumer> Listener<C> {
    /// Looks whether events of partitions that came were deleted unread: `auto.offset.reset=earliest` alone would jump over them in silence. What
    /// the broker does not answer about is paused, and asked again when it is back.
    pub(crate) fn check_nothing_lost(&self, assigned: &[Partition]) -> Result<(), Stopped> {
        let mut unanswered = self.context.with(|progress| progress.unchecked());
        unanswered.extend_from_slice(assigned);
        unanswered.sort_unstable();
        unanswered.dedup();
        self.ask_for_lost(unanswered)
    }

    /// Asks again about partitions that are not read yet, if there are any, now and then.
    pub(crate) fn check_the_unchecked(&self) -> Result<(), Stopped> {
        match self.unanswered_since.get() {
            Some(asked) if asked.elapsed() >= ASK_AGAIN => {
                self.ask_for_lost(self.context.with(|progress| progress.unchecked()))
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
        let paused = self.context.with(|progress| progress.unchecked());
        let go_on = paused.into_iter().filter(|partition| !unanswered.contains(partition));
        let turned = self.kafka.pause(&list(unanswered.clone())).and_then(|()| self.kafka.resume(&list(go_on)));
        self.unanswered_since.set((!unanswered.is_empty()).then(Instant::now));
        self.context.with(|progress| progress.set_unchecked(unanswered));
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
        match GapFinding::of(committed, low) {
            GapFinding::Whole => {}
            GapFinding::Unread { lost } if !foreign => {
                let (consumer, topic, partition) = (C::NAME, topic.clone(), *partition);
                let committed = committed.unwrap_or_default();
                return Err(Stopped::Lost { consumer, topic, partition, committed, low, lost });
            }
            GapFinding::Unread { lost } => {
                self.count_lost(topic, lost);
                tracing::error!(
                    consumer = C::NAME,
                    topic,
                    partition,
                    lost,
                    committed,
                    low,
                    "records from outside were deleted before they were read, and can't be brought back from here: have their senders send again what was \
                     never answered (the same reference makes no second order), and give the topic a longer retention"
                );
            }
            GapFinding::BeforeTheGroup { gone } if foreign => {
                self.count_lost(topic, gone);
                tracing::error!(
                    consumer = C::NAME,
                    topic,
                    partition,
                    gone,
                    "the group has never read this partition, and its first records are deleted: unless they are older than this installation, have their \
                     senders send again what was never answered (the same reference makes no second order)"
                );
            }
            GapFinding::BeforeTheGroup { gone } => tracing::warn!(
                consumer = C::NAME,
                topic,
                partition,
                gone,
                "the group has never read this partition, and its first events are deleted: a new consumer begins with what is left; one that has run \
                 before gets the rest by `quadrille relay rewind`, as far as the outbox goes back"
            ),
        }
        Ok(())
    }

    fn count_lost(&self, topic: &str, events: i64) {
        metrics::counter!("quadrille_lost_records_total", "consumer" => C::NAME, "topic" => topic.to_owned())
            .increment(events.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_found_whether_the_group_has_read_before_or_not() {
        assert_eq!(GapFinding::of(Some(7), 7), GapFinding::Whole);
        assert_eq!(GapFinding::of(Some(7), 9), GapFinding::Unread { lost: 2 });
        assert_eq!(GapFinding::of(Some(0), 1), GapFinding::Unread { lost: 1 });
        assert_eq!(GapFinding::of(None, 0), GapFinding::Whole);
        assert_eq!(GapFinding::of(None, 3), GapFinding::BeforeTheGroup { gone: 3 });
    }
}
