//! Bulk beside which something else is measured: streamed downloads, several at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use devplane::DevPlaneHandle;
use devplane::plane::{Part, ProxyRequest};
use http_body_util::BodyExt as _;
use hyper::Request;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Failure;
use crate::backend::{DOWNLOAD, SLOWLY};
use crate::direct;
use crate::freight::Freight;
use crate::load::{count, ratio};
use crate::transfer::Ways;
use crate::world::World;

/// Of one download.
const LENGTH: usize = 64 << 20;

/// Runs on a thread of its own until it is stopped.
pub(crate) struct Bulk {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
    moved: Arc<AtomicUsize>,
    started: Instant,
}

#[derive(Clone)]
enum Source {
    Agent(Arc<DevPlaneHandle>),
    Direct(SocketAddr, Option<String>),
}

impl Bulk {
    pub(crate) fn start(ways: &Ways, through_agent: bool, streams: usize, paced: bool) -> Result<Self, Failure> {
        let source = if through_agent {
            Source::Agent(Arc::clone(&ways.plane))
        } else {
            Source::Direct(ways.backend.address, ways.backend.ca.clone())
        };
        let moved = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&moved);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of("runtime"))?;
        let run = move || {
            runtime.block_on(async {
                let mut running = JoinSet::new();
                for _ in 0..streams {
                    running.spawn(pull(source.clone(), paced, Arc::clone(&counter)));
                }
                tokio::select! {
                    Some(ended) = running.join_next() => ended.map_err(Failure::of("bulk"))?,
                    _ = stopped => Ok(()),
                }
            })
        };
        let thread = thread::Builder::new().name("bulk".into()).spawn(run).map_err(Failure::of("thread"))?;
        Ok(Self { stop, thread, moved, started: Instant::now() })
    }

    /// Gives the rate in MB/s.
    pub(crate) fn stop(self) -> Result<f64, Failure> {
        let rate = ratio(count(self.moved.load(Ordering::Relaxed)) / 1e6, self.started.elapsed().as_secs_f64());
        // Where it has ended by itself, it says why.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| Failure("bulk: panic".into()))??;
        Ok(rate)
    }
}

/// Without end.
async fn pull(source: Source, paced: bool, moved: Arc<AtomicUsize>) -> Result<(), Failure> {
    let query = format!("{LENGTH}{}", if paced { SLOWLY } else { "" });
    match source {
        Source::Agent(plane) => loop {
            let request = ProxyRequest::get(DOWNLOAD).query(&query).header("Authorization", World::authorization());
            let mut answer = plane.plane().request(request).await.map_err(Failure::of("bulk"))?;
            while let Some(part) = answer.next().await {
                if let Part::Chunk(bytes) = &part {
                    moved.fetch_add(bytes.len(), Ordering::Relaxed);
                } else if !matches!(part, Part::Head { status: 200, .. } | Part::End) {
                    return Err(Failure(format!("bulk: {part:?}")));
                }
            }
        },
        Source::Direct(address, ca) => {
            let mut sender = direct::connect(address, ca.as_deref()).await?;
            loop {
                let request = Request::get(format!("{DOWNLOAD}?{query}")).header("host", address.to_string());
                let request = request.body(Freight::whole("")).map_err(Failure::of("bulk"))?;
                let mut body = sender.send_request(request).await.map_err(Failure::of("bulk"))?.into_body();
                while let Some(frame) = body.frame().await {
                    let length = frame.map_err(Failure::of("bulk"))?.data_ref().map_or(0, Bytes::len);
                    moved.fetch_add(length, Ordering::Relaxed);
                }
                sender.ready().await.map_err(Failure::of("bulk"))?;
            }
        }
    }
}
