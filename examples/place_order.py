"""Places an order on `order-placed`, as Avro through the schema registry, and waits for how it ends.

    KAFKA_BOOTSTRAP_SERVERS=… SCHEMA_REGISTRY_URL=… python examples/place_order.py SKU QUANTITY [PREFIX]
"""

import os
import pathlib
import sys
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

SCHEMA = pathlib.Path(__file__).parent.parent / "schemas/order-placed/OrderPlaced.avsc"
ENDS = {"OrderCompleted", "OrderCancelled", "OrderFailed", "OrderRejected"}


def order(sku: str, quantity: int, reference: str) -> dict:
    address = {"name": "Ada Lovelace", "line1": "1 Main St", "line2": None, "city": "London", "region": None,
               "postal_code": "N1 1AA", "country": "GB"}
    return {
        "source": "python", "reference": reference,
        "customer": {"id": "c-1", "name": "Ada Lovelace", "email": "ada@example.com", "phone": None, "locale": "en"},
        "lines": [{"id": None, "sku": sku, "quantity": quantity, "unit_price": 450}],
        "currency": "EUR", "shipping": 490, "discount": 0, "tax": 0, "payment_method": "tok_approved",
        "ship_to": address, "bill_to": None,
    }


def main() -> None:
    sku, quantity, prefix = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    registry = SchemaRegistryClient({"url": os.environ["SCHEMA_REGISTRY_URL"]})
    serialize = AvroSerializer(registry, SCHEMA.read_text(),
                               conf={"subject.name.strategy": topic_record_subject_name_strategy})
    deserialize = AvroDeserializer(registry)
    reference = str(uuid.uuid4())

    ends = Consumer({"bootstrap.servers": servers, "group.id": f"place-order-{reference}", "auto.offset.reset": "earliest"})
    ends.subscribe([prefix + "orders"])

    topic = prefix + "order-placed"
    value = serialize(order(sku, quantity, reference), SerializationContext(topic, MessageField.VALUE))
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    producer.produce(topic, key=reference, value=value)
    producer.flush()

    while True:
        message = ends.poll(60)
        if message is None:
            sys.exit(f"order {reference} has not ended within a minute")
        if message.error():
            sys.exit(f"Kafka: {message.error()}")
        event = deserialize(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
        name = dict(message.headers())["ce_type"].decode().rsplit(".", 1)[-1]
        if event.get("reference") == reference:
            print(name, event["order_id"], flush=True)
            if name in ENDS:
                break
    ends.close()


if __name__ == "__main__":
    main()
