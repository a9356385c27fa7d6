//! The control plane on real sockets: the agents' servers, kubectl's front door, and applications by host. Both doors
//! serve upgrades.
//!
//! One task owns the [`Plane`]; listeners and connections talk to it through channels. [`DevPlane`] runs on the
//! caller's runtime and is asked with `await`; [`DevPlaneHandle`] runs on a thread of its own and is asked by blocking.

mod adapter;
mod agents;
mod answer;
mod block;
mod codec;
mod connection;
mod door;
mod early;
mod exchanges;
mod frames;
mod front;
mod handle;
mod hub;
mod listener;
mod options;
mod orders;
mod pace;
mod pressure;
mod raw_relay;
mod relay;
mod reply;
mod speaker;
mod text;
mod tls;
mod upgrades;
mod websocket_relay;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::plane::{ExchangeId, Faults, Plane, ProxyRequest, Violation, WebSocketRequest};
use connection::Switches;
use door::{Door, Hall, Kind, Routes};
use hub::{Hub, Parts};
use listener::{Listener, Listeners};
use orders::{Control, Event, Order};
use pressure::Taker;
use speaker::Valve;

pub use answer::{Answer, AnswerStream};
pub use door::{AppRoute, Service};
pub use handle::DevPlaneHandle;
pub use options::{Journal, Options, RequestError, StartError, Stopped};
pub use tls::Identity;

/// A running server. It stops when this is dropped.
pub struct DevPlane {
    api_url: String,
    gateway_url: Option<String>,
    kube_url: String,
    apps_url: String,
    token: String,
    ca_pem: String,
    ca_file: Option<PathBuf>,
    routes: Routes,
    control: Control,
    events: mpsc::Sender<Event>,
}

