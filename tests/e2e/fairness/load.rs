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
use crate::rig::{PATIENCE, Rig, head};
use crate::site::{NAMESPACE, SERVICE, Site, aim, put_service};
use crate::socket::BINARY;

const DEAF: &str = "deaf";
/// Small, because a round trip must not wait for what the plane itself has still to send.
const PIECE: usize = 2 << 10;

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

/// A service that reads heads and no more.
pub(crate) fn deaf(rig: &Rig) -> Backend {
    let backend = Backend::narrow();
    put_service(rig, DEAF, json!({"clusterIP": "127.0.0.1", "ports": [{"port": backend.addr().port()}]}));
    backend
}

/// An exchange with a service that does not read.
pub(crate) struct Deaf {
    stream: AnswerStream,
    peer: Peer,
    websocket: bool,
    over: bool,
}

impl Deaf {
    /// A WebSocket, or an upload.
    #[track_caller]
    pub(crate) fn open(site: &Site, backend: &Backend, websocket: bool) -> Self {
        let port = backend.addr().port();
        if !websocket {
            let request = ProxyRequest { body: Body::Chunked, ..crate::rig::bare("POST", "/") };
            let stream = site.rig.open(aim(request, DEAF, port));
            return Self { stream, peer: backend.accept(), websocket, over: false };
        }
        let mut stream = site.rig.open(aim(ProxyRequest::websocket("/"), DEAF, port));
        let mut peer = backend.accept();
        peer.upgrade(None);
        assert_eq!(head(&mut stream), 101);
        Self { stream, peer, websocket, over: false }
    }

    /// Sends one more piece. False when the agent has had enough.
    pub(crate) fn feed(&mut self, site: &Site) -> bool {
        let (plane, exchange) = (&site.rig.bed.plane, self.stream.exchange());
        let piece = vec![7; PIECE];
        let sent = if self.websocket { plane.send_frame(exchange, BINARY, piece) } else { plane.body_chunk(exchange, piece) };
        self.over |= sent.is_err();
        !self.over
    }

    /// That it ended with a reason, and its connection with it.
    #[track_caller]
    pub(crate) fn ended_with_a_reason(mut self) {
        let mut next = || self.stream.next_within(PATIENCE);
        let reason = if self.websocket {
            assert_eq!(next(), Some(Part::Backpressure("channel_full".into())));
            match next() {
                Some(Part::Closed { code: Some(1013), reason }) => reason,
                other => panic!("{other:?}"),
            }
        } else {
            match next() {
                Some(Part::Abort(reason)) => reason,
                other => panic!("{other:?}"),
            }
        };
        assert!(reason.starts_with("backpressure: "), "{reason}");
        assert!(self.peer.ends(), "the connection to a backend that did not read is left open");
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
            while let Some(Part::Chunk(bytes)) = stream.next_within(PATIENCE) {
                assert_eq!(mismatch(length, &bytes), None);
                length += u64::try_from(bytes.len()).unwrap();
            }
            total.fetch_add(length, Ordering::SeqCst);
        }
    });
}
