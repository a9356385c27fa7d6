//! The agent's own requests to the API server, with its own credentials: for its state and for facts about the cluster, never
//! for anything that the plane asks for.

use core::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request};
use miniserde::json::{self, Object};
use rustls::ClientConfig;

use crate::connect::Remote;
use crate::kubeconfig::ClusterAccess;
use crate::logger::traffic;
use crate::secret::Secret;
use crate::tls::{self, TlsError};
use crate::upstream::{OwnBody, Pool, RequestError};

/// For one request in all.
const LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// Access to the API server, twice: with the agent's credentials, and without any for what the plane sends.
pub(crate) struct Cluster {
    /// For the plane's requests. Shows no certificate and knows no token.
    pub(crate) anonymous: Arc<Pool>,
    pub(crate) own: OwnClient,
    /// For services that speak TLS: trusts the cluster's CA and the public ones.
    pub(crate) services_tls: Arc<ClientConfig>,
}

/// A client with the agent's credentials.
#[derive(Clone)]
pub(crate) struct OwnClient {
    pool: Arc<Pool>,
    token: Token,
}

#[derive(Clone)]
enum Token {
    None,
    Value(Secret),
    /// Read for each request: kubelet renews it.
    File(PathBuf),
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum OwnError {
    Request(RequestError),
    Timeout,
    Body(hyper::Error),
    TooLarge,
    Token(std::io::Error),
    Invalid,
}

impl fmt::Display for OwnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => write!(formatter, "{error}"),
            Self::Timeout => formatter.write_str("no answer in time"),
            Self::Body(error) => write!(formatter, "{error}"),
            Self::TooLarge => formatter.write_str("the answer is larger than 2 MiB"),
            Self::Token(error) => write!(formatter, "the token cannot be read: {error}"),
            Self::Invalid => formatter.write_str("the request cannot be written as HTTP"),
        }
    }
}

impl core::error::Error for OwnError {}

/// What the API server says about an object or a list.
pub(crate) enum Told {
    Object(Object),
    /// There is none.
    Absent,
    /// It does not say, or makes no sense.
    Nothing,
}

/// An answer in full.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The JSON object that it holds.
    pub(crate) fn object(&self) -> Option<Object> {
        json::from_str(core::str::from_utf8(&self.body).ok()?).ok()
    }
}

impl Cluster {
    /// Sets both clients up. Nothing is sent yet.
    pub(crate) fn new(access: &ClusterAccess, insecure_services: bool) -> Result<Self, TlsError> {
        let credentials = &access.credentials;
        let token = match (&credentials.token, &credentials.token_file) {
            (Some(token), _) => Token::Value(token.clone()),
            (None, Some(path)) => Token::File(path.clone()),
            (None, None) => Token::None,
        };
        let identity = credentials.certificate.as_ref().map(|certificate| tls::Identity {
            certificate_pem: certificate.certificate_pem.clone(),
            key_pem: certificate.key_pem.expose().as_bytes().to_vec(),
            place: "the kubeconfig's client certificate".into(),
        });
        let pool = |identity| -> Result<Arc<Pool>, TlsError> {
            let tls = if access.server.secure {
                let config = tls::for_cluster(access.ca_pem.as_deref(), identity, access.insecure_skip_verify)?;
                Some((config, access.tls_server_name.clone()))
            } else {
                None
            };
            let remote = Remote { host: access.server.host.clone(), port: access.server.port, tls };
            Ok(Pool::new(remote, access.server.base_path.clone()))
        };
        let services_tls = tls::for_services(access.ca_pem.as_deref(), insecure_services)?;
        Ok(Self { anonymous: pool(None)?, own: OwnClient { pool: pool(identity)?, token }, services_tls })
    }
}

impl OwnClient {
    /// The agent's own bearer token, where it has one: what a registration hands to the plane.
    pub(crate) fn token(&self) -> Option<Secret> {
        self.token.read().ok().flatten()
    }

