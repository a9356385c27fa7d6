//! An HTTP proxy that does what a test wants.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Server, Stream};

/// What it does with those who ask for a tunnel.
#[derive(Clone, Default)]
pub(crate) enum Behaviour {
    #[default]
    Forward,
    /// Forwards, and says so one byte at a time.
    ForwardSlowly,
    Answer(String),
    Hang,
    Close,
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// `user:password` that it wants.
    pub(crate) credentials: Option<&'static str>,
    pub(crate) behaviour: Behaviour,
}

pub(crate) struct Proxy {
    pub(crate) server: Server,
    shared: Arc<Shared>,
    secure: bool,
}

struct Shared {
    credentials: Option<String>,
    behaviour: Mutex<Behaviour>,
    targets: Mutex<Vec<String>>,
}

impl Proxy {
    pub(crate) fn start(options: Options) -> Self {
        let credentials = options.credentials.map(|text| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(text)));
        let shared = Arc::new(Shared { credentials, behaviour: Mutex::new(options.behaviour), targets: Mutex::default() });
        let secure = options.tls.is_some();
        let copy = Arc::clone(&shared);
        let server = Server::start(options.tls, move |stream| serve(stream, Arc::clone(&copy)));
        Self { server, shared, secure }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// What tunnels were asked for, without those that lacked the credentials.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.shared.targets.lock().unwrap().clone()
    }

    /// Its URL with user information.
    pub(crate) fn url(&self, user_information: &str) -> String {
        let at = if user_information.is_empty() { "" } else { "@" };
        format!("http{}://{user_information}{at}{}", if self.secure { "s" } else { "" }, self.server.address)
    }
}

async fn serve(mut stream: Box<dyn Stream>, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    assert!(head.contains(&format!("\r\nHost: {target}\r\n")), "{head}");
    if shared.credentials.as_ref().is_some_and(|wanted| !head.contains(wanted)) {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        return;
    }
    shared.targets.lock().unwrap().push(target.clone());
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let answer = match &behaviour {
        Behaviour::Forward | Behaviour::ForwardSlowly => "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n",
        Behaviour::Answer(text) => text,
        Behaviour::Hang => return core::future::pending().await,
        Behaviour::Close => return,
    };
    let slow = matches!(behaviour, Behaviour::ForwardSlowly);
    for piece in answer.as_bytes().chunks(if slow { 1 } else { usize::MAX }) {
        if stream.write_all(piece).await.and(stream.flush().await).is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    if !matches!(behaviour, Behaviour::Forward | Behaviour::ForwardSlowly) {
        let _ = stream.shutdown().await;
        return;
    }
    // Nobody but this proxy knows where that is.
    let target = target.replace("plane.invalid", "127.0.0.1");
    let Ok(mut plane) = TcpStream::connect(target).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plane).await;
}
