//! `pipeops-agent`: joins a private Kubernetes cluster to the PipeOps control plane through one outbound WebSocket.

#![forbid(unsafe_code)]

mod arguments;
mod ask;
mod clock;
mod cluster;
mod config;
mod connect;
mod dial;
mod doctor;
mod driver;
mod explain;
mod facts;
mod go_duration;
mod identity;
mod inspect;
mod kubeconfig;
mod link;
mod listener;
mod logger;
mod messages;
mod proxy;
mod quiet;
mod reload;
mod report;
mod route;
mod schema;
mod secret;
mod services;
mod signal;
mod start;
mod state;
mod status;
mod tls;
mod token;
mod upstream;
mod version;
mod yaml;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use arguments::{Arguments, Command, UsageError};
use config::{Config, ConfigError, Disk, Features, ProcessEnvironment};
use explain::Question;
use log::{debug, error, info, warn};

/// musl's own gives the memory of every large message back to the kernel and fetches it again for the next one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What this build contains.
const FEATURES: Features = Features { ingress_sync: false };

fn main() -> ExitCode {
    match Arguments::parse(std::env::args_os().skip(1)) {
        Err(usage) => fail(&usage, UsageError::EXIT_CODE),
        Ok(arguments) => match arguments.command {
            Command::Help(words) => print(&arguments::help(words)),
            Command::Version => print(&if arguments.has("--json") { version::json(FEATURES) } else { version::text(FEATURES) }),
            Command::ConfigCheck => inspect::check(&arguments, FEATURES).write(),
            Command::ConfigShow => inspect::show(&arguments, FEATURES).write(),
            Command::ConfigSchema => print(&schema::schema()),
            Command::Completions => match arguments::completions(&arguments) {
                Ok(script) => print(&script),
                Err(usage) => fail(&usage, UsageError::EXIT_CODE),
            },
            Command::Manual => print(&arguments::manual()),
            Command::ExplainPolicy => explain_policy(&arguments),
            Command::Doctor => {
                // Where nobody reads there is nobody to tell; the exit code still says how it went.
                let mut out = |lines: &str| {
                    print(lines);
                };
                let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                ExitCode::from(doctor::run(&arguments, FEATURES, &mut out, colour))
            }
            Command::Status => ask_status(&arguments),
            Command::Run => run(&arguments),
        },
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    let (config, warnings) = match Config::load(arguments, &ProcessEnvironment, &Disk, FEATURES) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, ConfigError::EXIT_CODE),
    };
    if logger::init(config.logging.level, config.logging.format).is_err() {
        return ExitCode::FAILURE;
    }
    info!(version = version::VERSION, cluster_name = config.agent.cluster_name.as_str(); "{}", messages::STARTING);
    if let Some(file) = &config.file {
        info!(file = file.display().to_string(); "{}", messages::CONFIGURATION_FILE);
    }
    report::warnings(&warnings);
    for setting in config.effective() {
        let value = setting.text.as_deref().unwrap_or("unset");
        debug!(setting = setting.key.path, value = value, source = setting.source.to_string(); "Effective setting");
    }
    info!("{}", messages::INGRESS_SYNC_DISABLED);
    if config.agent.auto_install_components {
        warn!("{}", messages::NO_COMPONENTS);
    }
    // For name look-ups, two so that one that hangs does not hold the next one back, and for writes of the state.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(3).thread_stack_size(256 * 1024).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(problem) => {
            error!(error = problem.to_string(); "{}", messages::NO_RUNTIME);
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(start::run(&config, arguments));
    // A look-up that hangs must not hold the end back.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!(error = problem.text(); "{}", messages::CANNOT_START);
            if problem.is_configuration() { ExitCode::from(ConfigError::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

fn explain_policy(arguments: &Arguments) -> ExitCode {
    let loaded = match Config::load_policy(arguments, &ProcessEnvironment, &Disk) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, ConfigError::EXIT_CODE),
    };
    match explain::explain(&loaded, &Question::of(arguments)) {
        Err(usage) => fail(&usage, UsageError::EXIT_CODE),
        Ok(answer) if answer.allowed => print(&answer.line),
        Ok(answer) => {
            print(&answer.line);
            ExitCode::FAILURE
        }
    }
}

fn ask_status(arguments: &Arguments) -> ExitCode {
    let access = Config::load_local(arguments, &ProcessEnvironment, &Disk);
    let told = ask::ask(&access, arguments.has("--json"));
    let written = if told.answered {
        std::io::stdout().write_all(told.text.as_bytes())
    } else {
        std::io::stderr().write_all(told.text.as_bytes())
    };
    if written.is_err() { ExitCode::FAILURE } else { ExitCode::from(told.exit_code) }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(error: &dyn core::fmt::Display, code: u8) -> ExitCode {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(code)
}
