//! `doctor`: looks at everything that the agent depends on, says what is wrong, and what mends it.
//!
//! Owns the order of the checks and their time. Registers nothing, writes nothing that stays, and does not mind an agent that runs.

mod answer;
mod certificate;
mod clock;
mod idle;
mod kubernetes;
mod machine;
mod monitoring;
mod plane;
#[cfg(test)]
mod pod;
mod report;
mod rights;
mod state;

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::clock::since_1970;
use crate::config::{Config, ConfigError, Disk, Features, Notes, ProcessEnvironment, Setting};
use crate::version::commit_time;
use crate::{logger, start};
use monitoring::Monitoring;
use report::{Check, Finding, Report};

/// The exit code when something failed.
const FAILED: u8 = 1;
/// For one check.
const STEP: Duration = Duration::from_secs(10);
/// For all of them.
const ALL: Duration = Duration::from_secs(60);

/// Runs the checks and gives the exit code.
pub(crate) fn run(arguments: &Arguments, features: Features, out: &mut dyn FnMut(&str), colour: bool) -> u8 {
    let mut report = Report::new(out, arguments.has("--json"), colour);
    let loaded = Config::load(arguments, &ProcessEnvironment, &Disk, features);
    report.add(&report::CONFIGURATION, configuration(&loaded));
    report.add(&report::CLOCK, clock::judge(since_1970(), commit_time()));
    let config = loaded.as_ref().ok().map(|(config, _)| config);
    match config {
        Some(config) => connections(config, arguments, &mut report),
        None => {
            let access: [&Check; 2] = [&report::CLUSTER_ACCESS, &report::KUBERNETES];
            let kept: [&Check; 2] = [&report::STATE, &report::GATEWAY];
            let all = PLANE.iter().chain(&access).chain(&CLUSTER).chain(&kept).chain(&MONITORING);
            all.for_each(|check| report.add(check, Finding::skip("there is no valid configuration")));
        }
    }
    let limits = config.map(|config| &config.limits);
    let root = Path::new("/");
    report.add(&report::MEMORY, machine::memory(limits, root));
    report.add(&report::OPEN_FILES, machine::open_files(limits, root));
    report.add(&report::ENVIRONMENT, machine::environment(&ProcessEnvironment, root));
    let failed = report.has_failed();
    report.finish();
    match (config, failed) {
        (None, _) => ConfigError::EXIT_CODE,
        (Some(_), true) => FAILED,
        (Some(_), false) => 0,
    }
}

/// Every mistake, and every warning.
fn configuration(loaded: &Result<(Config, Notes), ConfigError>) -> Finding {
    match loaded {
        Err(error) => Finding::fail(error.to_string())
            .cure("pipeops-agent config check says the same; pipeops-agent run --help lists the settings"),
        Ok((config, warnings)) => {
            let file = config.file.as_ref().map_or("no file: flags and environment".into(), |file| file.display().to_string());
            let lines: Vec<String> = core::iter::once(file).chain(warnings.iter().map(ToString::to_string)).collect();
            let seen = lines.join("\n");
            if warnings.is_empty() { Finding::pass(seen) } else { Finding::warn(seen) }
        }
    }
}

/// The checks of the way to the control plane, in order.
static PLANE: [&Check; 6] = [&report::DNS, &report::PROXY, &report::TCP, &report::TLS, &report::UPGRADE, &report::TOKEN];
/// The checks that need the API server's answers.
static CLUSTER: [&Check; 3] = [&report::RIGHTS, &report::EXCESS, &report::EXEC];
static MONITORING: [&Check; 4] = [&report::STORAGE_CLASS, &report::HELM, &report::MONITORING_CRDS, &report::MONITORING_NAMESPACE];

/// The checks that need sockets.
fn connections(config: &Config, arguments: &Arguments, report: &mut Report<'_>) {
    if arguments.settings.iter().any(|flag| flag.setting == Setting::LogLevel) {
        // Whoever wants to see more has asked for it. It fails only if there is a logger, which is as good.
        let _ = logger::init(config.logging.level, config.logging.format);
    }
    let slow = arguments.has("--slow");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(3).build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async {
                let mut patience = Patience { end: Instant::now() + ALL };
                let link = plane::check(config, &PLANE, &patience, report).await;
                match link {
                    Some(link) if slow => {
                        let begun = Instant::now();
                        report.add(&report::IDLE, idle::check(link, config.timeouts.websocket_ping).await);
                        patience.end += begun.elapsed();
                    }
                    Some(link) => plane::leave(link).await,
                    None if slow => report.add(&report::IDLE, Finding::skip("there is no connection")),
                    None => {}
                }
                cluster(config, &patience, report).await;
            });
            // A look-up that hangs must not hold the end back.
            runtime.shutdown_background();
        }
        Err(error) => report.add(&report::ENVIRONMENT, Finding::fail(format!("the runtime cannot be set up: {error}"))),
    }
}

