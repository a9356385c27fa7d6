//! Clients: TLS over blocking sockets, and HTTP/1.1 as plain as it gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::LIMIT;

pub(crate) trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// Connects to the address in `url`, with TLS if its scheme says so.
pub(crate) fn connect(url: &str, ca_pem: &str) -> std::io::Result<Box<dyn Duplex>> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let address = rest.split('/').next().unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    if !matches!(scheme, "https" | "wss") {
        return Ok(Box::new(stream));
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

/// A response, read piece by piece.
pub(crate) struct Response {
    reader: BufReader<Box<dyn Duplex>>,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

/// Sends a request: everything before the blank line, without the last line break, and a body.
pub(crate) fn send(url: &str, ca_pem: &str, head: &str, body: &[u8]) -> BufReader<Box<dyn Duplex>> {
    let mut stream = connect(url, ca_pem).unwrap();
    let mut request = format!("{}\r\n\r\n", head.replace('\n', "\r\n")).into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).unwrap();
    stream.flush().unwrap();
    BufReader::new(stream)
}

pub(crate) fn request(url: &str, ca_pem: &str, head: &str, body: &[u8]) -> Response {
    read_head(send(url, ca_pem, head, body))
}

pub(crate) fn read_head(mut reader: BufReader<Box<dyn Duplex>>) -> Response {
    let status = line(&mut reader).split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let line = line(&mut reader);
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Response { reader, status, headers }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// One chunk of a chunked body; empty at its end, `None` if the connection ended before.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).ok().filter(|length| *length > 0)?;
        let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap()];
        self.reader.read_exact(&mut chunk).ok()?;
        line(&mut self.reader);
        Some(chunk)
    }

    /// The whole body; `None` if it was cut.
    pub(crate) fn body(mut self) -> Option<Vec<u8>> {
        if let Some(length) = self.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut body).ok()?;
            return Some(body);
        }
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Some(body);
            }
            body.extend(chunk);
        }
    }

    /// What follows a 101.
    pub(crate) fn into_stream(self) -> BufReader<Box<dyn Duplex>> {
        self.reader
    }

    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_slice(&self.body().unwrap()).unwrap()
    }
}

fn line(reader: &mut BufReader<Box<dyn Duplex>>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
