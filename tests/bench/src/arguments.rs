//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short};

pub(crate) const HELP: &str = "\
Measures an agent between a control plane and a Kubernetes API that it starts itself. Judge CPU, not time.

Usage: pipeops-bench [OPTIONS]

  --agent PATH  the agent's binary                    (target/release/pipeops-agent)
  --quick       idle for 10 s, load for 1 s at a time (60 s, 2 s)
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

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) agent: PathBuf,
    pub(crate) idle: Duration,
    pub(crate) load: Duration,
    pub(crate) json: Option<PathBuf>,
}

/// Reads the command line, the program's name left out.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Wish, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments {
        agent: PathBuf::from("target/release/pipeops-agent"),
        idle: Duration::from_secs(60),
        load: Duration::from_secs(2),
        json: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Wish::Help),
            Long("agent") => arguments.agent = parser.value()?.into(),
            Long("json") => arguments.json = Some(parser.value()?.into()),
            Long("quick") => {
                arguments.idle = Duration::from_secs(10);
                arguments.load = Duration::from_secs(1);
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
        assert_eq!(arguments.idle, Duration::from_secs(10));
        assert_eq!(arguments.agent, PathBuf::from("a"));
        assert!(read(&["--slow"]).is_err() && read(&["x"]).is_err());
    }
}
