//! Connections without an agent, made as the agent makes its own: over TLS to an authority that is given, or plain.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// An HTTP connection; its failure is its sender's failure.
pub(crate) async fn connect<B>(address: SocketAddr, ca: Option<&str>) -> Result<SendRequest<B>, Failure>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = Stream::new(dial(address, ca).await?);
    let (sender, connection) = http1::handshake(stream).await.map_err(Failure::of("HTTP"))?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) async fn dial(address: SocketAddr, ca: Option<&str>) -> Result<Box<dyn Duplex>, Failure> {
    let socket = TcpStream::connect(address).await.map_err(Failure::of("backend"))?;
    socket.set_nodelay(true).map_err(Failure::of("backend"))?;
    let Some(ca) = ca else { return Ok(Box::new(socket)) };
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(Failure::of("certificate"))?;
    roots.add(ca).map_err(Failure::of("certificate"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::of("TLS"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(Failure::of("TLS"))?;
    Ok(Box::new(socket))
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// tokio's stream in hyper's clothes.
pub(crate) struct Stream {
    pub(crate) socket: Box<dyn Duplex>,
    scratch: Box<[u8]>,
}

impl Stream {
    pub(crate) fn new(socket: Box<dyn Duplex>) -> Self {
        Self { socket, scratch: vec![0; 16 * 1024].into_boxed_slice() }
    }
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
