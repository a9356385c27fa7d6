//! `pipeops-bench`: what the agent costs.
//!
//! Plane, Kubernetes API and clients share this process; every figure about the agent is read from the agent's own process, so
//! that none of them counts. Times depend on the machine's other work; CPU and memory hardly do.

#![forbid(unsafe_code)]

mod agent;
mod arguments;
mod backend;
mod bulk;
mod client;
mod direct;
mod echo;
mod freight;
mod load;
mod process;
mod report;
mod sockets;
mod transfer;
mod world;

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use agent::Agent;
use arguments::{Arguments, Budget, HELP, Portion, Wish};
use backend::Backend;
use client::Client;
use load::{count, percentile};
use report::{Report, line};
use transfer::Ways;
use world::{LARGE, LARGE_SIZE, SMALL, SMALL_SIZE, World};

const STARTS: usize = 7;
const RECONNECTS: u32 = 50;
/// Megabytes over all reconnections.
const HARD_GROWTH: f64 = 2.0;

/// Why nothing can be measured.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// For `map_err`: what failed, and how.
    pub(crate) fn of<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

fn main() -> ExitCode {
    let arguments = match arguments::read(std::env::args_os().skip(1)) {
        Ok(Wish::Measure(arguments)) => arguments,
        Ok(Wish::Help) => {
            line(HELP.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(error) => return complain(&format!("{error}\nTry `pipeops-bench --help`."), 64),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = runtime.map_err(Failure::of("runtime")).and_then(|runtime| runtime.block_on(measure(&arguments)));
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(text)) => complain(&text, 2),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "pipeops-bench: {text}");
    ExitCode::from(code)
}

async fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    let binary = std::path::absolute(&arguments.agent).map_err(Failure::of("agent"))?;
    let mut report = Report::default();
    let world = World::start()?;
    size(&binary, &world, arguments.budget, &mut report)?;
    if arguments.want(Portion::Basics) {
        basics(&binary, &world, arguments, &mut report).await?;
    }
    through(&binary, &world, arguments, &mut report).await?;
    let violations = world.plane.plane().violations().await.map_err(Failure::of("control plane"))?;
    report.figure("protocol violations seen by the plane", count(violations.len()), "", "0");
    for violation in violations.iter().take(5) {
        line(&format!("  {violation}"));
    }
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(report.verdict())
}

async fn basics(binary: &Path, world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let home = starts(binary, world, arguments.budget, report).await?;
    let agent = Agent::start(binary, &home, &world.plane).await?;
    idle(&agent, arguments, report).await?;
    reconnects(&agent, report).await?;
    small(world, &agent, arguments.load, report).await?;
    large(world, &agent, arguments.load, report).await?;
    agent.stop().await
}

/// What an agent carries that is more than a small request. Memory is measured of agents that have done nothing else.
async fn through(binary: &Path, world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    if arguments.want(Portion::Transfers) || arguments.want(Portion::Echo) {
        let (agent, mut ways) = way(binary, world, "transfers", true).await?;
        if arguments.want(Portion::Transfers) {
            transfer::measure(&mut ways, &agent, arguments.transfer, arguments.rounds, report).await?;
        }
        if arguments.want(Portion::Echo) {
            echo::measure(&ways, agent.process, arguments.load, arguments.rounds, report).await?;
        }
        agent.stop().await?;
    }
    if arguments.want(Portion::Sockets) {
        for (name, tls) in [("plain", false), ("tls", true)] {
            let (agent, ways) = way(binary, world, name, tls).await?;
            sockets::measure(&ways, &agent, report).await?;
            agent.stop().await?;
        }
    }
    Ok(())
}

