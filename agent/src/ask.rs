//! The command `status`: asks the agent that runs here, and says what it answers.

mod page;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use miniserde::json::{self, Object, Value};
use socket2::{SockAddr, Socket, Type};

use crate::config::LocalAccess;
use crate::listener::NAME;

/// For everything.
const LIMIT: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const MOST_BYTES: usize = 64 * 1024;

const READY: u8 = 0;
const NOT_READY: u8 = 1;
/// As init scripts have it: the program does not run.
const NO_AGENT: u8 = 3;

/// What the command says.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    /// Whether an agent answered at all.
    pub(crate) answered: bool,
    pub(crate) exit_code: u8,
}

/// Asks, and makes a page of the answer, or with `raw` gives it as it is.
pub(crate) fn ask(access: &LocalAccess, raw: bool) -> Told {
    let mut tried = Vec::new();
    match find(access, &mut tried) {
        Some((text, object)) => {
            let ready = matches!(object.get("ready"), Some(Value::Bool(true)));
            let text = if raw { format!("{text}\n") } else { page::page(&object) };
            Told { text, answered: true, exit_code: if ready { READY } else { NOT_READY } }
        }
        None => Told { text: page::nobody(&tried, &access.doubts), answered: false, exit_code: NO_AGENT },
    }
}

/// The answer of the first that is an agent. `tried` learns where none was.
fn find(access: &LocalAccess, tried: &mut Vec<String>) -> Option<(String, Object)> {
    let start = Instant::now();
    let path = access.state_dir.join(NAME);
    // The port gets its part of the time, whatever the socket does.
    match SockAddr::unix(&path).map_err(describe).and_then(|address| exchange(&address, start + LIMIT / 2)) {
        Ok(answer) => return Some(answer),
        Err(problem) => tried.push(format!("{}: {problem}", path.display())),
    }
    if access.port == 0 {
        tried.push("agent.port is 0: no port to ask".to_owned());
        return None;
    }
    let address = SocketAddr::new(reachable(access.address), access.port);
    match exchange(&address.into(), start + LIMIT) {
        Ok(answer) => Some(answer),
        Err(problem) => {
            tried.push(format!("{address}: {problem}"));
            None
        }
    }
}

/// One request and its answer, until a moment when it is too late.
fn exchange(address: &SockAddr, until: Instant) -> Result<(String, Object), String> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let read = || -> io::Result<Vec<u8>> {
        let mut socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.connect_timeout(address, left())?;
        socket.set_write_timeout(Some(left()))?;
        socket.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        while bytes.len() < MOST_BYTES {
            if Instant::now() >= until {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left()))?;
            match socket.read(&mut piece)? {
                0 => break,
                count => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
        }
        Ok(bytes)
    };
    read().map_err(describe).and_then(|bytes| understand(&bytes))
}

fn describe(error: io::Error) -> String {
    let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    if late { "no answer in time".to_owned() } else { error.to_string() }
}

/// The JSON of an answer, if it is an agent's.
fn understand(bytes: &[u8]) -> Result<(String, Object), String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer is not an agent's")?;
    if head.starts_with("HTTP/1.1 503 ") {
        return Err(body.trim().to_owned());
    }
    let object: Option<Object> = json::from_str(body).ok();
    let is_agents = |object: &Object| object.contains_key("agent_id") && object.contains_key("ready");
    let object = object.filter(is_agents).filter(|_| head.starts_with("HTTP/1.1 200 ")).ok_or("the answer is not an agent's")?;
    Ok((body.to_owned(), object))
}

/// Where a listener on `address` is reached from this machine.
const fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agents_answer_is_one() {
        let answer = |status: &str, body: &str| understand(format!("HTTP/1.1 {status}\r\nA: b\r\n\r\n{body}").as_bytes());
        assert!(answer("200 OK", "{\"agent_id\":\"a\",\"ready\":true}").is_ok());
        assert!(answer("404 Not Found", "{\"agent_id\":\"a\",\"ready\":true}").is_err());
        assert!(answer("200 OK", "{\"agent_id\":\"a\"}").is_err());
        assert!(answer("200 OK", "<html>").is_err());
        assert_eq!(
            answer("503 Service Unavailable", "the agent's loop does not turn\n").unwrap_err(),
            "the agent's loop does not turn"
        );
        assert!(understand(b"").is_err() && understand(b"\xff\xfe").is_err());
        assert_eq!(reachable([0, 0, 0, 0].into()), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(reachable([10, 0, 0, 1].into()), IpAddr::from([10, 0, 0, 1]));
    }
}
