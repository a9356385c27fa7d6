//! What stands behind the agent for transfers and WebSockets: it is to cost little and to say what has reached it. To the agent
//! it is a Kubernetes API that has nothing but these paths.
//!
//! | Path | Answer |
//! |---|---|
//! | `GET DOWNLOAD?N` | N bytes; with `&slowly` behind N at a steady pace |
//! | `POST UPLOAD` | 200 when all has come; what comes is counted as it comes |
//! | `GET ECHO`, a WebSocket | messages come back |

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::{Bytes, BytesMut};
use devapp::frame::{BINARY, CLOSE, PONG, encode};
use devapp::{Message, Messages};
use devplane::Identity;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tungstenite::handshake::derive_accept_key;

use crate::Failure;
use crate::direct::{Duplex, Stream};
use crate::freight::{Freight, PIECE, noise};

pub(crate) const DOWNLOAD: &str = "/api/v1/bench/download";
pub(crate) const UPLOAD: &str = "/api/v1/bench/upload";
pub(crate) const ECHO: &str = "/api/v1/namespaces/bench/pods/echo/exec";
/// What `exec` speaks.
pub(crate) const PROTOCOL: &str = "v4.channel.k8s.io";
/// Behind a download's length.
pub(crate) const SLOWLY: &str = "&slowly";
const LIMIT: usize = 1 << 20;

/// A running backend, on a thread of its own. It ends when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Of its authority, if it speaks TLS.
    pub(crate) ca: Option<String>,
    /// Bytes of uploads that have come, all together.
    pub(crate) received: watch::Receiver<usize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start(tls: bool) -> Result<Self, Failure> {
        let identity = if tls { Some(Identity::make(&[]).map_err(Failure::of("certificate"))?) } else { None };
        let ca = identity.as_ref().map(|identity| identity.ca_pem.clone());
        let acceptor = identity.map(|identity| TlsAcceptor::from(identity.config));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::of("backend"))?;
        listener.set_nonblocking(true).map_err(Failure::of("backend"))?;
        let address = listener.local_addr().map_err(Failure::of("backend"))?;
        let (counter, received) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of("runtime"))?;
        let thread = thread::Builder::new().name("backend".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, acceptor, counter) => {}
                    _ = stopped => {}
                }
            });
        });
        let thread = thread.map_err(Failure::of("thread"))?;
        Ok(Self { address, ca, received, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http{}://{}", if self.ca.is_some() { "s" } else { "" }, self.address)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns when there is nothing to listen on; the clients' failures say so.
async fn accept(listener: std::net::TcpListener, acceptor: Option<TlsAcceptor>, counter: watch::Sender<usize>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let counter = Arc::new(counter);
    let piece = noise(PIECE);
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, counter, piece) = (acceptor.clone(), Arc::clone(&counter), piece.clone());
        tokio::spawn(async move {
            let Ok(stream) = welcome(socket, acceptor).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&counter), piece.clone()));
            // The client hears of a failure, too.
            let _ = http1::Builder::new().serve_connection(Stream::new(stream), service).with_upgrades().await;
        });
    }
}

async fn welcome(socket: TcpStream, acceptor: Option<TlsAcceptor>) -> std::io::Result<Box<dyn Duplex>> {
    socket.set_nodelay(true)?;
    Ok(match acceptor {
        Some(acceptor) => Box::new(acceptor.accept(socket).await?),
        None => Box::new(socket),
    })
}

type Answer = Response<Freight>;

async fn answer(mut request: Request<Incoming>, counter: Arc<watch::Sender<usize>>, piece: Bytes) -> Result<Answer, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, DOWNLOAD) => {
            let query = request.uri().query().unwrap_or_default();
            let (length, paced) = query.strip_suffix(SLOWLY).map_or((query, false), |length| (length, true));
            let length = length.parse().unwrap_or(0);
            Response::new(if paced { Freight::paced(&piece, length) } else { Freight::sized(&piece, length) })
        }
        (&Method::POST, UPLOAD) => {
            while let Some(Ok(frame)) = request.body_mut().frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                counter.send_modify(|received| *received += length);
            }
            Response::new(Freight::whole(""))
        }
        (&Method::GET, ECHO) => upgrade(request),
        (&Method::GET, "/version") => {
            Response::new(Freight::whole(r#"{"major":"1","minor":"33","gitVersion":"v1.33.0","platform":"linux/amd64"}"#))
        }
        _ => with_status(404),
    })
}

fn with_status(status: u16) -> Answer {
    let answer = Response::builder().status(status).body(Freight::whole(""));
    answer.unwrap_or_else(|_| Response::new(Freight::whole("")))
}

fn upgrade(mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get("sec-websocket-key") else { return with_status(400) };
    let accept = derive_accept_key(key.as_bytes());
    let protocol = request.headers().get("sec-websocket-protocol").is_some();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await
            && let Ok(parts) = upgraded.downcast::<Stream>()
        {
            // How it ends is for the client to see.
            let _ = echo(parts.io.socket, &parts.read_buf).await;
        }
    });
    let mut answer = Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept);
    if protocol {
        answer = answer.header("sec-websocket-protocol", PROTOCOL);
    }
    answer.body(Freight::whole("")).unwrap_or_else(|_| with_status(500))
}

async fn echo(mut socket: Box<dyn Duplex>, ahead: &[u8]) -> std::io::Result<()> {
    let mut messages = Messages::from_client(LIMIT);
    messages.push(ahead);
    let mut buffer = BytesMut::new();
    loop {
        let bytes = match messages.next_message().map_err(std::io::Error::other)? {
            Some(Message::Binary(payload)) => encode(true, BINARY, &payload, None),
            Some(Message::Text(text)) => encode(true, BINARY, text.as_bytes(), None),
            Some(Message::Ping(payload)) => encode(true, PONG, &payload, None),
            Some(Message::Pong(_)) => continue,
            Some(Message::Close(_)) => {
                socket.write_all(&encode(true, CLOSE, &1000_u16.to_be_bytes(), None)).await?;
                return socket.shutdown().await;
            }
            None => {
                buffer.clear();
                buffer.reserve(1024);
                if socket.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                messages.push(&buffer);
                continue;
            }
        };
        socket.write_all(&bytes).await?;
        socket.flush().await?;
    }
}
