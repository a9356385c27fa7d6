//! A server whose every word is a test's: HTTP heads are read for it, the rest it does by hand.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use devapp::frame::{CLOSE, Decoder, Frame, encode};
use socket2::{Domain, Socket, Type};

use crate::rig::{MARK, PATIENCE};

const LIMIT: usize = 16 << 20;
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}";

/// Listens until this is dropped. Requests that neither bear the tests' mark nor ask for an upgrade are answered 404.
pub(crate) struct Backend {
    address: SocketAddr,
    arrivals: Receiver<Peer>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        Self::of(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// One for whose connections no kernel holds much: what it does not read is noticed soon.
    pub(crate) fn narrow() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Loopback's segments are so large that the sender's kernel takes megabytes before the first is acknowledged.
        socket.set_tcp_mss(1000).unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(128).unwrap();
        Self::of(socket.into())
    }

    fn of(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, arrivals) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, sender) = (stream.unwrap(), sender.clone());
                std::thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { address, arrivals, over, thread: Some(thread) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that a test is meant to deal with.
    #[track_caller]
    pub(crate) fn accept(&self) -> Peer {
        self.arrivals.recv_timeout(PATIENCE).expect("nobody comes")
    }

    /// Whether nobody has come so far.
    pub(crate) fn is_untouched(&self) -> bool {
        self.arrivals.try_recv().is_err()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, arrivals: &Sender<Peer>) {
    while let Some((line, headers)) = read_head(&mut stream) {
        let named = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if named("upgrade") || named(MARK) {
            // The test may be over already.
            let _ = arrivals.send(Peer { stream, line, headers, decoder: Decoder::from_client(LIMIT) });
            return;
        }
        if stream.write_all(NOT_FOUND).is_err() {
            return;
        }
    }
}

/// Byte by byte, so that nothing is taken that belongs to what follows.
fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<(String, String)>)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some((line, headers.collect()))
}

/// One connection, its request read.
pub(crate) struct Peer {
    stream: TcpStream,
    /// The request line.
    pub(crate) line: String,
    /// In the spelling and order they came in.
    pub(crate) headers: Vec<(String, String)>,
    decoder: Decoder,
}

impl Peer {
    /// All values of a header, whatever its spelling.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Becomes a WebSocket with this sub-protocol. `with` follows in the same write.
    pub(crate) fn upgrade_with(&mut self, protocol: Option<&str>, with: &[u8]) {
        let accept = devapp::accept_key(self.values("sec-websocket-key")[0]).unwrap();
        let protocol = protocol.map(|it| format!("Sec-WebSocket-Protocol: {it}\r\n")).unwrap_or_default();
        let mut bytes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(with);
        self.write(&bytes);
    }

    pub(crate) fn upgrade(&mut self, protocol: Option<&str>) {
        self.upgrade_with(protocol, &[]);
    }

    pub(crate) fn refuse(&mut self, status: &str, body: &str) {
        let length = body.len();
        self.write(format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&encode(true, opcode, payload, None));
    }

    /// The next frame of the agent.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(Frame { fin, opcode, payload }) = self.decoder.next_frame().unwrap() {
                assert!(fin, "the agent sends whole frames");
                return (opcode, payload.to_vec());
            }
            self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the connection ends where a frame should come");
            self.decoder.push(&buffer[..count]);
        }
    }

    /// Its close frame, as code and reason.
    #[track_caller]
    pub(crate) fn close(&mut self) -> Vec<u8> {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, CLOSE, "{payload:?}");
        payload
    }

    /// That nothing more comes but the end. At that, and not at a close frame, the Kubernetes API ends a command.
    #[track_caller]
    pub(crate) fn ended_without_a_word(&mut self) {
        assert_eq!(self.decoder.next_frame(), Ok(None));
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 256];
        let count = self.stream.read(&mut buffer).unwrap();
        assert_eq!(buffer[..count], [0; 0], "something comes where the connection should end");
    }

    /// Waits for the end of the connection, whatever comes before it. False if it does not come in time.
    pub(crate) fn ends(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        self.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut buffer = vec![0; 1 << 20];
        while Instant::now() < until {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
                Ok(_) | Err(_) => {}
            }
        }
        false
    }
}
