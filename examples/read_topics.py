"""Reads every Avro topic of the pipeline from the beginning to its end through the schema registry, and counts the events by type.

    KAFKA_BOOTSTRAP_SERVERS=… SCHEMA_REGISTRY_URL=… python examples/read_topics.py [PREFIX]
"""

import collections
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPICS = ["orders", "inventory", "stock-levels", "payments", "fraud", "fulfillment", "notifications", "operations",
          "dead-letter-orders"]


def main() -> None:
    prefix = sys.argv[1] if len(sys.argv) > 1 else ""
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": os.environ["SCHEMA_REGISTRY_URL"]}))
    consumer = Consumer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "read-topics",
                         "enable.auto.commit": False})
    left = {}
    for topic in (prefix + name for name in TOPICS):
        for partition in consumer.list_topics(topic).topics[topic].partitions:
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition))
            if high > 0:
                left[topic, partition] = high
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in left])
    counts = collections.Counter()
    while left:
        message = consumer.poll(30)
        if message is None:
            sys.exit(f"nothing comes any more of {left}")
        if message.error():
            sys.exit(f"Kafka: {message.error()}")
        event = deserialize(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
        assert isinstance(event, dict)
        counts[dict(message.headers())["ce_type"].decode()] += 1
        where = message.topic(), message.partition()
        if message.offset() + 1 >= left.get(where, 0):
            left.pop(where, None)
    for event_type, count in sorted(counts.items()):
        print(f"{count:8} {event_type}")


if __name__ == "__main__":
    main()
