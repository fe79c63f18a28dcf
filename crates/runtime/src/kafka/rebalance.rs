//! Partitions come and go: what was decided is committed before a partition leaves, what was not is dropped.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::health::Health;

/// A partition by the topic's full name and number.
pub type Partition = (String, i32);

/// What the loop and the rebalance callbacks share; the callbacks run inside the loop's own `poll`s.
#[derive(Debug, Default)]
pub struct PartitionProgress {
    /// The next offset to read, by partition: everything before it is decided and written.
    decided: HashMap<Partition, i64>,
    /// Partitions whose next offset is not committed to the group yet.
    uncommitted: HashMap<Partition, i64>,
    assigned: Vec<Partition>,
    /// Partitions that left since the loop last looked.
    revoked: Vec<Partition>,
    /// Topics that were away and are others when they are back: they are read from their beginning.
    anew: HashSet<String>,
    /// Partitions that are not read yet: the broker did not say whether events of them were deleted unread.
    pub(crate) unchecked: Vec<Partition>,
}

/// The librdkafka context of one loop.
#[derive(Clone)]
pub struct RebalanceContext {
    /// What is read, decided and committed.
    pub progress: Arc<Mutex<PartitionProgress>>,
    /// Where Kafka's circuit is opened.
    pub health: Arc<Health>,
    /// The consumer's name.
    pub name: &'static str,
}

impl RebalanceContext {
    /// Changes the progress, or reads it.
    pub fn with<T>(&self, change: impl FnOnce(&mut PartitionProgress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PartitionProgress {
    /// Everything up to this offset of a partition is decided. A partition that left while its batch was decided is another's, even when it has
    /// come back since: where it stands there is committed by its owner, and may be further.
    pub fn decide(&mut self, partition: Partition, next: i64) {
        if self.revoked.contains(&partition) {
            return;
        }
        self.uncommitted.insert(partition.clone(), next);
        self.decided.insert(partition, next);
    }

    /// A partition came whose events before this offset were decided by an earlier owner.
    pub fn resume(&mut self, partition: Partition, next: i64) {
        self.decided.entry(partition).or_insert(next);
    }

    /// The next offset to read, by partition.
    pub fn decided(&self) -> Vec<(Partition, i64)> {
        self.decided.iter().map(|(partition, next)| (partition.clone(), *next)).collect()
    }

    /// Offsets to commit, each once.
    pub fn take_uncommitted(&mut self) -> TopicPartitionList {
        to_list(self.uncommitted.drain())
    }

    /// Where all partitions stand is committed once more: a commit that crosses a rebalance is refused, as it names the generation before, and its
    /// group would seem to lag, and its orders to be late, until the next event of the partition.
    pub fn commit_again(&mut self) {
        for (partition, next) in &self.decided {
            self.uncommitted.entry(partition.clone()).or_insert(*next);
        }
    }

    /// These topics are gone: what was decided of them is no position in those that come in their place under the same names.
    pub fn begin_anew(&mut self, topics: &[&str]) {
        self.decided.retain(|(topic, _), _| !topics.contains(&topic.as_str()));
        self.uncommitted.retain(|(topic, _), _| !topics.contains(&topic.as_str()));
        self.anew.extend(topics.iter().map(ToString::to_string));
    }

    /// The topics that begin anew, once.
    pub fn take_anew(&mut self) -> HashSet<String> {
        std::mem::take(&mut self.anew)
    }

    /// Partitions leave; returns what is decided of them and not committed yet.
    fn revoke(&mut self, leaving: Vec<Partition>) -> TopicPartitionList {
        let uncommitted: Vec<_> =
            leaving.iter().filter_map(|partition| self.uncommitted.remove_entry(partition)).collect();
        for partition in &leaving {
            self.decided.remove(partition);
        }
        self.assigned.retain(|partition| !leaving.contains(partition));
        self.unchecked.retain(|partition| !leaving.contains(partition));
        self.revoked.extend(leaving);
        to_list(uncommitted.into_iter())
    }

    /// Partitions that came and that left since the last look.
    pub fn take_changes(&mut self) -> (Vec<Partition>, Vec<Partition>) {
        (std::mem::take(&mut self.assigned), std::mem::take(&mut self.revoked))
    }
}

fn to_list(offsets: impl Iterator<Item = (Partition, i64)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), next) in offsets {
        // Only an offset below zero is refused, and a decided one never is.
        let _ = list.add_partition_offset(&topic, partition, Offset::Offset(next));
    }
    list
}

/// Whether it says that no broker can be reached, which librdkafka repeats for as long as that lasts: circuits and watchers tell it.
pub fn is_all_down(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
}

impl ClientContext for RebalanceContext {
    fn error(&self, error: KafkaError, reason: &str) {
        if !is_all_down(&error) {
            tracing::warn!(consumer = self.name, %error, reason, "broker");
        }
    }
}

impl ConsumerContext for RebalanceContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let decided = self.with(|progress| progress.revoke(partitions(list)));
        if decided.count() > 0
            && !consumer.assignment_lost()
            && let Err(error) = consumer.commit(&decided, CommitMode::Sync)
        {
            tracing::warn!(consumer = self.name, %error, "offsets of revoked partitions not committed: the next owner decides them again, to no effect");
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let came = partitions(list);
                tracing::info!(consumer = self.name, partitions = came.len(), "partitions assigned");
                self.with(|progress| progress.assigned.extend(came));
                self.health.joined();
            }
            Rebalance::Revoke(list) => {
                tracing::info!(consumer = self.name, partitions = list.count(), "partitions revoked")
            }
            Rebalance::Error(error) => tracing::warn!(consumer = self.name, %error, "rebalance"),
        }
    }
}

