//! Connections and requests: accepting, TLS, and the way of one request from its head to its answer. What an answer
//! says is decided elsewhere.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::apply;
use crate::auth;
use crate::behaviour::Behaviour;
use crate::body::{Body, Source};
use crate::delete;
use crate::discovery;
use crate::exec;
use crate::io::{Flushes, TokioIo};
use crate::list;
use crate::logs;
use crate::openapi;
use crate::options::Token;
use crate::raw;
use crate::recorder::Seen;
use crate::request::Head;
use crate::resources::Access;
use crate::reviews;
use crate::route::{Route, Target, route};
use crate::shared::{Live, Shared};
use crate::status::Refusal;
use crate::upgrade::{Switch, Upgrade};
use crate::view::View;
use crate::watch;
use crate::write;

pub(crate) const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// The real server's limit for objects.
const OBJECT_LIMIT: usize = 3 * 1024 * 1024;
const MAX_CONNECTIONS: usize = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// An answer before it is dressed for the wire.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) source: Source,
    /// The connection is to become a stream; then there is no body.
    pub(crate) upgrade: Option<Upgrade>,
}

impl Reply {
    fn json(status: u16, value: &Value) -> Reply {
        let mut text = value.to_string();
        text.push('\n');
        Reply { status, content_type: "application/json".into(), source: Source::Whole(Bytes::from(text)), upgrade: None }
    }

    fn text(text: &'static str) -> Reply {
        let source = Source::Whole(Bytes::from_static(text.as_bytes()));
        Reply { status: 200, content_type: "text/plain; charset=utf-8".into(), source, upgrade: None }
    }

    fn stream(content_type: &str, source: Source) -> Reply {
        Reply { status: 200, content_type: content_type.into(), source, upgrade: None }
    }

    fn switch(upgrade: Upgrade) -> Reply {
        Reply { status: 101, content_type: String::new(), source: Source::Done, upgrade: Some(upgrade) }
    }
}

/// Accepts for ever; dropping the future drops every connection.
pub(crate) async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(logs::write_while_followed(Arc::clone(&shared)));
    loop {
        tokio::select! {
            accepted = listener.accept(), if tasks.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
                }
                // Out of descriptors, most likely: others have to finish first.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // A failure only means slower small answers.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, shared).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                serve(stream, shared).await;
            }
        }
    }
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T, shared: Arc<Shared>) {
    let flushes = Flushes::default();
    let io = TokioIo::new(stream, flushes.clone());
    let switch = Switch::default();
    let onward = switch.clone();
    let service = service_fn(move |request| {
        let (shared, flushes, switch) = (Arc::clone(&shared), flushes.clone(), switch.clone());
        async move { Ok::<_, Infallible>(answer(&shared, flushes, &switch, request).await) }
    });
    // Clients go away in the middle of things all the time; there is nobody to tell.
    let _ = http1::Builder::new().header_read_timeout(None).serve_connection(io, service).with_upgrades().await;
    if let Some((upgraded, session, live)) = onward.taken().await
        && let Ok(parts) = upgraded.downcast::<TokioIo<T>>()
    {
        session.run(parts.io.into_inner(), &parts.read_buf).await;
        drop(live);
    }
}

async fn answer(shared: &Arc<Shared>, flushes: Flushes, switch: &Switch, mut request: Request<Incoming>) -> Response<Body> {
    let live = Live::begin(shared);
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, incoming) = request.into_parts();
    let seen = record(&parts);
    let head = Head::new(parts);
    let token = auth::identify(&shared.options.tokens, head.bearer());
    let id = shared.arrived(Seen { user: token.map(|token| token.user.clone()), ..seen });
    let behaviour = shared.behaviours().of(&head.path);
    let arranged = match behaviour {
        Some(Behaviour::Hang) => {
            raw::swallow(shared, id, incoming).await;
            std::future::pending().await
        }
        Some(Behaviour::Status(code)) => {
            raw::swallow(shared, id, incoming).await;
            Err(Refusal::arranged(code))
        }
        Some(Behaviour::Delay(time)) => {
            tokio::time::sleep(time).await;
            dispatch(shared, &head, token, id, incoming).await
        }
        Some(Behaviour::HangBody | Behaviour::CutBody | Behaviour::SlowBody { .. }) | None => {
            dispatch(shared, &head, token, id, incoming).await
        }
    };
    let reply = arranged.unwrap_or_else(|refusal| Reply::json(refusal.code, &refusal.to_status()));
    if let Some(upgrade) = &reply.upgrade {
        shared.recorder().protocol(id, upgrade.handshake.protocol.unwrap_or_default());
    }
    shared.answered(id, reply.status);
    let mut response = Response::new(Body::new(reply.source, behaviour, flushes, live));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(upgrade) = reply.upgrade {
        upgrade.handshake.dress(headers);
        switch.arm(on_upgrade, upgrade.session, Live::begin(shared));
        return response;
    }
    if let Ok(content_type) = HeaderValue::from_str(&reply.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(HeaderName::from_static("audit-id"), HeaderValue::from(id));
    response
}

fn record(parts: &Parts) -> Seen {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Seen {
        id: 0,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        user: None,
        status: None,
        protocol: None,
        time: SystemTime::now(),
        body: Bytes::new(),
    }
}

