//! The programs that pods can run. All are built in; nothing of the host runs.
//!
//! | Command | What it does |
//! |---|---|
//! | `cat` | stdin to stdout; with a terminal as `sh` |
//! | `echo WORD…` | the words |
//! | `sha256sum` | of stdin |
//! | `exit N`, `true`, `false` | ends with that code |
//! | `stderr WORD…` | the words, on stderr |
//! | `both` | `out` on stdout and `err` on stderr |
//! | `lines N` | `line 1` to `line N` |
//! | `bytes N` | so much of devapp's pattern |
//! | `size` | with a terminal: each size as `ROWSxCOLUMNS`, until Ctrl-D or the end of stdin |
//! | `sleep` | until the client is gone |
//! | `stall` | the same, and reads nothing |
//! | `sh -c TEXT` | the text as a command |
//! | `sh` | stdin comes back; with a terminal as it echoes, until Ctrl-D |

use std::time::Duration;

use bytes::Bytes;
use devapp::pattern;
use ring::digest::{Context, SHA256};

use crate::session::{Console, Gone};

const PIECE: usize = 32 * 1024;
/// How soon a process that reads nothing notices that its client is gone.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const LINE_LIMIT: usize = 64 * 1024;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// The pod's own process: gives back each line when it is complete.
    Attached,
    Cat,
    Echo(String),
    Sum,
    Exit(u8),
    Stderr(String),
    Both,
    Lines(u64),
    Bytes(u64),
    Size,
    Sleep,
    Stall,
    Unknown(String),
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exit(u8),
    NotStarted(String),
}

impl Program {
    pub(crate) fn parse(words: &[String]) -> Program {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let name = words.first().copied().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or(name);
        let rest = words.get(1..).unwrap_or_default();
        if let ("sh" | "bash", ["-c", text, ..]) = (name, rest) {
            let inner: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let nested = matches!(inner.first().map(String::as_str), Some("sh" | "bash"));
            return if nested { Program::Unknown((*text).to_owned()) } else { Program::parse(&inner) };
        }
        let number = || rest.first().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        match name {
            "cat" | "sh" | "bash" => Program::Cat,
            "echo" => Program::Echo(rest.join(" ")),
            "sha256sum" => Program::Sum,
            "true" => Program::Exit(0),
            "false" => Program::Exit(1),
            // As a shell does, by the lowest eight bits.
            "exit" => Program::Exit(u8::try_from(number() & 0xff).unwrap_or_default()),
            "stderr" => Program::Stderr(rest.join(" ")),
            "both" => Program::Both,
            "lines" => Program::Lines(number()),
            "bytes" => Program::Bytes(number()),
            "size" => Program::Size,
            "sleep" => Program::Sleep,
            "stall" => Program::Stall,
            other => Program::Unknown(other.to_owned()),
        }
    }

    pub(crate) async fn run(self, console: &mut Console) -> Result<Outcome, Gone> {
        match self {
            Program::Attached => lines_back(console).await?,
            Program::Cat if console.tty => return terminal(console).await,
            Program::Cat => {
                while let Some(bytes) = console.stdin.recv().await {
                    console.stdout(&bytes).await?;
                }
            }
            Program::Echo(text) => line(console, &text).await?,
            Program::Sum => {
                let mut context = Context::new(&SHA256);
                while let Some(bytes) = console.stdin.recv().await {
                    context.update(&bytes);
                }
                let sum: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                line(console, &format!("{sum}  -")).await?;
            }
            Program::Exit(code) => return Ok(Outcome::Exit(code)),
            Program::Stderr(text) => console.stderr(format!("{text}\n").as_bytes()).await?,
            Program::Both => {
                line(console, "out").await?;
                console.stderr(b"err\n").await?;
            }
            Program::Lines(count) => {
                for number in 1..=count {
                    line(console, &format!("line {number}")).await?;
                }
            }
            Program::Bytes(count) => bytes(console, count).await?,
            Program::Size => return sizes(console).await,
            // Its stdin is read away, so that the client's end is noticed where it comes.
            Program::Sleep => {
                while console.stdin.recv().await.is_some() {}
                return std::future::pending().await;
            }
            Program::Stall => return idle(console).await,
            Program::Unknown(name) => {
                return Ok(Outcome::NotStarted(format!("exec: {name:?}: executable file not found in $PATH")));
            }
        }
        Ok(Outcome::Exit(0))
    }
}

