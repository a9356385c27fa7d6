//! A plain client for the listener, and agents that have one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Agent, LIMIT, Launch};

pub(crate) const STARTED: &str = "Local listener started";
pub(crate) const FAILED: &str = "Local listener cannot be opened, going on without it and trying again";

/// Starts an agent that listens on a port of its own. Somebody else may be quicker to take it; then another one is tried.
#[track_caller]
pub(crate) fn listening<'bed>(launch: impl Fn() -> Launch<'bed>) -> (Agent, SocketAddr) {
    for _ in 0..8 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let agent = launch().set("agent.port", port).start();
        let line = agent.wait_log(|line| line["msg"] == STARTED || line["msg"] == FAILED, LIMIT);
        if line["msg"] == STARTED {
            let address = line["address"].as_str().unwrap().parse().unwrap();
            return (agent, address);
        }
        agent.stop();
    }
    panic!("no port stays free");
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends bytes and reads until the listener ends the connection.
#[track_caller]
pub(crate) fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> String {
    // The listener may answer and stop reading before it has everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[track_caller]
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[track_caller]
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Reply {
    Reply::parse(&exchange(connect(address), bytes))
}

#[track_caller]
pub(crate) fn get(address: SocketAddr, target: &str) -> Reply {
    raw(address, format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
}

/// The same over the Unix socket.
#[track_caller]
pub(crate) fn get_at(path: &Path, target: &str) -> Reply {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Reply::parse(&exchange(stream, format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()))
}

/// Every series of `/metrics` with its value.
#[track_caller]
pub(crate) fn series(address: SocketAddr) -> BTreeMap<String, f64> {
    let reply = get(address, "/metrics");
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = reply.body.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}
