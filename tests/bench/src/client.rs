//! The two ways of a request: through plane and agent, or straight to the Kubernetes API.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use devplane::DevPlaneHandle;
use devplane::plane::{Part, ProxyRequest};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;
use crate::world::World;

/// Sends one request at a time.
pub(crate) enum Client {
    Proxied { plane: Arc<DevPlaneHandle>, request: Box<ProxyRequest> },
    Direct { sender: SendRequest<Empty<Bytes>>, path: &'static str, authority: String },
}

impl Client {
    pub(crate) fn proxied(world: &World, path: &'static str, streamed: bool) -> Self {
        let request = ProxyRequest::get(path).header("Authorization", World::authorization());
        let request = if streamed { request } else { request.buffered() };
        Self::Proxied { plane: Arc::clone(&world.plane), request: Box::new(request) }
    }

    /// Connects.
    pub(crate) async fn direct(world: &World, path: &'static str) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(world.kube_ca.as_bytes()).map_err(Failure::of("certificate"))?;
        roots.add(ca).map_err(Failure::of("certificate"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Failure::of("TLS"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(world.kube).await.map_err(Failure::of("Kubernetes API"))?;
        socket.set_nodelay(true).map_err(Failure::of("Kubernetes API"))?;
        let name = ServerName::from(world.kube.ip());
        let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(Failure::of("TLS"))?;
        let stream = Stream { socket, scratch: vec![0; 16 * 1024].into_boxed_slice() };
        let (sender, connection) = http1::handshake(stream).await.map_err(Failure::of("HTTP"))?;
        // Its failure is its sender's failure.
        tokio::spawn(connection);
        Ok(Self::Direct { sender, path, authority: world.kube.to_string() })
    }

    /// One exchange; gives the length of the body.
    pub(crate) async fn get(&mut self) -> Result<usize, Failure> {
        match self {
            Self::Proxied { plane, request } => {
                let answer = plane.plane().request(request.as_ref().clone()).await;
                let mut answer = answer.map_err(Failure::of("request"))?;
                let mut length = 0;
                while let Some(part) = answer.next().await {
                    match part {
                        Part::Head { status: 200, .. } | Part::End => {}
                        Part::Chunk(bytes) => length += bytes.len(),
                        Part::Head { status, .. } => {
                            return Err(Failure(format!("status {status}")));
                        }
                        Part::Abort(text) | Part::Error(text) => return Err(Failure(text)),
                        Part::Frame { .. } | Part::Backpressure(_) | Part::Closed { .. } => {
                            return Err(Failure("a WebSocket's answer".into()));
                        }
                    }
                }
                Ok(length)
            }
            Self::Direct { sender, path, authority } => {
                let request = Request::get(*path)
                    .header("host", authority.as_str())
                    .header("authorization", World::authorization())
                    .body(Empty::new())
                    .map_err(Failure::of("request"))?;
                let answer = sender.send_request(request).await.map_err(Failure::of("request"))?;
                if answer.status() != 200 {
                    return Err(Failure(format!("status {}", answer.status())));
                }
                let mut body = answer.into_body();
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    let frame = frame.map_err(Failure::of("answer"))?;
                    length += frame.data_ref().map_or(0, Bytes::len);
                }
                sender.ready().await.map_err(Failure::of("HTTP"))?;
                Ok(length)
            }
        }
    }
}

/// tokio's stream in hyper's clothes.
struct Stream {
    socket: TlsStream<TcpStream>,
    scratch: Box<[u8]>,
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut target: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Self { socket, scratch } = self.get_mut();
        let room = scratch.len().min(target.remaining());
        let mut buffer = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(socket).poll_read(context, &mut buffer))?;
        target.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