async fn cluster(config: &Config, patience: &Patience, report: &mut Report<'_>) {
    let (finding, found) = kubernetes::find(config);
    report.add(&report::CLUSTER_ACCESS, finding);
    let store = start::store(config, found.as_ref().map(|found| &found.access), found.as_ref().map(|found| &found.cluster));
    let in_cluster = matches!(store, crate::state::Store::Objects(_));
    let mut reached = None;
    match &found {
        Some(found) => {
            let finding = patience.check(Box::pin(kubernetes::reach(found))).await;
            reached = Some(&found.cluster.own).filter(|_| !finding.has_failed());
            report.add(&report::KUBERNETES, finding);
        }
        None => report.add(&report::KUBERNETES, Finding::skip("no access to a cluster")),
    }
    const UNREACHED: &str = "needs the Kubernetes API";
    let mut forbidden = false;
    match reached {
        Some(client) => {
            let rights = patience.check(Box::pin(rights::needed(client, config, &store))).await;
            forbidden = rights.has_failed();
            report.add(&report::RIGHTS, rights);
            report.add(&report::EXCESS, patience.check(Box::pin(rights::excess(client, config))).await);
            report.add(&report::EXEC, patience.check(Box::pin(kubernetes::exec(client))).await);
        }
        None => CLUSTER.iter().for_each(|check| report.add(check, Finding::skip(UNREACHED))),
    }
    if reached.is_none() && in_cluster {
        report.add(&report::STATE, Finding::skip(UNREACHED));
        report.add(&report::GATEWAY, Finding::skip(UNREACHED));
    } else {
        report.add(&report::STATE, patience.check(Box::pin(state::check(config, &store, forbidden))).await);
        report.add(&report::GATEWAY, patience.check(Box::pin(plane::gateway(config, &store, patience))).await);
    }
    let Some(client) = reached else {
        return MONITORING.iter().for_each(|check| report.add(check, Finding::skip(UNREACHED)));
    };
    let monitoring = Monitoring::new(client, config.agent.auto_install_components);
    report.add(&report::STORAGE_CLASS, patience.check(Box::pin(monitoring.storage_class())).await);
    report.add(&report::HELM, patience.check(Box::pin(monitoring.helm(&ProcessEnvironment))).await);
    report.add(&report::MONITORING_CRDS, patience.check(Box::pin(monitoring.types())).await);
    report.add(&report::MONITORING_NAMESPACE, patience.check(Box::pin(monitoring.namespace())).await);
}

/// How long the doctor waits.
struct Patience {
    end: Instant,
}

impl Patience {
    /// When a step that begins now has taken too long.
    fn deadline(&self) -> Instant {
        self.end.min(Instant::now() + STEP)
    }

    /// What a step gives, within its time and that of all.
    async fn within<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.deadline(), step).await.ok()
    }

    /// A check that is one step. Boxed, so that this exists once.
    async fn check(&self, check: Pin<Box<dyn Future<Output = Finding> + '_>>) -> Finding {
        const SLOW: &str =
            "kubectl get --raw '/readyz?verbose'    shows what keeps the API server busy; a disk that hangs shows in dmesg";
        if Instant::now() >= self.end {
            return Finding::warn("not looked at: the time for all checks is over");
        }
        match self.within(check).await {
            Some(finding) => finding,
            None => Finding::fail(format!("no answer within {} s", STEP.as_secs())).cure(SLOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::report::Verdict;
    use super::*;

    #[test]
    fn no_check_takes_longer_than_ten_seconds_and_all_take_a_minute() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let begun = Instant::now();
            let patience = Patience { end: begun + ALL };
            let mut verdicts = Vec::new();
            for _ in 0..8 {
                verdicts.push(patience.check(Box::pin(core::future::pending())).await.verdict);
            }
            assert_eq!(verdicts, [&[Verdict::Fail; 6][..], &[Verdict::Warn; 2]].concat());
            assert_eq!(begun.elapsed(), ALL);
            let patience = Patience { end: Instant::now() + ALL };
            assert_eq!(patience.check(Box::pin(async { Finding::pass("") })).await.verdict, Verdict::Pass);
        });
    }
}