/// A backend, an agent before it, and the ways there.
async fn way(binary: &Path, world: &World, name: &str, tls: bool) -> Result<(Agent, Ways), Failure> {
    let backend = Backend::start(tls)?;
    let home = world.new_home_before(name, &backend)?;
    let agent = Agent::start(binary, &home, &world.plane).await?;
    Ok((agent, Ways::new(world, backend).await?))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// From KiB, as the kernel counts, to MB, as the budgets do.
fn megabytes(kib: u64) -> f64 {
    count(usize::try_from(kib).unwrap_or(usize::MAX)) * 1024.0 / 1e6
}

fn number(value: u64) -> f64 {
    count(usize::try_from(value).unwrap_or(usize::MAX))
}

/// Without symbols, whether or not the file has them; where there is no `strip` to tell, of the file as it is.
fn size(binary: &Path, world: &World, budget: Budget, report: &mut Report) -> Result<(), Failure> {
    let stripped = world.file("stripped");
    let strip = std::process::Command::new("strip").arg("-o").arg(&stripped).arg(binary).status();
    let file = match strip {
        Ok(status) if status.success() => &stripped,
        Ok(_) | Err(_) => binary,
    };
    let bytes = std::fs::metadata(file).map_err(|error| Failure(format!("{}: {error}", binary.display())))?.len();
    let size = number(bytes) / 1e6;
    report.figure("binary, stripped", size, "MB", "2.4 lite, 5.0 full (musl)");
    report.hard("binary, stripped", size, budget.binary, "MB");
    Ok(())
}

/// First starts and restarts; gives a folder with state.
async fn starts(binary: &Path, world: &World, budget: Budget, report: &mut Report) -> Result<PathBuf, Failure> {
    let mut homes = Vec::new();
    for number in 0..STARTS {
        homes.push(world.new_home(&format!("agent-{number}"))?);
    }
    for name in ["first start", "restart"] {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for home in &homes {
            let agent = Agent::start(binary, home, &world.plane).await?;
            let now = [agent.to_register, agent.to_heartbeat, agent.cpu_to_heartbeat];
            for (list, time) in times.iter_mut().zip(now) {
                list.push(time);
            }
            agent.stop().await?;
        }
        times.iter_mut().for_each(|list| list.sort_unstable());
        // The best of them: what else the machine does makes starts slower, and none faster.
        let best = times[1].first().copied().map_or(f64::INFINITY, milliseconds);
        report.hard(&format!("{name}: exec to first heartbeat, best"), best, budget.first_heartbeat, "ms");
        let [register, heartbeat, cpu] = times.map(|list| milliseconds(percentile(&list, 50)));
        let goal = if name == "first start" { "<= 10" } else { "" };
        report.figure(&format!("{name}: exec to register"), register, "ms", goal);
        report.figure(&format!("{name}: exec to first heartbeat"), heartbeat, "ms", "<= 15 to 20");
        report.figure(&format!("{name}: CPU until then"), cpu, "ms", "");
    }
    homes.pop().ok_or_else(|| Failure("no starts".into()))
}

async fn idle(agent: &Agent, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let (process, time, budget) = (agent.process, arguments.idle, arguments.budget);
    // What the start leaves to be done (state, facts of the cluster) is not idling.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (ticks, cpu, switches) = (process.ticks()?, process.cpu()?, process.voluntary_switches()?);
    let wire = process.bytes_on_the_wire();
    tokio::time::sleep(time).await;
    let memory = process.memory()?;
    let rss = megabytes(memory.rss);
    let name = |what: &str| format!("idle {} s: {what}", time.as_secs());
    report.figure(&name("RSS"), rss, "MB", "2.5 lite, 4.5 full (musl)");
    report.hard("idle RSS", rss, budget.idle, "MB");
    report.hard("idle private dirty", megabytes(memory.private_dirty), budget.private_dirty, "MB");
    report.figure(&name("private dirty"), megabytes(memory.private_dirty), "MB", "0.5 lite, 1.0 full (musl)");
    report.figure(&name("threads"), number(process.threads()?), "", "");
    report.figure(&name("CPU ticks of 10 ms"), number(process.ticks()?.saturating_sub(ticks)), "", "");
    report.figure(&name("CPU"), milliseconds(process.cpu()?.saturating_sub(cpu)), "ms", "");
    let switches = process.voluntary_switches()?.saturating_sub(switches);
    report.figure(&name("voluntary context switches"), number(switches), "", "");
    if let (Some(before), Some(after)) = (wire, process.bytes_on_the_wire()) {
        let per_hour = number(after.saturating_sub(before)) / time.as_secs_f64() * 3600.0;
        report.figure(&name("on the wire, both directions"), per_hour / 1e3, "kB/h", "");
    }
    Ok(())
}

async fn reconnects(agent: &Agent, report: &mut Report) -> Result<(), Failure> {
    let process = agent.process;
    let (before, cpu) = (process.memory()?, process.cpu()?);
    for _ in 0..RECONNECTS {
        agent.reconnect().await?;
    }
    let cpu = process.cpu()?.saturating_sub(cpu) / RECONNECTS;
    let after = process.memory()?;
    let growth = megabytes(after.rss) - megabytes(before.rss);
    let name = |what: &str| format!("{RECONNECTS} reconnects: {what}");
    report.figure(&name("RSS"), megabytes(after.rss), "MB", "");
    report.figure(&name("growth"), growth, "MB", "<= 2");
    report.hard("growth over reconnects", growth, HARD_GROWTH, "MB");
    report.figure(&name("CPU each"), milliseconds(cpu), "ms", "");
    Ok(())
}

async fn small(world: &World, agent: &Agent, time: Duration, report: &mut Report) -> Result<(), Failure> {
    for in_flight in [1, 16, 64] {
        for way in ["buffered", "streamed", "direct"] {
            let mut clients = Vec::new();
            for _ in 0..in_flight {
                clients.push(match way {
                    "direct" => Client::direct(world, SMALL).await?,
                    _ => Client::proxied(world, SMALL, way == "streamed"),
                });
            }
            let outcome = load::run(clients, SMALL_SIZE, time, agent.process).await?;
            let name = |what: &str| format!("1 kB GET, {way}, {in_flight} in flight: {what}");
            if way != "direct" {
                let goal = if in_flight == 16 { "<= 40" } else { "" };
                report.figure(&name("agent CPU"), microseconds(outcome.cpu_per_request()), "us/req", goal);
            }
            report.figure(&name("rate"), outcome.per_second(), "req/s", "");
            report.figure(&name("p50"), milliseconds(outcome.percentile(50)), "ms", "");
            report.figure(&name("p99"), milliseconds(outcome.percentile(99)), "ms", "");
        }
        let memory = agent.process.memory()?;
        report.figure(&format!("1 kB GET, after {in_flight} in flight: RSS"), megabytes(memory.rss), "MB", "");
    }
    Ok(())
}

async fn large(world: &World, agent: &Agent, time: Duration, report: &mut Report) -> Result<(), Failure> {
    for in_flight in [1, 4] {
        for way in ["streamed", "direct"] {
            let mut clients = Vec::new();
            for _ in 0..in_flight {
                clients.push(match way {
                    "direct" => Client::direct(world, LARGE).await?,
                    _ => Client::proxied(world, LARGE, true),
                });
            }
            let outcome = load::run(clients, LARGE_SIZE, time, agent.process).await?;
            let name = |what: &str| format!("10 MB GET, {way}, {in_flight} in flight: {what}");
            if way != "direct" {
                report.figure(&name("agent CPU a gigabyte"), outcome.cpu_seconds_per_gigabyte(), "s", "<= 1.5");
                report.figure(&name("agent CPU each"), milliseconds(outcome.cpu_per_request()), "ms", "");
                report.figure(&name("peak RSS"), megabytes(agent.process.peak()?), "MB", "");
            }
            report.figure(&name("rate"), outcome.megabytes_per_second(), "MB/s", "");
        }
    }
    Ok(())
}