async fn dispatch(
    shared: &Arc<Shared>,
    head: &Head,
    token: Option<&Token>,
    id: u64,
    incoming: Incoming,
) -> Result<Reply, Refusal> {
    let path = head.path.as_str();
    let reading = head.method == Method::GET || head.method == Method::HEAD;
    let open = if reading { open_path(shared, path) } else { None };
    if let Some(reply) = open {
        return Ok(reply);
    }
    let token = token.ok_or_else(Refusal::unauthorized)?;
    if reading && let Some(reply) = raw::blob(shared, path) {
        return Ok(reply);
    }
    if head.method == Method::POST && path == raw::ECHO {
        return Ok(Reply::json(200, &raw::echo(shared, id, incoming).await?));
    }
    if head.method == Method::POST && path == raw::MIRROR {
        return Ok(raw::mirror(shared, id, head.content_type(), incoming));
    }
    let answer = match path.strip_prefix("/openapi/v3") {
        Some(rest) => openapi::answer(rest)?,
        None => match route(path)? {
            Route::CoreVersions => discovery::core_versions(""),
            Route::Groups => discovery::group_list(),
            Route::Group(group) => discovery::group(group),
            Route::Resources(group) => discovery::resource_list(group),
            Route::Object(target) => {
                return object(shared, head, token, id, target, incoming).await;
            }
        },
    };
    if reading { Ok(Reply::json(200, &answer)) } else { Err(Refusal::method_not_allowed()) }
}

/// What anybody may see.
fn open_path(shared: &Shared, path: &str) -> Option<Reply> {
    match path {
        "/healthz" | "/livez" | "/readyz" => Some(Reply::text("ok")),
        "/version" | "/version/" => Some(Reply::json(200, &discovery::version(&shared.options.git_version))),
        _ => None,
    }
}

fn verb(head: &Head, target: &Target) -> Result<&'static str, Refusal> {
    let named = target.name.is_some();
    match (&head.method, named) {
        (&Method::GET, true) => Ok("get"),
        (&Method::GET, false) if head.query.flag("watch") => Ok("watch"),
        (&Method::GET, false) => Ok("list"),
        (&Method::POST, false) => Ok("create"),
        (&Method::POST, true) if target.sub.as_deref().is_some_and(exec::is_stream) => Ok("create"),
        (&Method::PUT, true) => Ok("update"),
        (&Method::PATCH, true) => Ok("patch"),
        (&Method::DELETE, true) => Ok("delete"),
        (&Method::DELETE, false) => Ok("deletecollection"),
        _ => Err(Refusal::method_not_allowed()),
    }
}

async fn object(
    shared: &Arc<Shared>,
    head: &Head,
    token: &Token,
    id: u64,
    target: Target,
    incoming: Incoming,
) -> Result<Reply, Refusal> {
    let verb = verb(head, &target)?;
    auth::check(token, verb, &target)?;
    let kind = target.kind();
    match target.sub.as_deref() {
        None if kind.verbs().contains(&verb) => {}
        Some("status") if kind.status && ["get", "update", "patch"].contains(&verb) => {}
        Some("log") if kind.is("", "pods") && verb == "get" => {
            let key = list::key(&target);
            let pod = list::find(shared, &key)?;
            let source = logs::read(shared, &key, &pod, &head.query)?;
            return Ok(Reply::stream("text/plain", source));
        }
        Some(sub) if kind.is("", "pods") && exec::is_stream(sub) && ["get", "create"].contains(&verb) => {
            return exec::open(shared, head, &target).map(Reply::switch);
        }
        None | Some("status" | "log") => return Err(Refusal::method_not_allowed()),
        Some(_) => return Err(Refusal::no_such_path()),
    }
    match verb {
        "get" => return list::get(shared, head, &target).map(|value| Reply::json(200, &value)),
        "list" => return list::list(shared, head, &target).map(|value| Reply::json(200, &value)),
        "watch" => {
            return watch::start(shared, head, target).map(|source| Reply::stream("application/json", source));
        }
        _ => {}
    }
    let body = collect(shared, id, incoming).await?;
    let (status, object) = match verb {
        "create" if kind.access == Access::Review => {
            let review = reviews::answer(&shared.options, token, kind, &write::parse(head, &body)?)?;
            return Ok(Reply::json(201, &review));
        }
        "create" => (201, write::create(shared, head, &target, write::parse(head, &body)?)?),
        "update" => (200, write::update(shared, head, &target, write::parse(head, &body)?)?),
        "patch" => apply::patch(shared, head, &target, &body)?,
        "delete" => {
            return delete::delete(shared, head, &target, &body).map(|value| Reply::json(200, &value));
        }
        _ => {
            return delete::collection(shared, head, &target, &body).map(|value| Reply::json(200, &value));
        }
    };
    Ok(Reply::json(status, &View::wanted(head).single(kind, &object, SystemTime::now())))
}

async fn collect(shared: &Shared, id: u64, mut incoming: Incoming) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Refusal::bad_request(format!("the body broke off: {error}")))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        shared.recorder().body(id, &bytes);
        if body.len().saturating_add(bytes.len()) > OBJECT_LIMIT {
            return Err(Refusal::too_large(OBJECT_LIMIT));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(Bytes::from(body))
}

/// The acceptor, speaking HTTP/1.1 only, whatever the configuration offered.
pub(crate) fn acceptor(tls: Option<&Arc<rustls::ServerConfig>>) -> Option<TlsAcceptor> {
    let mut config = rustls::ServerConfig::clone(tls?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

pub(crate) async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