async fn line(console: &Console, text: &str) -> Result<(), Gone> {
    let end = if console.tty { "\r\n" } else { "\n" };
    console.stdout(format!("{text}{end}").as_bytes()).await
}

async fn bytes(console: &Console, count: u64) -> Result<(), Gone> {
    let mut buffer = vec![0; PIECE];
    let mut sent = 0;
    while sent < count {
        let size = usize::try_from(count - sent).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..size).unwrap_or_default();
        pattern(sent, piece);
        console.stdout(piece).await?;
        sent = sent.saturating_add(u64::try_from(size).unwrap_or(count));
    }
    Ok(())
}

/// What a terminal shows of what is typed.
fn typed(bytes: &Bytes) -> Vec<u8> {
    let mut shown = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\r' | b'\n' => shown.extend_from_slice(b"\r\n"),
            other => shown.push(*other),
        }
    }
    shown
}

fn has(bytes: &Bytes, key: u8) -> bool {
    bytes.contains(&key)
}

async fn terminal(console: &mut Console) -> Result<Outcome, Gone> {
    while let Some(bytes) = console.stdin.recv().await {
        if has(&bytes, CTRL_C) {
            return Ok(Outcome::Exit(130));
        }
        if has(&bytes, CTRL_D) {
            break;
        }
        console.stdout(&typed(&bytes)).await?;
    }
    Ok(Outcome::Exit(0))
}

async fn sizes(console: &mut Console) -> Result<Outcome, Gone> {
    loop {
        tokio::select! {
            size = console.sizes.recv() => match size {
                Some((rows, columns)) => line(console, &format!("{rows}x{columns}")).await?,
                None => return Ok(Outcome::Exit(0)),
            },
            bytes = console.stdin.recv() => {
                if bytes.is_none_or(|bytes| has(&bytes, CTRL_D)) {
                    return Ok(Outcome::Exit(0));
                }
            }
        }
    }
}

async fn lines_back(console: &mut Console) -> Result<(), Gone> {
    let mut begun = Vec::new();
    while let Some(bytes) = console.stdin.recv().await {
        for byte in bytes {
            let ends = matches!(byte, b'\n' | b'\r');
            if !ends {
                begun.push(byte);
            }
            if ends || begun.len() >= LINE_LIMIT {
                begun.extend_from_slice(if console.tty { b"\r\n" } else { b"\n" });
                console.stdout(&begun).await?;
                begun.clear();
            }
        }
    }
    Ok(())
}

/// Until the client is gone.
async fn idle(console: &Console) -> Result<Outcome, Gone> {
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        console.ping().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Program {
        Program::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_found_with_and_without_a_shell() {
        assert_eq!(parsed(&["/bin/echo", "a", "b"]), Program::Echo("a b".into()));
        assert_eq!(parsed(&["sh", "-c", "exit 300"]), Program::Exit(44));
        assert_eq!(parsed(&["sh", "-c", "echo  a"]), Program::Echo("a".into()));
        assert_eq!(parsed(&["bash"]), Program::Cat);
        assert_eq!(parsed(&["bytes", "x"]), Program::Bytes(0));
        assert!(matches!(parsed(&["sh", "-c", "sh -c sh"]), Program::Unknown(_)));
        assert!(matches!(parsed(&["rm"]), Program::Unknown(_)));
    }

    #[test]
    fn a_terminal_turns_returns_into_lines() {
        assert_eq!(typed(&Bytes::from_static(b"a\rb\n")), b"a\r\nb\r\n");
    }
}
