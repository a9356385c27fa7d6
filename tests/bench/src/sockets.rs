//! What WebSockets cost that say nothing.

use std::time::Duration;

use crate::Failure;
use crate::agent::Agent;
use crate::echo::Echo;
use crate::load::{count, ratio};
use crate::report::Report;
use crate::transfer::Ways;

const SOCKETS: usize = 500;
/// Opened before, so that what the first ones need is not counted.
const FIRST: usize = 16;
/// Kilobytes each, over plain TCP, and what may become of it.
const GOAL: f64 = 8.0;
const SLACK: f64 = 2.5;
/// For what is left to be done after the last message.
const REST: Duration = Duration::from_millis(500);

/// Each has carried one message.
pub(crate) async fn measure(ways: &Ways, agent: &Agent, report: &mut Report) -> Result<(), Failure> {
    let plain = ways.backend.ca.is_none();
    let mut sockets = open(ways, FIRST).await?;
    tokio::time::sleep(REST).await;
    let before = agent.process.memory()?;
    sockets.extend(open(ways, SOCKETS).await?);
    tokio::time::sleep(REST).await;
    let after = agent.process.memory()?;
    let each = |after: u64, before: u64| ratio((crate::megabytes(after) - crate::megabytes(before)) * 1e3, count(SOCKETS));
    let name = |what: &str| format!("{SOCKETS} idle WebSockets, {}: {what}", if plain { "plain" } else { "TLS" });
    let rss = each(after.rss, before.rss);
    report.figure(&name("RSS each"), rss, "kB", if plain { "<= 8" } else { "" });
    report.figure(&name("private dirty each"), each(after.private_dirty, before.private_dirty), "kB", "");
    if plain {
        report.hard(&name("RSS each"), rss, GOAL * SLACK, "kB");
    }
    drop(sockets);
    tokio::time::sleep(REST).await;
    report.figure(&name("RSS after"), crate::megabytes(agent.process.memory()?.rss), "MB", "");
    Ok(())
}

async fn open(ways: &Ways, number: usize) -> Result<Vec<Echo>, Failure> {
    let mut sockets = Vec::new();
    for _ in 0..number {
        let mut socket = Echo::proxied(&ways.plane).await?;
        socket.trip().await?;
        sockets.push(socket);
    }
    Ok(sockets)
}
