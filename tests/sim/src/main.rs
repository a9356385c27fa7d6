//! `pipeops-sim --seeds N [--from S]`, `pipeops-sim --seed S`, `pipeops-sim --herd N`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use pipeops_sim::world::Counts;
use pipeops_sim::{chaos, herd};

const HELP: &str = "pipeops-sim: the agent's machines against random faults, in virtual time

  --seeds N      play N seeds (default 1000)
  --from S       the first seed (default 0)
  --seed S       play one seed twice and compare the traces
  --herd N       N agents after a restart of the plane: the peak of dials a second
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error}\n{HELP}"));
            ExitCode::from(64)
        }
    }
}

fn run() -> Result<bool, lexopt::Error> {
    let (mut seeds, mut from, mut one, mut agents) = (1000u64, 0u64, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seeds") => seeds = parser.value()?.parse()?,
            Long("from") => from = parser.value()?.parse()?,
            Long("seed") => one = Some(parser.value()?.parse()?),
            Long("herd") => agents = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => {
                say(HELP);
                return Ok(true);
            }
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected()),
        }
    }
    if let Some(agents) = agents {
        for outage in [1, 5, 30, 120] {
            let herd = herd::stampede(agents, Duration::from_secs(outage));
            say(&format!(
                "herd: {agents} agents, plane away for {outage} s: at most {} dials a second, {} in all, the last one back after {} ms",
                herd.peak_per_second, herd.dials, herd.last_back
            ));
        }
        return Ok(true);
    }
    if let Some(seed) = one {
        let (first, second) = (chaos::play(seed), chaos::play(seed));
        let same = first.0 == second.0;
        say(&format!("seed {seed}: {:?}, second run {}", first.1, if same { "the same" } else { "DIFFERS" }));
        return Ok(same);
    }
    Ok(play_all(from, seeds))
}

fn play_all(from: u64, seeds: u64) -> bool {
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            std::thread::spawn(move || {
                let (mut failed, mut sum) = (Vec::new(), Counts::default());
                for seed in (from + worker..from + seeds).step_by(usize::try_from(threads).unwrap_or(1)) {
                    match std::panic::catch_unwind(|| chaos::play(seed)) {
                        Ok((_, counts)) => sum.add(&counts),
                        Err(_) => {
                            say(&format!("FAILED seed {seed}; replay: cargo run --profile sim -p pipeops-sim -- --seed {seed}"));
                            failed.push(seed);
                        }
                    }
                }
                (failed, sum)
            })
        })
        .collect();
    let (mut failed, mut sum) = (0, Counts::default());
    for worker in workers {
        if let Ok((seeds, counts)) = worker.join() {
            failed += seeds.len();
            sum.add(&counts);
        } else {
            failed += 1;
        }
    }
    let Counts { steps, completed, streams, upgraded, whole, pressed, frames, .. } = sum;
    say(&format!(
        "simulation: {seeds} seeds, {steps} steps, {completed} exchanges completed; {streams} streams, {upgraded} answered with 101, {whole} ended whole, {pressed} by backpressure, {frames} frames; {failed} seeds failed, {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    failed == 0
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
