//! `devplane serve`: the reference control plane as a program.

mod arguments;
mod mini_kube;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use devplane::DevPlane;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, HELP, Wish};
use mini_kube::MiniKube;

/// As in sysexits.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    match arguments::read(std::env::args_os().skip(1)) {
        Ok(Wish::Help) => match io::stdout().write_all(HELP.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Wish::Serve(arguments)) => match serve(*arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            complain(&format!("{error}\nTry `devplane --help`."));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn complain(text: &str) {
    // There is nowhere left to report a failure to.
    let _ = writeln!(io::stderr(), "devplane: {text}");
}

fn serve(arguments: Arguments) -> Result<(), String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?
        .block_on(serve_until_signal(arguments))
}

async fn serve_until_signal(arguments: Arguments) -> Result<(), String> {
    // Asked for before the line on stdout, so that whoever reads it may send a signal at once.
    let no_signal = |error: io::Error| format!("cannot receive signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;

    let Arguments { mut options, mini_kube, kubeconfig, kube_listen, verbose } = arguments;
    if verbose {
        options.journal = Some(Arc::new(|line: &str| {
            let _ = writeln!(io::stderr(), "{line}");
        }));
    }
    let files = tempfile::Builder::new().prefix("devplane-").tempdir();
    let files = files.map_err(|error| format!("cannot make a directory for files: {error}"))?;
    options.ca_file.get_or_insert_with(|| files.path().join("ca.pem"));
    let kube = if mini_kube {
        let path = kubeconfig.unwrap_or_else(|| files.path().join("kubeconfig"));
        Some(MiniKube::start(kube_listen, path, options.public_host.as_slice()).await?)
    } else {
        None
    };
    let plane = DevPlane::start(options).await.map_err(|error| error.to_string())?;

    let mut facts = json!({
        "api_url": plane.api_url(), "token": plane.token(), "ca_file": plane.ca_file(),
        "kube_url": plane.kube_url(), "apps_url": plane.apps_url(),
    });
    if let Some(gateway) = plane.gateway_url() {
        facts["gateway_url"] = gateway.into();
    }
    if let Some(kube) = &kube {
        facts["kubeconfig"] = kube.kubeconfig.to_string_lossy().into();
        facts["kube_token"] = kube.token.as_str().into();
    }
    let mut stdout = io::stdout();
    writeln!(stdout, "{facts}").and_then(|()| stdout.flush()).map_err(|error| format!("cannot write: {error}"))?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    plane.shutdown().await;
    Ok(())
}
