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
use crate::freight::PACED;
use crate::load::{median, percentile};
use crate::process::Process;
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

/// What goes on meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// Less than anything on the way can carry: what the echo waits for is the agent's doing.
    Paced,
    /// As much as the slowest on the way can carry. Before that one, which is the plane, socket buffers are full.
    Flood,
}

#[derive(Default)]
struct Readings {
    p50: Vec<f64>,
    p99: Vec<f64>,
    bulk: Vec<f64>,
    /// Bytes in the agent's socket when the time was over.
    queue: Vec<f64>,
}

impl Readings {
    async fn take(
        &mut self,
        ways: &Ways,
        agent: Process,
        echo: &mut Echo,
        beside: Beside,
        time: Duration,
    ) -> Result<(), Failure> {
        let through_agent = matches!(echo, Echo::Proxied { .. });
        let bulk = match beside {
            Beside::Nothing => None,
            Beside::Paced => Some(Bulk::start(ways, through_agent, BULK_STREAMS, true)?),
            Beside::Flood => Some(Bulk::start(ways, through_agent, BULK_STREAMS, false)?),
        };
        if bulk.is_some() {
            // Until it flows.
            echo.trips(time / 4).await?;
        }
        let latencies = echo.trips(time).await?;
        let percent = |percent| crate::milliseconds(percentile(&latencies, percent));
        self.p50.push(percent(50));
        self.p99.push(percent(99));
        if let Some(bulk) = bulk {
            self.queue.extend(agent.send_queue().filter(|_| through_agent).map(crate::number));
            self.bulk.push(bulk.stop()?);
        }
        Ok(())
    }

    /// One good turn is enough: noise only adds.
    fn least_p99(&self) -> f64 {
        self.p99.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// By turns, `rounds` times; medians.
pub(crate) async fn measure(
    ways: &Ways,
    agent: Process,
    time: Duration,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut proxied = Echo::proxied(&ways.plane).await?;
    let mut direct = Echo::direct(&ways.backend).await?;
    for echo in [&mut proxied, &mut direct] {
        echo.trips(time / 8).await?;
    }
    const ALL: [Beside; 3] = [Beside::Nothing, Beside::Paced, Beside::Flood];
    let mut readings: [[Readings; 2]; 3] = Default::default();
    for _ in 0..rounds {
        for ([through_agent, without], beside) in readings.iter_mut().zip(ALL) {
            through_agent.take(ways, agent, &mut proxied, beside, time).await?;
            without.take(ways, agent, &mut direct, beside, time).await?;
        }
    }
    // A machine that holds up the direct path, or an idle agent, cannot judge the rest.
    let [idle, [paced, direct], _] = &readings;
    let noise = idle.iter().chain([direct]).map(Readings::least_p99).fold(GOAL, f64::max);
    report.hard("exec echo beside paced downloads: p99", paced.least_p99(), SLACK * noise, "ms");
    for ([through_agent, without], beside) in readings.into_iter().zip(ALL) {
        let when = match beside {
            Beside::Nothing => "idle".to_owned(),
            Beside::Paced => format!("beside {BULK_STREAMS} x {PACED}"),
            Beside::Flood => format!("beside {BULK_STREAMS} unbounded"),
        };
        for (reading, way) in [(through_agent, "agent"), (without, "direct")] {
            let name = |what: &str| format!("exec echo, {way}, {when}: {what}");
            let goal = if way == "agent" && beside != Beside::Nothing { "<= 3" } else { "" };
            report.figure(&name("p50"), median(reading.p50), "ms", "");
            report.figure(&name("p99"), median(reading.p99), "ms", goal);
            if !reading.bulk.is_empty() {
                report.figure(&name("their rate"), median(reading.bulk), "MB/s", "");
            }
            if !reading.queue.is_empty() {
                report.figure(&name("in the agent's socket"), median(reading.queue) / 1e3, "kB", "");
            }
        }
    }
    Ok(())
}