    /// Asks for an object, where the reason for not getting it is for those who look closely only.
    pub(crate) async fn ask(&self, path: &str) -> Told {
        match self.request(Method::GET, path, None).await {
            Ok(answer) if answer.status == 200 => answer.object().map_or(Told::Nothing, Told::Object),
            Ok(answer) => {
                log::debug!(path = path, status = answer.status; "The API server does not tell");
                if answer.status == 404 { Told::Absent } else { Told::Nothing }
            }
            Err(error) => {
                log::debug!(path = path, error = error.to_string(); "The API server does not tell");
                Told::Nothing
            }
        }
    }

    /// Sends a request with the agent's token.
    pub(crate) async fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer, OwnError> {
        let token = self.token.read().map_err(OwnError::Token)?;
        self.request_as(token.as_ref(), method, path, body).await
    }

    /// Sends a request with `token`.
    pub(crate) async fn request_as(
        &self,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, OwnError> {
        self.request_with(token, method, path, &[], body).await
    }

    /// Asks for another protocol, on a connection of its own, as an exchange of the tunnel does. What the server answers instead is
    /// read; where it agrees, the connection is dropped.
    pub(crate) async fn ask_to_upgrade(&self, path: &str, headers: &[(HeaderName, HeaderValue)]) -> Result<Answer, OwnError> {
        let token = self.token.read().map_err(OwnError::Token)?;
        self.request_with(token.as_ref(), Method::GET, path, headers, None).await
    }

    async fn request_with(
        &self,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, OwnError> {
        tokio::time::timeout(LIMIT, self.exchange(token, method, path, headers, body)).await.unwrap_or(Err(OwnError::Timeout))
    }

    async fn exchange(
        &self,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, OwnError> {
        let upgrade = !headers.is_empty();
        let mut builder = Request::builder()
            .method(method)
            .uri(self.pool.path(path))
            .header(HOST, self.pool.authority())
            .header(ACCEPT, "application/json");
        if body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| OwnError::Invalid)?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        log::trace!(direction = "out", path = traffic::address(path); "HTTP request to the Kubernetes API for the agent itself");
        let body = Bytes::from(body.unwrap_or_default());
        let request = builder.body(OwnBody::own(body)).map_err(|_| OwnError::Invalid)?;
        // An idle connection may have been closed a moment ago; these requests are few, so each gets a fresh look.
        let mut lease = if upgrade { self.pool.connect().await } else { self.pool.lease().await }.map_err(OwnError::Request)?;
        let response = lease.send(request).await.map_err(OwnError::Request)?;
        let status = response.status().as_u16();
        if status == 101 {
            return Ok(Answer { status, body: Vec::new() });
        }
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        loop {
            let frame = core::future::poll_fn(|context| core::pin::Pin::new(&mut incoming).poll_frame(context));
            match lease.while_driven(frame).await {
                None => break,
                Some(Err(error)) => return Err(OwnError::Body(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        if body.len() + data.len() > MAX_ANSWER {
                            return Err(OwnError::TooLarge);
                        }
                        body.extend_from_slice(&data);
                    }
                }
            }
        }
        drop(incoming);
        self.pool.give_back(lease).await;
        log::trace!(direction = "in", path = traffic::address(path), status = status, bytes = body.len(); "HTTP answer of the Kubernetes API");
        Ok(Answer { status, body })
    }

    /// Drops connections that have been idle for too long.
    pub(crate) fn prune(&self) {
        self.pool.prune();
    }
}

impl Token {
    /// The token as it is now.
    fn read(&self) -> std::io::Result<Option<Secret>> {
        match self {
            Self::None => Ok(None),
            Self::Value(token) => Ok(Some(token.clone())),
            Self::File(path) => std::fs::read_to_string(path).map(|text| Some(Secret::new(text.trim()))),
        }
    }
}
