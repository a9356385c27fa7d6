//! One dial of the plane: address, request, upgrade.

use std::time::Duration;

use pipeops_agent_core::session::{Attempt, Endpoint, Failure};
use pipeops_agent_core::timestamp;
use tokio::time::Instant;
use tungstenite::http::{HeaderValue, Request, Uri};

use crate::clock::wall_millis;
use crate::config::{ApiUrl, Config, TokenError, TokenSource};
use crate::connect::Remote;
use crate::link::socket::Socket;
use crate::link::{Link, UpgradeError};
use crate::route::{Route, RouteError, Routes};
use crate::secret::Secret;
use crate::tls::{Peer, TlsFailure, is_tls};

/// The controller's path below the API URL's own.
const CONTROLLER_PATH: &str = "/api/v1/clusters/agent/ws";
/// What a gateway may count on, as query parameters in the protocol's order.
const CAPABILITIES: [&str; 5] =
    ["supports_binary", "supports_response_streaming", "supports_streaming", "supports_websocket", "supports_yamux"];

/// What a dial needs. Copied for each one, so that it sees the files as they are then.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    api_url: ApiUrl,
    token: TokenSource,
    routes: Routes,
    allow_plaintext: bool,
    agent_version: &'static str,
}

impl Dialler {
    pub(crate) fn new(config: &Config, agent_version: &'static str) -> Self {
        Self {
            api_url: config.pipeops.api_url.clone(),
            token: config.pipeops.token.clone(),
            routes: Routes::new(config),
            allow_plaintext: config.pipeops.allow_plaintext,
            agent_version,
        }
    }

    /// Uses another token from the next dial on.
    pub(crate) fn set_token(&mut self, token: TokenSource) {
        self.token = token;
    }

    /// Dials `endpoint` within `limit`.
    pub(crate) async fn dial(self, attempt: Attempt, endpoint: Endpoint, limit: Duration) -> Result<Link, Failure> {
        // The session gives a dial up after the limit itself, without knowing what took so long: this one knows, and is faster.
        let deadline = Instant::now() + limit.saturating_sub(limit / 16);
        let (url, path, peer) = self.address(&endpoint)?;
        let route = self.route(&url)?;
        let socket = route.connect(deadline).await.map_err(|error| route_failure(&error, peer))?;
        let upgrade = self.upgrade(attempt, &route, &path, peer, socket);
        tokio::time::timeout_at(deadline, upgrade)
            .await
            .unwrap_or(Err(Failure::TimedOut("waiting for the answer to the upgrade")))
    }

    /// Where an endpoint is: its address, the path to ask for, and whose address it is.
    pub(crate) fn address(&self, endpoint: &Endpoint) -> Result<(ApiUrl, String, Peer), Failure> {
        let (url, path, peer) = match endpoint {
            Endpoint::Controller => (self.api_url.clone(), self.controller_path(), Peer::Plane),
            Endpoint::Gateway { url, cluster_uuid } => {
                let url = gateway_url(url)?;
                let path = self.gateway_path(&url, cluster_uuid);
                (url, path, Peer::Gateway)
            }
        };
        self.refuse_plaintext(&url)?;
        Ok((url, path, peer))
    }

    /// The way to an address.
    pub(crate) fn route(&self, url: &ApiUrl) -> Result<Route, Failure> {
        let failure = |text| transport(text, Some("check the files that pipeops.tls and proxy.ca_file name"));
        self.routes.to(url).map_err(|error| failure(error.to_string()))
    }

    /// The last step: the upgrade to a WebSocket over a stream to the plane.
    pub(crate) async fn upgrade(
        &self,
        attempt: Attempt,
        route: &Route,
        path: &str,
        peer: Peer,
        socket: Socket,
    ) -> Result<Link, Failure> {
        let request = self.request(route, path)?;
        let upgraded = Link::upgrade(attempt, socket, request).await;
        upgraded.map(|(link, _)| link).map_err(|error| upgrade_failure(error, peer))
    }

    /// The request for the upgrade, with the token.
    pub(crate) fn request(&self, route: &Route, path: &str) -> Result<Request<()>, Failure> {
        let token = self.token.read(&crate::config::Disk).map_err(|error| token_failure(&error))?;
        request(&route.plane, path, &token)
    }

    fn controller_path(&self) -> String {
        let query = self.api_url.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{CONTROLLER_PATH}{query}", self.api_url.base_path)
    }

    fn gateway_path(&self, url: &ApiUrl, cluster_uuid: &str) -> String {
        let path = if url.base_path.is_empty() { "/ws" } else { &url.base_path };
        let mut parameters =
            vec![format!("agent_version={}", escape(self.agent_version)), format!("cluster_uuid={}", escape(cluster_uuid))];
        parameters.extend(CAPABILITIES.iter().map(|name| format!("{name}=true")));
        // The gateway's own parameters stay, but for those that are ours to set.
        let ours = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            name == "agent_version" || name == "cluster_uuid" || CAPABILITIES.contains(&name)
        };
        let theirs = url.query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty() && !ours(pair));
        let all: Vec<String> = theirs.map(String::from).chain(parameters).collect();
        format!("{path}?{}", all.join("&"))
    }

    /// The token is worth the cluster: it goes unencrypted to this machine only, unless the operator says otherwise.
    fn refuse_plaintext(&self, url: &ApiUrl) -> Result<(), Failure> {
        if url.secure || self.allow_plaintext || url.is_loopback() {
            return Ok(());
        }
        Err(transport(
            "refused to send the token without TLS: use https, or set pipeops.allow_plaintext".into(),
            Some("whoever reads the traffic would have the token; pipeops.allow_plaintext is for networks without strangers"),
        ))
    }
}

