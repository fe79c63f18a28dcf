//! Events that were deleted before they were read.

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::consumer::Consumer;
use crate::listen::{ASK, Listener, Stopped};
use crate::rebalance::Partition;

impl<C: Consumer> Listener<C> {
    /// `auto.offset.reset=earliest` alone would jump over deleted events in silence.
    pub(crate) fn check_nothing_lost(&self, assigned: &[Partition]) -> Result<(), Stopped> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in assigned {
            list.add_partition(topic, *partition);
        }
        let kafka = |source| Stopped::Kafka { consumer: C::NAME, source };
        let Ok(committed) = self.kafka.committed_offsets(list, ASK) else { return Ok(()) }; // the broker is away: asked again when it is back
        for element in committed.elements() {
            let Offset::Offset(committed) = element.offset() else { continue };
            let partition = (element.topic().to_owned(), element.partition());
            self.context.with(|progress| progress.resume(partition, committed));
            let (low, _) = self.kafka.fetch_watermarks(element.topic(), element.partition(), ASK).map_err(kafka)?;
            if committed < low {
                let (topic, partition) = (element.topic().to_owned(), element.partition());
                return Err(Stopped::Lost {
                    consumer: C::NAME,
                    topic,
                    partition,
                    committed,
                    low,
                    lost: low - committed,
                });
            }
        }
        Ok(())
    }
}
