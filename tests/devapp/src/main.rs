//! `devapp`: the application as a program.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use devapp::{DevApp, Options, tls_from_pem};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
An application to stand behind a tunnel, for tests and demonstrations; never for production.

Usage: devapp [OPTIONS]

Prints one line of JSON once it listens, then serves until SIGTERM or SIGINT.

  --listen ADDRESS     (127.0.0.1:0)
  --tls-cert PATH      a chain of certificates in PEM; needs --tls-key
  --tls-key PATH
  --help, -h
";

/// As in sysexits.
const EXIT_USAGE: u8 = 64;

#[derive(Debug, Default)]
struct Arguments {
    help: bool,
    options: Options,
    tls: Option<(PathBuf, PathBuf)>,
}

fn main() -> ExitCode {
    let outcome = match read(std::env::args_os().skip(1)) {
        Ok(arguments) if arguments.help => io::stdout().write_all(HELP.as_bytes()).map_err(Into::into),
        Ok(arguments) => serve(arguments),
        Err(error) => {
            complain(&format!("{error}\nTry `devapp --help`."));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn complain(text: &str) {
    // When nobody listens there is nobody to tell.
    let _ = writeln!(io::stderr(), "devapp: {text}");
}

fn read(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments::default();
    let (mut certificate, mut key) = (None, None);
    while let Some(word) = parser.next()? {
        match word {
            Long("listen") => arguments.options.listen = parser.value()?.parse()?,
            Long("tls-cert") => certificate = Some(PathBuf::from(parser.value()?)),
            Long("tls-key") => key = Some(PathBuf::from(parser.value()?)),
            Long("help") | Short('h') => arguments.help = true,
            Short(_) | Long(_) | Value(_) => return Err(word.unexpected()),
        }
    }
    arguments.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err("--tls-cert and --tls-key go together".into()),
    };
    Ok(arguments)
}

fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut options = arguments.options;
    if let Some((certificate, key)) = arguments.tls {
        options.tls = Some(tls_from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the line is out: whoever reads it may send the signal at once.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let app = DevApp::spawn(options)?;
        let mut out = io::stdout();
        writeln!(out, "{}", json!({"url": app.url(), "addr": app.addr().to_string()}))?;
        out.flush()?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> Result<Arguments, String> {
        read(words.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_certificate_needs_a_key() {
        assert!(given(&["--tls-cert", "a"]).is_err());
        assert!(given(&["--tls-cert", "a", "--tls-key=b"]).unwrap().tls.is_some());
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(given(&["--port", "1"]).is_err());
        assert!(given(&["--listen", "somewhere"]).is_err());
        assert_eq!(given(&["--listen", "127.0.0.1:9"]).unwrap().options.listen.port(), 9);
    }
}
