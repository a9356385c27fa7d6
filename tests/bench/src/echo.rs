//! Messages that come back over an upgraded connection: through the agent and directly, idle and beside bulk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use devapp::frame::{BINARY, Decoder, encode};
use devplane::AnswerStream;
use devplane::DevPlaneHandle;
use devplane::plane::{Part, ProxyRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Failure;
use crate::backend::{Backend, ECHO, PROTOCOL};
use crate::bulk::Bulk;
use crate::direct::{self, Duplex};
use crate::load::{median, percentile};
use crate::report::Report;
use crate::transfer::Ways;
use crate::world::World;

/// A key stroke: the channel's number and a character.
const MESSAGE: &[u8] = b"\0x";
const BULK_STREAMS: usize = 3;
/// Milliseconds beside bulk, and what noise may make of it.
const GOAL: f64 = 3.0;
const SLACK: f64 = 2.5;
const LIMIT: Duration = Duration::from_secs(10);

/// One connection that is upgraded to a WebSocket.
pub(crate) enum Echo {
    Proxied { plane: Arc<DevPlaneHandle>, answer: AnswerStream },
    Direct { socket: Box<dyn Duplex>, decoder: Decoder, buffer: BytesMut },
}

impl Echo {
    pub(crate) async fn proxied(plane: &Arc<DevPlaneHandle>) -> Result<Self, Failure> {
        let request = ProxyRequest::websocket(ECHO)
            .query("command=cat&stdin=true&stdout=true")
            .header("Authorization", World::authorization())
            .header("Sec-Websocket-Protocol", PROTOCOL);
        let mut answer = plane.plane().request(request).await.map_err(Failure::of("echo"))?;
        match answer.next().await {
            Some(Part::Head { status: 101, .. }) => Ok(Self::Proxied { plane: Arc::clone(plane), answer }),
            other => Err(Failure(format!("echo: {other:?}"))),
        }
    }

    async fn direct(backend: &Backend) -> Result<Self, Failure> {
        let mut socket = direct::dial(backend.address, backend.ca.as_deref()).await?;
        let head = format!(
            "GET {ECHO} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n",
            backend.address
        );
        socket.write_all(head.as_bytes()).await.map_err(Failure::of("echo"))?;
        socket.flush().await.map_err(Failure::of("echo"))?;
        let mut buffer = BytesMut::new();
        // The backend says nothing after the head until it is spoken to.
        while !buffer.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut buffer).await.map_err(Failure::of("echo"))? == 0 {
                return Err(Failure("echo: the backend hangs up".into()));
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 101") {
            return Err(Failure("echo: no upgrade".into()));
        }
        buffer.advance(buffer.len());
        Ok(Self::Direct { socket, decoder: Decoder::from_server(1 << 20), buffer })
    }

    /// There and back.
    pub(crate) async fn trip(&mut self) -> Result<(), Failure> {
        let back = match self {
            Self::Proxied { plane, answer } => {
                let exchange = answer.exchange();
                plane.plane().send_frame(exchange, BINARY, MESSAGE.to_vec()).await.map_err(Failure::of("echo"))?;
                match answer.next().await {
                    Some(Part::Frame { opcode: BINARY, data }) => data,
                    other => return Err(Failure(format!("echo: {other:?}"))),
                }
            }
            Self::Direct { socket, decoder, buffer } => {
                let bytes = encode(true, BINARY, MESSAGE, Some([1, 2, 3, 4]));
                socket.write_all(&bytes).await.map_err(Failure::of("echo"))?;
                socket.flush().await.map_err(Failure::of("echo"))?;
                loop {
                    if let Some(frame) = decoder.next_frame().map_err(Failure::of("echo"))? {
                        break frame.payload.to_vec();
                    }
                    buffer.clear();
                    if socket.read_buf(buffer).await.map_err(Failure::of("echo"))? == 0 {
                        return Err(Failure("echo: the backend hangs up".into()));
                    }
                    decoder.push(buffer);
                }
            }
        };
        if back == MESSAGE { Ok(()) } else { Err(Failure("echo: another message came back".into())) }
    }

    async fn trips(&mut self, time: Duration) -> Result<Vec<Duration>, Failure> {
        let end = Instant::now() + time;
        let mut latencies = Vec::new();
        while Instant::now() < end {
            let started = Instant::now();
            tokio::time::timeout(LIMIT, self.trip()).await.map_err(|_| Failure("echo: nothing comes back".into()))??;
            latencies.push(started.elapsed());
        }
        latencies.sort_unstable();
        Ok(latencies)
    }
}

#[derive(Default)]
struct Readings {
    p50: Vec<f64>,
    p99: Vec<f64>,
    bulk: Vec<f64>,
}

/// By turns, `rounds` times; medians.
pub(crate) async fn measure(ways: &Ways, time: Duration, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let mut proxied = Echo::proxied(&ways.plane).await?;
    let mut direct = Echo::direct(&ways.backend).await?;
    for echo in [&mut proxied, &mut direct] {
        echo.trips(time / 8).await?;
    }
    let mut readings: [Readings; 4] = Default::default();
    for _ in 0..rounds {
        for (number, reading) in readings.iter_mut().enumerate() {
            let (through_agent, beside_bulk) = (number % 2 == 0, number >= 2);
            let bulk = if beside_bulk { Some(Bulk::start(ways, through_agent, BULK_STREAMS)?) } else { None };
            let echo = if through_agent { &mut proxied } else { &mut direct };
            if bulk.is_some() {
                // Until the bulk flows.
                echo.trips(time / 8).await?;
            }
            let latencies = echo.trips(time).await?;
            let percent = |percent| crate::milliseconds(percentile(&latencies, percent));
            reading.p50.push(percent(50));
            reading.p99.push(percent(99));
            if let Some(bulk) = bulk {
                reading.bulk.push(bulk.stop()?);
            }
        }
    }
    let least = |list: &[f64]| list.iter().copied().fold(f64::INFINITY, f64::min);
    let bulk = format!("beside {BULK_STREAMS} downloads");
    let [own_idle, direct_idle, own_bulk, direct_bulk] = readings;
    let (best, direct_best) = (least(&own_bulk.p99), least(&direct_bulk.p99));
    for (reading, way, when) in
        [(own_idle, "agent", "idle"), (direct_idle, "direct", "idle"), (own_bulk, "agent", &bulk), (direct_bulk, "direct", &bulk)]
    {
        let name = |what: &str| format!("exec echo, {way}, {when}: {what}");
        let goal = if way == "agent" && when != "idle" { "<= 3" } else { "" };
        report.figure(&name("p50"), median(reading.p50), "ms", "");
        report.figure(&name("p99"), median(reading.p99), "ms", goal);
        if !reading.bulk.is_empty() {
            report.figure(&name("rate of those"), median(reading.bulk), "MB/s", "");
        }
    }
    // One good turn is enough, and a machine that holds up the direct path cannot judge the other.
    report.hard("exec echo beside downloads: p99", best, (GOAL * SLACK).max(SLACK * direct_best), "ms");
    Ok(())
}
