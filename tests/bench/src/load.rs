//! Load: some clients, each with one request after the other, for some time.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::client::Client;
use crate::process::Process;

/// Each client has at least this many, however slow.
const LEAST: usize = 4;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
    /// Of the agent.
    pub(crate) cpu: Duration,
    latencies: Vec<Duration>,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        ratio(count(self.requests), self.time.as_secs_f64())
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        ratio(count(self.bytes) / 1e6, self.time.as_secs_f64())
    }

    pub(crate) fn cpu_per_request(&self) -> Duration {
        self.cpu.checked_div(u32::try_from(self.requests).unwrap_or(u32::MAX)).unwrap_or_default()
    }

    pub(crate) fn cpu_seconds_per_gigabyte(&self) -> f64 {
        ratio(self.cpu.as_secs_f64(), count(self.bytes) / 1e9)
    }

    /// The latency that so many percent of the requests did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.latencies, percent)
    }
}

/// Of a sorted list.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

/// Of the middle two the lower.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Exact up to 2^53.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "figures of a few digits")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

pub(crate) fn ratio(over: f64, under: f64) -> f64 {
    if under > 0.0 { over / under } else { 0.0 }
}

/// Runs all clients for a while, first without looking, so that connections and buffers are there.
pub(crate) async fn run(clients: Vec<Client>, size: usize, time: Duration, agent: Process) -> Result<Outcome, Failure> {
    let (clients, _) = stretch(clients, size, time / 8).await?;
    agent.forget_peak();
    let before = agent.cpu()?;
    let started = Instant::now();
    let (_, mut latencies) = stretch(clients, size, time).await?;
    let time = started.elapsed();
    let cpu = agent.cpu()?.saturating_sub(before);
    latencies.sort_unstable();
    Ok(Outcome { requests: latencies.len(), bytes: latencies.len() * size, time, cpu, latencies })
}

async fn stretch(clients: Vec<Client>, size: usize, time: Duration) -> Result<(Vec<Client>, Vec<Duration>), Failure> {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let mut latencies = Vec::new();
            while latencies.len() < LEAST || Instant::now() < end {
                let started = Instant::now();
                let length = client.get().await?;
                latencies.push(started.elapsed());
                if length != size {
                    return Err(Failure(format!("an answer of {length} bytes instead of {size}")));
                }
            }
            Ok((client, latencies))
        });
    }
    let mut clients = Vec::new();
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (client, latencies) = ended.map_err(Failure::of("client"))??;
        clients.push(client);
        all.extend(latencies);
    }
    Ok((clients, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let list: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&list, 50), Duration::from_millis(100));
        assert_eq!(percentile(&list, 99), Duration::from_millis(198));
        assert_eq!(percentile(&list, 100), Duration::from_millis(200));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
        assert!(median(vec![3.0, 1.0, 2.0]).total_cmp(&2.0).is_eq());
    }
}
