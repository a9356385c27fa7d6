//! Transfers through the agent, each beside the same one made directly, turn by turn.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use devplane::AnswerStream;
use devplane::DevPlaneHandle;
use devplane::plane::{Body, Part, ProxyRequest};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::client::conn::http1::SendRequest;

use crate::Failure;
use crate::agent::Agent;
use crate::backend::{Backend, DOWNLOAD, UPLOAD};
use crate::direct;
use crate::freight::{Freight, PIECE, noise};
use crate::load::{count, median, ratio};
use crate::process::Process;
use crate::report::Report;
use crate::world::World;

/// A buffered answer that fits the agent's ceiling.
const BUFFERED: usize = 4 << 20;
/// What may have left the plane and not reached the backend.
const AHEAD: usize = 1 << 20;
/// Seconds of CPU a gigabyte: what is wanted of a streamed download, and what an upload takes.
const DOWNLOAD_GOAL: f64 = 1.5;
const UPLOAD_READ: f64 = 4.4;
/// What noise may make of it.
const SLACK: f64 = 2.5;

/// Both ways to one backend.
pub(crate) struct Ways {
    pub(crate) plane: Arc<DevPlaneHandle>,
    pub(crate) backend: Backend,
    sender: SendRequest<Freight>,
    authority: String,
    piece: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Direct,
    Streamed,
    Buffered,
    DirectUpload,
    Upload,
}

/// One transfer.
struct Sample {
    rate: f64,
    /// Seconds a gigabyte: of the agent, or of the client that does without.
    cpu: f64,
}

impl Ways {
    pub(crate) async fn new(world: &World, backend: Backend) -> Result<Self, Failure> {
        let sender = direct::connect(backend.address, backend.ca.as_deref()).await?;
        let authority = backend.address.to_string();
        Ok(Self { plane: Arc::clone(&world.plane), backend, sender, authority, piece: noise(PIECE) })
    }

    async fn sample(&mut self, way: Way, total: usize, agent: Process) -> Result<Sample, Failure> {
        let direct = matches!(way, Way::Direct | Way::DirectUpload);
        let cpu = || if direct { Ok(Process::own_thread()) } else { agent.cpu() };
        let before = cpu()?;
        let started = Instant::now();
        let moved = match way {
            Way::Direct => self.directly(Request::get(format!("{DOWNLOAD}?{total}")), 0).await?,
            Way::DirectUpload => {
                self.directly(Request::post(UPLOAD), total).await?;
                total
            }
            Way::Streamed => download(&self.plane, total, true).await?,
            Way::Buffered => {
                let mut moved = 0;
                while moved < total {
                    moved += download(&self.plane, BUFFERED.min(total - moved), false).await?;
                }
                moved
            }
            Way::Upload => self.upload(total).await?,
        };
        let time = started.elapsed();
        let cpu = cpu()?.saturating_sub(before);
        if moved != total {
            return Err(Failure(format!("{way:?}: {moved} bytes instead of {total}")));
        }
        let bytes = count(total);
        Ok(Sample { rate: ratio(bytes / 1e6, time.as_secs_f64()), cpu: ratio(cpu.as_secs_f64(), bytes / 1e9) })
    }

    /// Gives the length of the answer.
    async fn directly(&mut self, request: hyper::http::request::Builder, load: usize) -> Result<usize, Failure> {
        let load = if load > 0 { Freight::chunked(&self.piece, load) } else { Freight::whole("") };
        let request = request.header("host", &self.authority).header("authorization", World::authorization());
        let request = request.body(load).map_err(Failure::of("request"))?;
        let answer = self.sender.send_request(request).await.map_err(Failure::of("request"))?;
        if answer.status() != 200 {
            return Err(Failure(format!("status {}", answer.status())));
        }
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.map_err(Failure::of("answer"))?.data_ref().map_or(0, Bytes::len);
        }
        self.sender.ready().await.map_err(Failure::of("HTTP"))?;
        Ok(length)
    }

    /// Never further ahead of the backend than the agent can bear: the protocol has no way to slow the plane down.
    async fn upload(&mut self, total: usize) -> Result<usize, Failure> {
        let mut request = ProxyRequest::get(UPLOAD).header("Authorization", World::authorization());
        request.method = "POST".into();
        request.body = Body::Chunked;
        let plane = self.plane.plane();
        let mut answer = plane.request(request).await.map_err(Failure::of("request"))?;
        let received = &mut self.backend.received;
        let base = *received.borrow();
        let mut sent = 0;
        while sent < total {
            let piece = self.piece.slice(..PIECE.min(total - sent)).to_vec();
            let length = piece.len();
            tokio::select! {
                // An answer before the end is none that is wanted.
                early = answer.next() => return Err(Failure(format!("upload: {early:?} after {sent} bytes"))),
                room = received.wait_for(|received| sent + length - (received - base) <= AHEAD) => {
                    room.map_err(Failure::of("backend"))?;
                }
            }
            plane.body_chunk(answer.exchange(), piece).await.map_err(Failure::of("upload"))?;
            sent += length;
        }
        plane.body_end(answer.exchange()).await.map_err(Failure::of("upload"))?;
        whole(&mut answer).await?;
        Ok(*received.borrow() - base)
    }
}