impl DevPlane {
    /// Starts on the current runtime.
    ///
    /// # Errors
    /// If a port, a certificate or the authority's file cannot be had.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let identity = Identity::make(options.public_host.as_slice())?;
        if let Some(path) = &options.ca_file {
            std::fs::write(path, &identity.ca_pem).map_err(|error| StartError::WriteCa { path: path.clone(), error })?;
        }
        let acceptor = TlsAcceptor::from(identity.config);
        let for_agents = options.tls.then(|| acceptor.clone());
        let (control, orders) = Control::new();
        let (events, event_receiver) = mpsc::channel(hub::EVENTS);
        let routes = Routes::default();
        for (host, route) in std::mem::take(&mut options.apps) {
            routes.set(&host, Some(route));
        }
        let switches = watch::Sender::new(Switches::default());
        let hall = Hall {
            events: events.clone(),
            control: control.clone(),
            routes: routes.clone(),
            valve: Valve(switches.subscribe()),
            answer_limit: options.answer_limit,
        };
        let mut listeners = Vec::new();
        let mut open = |address: SocketAddr, tls: Option<TlsAcceptor>, kind: Kind| {
            let failed = |error| StartError::Bind { address, error };
            let listener = listener::bind(address).map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            let door = Door { kind, hall: hall.clone() };
            listeners.push(Listener::start(listener, tls, door, matches!(kind, Kind::Agents)).map_err(failed)?);
            Ok::<_, StartError>(match &options.public_host {
                Some(host) => format!("{host}:{}", bound.port()),
                None => bound.to_string(),
            })
        };
        let api = open(options.listen, for_agents.clone(), Kind::Agents)?;
        let gateway = if options.gateway { Some(open(options.gateway_listen, for_agents, Kind::Agents)?) } else { None };
        let kube = open(options.kube_listen, Some(acceptor.clone()), Kind::Kubernetes)?;
        let tls = options.apps_tls;
        let apps = open(options.apps_listen, tls.then_some(acceptor), Kind::Applications { tls })?;
        let secure = if options.tls { "s" } else { "" };
        let gateway_url = gateway.map(|gateway| format!("ws{secure}://{gateway}/ws"));
        let plane = &mut options.plane;
        if plane.gateway_url.is_none() {
            plane.gateway_url.clone_from(&gateway_url);
        }
        if plane.tokens.is_empty() {
            plane.tokens.push(make_token(options.seed));
        }
        plane.epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok())
            .unwrap_or(plane.epoch);
        let token = plane.tokens.first().cloned().unwrap_or_default();
        let hub = Hub::new(Parts {
            plane: Plane::new(options.plane, options.seed),
            events: event_receiver,
            event_sender: events.clone(),
            orders,
            control: control.clone(),
            switches,
            client_patience: options.client_patience,
            listeners: Listeners(listeners),
            journal: options.journal,
        });
        tokio::spawn(hub.run());
        Ok(Self {
            api_url: format!("http{secure}://{api}"),
            gateway_url,
            kube_url: format!("https://{kube}"),
            apps_url: format!("http{}://{apps}", if tls { "s" } else { "" }),
            token,
            ca_pem: identity.ca_pem,
            ca_file: options.ca_file,
            routes,
            control,
            events,
        })
    }

    /// Starts on a thread of its own.
    ///
    /// # Errors
    /// As for `start`, or if there is no thread to be had.
    pub fn spawn_thread(options: Options) -> Result<DevPlaneHandle, StartError> {
        DevPlaneHandle::start(options)
    }

    /// The agents' `api_url`.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Where agents are sent after registration.
    #[must_use]
    pub fn gateway_url(&self) -> Option<&str> {
        self.gateway_url.as_deref()
    }

    /// The server for kubectl.
    #[must_use]
    pub fn kube_url(&self) -> &str {
        &self.kube_url
    }

    /// The server for applications, found by their `Host`.
    #[must_use]
    pub fn apps_url(&self) -> &str {
        &self.apps_url
    }

    /// The agents' token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Leads requests for `host` to an application; `None` ends that.
    pub fn set_app(&self, host: &str, route: Option<AppRoute>) {
        self.routes.set(host, route);
    }

    /// Does something with the plane and returns what comes of it.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn with_plane<T: Send + 'static>(&self, act: impl FnOnce(&mut Plane) -> T + Send + 'static) -> Result<T, Stopped> {
        let (reply, result) = oneshot::channel();
        self.control.order(Order::Act(Box::new(move |plane, _| {
            let _ = reply.send(act(plane));
        })));
        result.await.map_err(|_| Stopped)
    }

    /// Changes the fault policy.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn set_faults(&self, change: impl FnOnce(&mut Faults) + Send + 'static) -> Result<(), Stopped> {
        self.with_plane(|plane| change(&mut plane.faults)).await
    }

    /// Sends a request to an agent.
    ///
    /// # Errors
    /// If no agent is online for it, or the server has stopped.
    pub async fn request(&self, request: ProxyRequest) -> Result<AnswerStream, RequestError> {
        self.open(move |plane, now| plane.open(now, request)).await
    }

    /// Starts a WebSocket to a cluster's Kubernetes API.
    ///
    /// # Errors
    /// As for `request`.
    pub async fn websocket(&self, request: WebSocketRequest) -> Result<AnswerStream, RequestError> {
        self.open(move |plane, now| plane.open_websocket(now, &request)).await
    }

    /// Sends a hand-made message and takes whatever answers its id.
    ///
    /// # Errors
    /// As for `request`.
    pub async fn request_raw(&self, wire_id: &str, text: &str) -> Result<AnswerStream, RequestError> {
        let (wire_id, text) = (wire_id.to_owned(), text.to_owned());
        self.open(move |plane, now| plane.open_raw(now, &wire_id, &text)).await
    }

    async fn open(
        &self,
        open: impl FnOnce(&mut Plane, u64) -> Result<ExchangeId, crate::plane::NoAgent> + Send + 'static,
    ) -> Result<AnswerStream, RequestError> {
        let (reply, opened) = oneshot::channel();
        self.control.order(Order::Open { open: Box::new(open), taker: Taker::Caller, reply });
        opened.await.map_err(|_| RequestError::Stopped)?.map_err(|_| RequestError::NoAgent)
    }

    /// Waits until the plane looks as wanted; the condition is tried after everything that happens to the plane.
    /// False when the time is over.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn wait_until(
        &self,
        condition: impl FnMut(&Plane) -> bool + Send + 'static,
        limit: Duration,
    ) -> Result<bool, Stopped> {
        let (reply, result) = oneshot::channel();
        self.control.order(Order::Wait { condition: Box::new(condition), limit, reply });
        result.await.map_err(|_| Stopped)
    }

    /// Waits until an agent is online.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn wait_online(&self, limit: Duration) -> Result<bool, Stopped> {
        self.wait_until(|plane| plane.online() > 0, limit).await
    }

    /// Ends all agents' connections without a close frame.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn drop_agents(&self) -> Result<(), Stopped> {
        self.with_plane(Plane::drop_agents).await
    }

    /// Closes all agents' connections with a code.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn close_agents(&self, code: u16) -> Result<(), Stopped> {
        self.with_plane(move |plane| plane.close_agents(code, "closed on purpose")).await
    }

    /// Reads nothing from agents, or reads again.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn stall_agents(&self, stalled: bool) -> Result<(), Stopped> {
        self.set_faults(move |faults| faults.stop_reading = stalled).await
    }

    /// Agents' new connections are refused; those that are WebSockets already stay. The ports are kept.
    ///
    /// # Errors
    /// If the server has stopped, or a port was lost.
    pub async fn stop_listening(&self) -> std::io::Result<()> {
        self.listen(false).await
    }

    /// Listens for agents again, on the same ports.
    ///
    /// # Errors
    /// If the server has stopped, or a port was lost.
    pub async fn listen_again(&self) -> std::io::Result<()> {
        self.listen(true).await
    }

    async fn listen(&self, on: bool) -> std::io::Result<()> {
        let (reply, result) = oneshot::channel();
        self.control.order(Order::Listen { on, reply });
        result.await.map_err(|_| std::io::Error::other(Stopped))?
    }

    /// Rules broken by agents so far.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn violations(&self) -> Result<Vec<Violation>, Stopped> {
        self.with_plane(|plane| plane.violations().iter().cloned().collect()).await
    }

    /// Stops listening and ends every connection.
    pub async fn shutdown(self) {
        let (reply, stopped) = oneshot::channel();
        self.control.order(Order::Stop(reply));
        // An error means that it had stopped before.
        let _ = stopped.await;
    }
}

impl Drop for DevPlane {
    fn drop(&mut self) {
        self.control.order(Order::Stop(oneshot::channel().0));
    }
}

fn make_token(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    format!("devplane-{:016x}{:016x}", random.u64(..), random.u64(..))
}
