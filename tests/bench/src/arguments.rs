//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt as _};

pub(crate) const HELP: &str = "\
Measures an agent between a control plane and a Kubernetes API that it starts itself. Judge CPU, not time.

Usage: pipeops-bench [OPTIONS]

  --agent PATH  the agent's binary                    (target/release/pipeops-agent)
  --quick       everything shorter: idle for 4 s instead of 60 s, load for 0.3 s at a time instead of 2 s, transfers of
                16 MiB instead of 256 MiB, each three times instead of five
  --only PART   basics, transfers, echo or sockets; more than once for several
  --budget SET  lite or full: hold the figures of a static musl build against the budgets of that set of features
  --json FILE   write the figures there as well
  --help, -h

Exit codes: 0 within the hard budgets, 1 above one of them, 2 nothing could be measured, 64 wrong usage.
";

/// What is wanted.
#[derive(Debug)]
pub(crate) enum Wish {
    Help,
    Measure(Arguments),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Portion {
    /// Start, rest, reconnections, single requests.
    Basics,
    Transfers,
    Echo,
    Sockets,
}

impl Portion {
    fn named(name: &str) -> Option<Self> {
        match name {
            "basics" => Some(Self::Basics),
            "transfers" => Some(Self::Transfers),
            "echo" => Some(Self::Echo),
            "sockets" => Some(Self::Sockets),
            _ => None,
        }
    }
}

/// What a static build must not exceed: megabytes, and milliseconds for the best of several starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    pub(crate) binary: f64,
    pub(crate) idle: f64,
    pub(crate) private_dirty: f64,
    pub(crate) first_heartbeat: f64,
}

impl Budget {
    /// Builds with the C library of the machine share it with others, and are held against what they must never reach.
    const ANY: Self = Self { binary: 5.0, idle: 16.0, private_dirty: 4.0, first_heartbeat: 1000.0 };
    const LITE: Self = Self { binary: 2.4, idle: 2.5, private_dirty: 0.5, first_heartbeat: 15.0 };
    const FULL: Self = Self { binary: 5.0, idle: 4.5, private_dirty: 1.0, first_heartbeat: 20.0 };

    fn named(name: &str) -> Option<Self> {
        match name {
            "lite" => Some(Self::LITE),
            "full" => Some(Self::FULL),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) agent: PathBuf,
    pub(crate) idle: Duration,
    pub(crate) load: Duration,
    /// Bytes of one transfer.
    pub(crate) transfer: usize,
    pub(crate) rounds: usize,
    pub(crate) budget: Budget,
    /// Empty for all.
    only: Vec<Portion>,
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn want(&self, portion: Portion) -> bool {
        self.only.is_empty() || self.only.contains(&portion)
    }
}

/// Reads the command line, the program's name left out.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Wish, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments {
        agent: PathBuf::from("target/release/pipeops-agent"),
        idle: Duration::from_secs(60),
        load: Duration::from_secs(2),
        transfer: 256 << 20,
        rounds: 5,
        budget: Budget::ANY,
        only: Vec::new(),
        json: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Wish::Help),
            Long("agent") => arguments.agent = parser.value()?.into(),
            Long("only") => {
                let name = parser.value()?.string()?;
                let portion = Portion::named(&name).ok_or_else(|| format!("there is no part {name}"))?;
                arguments.only.push(portion);
            }
            Long("budget") => {
                let name = parser.value()?.string()?;
                arguments.budget = Budget::named(&name).ok_or_else(|| format!("there is no budget {name}"))?;
            }
            Long("json") => arguments.json = Some(parser.value()?.into()),
            Long("quick") => {
                arguments.idle = Duration::from_secs(4);
                arguments.load = Duration::from_millis(300);
                arguments.transfer = 16 << 20;
                arguments.rounds = 3;
            }
            Long(_) | Short(_) | lexopt::Arg::Value(_) => return Err(argument.unexpected()),
        }
    }
    Ok(Wish::Measure(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_shortens_and_nonsense_is_refused() {
        let read = |words: &[&str]| read(words.iter().map(OsString::from));
        let Ok(Wish::Measure(arguments)) = read(&["--quick", "--agent", "a"]) else { panic!("refused") };
        assert_eq!(arguments.idle, Duration::from_secs(4));
        assert_eq!(arguments.agent, PathBuf::from("a"));
        assert!(arguments.want(Portion::Echo));
        let Ok(Wish::Measure(arguments)) = read(&["--only", "echo"]) else { panic!("refused") };
        assert!(arguments.want(Portion::Echo) && !arguments.want(Portion::Basics));
        let Ok(Wish::Measure(arguments)) = read(&["--budget", "lite"]) else { panic!("refused") };
        assert_eq!(arguments.budget, Budget::LITE);
        assert!(read(&["--only", "all"]).is_err() && read(&["--budget", "small"]).is_err());
        assert!(read(&["--slow"]).is_err() && read(&["x"]).is_err());
    }
}
