//! The way to the control plane, step by step, as a dial goes it. Ends with an open connection on which nothing was said.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pipeops_agent_core::session::{Attempt, Endpoint, Failure};
use pipeops_agent_core::timestamp;
use tungstenite::http::Response;

use super::certificate::{self, Certificate};
use super::report::{Check, Finding, Report, TIME_DIFFERENCE};
use super::{Patience, answer, clock};
use crate::clock::since_1970;
use crate::config::{Config, Tls};
use crate::connect::Remote;
use crate::dial::{Dialler, upgrade_failure};
use crate::link::socket::Socket;
use crate::link::{Link, UpgradeError};
use crate::route::{Route, RouteError, secure};
use crate::state::Store;
use crate::tls::{self, Peer};
use crate::version::VERSION;

/// For the end of the connection.
const CLOSING: Duration = Duration::from_secs(2);

/// Goes the way, and reports each of `steps`: DNS, proxy, TCP, TLS, upgrade, token.
pub(super) async fn check(
    config: &Config,
    steps: &'static [&'static Check],
    patience: &Patience,
    report: &mut Report<'_>,
) -> Option<Link> {
    let mut walk = Walk { steps, patience, report };
    let link = walk.go(config).await;
    for step in walk.steps {
        walk.report.add(step, Finding::skip("an earlier step failed"));
    }
    link
}

/// The way to the gateway that the control plane named, where one is remembered. Without an upgrade, which would take the place of
/// an agent that runs.
pub(super) async fn gateway(config: &Config, store: &Store, patience: &Patience) -> Finding {
    let Some(url) = store.load().await.gateway_url else {
        return Finding::skip("none is known; the control plane names one when the agent registers");
    };
    let dialler = Dialler::new(config, VERSION);
    let endpoint = Endpoint::Gateway { url, cluster_uuid: String::new() };
    let route = match dialler.address(&endpoint).and_then(|(url, _, _)| dialler.route(&url)) {
        Ok(route) => route,
        Err(failure) => return of_failure(&failure),
    };
    match route.connect(patience.deadline()).await {
        Ok(_) => Finding::pass(format!("{} can be reached", route.plane.authority())),
        Err(error) => {
            let seen = format!("{}: {error}", route.plane.authority());
            Finding::fail(seen).cure(error.hint(Peer::Gateway))
        }
    }
}

/// Leaves in good order.
pub(super) async fn leave(link: Link) {
    // A server that does not answer the close is none of the doctor's business.
    let _ = tokio::time::timeout(CLOSING, link.close(1000)).await;
}

struct Walk<'run, 'out> {
    /// Those that nothing was said about yet.
    steps: &'static [&'static Check],
    patience: &'run Patience,
    report: &'run mut Report<'out>,
}

impl Walk<'_, '_> {
    /// Says how the next step ended.
    fn add(&mut self, finding: Finding) {
        if let Some((step, rest)) = self.steps.split_first() {
            self.steps = rest;
            self.report.add(step, finding);
        }
    }

    fn fail(&mut self, error: &RouteError) {
        self.add(failed(error));
    }

    async fn go(&mut self, config: &Config) -> Option<Link> {
        let dialler = Dialler::new(config, VERSION);
        let (route, path) =
            match dialler.address(&Endpoint::Controller).and_then(|(url, path, _)| Ok((dialler.route(&url)?, path))) {
                Ok(found) => found,
                Err(failure) => {
                    // Files of TLS that cannot be used.
                    for _ in 0..3 {
                        self.add(Finding::skip("needs the settings of TLS"));
                    }
                    self.add(of_failure(&failure));
                    return None;
                }
            };
        let (socket, addresses) = self.connect(&route).await?;
        let socket = match self.secure(config, &route, socket, &addresses).await {
            Ok(socket) => socket,
            Err(finding) => {
                self.add(finding);
                return None;
            }
        };
        let request = match dialler.request(&route, &path) {
            Ok(request) => request,
            Err(failure) => {
                self.add(Finding::skip("needs the token"));
                self.add(of_failure(&failure));
                return None;
            }
        };
        let late = || Err(UpgradeError::Io(io::ErrorKind::TimedOut.into()));
        let upgraded = self.patience.within(Link::upgrade(Attempt::default(), socket, request)).await.unwrap_or_else(late);
        let (response, link) = match upgraded {
            Ok((link, response)) => (response, Some(link)),
            Err(UpgradeError::Handshake(tungstenite::Error::Http(response))) => (*response, None),
            Err(UpgradeError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                self.add(answer::elsewhere("no answer to the upgrade within 10 s".into()));
                return None;
            }
            Err(error) => {
                let finding = of_failure(&upgrade_failure(error, Peer::Plane));
                self.add(if finding.cure.is_empty() { answer::elsewhere(finding.seen) } else { finding });
                return None;
            }
        };
        let (upgrade, token) = answer::judge(response.status().as_u16());
        self.add(upgrade);
        self.add(token);
        if let Some(there) = date(&response) {
            self.report.add(&TIME_DIFFERENCE, clock::compare(since_1970(), there));
        }
        link
    }

