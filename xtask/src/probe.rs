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

pub fn answers(host_and_port: &str) -> bool {
    let resolved = host_and_port.to_socket_addrs().into_iter().flatten();
    resolved.into_iter().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

/// Whether the broker serves: it answers for metadata, and counts itself among the brokers (is not fenced).
pub fn kafka(port: u16) -> bool {
    broker_count(port).is_ok_and(|brokers| brokers > 0)
}

fn broker_count(port: u16) -> io::Result<i32> {
    // Length; request `Metadata`, version 1; correlation id; no client id; no topics.
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = connect(port)?;
    stream.write_all(&REQUEST)?;
    // Length, correlation id, number of brokers.
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer)?;
    Ok(i32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]))
}

pub fn http(port: u16, path: &str) -> bool {
    get(port, path).is_ok_and(|(status, _)| status == "200")
}

pub fn get(port: u16, path: &str) -> io::Result<(String, String)> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {HOST}:{port}\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned()))
}