pub(crate) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

pub(crate) fn list(partitions: impl IntoIterator<Item = Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(&topic, partition);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_partitions_stand_is_committed_once_more_but_for_those_that_left() {
        let mut progress = PartitionProgress::default();
        let [kept, gone] = [0, 1].map(|number| ("orders".to_owned(), number));
        progress.decide(kept.clone(), 7);
        progress.decide(gone.clone(), 3);
        assert_eq!(progress.take_uncommitted().count(), 2);
        assert_eq!(progress.take_uncommitted().count(), 0, "each once");
        assert_eq!(progress.revoke(vec![gone]).count(), 0, "it is committed already");
        progress.commit_again();
        assert_eq!(progress.uncommitted, HashMap::from([(kept, 7)]));
    }

    #[test]
    fn a_partition_that_left_while_its_batch_was_decided_is_not_committed_any_more() {
        let mut progress = PartitionProgress::default();
        let [kept, gone, back] = [0, 1, 2].map(|number| ("orders".to_owned(), number));
        progress.decide(back.clone(), 4);
        // In the middle of a long batch two leave; one of them comes back, where another instance has read on meanwhile.
        assert_eq!(
            progress.revoke(vec![gone.clone(), back.clone()]).count(),
            1,
            "what was decided before is committed"
        );
        progress.assigned.push(back.clone());
        for partition in [&kept, &gone, &back] {
            progress.decide(partition.clone(), 7);
        }
        progress.commit_again();
        assert_eq!(progress.uncommitted, HashMap::from([(kept.clone(), 7)]), "and never set back");
        // The loop has looked: from now on what comes of it is ours again.
        let (assigned, _) = progress.take_changes();
        assert_eq!(assigned, std::slice::from_ref(&back));
        progress.resume(back.clone(), 90);
        progress.decide(back.clone(), 91);
        progress.commit_again();
        assert_eq!(progress.uncommitted, HashMap::from([(kept, 7), (back, 91)]));
    }

    #[test]
    fn a_partition_that_came_and_left_before_the_loop_looked_is_not_taken_up() {
        let mut progress = PartitionProgress::default();
        let passing = ("orders".to_owned(), 3);
        progress.assigned.push(passing.clone());
        progress.unchecked.push(passing.clone());
        progress.revoke(vec![passing]);
        assert!(progress.take_changes().0.is_empty() && progress.unchecked.is_empty());
    }
}
