//! From HTTP to a WebSocket: the handshake, and handing the connection over. What is then said on it is decided elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ports::Ports;
use crate::request::Head;
use crate::session::Session as Process;
use crate::shared::Live;
use crate::status::Refusal;

pub(crate) struct Handshake {
    accept: String,
    /// None when the client offered none.
    pub(crate) protocol: Option<&'static str>,
}

/// What happens on the connection after the handshake.
pub(crate) enum Session {
    Process(Process),
    Ports(Ports),
}

pub(crate) struct Upgrade {
    pub(crate) handshake: Handshake,
    pub(crate) session: Session,
}

/// The way from the answer to the connection's task, which runs the session and so ends it when it ends.
#[derive(Clone, Default)]
pub(crate) struct Switch(Arc<Mutex<Option<(OnUpgrade, Session, Live)>>>);

impl Switch {
    pub(crate) fn arm(&self, upgrade: OnUpgrade, session: Session, live: Live) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, session, live));
    }

    /// `None` if nothing was to be switched, or the connection broke before.
    pub(crate) async fn taken(&self) -> Option<(Upgraded, Session, Live)> {
        let armed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (upgrade, session, live) = armed?;
        Some((upgrade.await.ok()?, session, live))
    }
}

impl Session {
    /// `ahead` is what came of it together with the request.
    pub(crate) async fn run<T: AsyncRead + AsyncWrite + Unpin>(self, stream: T, ahead: &[u8]) {
        match self {
            Session::Process(process) => process.run(stream, ahead).await,
            Session::Ports(ports) => ports.run(stream, ahead).await,
        }
    }
}

impl Handshake {
    /// The first of the client's protocols that is one of `known`. A client that offers none gets none.
    pub(crate) fn negotiate(head: &Head, known: &[&'static str]) -> Result<Handshake, Refusal> {
        let wants = |name, member: &str| head.members(name).any(|m| m.eq_ignore_ascii_case(member));
        if !wants(CONNECTION, "upgrade") {
            return Err(Refusal::bad_request("Upgrade request required"));
        }
        if !wants(UPGRADE, "websocket") {
            let asked = head.first(UPGRADE).unwrap_or_default();
            return Err(Refusal::bad_request(format!(
                "unable to upgrade: devkube streams over WebSocket only, not over {asked:?}"
            )));
        }
        if head.first(SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(Refusal::bad_request("unable to upgrade: Sec-WebSocket-Version is not 13"));
        }
        let accept = head.first(SEC_WEBSOCKET_KEY).and_then(devapp::accept_key);
        let accept = accept.ok_or_else(|| Refusal::bad_request("unable to upgrade: Sec-WebSocket-Key is not a key"))?;
        let mut offered = head.members(SEC_WEBSOCKET_PROTOCOL).peekable();
        if offered.peek().is_none() {
            return Ok(Handshake { accept, protocol: None });
        }
        let protocol = offered.find_map(|offer| known.iter().find(|known| **known == offer).copied());
        let protocol = protocol.ok_or_else(|| {
            let offered: Vec<&str> = head.members(SEC_WEBSOCKET_PROTOCOL).collect();
            Refusal::bad_request(format!(
                "unable to upgrade: none of the protocols offered ({}) is one of {}",
                offered.join(", "),
                known.join(", ")
            ))
        })?;
        Ok(Handshake { accept, protocol: Some(protocol) })
    }

    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
    }
}