/// The plane's own words are not trusted more than the operator's: the same parser reads both.
fn gateway_url(url: &str) -> Result<ApiUrl, Failure> {
    let failure = |error| transport(format!("the control plane named a gateway that cannot be used: {error}"), None);
    ApiUrl::parse(url).map_err(failure)
}

fn request(remote: &Remote, path: &str, token: &Secret) -> Result<Request<()>, Failure> {
    let unusable = |_| transport("the address of the control plane cannot be written as a request".into(), None);
    let scheme = if remote.tls.is_some() { "wss" } else { "ws" };
    let uri: Uri = format!("{scheme}://{}{path}", remote.authority()).parse().map_err(|_| unusable(()))?;
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| unusable(()))?;
    authorization.set_sensitive(true);
    Request::builder()
        .uri(uri)
        .header("Host", remote.authority())
        .header("User-Agent", concat!("pipeops-agent/", env!("CARGO_PKG_VERSION")))
        .header("Authorization", authorization)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .body(())
        .map_err(|_| unusable(()))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn transport(text: String, hint: Option<&'static str>) -> Failure {
    Failure::Transport { text, hint }
}

fn token_failure(error: &TokenError) -> Failure {
    let hint = "check pipeops.token_file: it must hold the token and nothing else";
    transport(format!("the token cannot be used: {error}"), Some(hint))
}

/// The failure of a step before the upgrade.
pub(crate) fn route_failure(error: &RouteError, peer: Peer) -> Failure {
    transport(error.to_string(), Some(error.hint(peer)))
}

/// The failure of the upgrade itself.
pub(crate) fn upgrade_failure(error: UpgradeError, peer: Peer) -> Failure {
    const NOT_A_PLANE: &str = "this is not a control plane, or a proxy stands before it: check PIPEOPS_API_URL";
    match error {
        UpgradeError::Handshake(tungstenite::Error::Http(response)) => {
            let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|text| retry_after(text, wall_millis()));
            Failure::Refused { status: response.status().as_u16(), retry_after }
        }
        UpgradeError::Handshake(error) => {
            transport(format!("the server did not answer as a WebSocket server: {error}"), Some(NOT_A_PLANE))
        }
        // With TLS 1.3 a server says what it thinks of a client certificate when the client believes to be through.
        UpgradeError::Io(error) if is_tls(&error) => {
            let failure = TlsFailure::of(&error);
            transport(format!("TLS handshake failed: {failure}"), Some(failure.hint(peer)))
        }
        UpgradeError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            transport("the server closed the connection during the upgrade".into(), Some(NOT_A_PLANE))
        }
        UpgradeError::Io(error) => transport(format!("the connection broke during the upgrade: {error}"), None),
    }
}

/// Seconds, or a date.
fn retry_after(text: &str, now_millis: u64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    timestamp::parse_http_date(text).map(|at| Duration::from_millis(at.saturating_sub(now_millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialler(url: &str) -> Dialler {
        Dialler {
            api_url: ApiUrl::parse(url).unwrap(),
            token: TokenSource::Value(Secret::new("t")),
            routes: Routes::default(),
            allow_plaintext: false,
            agent_version: "1.2.3+x",
        }
    }

    #[test]
    fn b53_retry_after_is_a_number_or_a_date() {
        let now = 784_111_770_000;
        for (text, expected) in [
            (" 7 ", Some(Duration::from_secs(7))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(7))),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    #[test]
    fn b56_the_base_path_is_kept_and_slashes_do_not_double() {
        for (url, path) in [
            ("https://h", "/api/v1/clusters/agent/ws"),
            ("https://h/", "/api/v1/clusters/agent/ws"),
            ("https://h/base/", "/base/api/v1/clusters/agent/ws"),
            ("wss://h/a/b?x=1", "/a/b/api/v1/clusters/agent/ws?x=1"),
        ] {
            assert_eq!(dialler(url).controller_path(), path, "{url}");
        }
    }

    #[test]
    fn the_gateway_gets_its_seven_parameters_once() {
        let dialler = dialler("https://h");
        let ours = "agent_version=1.2.3%2Bx&cluster_uuid=a%26b&supports_binary=true&supports_response_streaming=true\
                    &supports_streaming=true&supports_websocket=true&supports_yamux=true";
        for (url, expected) in [
            ("wss://g", format!("/ws?{ours}")),
            ("wss://g/", format!("/ws?{ours}")),
            ("https://g/x/y?zone=1&cluster_uuid=old&supports_yamux=false", format!("/x/y?zone=1&{ours}")),
        ] {
            assert_eq!(dialler.gateway_path(&gateway_url(url).unwrap(), "a&b"), expected);
        }
    }

    #[test]
    fn b01_the_token_never_leaves_the_machine_without_tls() {
        let dialler = dialler("https://h");
        for (url, allowed) in [
            ("wss://gateway.example", true),
            ("ws://127.0.0.1:8080", true),
            ("ws://[::1]:8080", true),
            ("http://localhost", true),
            ("ws://gateway.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(dialler.refuse_plaintext(&gateway_url(url).unwrap()).is_ok(), allowed, "{url}");
        }
    }
}
