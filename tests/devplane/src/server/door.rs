//! What is behind a listening socket: the agents' servers, kubectl's front door, or applications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::{Notify, mpsc};

use super::early::Early;
use super::front::Way;
use super::orders::{Control, Event};
use super::reply::ReplyBody;
use super::speaker::Valve;
use super::{agents, front, reply};
use crate::plane::ProxyRequest;

/// Where an application's requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppRoute {
    pub cluster: Option<String>,
    /// Without a service the agent has to find the target by the host.
    pub service: Option<Service>,
    /// `http` or `https`, as the application's user came; otherwise as the listener is.
    pub scheme: Option<String>,
}

/// A service of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

/// Hosts, in lower case and without a port, and where they lead.
#[derive(Clone, Default)]
pub(super) struct Routes(Arc<Mutex<BTreeMap<String, AppRoute>>>);

impl Routes {
    pub(super) fn set(&self, host: &str, route: Option<AppRoute>) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match route {
            Some(route) => routes.insert(host.to_ascii_lowercase(), route),
            None => routes.remove(&host.to_ascii_lowercase()),
        };
    }

    fn find(&self, host: &str) -> Option<AppRoute> {
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned()
    }
}

/// What every door needs.
#[derive(Clone)]
pub(super) struct Hall {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) control: Control,
    pub(super) routes: Routes,
    pub(super) valve: Valve,
    /// How long an answer's head may take.
    pub(super) answer_limit: Duration,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Agents,
    Kubernetes,
    Applications { tls: bool },
}

/// The connection that a request came on.
#[derive(Clone)]
pub(super) struct Visitor {
    /// Ends it.
    pub(super) hangup: Arc<Notify>,
    pub(super) early: Early,
}

#[derive(Clone)]
pub(super) struct Door {
    pub(super) kind: Kind,
    pub(super) hall: Hall,
}

impl Door {
    /// What listens to a visitor of this door.
    pub(super) fn early(&self) -> Early {
        match self.kind {
            Kind::Agents => Early::default(),
            Kind::Kubernetes | Kind::Applications { .. } => Early::listening(),
        }
    }

    pub(super) async fn enter(self, request: Request<Incoming>, visitor: Visitor) -> Response<ReplyBody> {
        match self.kind {
            Kind::Agents => agents::enter(&self.hall, request).await,
            Kind::Kubernetes => {
                let way = Way { target: ProxyRequest::default(), keep_host: false, visitor };
                front::forward(&self.hall, request, way).await
            }
            Kind::Applications { tls } => {
                let host = request.headers().get(hyper::header::HOST).and_then(|host| host.to_str().ok());
                let Some(route) = host.and_then(|host| self.hall.routes.find(host)) else {
                    return reply::failure(404, "NotFound", "no application has this host");
                };
                let scheme = route.scheme.unwrap_or_else(|| if tls { "https" } else { "http" }.to_owned());
                let mut target = ProxyRequest { cluster: route.cluster, scheme: Some(scheme), ..ProxyRequest::default() };
                if let Some(service) = route.service {
                    target.namespace = Some(service.namespace);
                    target.service_name = Some(service.name);
                    target.service_port = Some(service.port);
                }
                front::forward(&self.hall, request, Way { target, keep_host: true, visitor }).await
            }
        }
    }
}
