//! Asks a part whether it is ready to serve, in the part's own language and without a client library.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::stack::HOST;

const PATIENCE: Duration = Duration::from_secs(2);

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new([127, 0, 0, 1].into(), port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether something accepts connections at `HOST:PORT`, here or elsewhere.
pub fn answers(host_and_port: &str) -> bool {
    let resolved = host_and_port.to_socket_addrs().into_iter().flatten();
    resolved.into_iter().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

/// Whether the broker serves: it answers for metadata, and counts itself among the brokers (is not fenced).
pub fn kafka(port: u16) -> bool {
    broker_count(port).is_ok_and(|brokers| brokers > 0)
}

/// Kafka's `Metadata` request, version 1, for no topics.
fn broker_count(port: u16) -> io::Result<i32> {
    const METADATA: i16 = 3;
    const VERSION: i16 = 1;
    let mut request = Vec::new();
    request.extend(METADATA.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation id
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend(0_i32.to_be_bytes()); // topics: none
    let mut stream = connect(port)?;
    let length = i32::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
    // Length, correlation id, number of brokers.
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer)?;
    Ok(i32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]))
}

/// Whether `GET path` is answered with 200.
pub fn http(port: u16, path: &str) -> bool {
    get(port, path).is_ok_and(|(status, _)| status == "200")
}

/// The answer to `GET path`: status and body.
///
/// # Errors
/// When nothing answers.
pub fn get(port: u16, path: &str) -> io::Result<(String, String)> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {HOST}:{port}\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned()))
}
