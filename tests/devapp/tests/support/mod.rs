//! A client by hand, which sends exactly what a test says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use devapp::{DevApp, Options, Seen};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn start() -> DevApp {
    DevApp::spawn(Options::default()).unwrap()
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn has(&self, field: &str) -> bool {
        self.head.to_ascii_lowercase().contains(&format!("\r\n{}", field.to_ascii_lowercase()))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body without the framing of its chunks.
    pub fn chunks(&self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut rest = &self.body[..];
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            let (chunk, after) = rest[end + 2..].split_at(size);
            assert_eq!(&after[..2], b"\r\n");
            rest = &after[2..];
            if size == 0 {
                assert!(rest.is_empty());
                return out;
            }
            out.push(chunk.to_vec());
        }
    }
}

pub fn connect(app: &DevApp) -> TcpStream {
    let stream = TcpStream::connect(app.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything up to the empty line, read byte by byte so that nothing after it is taken.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads to the end of the connection.
pub fn whole(stream: &mut impl Read) -> Answer {
    let head = read_head(stream);
    let mut body = Vec::new();
    stream.read_to_end(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}

/// One request on a connection that closes after it.
pub fn ask(app: &DevApp, line: &str, fields: &str, body: &[u8]) -> Answer {
    let mut stream = connect(app);
    let head = format!("{line} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    whole(&mut stream)
}

pub fn get(app: &DevApp, target: &str) -> Answer {
    ask(app, &format!("GET {target}"), "", b"")
}

/// The record of the path once it is as the test wants it.
pub fn seen(app: &DevApp, path: &str, mut condition: impl FnMut(&Seen) -> bool) -> Seen {
    assert!(app.wait_within(PATIENCE, |app| app.last(path).is_some_and(|seen| condition(&seen))), "{:?}", app.last(path));
    app.last(path).unwrap()
}
