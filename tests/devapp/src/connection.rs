//! Connections: accepting, TLS, and one request after another. What is answered is decided elsewhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::head::{Head, HeadError};
use crate::recorder::{Recorder, Seen};
use crate::reply::Answer;
use crate::routes::{self, Request};
use crate::wire::{Duplex, Wire};

const MAX_CONNECTIONS: usize = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts for ever; dropping the future drops every connection.
pub(crate) async fn accept(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, recorder: Arc<Recorder>) {
    // Only without a runtime does this fail.
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if tasks.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, tls.clone(), Counted::new(&recorder)));
                }
                // Out of descriptors, most likely: others have to finish first.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// One connection in the recorder's count.
struct Counted(Arc<Recorder>);

impl Counted {
    fn new(recorder: &Arc<Recorder>) -> Counted {
        recorder.connected();
        Counted(Arc::clone(recorder))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, counted: Counted) {
    // A failure only means slower small answers.
    let _ = stream.set_nodelay(true);
    let secure = tls.is_some();
    let stream: Box<dyn Duplex> = match tls {
        None => Box::new(stream),
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let mut wire = Wire::new(stream);
    loop {
        match Head::read(&mut wire).await {
            Ok(head) => match request(wire, head, secure, &counted.0).await {
                Some(next) => wire = next,
                None => return,
            },
            Err(HeadError::Gone) => return wire.close().await,
            Err(HeadError::TooLarge) => return refuse(wire, 431).await,
            Err(HeadError::Malformed) => return refuse(wire, 400).await,
        }
    }
}

/// One request; the connection, if it can take another.
async fn request(mut wire: Wire, head: Head, secure: bool, recorder: &Recorder) -> Option<Wire> {
    let Ok(body) = Body::of(&head) else {
        refuse(wire, 400).await;
        return None;
    };
    let id = recorder.arrived(Seen {
        method: head.method.clone(),
        path: head.path.clone(),
        query: head.query.text.clone(),
        headers: head.fields.clone(),
        version: format!("HTTP/1.{}", head.minor),
        tls: secure,
        ..Seen::default()
    });
    let ended = Ended { recorder, id };
    let mut request = Request { head, body, id, recorder };
    if let Some(upgraded) = routes::upgrade(&request) {
        upgraded.run(&request, wire).await;
        return None;
    }
    let outcome: io::Result<bool> = routes::answer(&mut request, &mut wire).await;
    drop(ended);
    match outcome {
        Ok(true) if request.body.is_done() => Some(wire),
        Ok(_) => {
            wire.close().await;
            None
        }
        Err(_) => None,
    }
}

/// Says in the end that the request has ended, whatever became of it.
struct Ended<'a> {
    recorder: &'a Recorder,
    id: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.recorder.update(self.id, |seen| seen.ended = true);
    }
}

/// For what is no request.
async fn refuse(mut wire: Wire, status: u16) {
    let head = Head { method: "GET".into(), path: String::new(), query: Default::default(), minor: 0, fields: Vec::new() };
    // If it cannot be told, the end of the connection tells.
    let _ = Answer::whole(&mut wire, &head, status, &[("Content-Type", "text/plain")], b"not a request\n").await;
    wire.close().await;
}