    /// DNS, proxy, TCP: a stream that leads to the plane, and the addresses that it was found at.
    async fn connect(&mut self, route: &Route) -> Option<(Socket, Vec<SocketAddr>)> {
        let first = route.first();
        let found = route.addresses(self.patience.deadline()).await;
        if route.proxy.is_some() {
            self.add(Finding::skip("the proxy looks the name up"));
        }
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(error) => {
                self.fail(&error);
                return None;
            }
        };
        if route.proxy.is_none() {
            self.add(if first.host.parse::<IpAddr>().is_ok() {
                Finding::skip(format!("{} is not a name", first.host))
            } else {
                let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
                Finding::pass(format!("{} is at {}", first.host, list.join(", ")))
            });
            self.add(Finding::skip("none is set"));
        }
        let socket = match route.reach(&addresses, self.patience.deadline()).await {
            Ok(socket) => socket,
            Err(error) => {
                self.fail(&error);
                return None;
            }
        };
        if let Some(proxy) = &route.proxy {
            self.add(Finding::pass(format!("{} opened a tunnel to {}", proxy.url.place(), route.plane.authority())));
            self.add(Finding::skip("the proxy connects"));
        } else {
            self.add(Finding::pass(format!("port {} accepts connections", first.port)));
        }
        Some((socket, addresses))
    }

    /// TLS, and what is to be said about the certificate either way.
    async fn secure(
        &mut self,
        config: &Config,
        route: &Route,
        socket: Socket,
        addresses: &[SocketAddr],
    ) -> Result<Socket, Finding> {
        if route.plane.tls.is_none() {
            self.add(Finding::skip("the address is one without TLS"));
            return Ok(socket);
        }
        match secure(&route.plane, socket, self.patience.deadline()).await {
            Ok(socket) => {
                let shown = shown(&socket);
                self.add(if config.pipeops.tls.insecure_skip_verify {
                    let seen = shown.map_or("not verified".into(), |it| format!("not verified; {}", it.describe()));
                    Finding::warn(seen)
                        .cure("pipeops.tls.insecure_skip_verify: false, and pipeops.tls.ca_file where there is a private CA")
                } else {
                    certificate::judge(shown.as_ref(), since_1970())
                });
                Ok(socket)
            }
            Err(error) => {
                let mut finding = failed(&RouteError::Plane(error));
                if let Some(shown) = peek(route, addresses, self.patience).await {
                    finding.seen.push_str(&format!(" (it is {})", shown.describe()));
                }
                Err(finding)
            }
        }
    }
}

/// The certificate of a server that is not trusted: asked for on a connection of its own, on which nothing is sent.
async fn peek(route: &Route, addresses: &[SocketAddr], patience: &Patience) -> Option<Certificate> {
    let name = route.plane.tls.as_ref().and_then(|(_, name)| name.clone());
    let anybody = tls::for_plane(&Tls { insecure_skip_verify: true, ..Tls::default() }).ok()?;
    let plane = Remote { host: route.plane.host.clone(), port: route.plane.port, tls: Some((anybody, name)) };
    let socket = route.reach(addresses, patience.deadline()).await.ok()?;
    shown(&secure(&plane, socket, patience.deadline()).await.ok()?)
}

/// The certificate that the server has shown.
fn shown(socket: &Socket) -> Option<Certificate> {
    let Socket::Tls(stream) = socket else { return None };
    Certificate::parse(stream.get_ref().1.peer_certificates()?.first()?)
}

/// What time the server says it is, since 1970.
fn date(response: &Response<Option<Vec<u8>>>) -> Option<Duration> {
    let text = response.headers().get("date")?.to_str().ok()?;
    timestamp::parse_http_date(text).map(Duration::from_millis)
}

fn failed(error: &RouteError) -> Finding {
    Finding::fail(error.to_string()).cure(error.hint(Peer::Plane))
}

fn of_failure(failure: &Failure) -> Finding {
    let finding = Finding::fail(failure.to_string());
    match failure {
        Failure::Transport { hint: Some(hint), .. } => finding.cure(*hint),
        Failure::Transport { hint: None, .. }
        | Failure::Refused { .. }
        | Failure::Closed { .. }
        | Failure::TimedOut(_)
        | Failure::RegistrationRefused(_)
        | Failure::NotRegistered(_)
        | Failure::Silent
        | Failure::HeartbeatsFailed => finding,
    }
}