/// Gives the length of the answer.
async fn download(plane: &DevPlaneHandle, length: usize, streamed: bool) -> Result<usize, Failure> {
    let request = ProxyRequest::get(DOWNLOAD).query(length.to_string()).header("Authorization", World::authorization());
    let request = if streamed { request } else { request.buffered() };
    let mut answer = plane.plane().request(request).await.map_err(Failure::of("request"))?;
    whole(&mut answer).await
}

async fn whole(answer: &mut AnswerStream) -> Result<usize, Failure> {
    let mut length = 0;
    while let Some(part) = answer.next().await {
        match part {
            Part::Head { status: 200, .. } | Part::End => {}
            Part::Chunk(bytes) => length += bytes.len(),
            Part::Head { .. }
            | Part::Abort(_)
            | Part::Error(_)
            | Part::Frame { .. }
            | Part::Backpressure(_)
            | Part::Closed { .. } => {
                return Err(Failure(format!("transfer: {part:?}")));
            }
        }
    }
    Ok(length)
}

/// All ways by turns, `rounds` times; medians.
pub(crate) async fn measure(
    ways: &mut Ways,
    agent: &Agent,
    total: usize,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    const ALL: [Way; 5] = [Way::Direct, Way::Streamed, Way::Buffered, Way::DirectUpload, Way::Upload];
    let mut samples: [Vec<Sample>; 5] = Default::default();
    // Once without looking, so that connections and buffers are there.
    for way in ALL {
        ways.sample(way, total / 8, agent.process).await?;
    }
    agent.process.forget_peak();
    for _ in 0..rounds {
        for (list, way) in samples.iter_mut().zip(ALL) {
            list.push(ways.sample(way, total, agent.process).await?);
        }
    }
    let [direct, streamed, buffered, direct_upload, upload] = &samples;
    let size = total >> 20;
    let mut pair = |name: &str, own: &[Sample], other: &[Sample], goal: &str, most: f64| {
        let name = |what: &str| format!("{size} MiB {name}: {what}");
        let all = |value: fn(&Sample) -> f64| own.iter().map(value).collect::<Vec<_>>();
        let ratios =
            |value: fn(&Sample) -> f64| own.iter().zip(other).map(|(own, other)| ratio(value(own), value(other))).collect();
        report.figure(&name("agent CPU a gigabyte"), median(all(|sample| sample.cpu)), "s", goal);
        report.figure(&name("agent CPU, direct client = 1"), median(ratios(|sample| sample.cpu)), "", "");
        report.figure(&name("rate"), median(all(|sample| sample.rate)), "MB/s", "");
        report.figure(&name("rate, direct = 1"), median(ratios(|sample| sample.rate)), "", "");
        // Noise only adds: what one turn needed is enough.
        let least = all(|sample| sample.cpu).into_iter().fold(f64::INFINITY, f64::min);
        report.hard(&name("agent CPU a gigabyte"), least, most, "s");
    };
    pair("download, streamed", streamed, direct, "<= 1.5", SLACK * DOWNLOAD_GOAL);
    pair("download, buffered by 4 MiB", buffered, direct, "", f64::INFINITY);
    pair("upload, chunked", upload, direct_upload, "", SLACK * UPLOAD_READ);
    for (name, list) in [("download", direct), ("upload", direct_upload)] {
        let rates = list.iter().map(|sample| sample.rate).collect();
        report.figure(&format!("{size} MiB {name}, direct: rate"), median(rates), "MB/s", "");
    }
    report.figure(&format!("{size} MiB transfers: peak RSS"), crate::megabytes(agent.process.peak()?), "MB", "");
    Ok(())
}
