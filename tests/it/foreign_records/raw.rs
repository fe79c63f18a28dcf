//! One record by Kafka's own protocol, byte for byte: what client libraries do not let through, such as a header's name that is no text.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use quadrille_tests::stack;

fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !data.iter().fold(!0, step)
}

fn varint(number: i64) -> Vec<u8> {
    let mut folded = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    // ends with the last of its bits
    while folded > 0x7f {
        bytes.push(folded as u8 | 0x80);
        folded >>= 7;
    }
    bytes.push(folded as u8);
    bytes
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as i64), bytes.to_vec()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [(text.len() as i16).to_be_bytes().to_vec(), text.as_bytes().to_vec()].concat()
}

fn batch(key: &[u8], value: &[u8], headers: &[(&[u8], &[u8])], timestamp: i64) -> Vec<u8> {
    let mut record = vec![0, 0, 0];
    record.extend(blob(key));
    record.extend(blob(value));
    record.extend(varint(headers.len() as i64));
    headers.iter().for_each(|(name, value)| record.extend([blob(name), blob(value)].concat()));
    let mut body = [0_i16.to_be_bytes().as_slice(), &0_i32.to_be_bytes()].concat(); // attributes, last offset
    [timestamp, timestamp, -1].iter().for_each(|number| body.extend(number.to_be_bytes())); // times, producer
    body.extend((-1_i16).to_be_bytes()); // producer's epoch
    [-1_i32, 1].iter().for_each(|number| body.extend(number.to_be_bytes())); // sequence, records
    body.extend(blob(&record));
    let mut tail = (-1_i32).to_be_bytes().to_vec(); // leader's epoch
    tail.push(2);
    tail.extend(crc32c(&body).to_be_bytes());
    tail.extend(body);
    [0_i64.to_be_bytes().as_slice(), &(tail.len() as i32).to_be_bytes(), &tail].concat()
}

/// Writes a record to partition 0 of a topic by its full name.
pub(super) fn produce(topic: &str, key: &[u8], value: &[u8], headers: &[(&[u8], &[u8])], timestamp: i64) {
    let records = batch(key, value, headers, timestamp);
    // Produce v8, without a transaction, acknowledged by all.
    let mut request = [0_i16, 8].map(i16::to_be_bytes).concat();
    request.extend(1_i32.to_be_bytes());
    request.extend(text("quadrille-tests"));
    request.extend([-1_i16, -1].map(i16::to_be_bytes).concat());
    request.extend([10_000_i32, 1].map(i32::to_be_bytes).concat());
    request.extend(text(topic));
    request.extend([1_i32, 0, records.len() as i32].map(i32::to_be_bytes).concat());
    request.extend(records);
    let mut broker = TcpStream::connect(stack().kafka.split(',').next().unwrap()).unwrap();
    broker.write_all(&[(request.len() as i32).to_be_bytes().to_vec(), request].concat()).unwrap();
    let mut length = [0; 4];
    broker.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).unwrap();
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[error..error + 2], [0, 0], "the broker takes the record");
}
