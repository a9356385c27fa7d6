//! What the healthy stream has to bear: clients and backends that do not read, and downloads at full speed.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;

use devapp::mismatch;
use devplane::plane::{Body, Part, ProxyRequest};
use devplane::{AnswerStream, AppRoute, Service};
use serde_json::json;

use crate::backend::{Backend, Peer};
use crate::rig::{Rig, head};
use crate::site::{NAMESPACE, SERVICE, Site, aim, put_service};

const DEAF: &str = "deaf";
/// More than all buffers on the way of one stream hold.
const FLOOD: usize = 64 << 20;
/// What a plane usually sends at once.
const PIECE: usize = 32 << 10;

/// Clients of the plane that ask for a download and read nothing of it. They are held by what is returned.
pub(crate) fn clients_that_do_not_read(site: &Site, count: usize, query: &str) -> Vec<TcpStream> {
    let service = Service { namespace: NAMESPACE.into(), name: SERVICE.into(), port: site.app.addr().port() };
    let plane = &site.rig.bed.plane;
    plane.set_app("stalled.example", Some(AppRoute { service: Some(service), ..AppRoute::default() }));
    let address = plane.apps_url().trim_start_matches("http://");
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /download?{query} HTTP/1.1\r\nHost: stalled.example\r\n\r\n").unwrap();
            stream
        })
        .collect()
}

/// How a flood ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) told: bool,
    pub(crate) reason: String,
}

/// A service that reads heads and no more.
pub(crate) fn deaf(rig: &Rig) -> Backend {
    let backend = Backend::narrow();
    put_service(rig, DEAF, json!({"clusterIP": "127.0.0.1", "ports": [{"port": backend.addr().port()}]}));
    backend
}

/// Opens an exchange with a service that does not read, and gives its end, which is to be kept.
#[track_caller]
pub(crate) fn open_deaf(site: &Site, backend: &Backend, websocket: bool) -> (AnswerStream, Peer) {
    let port = backend.addr().port();
    if websocket {
        let mut stream = site.rig.open(aim(ProxyRequest::websocket("/"), DEAF, port));
        let mut peer = backend.accept();
        peer.upgrade(None);
        assert_eq!(head(&mut stream), 101);
        return (stream, peer);
    }
    let request = ProxyRequest { body: Body::Chunked, ..crate::rig::bare("POST", "/") };
    (site.rig.open(aim(request, DEAF, port)), backend.accept())
}

/// Sends to a backend that does not read until the agent has had enough.
pub(crate) fn flood(site: &Site, mut stream: AnswerStream, websocket: bool) -> Outcome {
    let plane = &site.rig.bed.plane;
    let exchange = stream.exchange();
    let sent = (0..FLOOD / PIECE).try_for_each(|_| {
        if websocket { plane.send_frame(exchange, 2, vec![7; PIECE]) } else { plane.body_chunk(exchange, vec![7; PIECE]) }
    });
    assert!(sent.is_err(), "the agent takes everything");
    let mut told = false;
    loop {
        match stream.next_within(crate::rig::PATIENCE) {
            Some(Part::Backpressure(_)) => told = true,
            Some(Part::Closed { code, reason }) => {
                assert_eq!(code, Some(1013));
                return Outcome { told, reason };
            }
            Some(Part::Abort(reason)) => return Outcome { told, reason },
            other => panic!("{other:?}"),
        }
    }
}

/// Downloads one thing after another until `over`, and checks each byte. Gives how many there were.
pub(crate) fn download<'scope>(
    query: &'static str,
    scope: &'scope Scope<'scope, '_>,
    site: &'scope Site,
    over: Arc<AtomicBool>,
    total: &'scope AtomicU64,
) {
    scope.spawn(move || {
        while !over.load(Ordering::SeqCst) {
            let mut stream = site.rig.open(site.get("/download").query(query));
            assert_eq!(head(&mut stream), 200);
            let mut length = 0;
            while let Some(Part::Chunk(bytes)) = stream.next_within(crate::rig::PATIENCE) {
                assert_eq!(mismatch(length, &bytes), None);
                length += u64::try_from(bytes.len()).unwrap();
            }
            total.fetch_add(length, Ordering::SeqCst);
        }
    });
}
