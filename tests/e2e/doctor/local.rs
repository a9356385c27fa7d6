//! What needs no network: the configuration, the state, and how things are said.

use super::diagnosis::{Diagnosis, bed, examine, patient};

#[test]
fn a_bad_configuration_is_the_only_failure_and_all_of_it_is_said() {
    let bed = bed();
    let launch = patient(&bed).unset("agent.cluster_name").set("timeouts.websocket_ping", "soon").set("pipeops.tokn", "x");
    let diagnosis = examine(launch);
    assert_eq!(diagnosis.ids("fail"), ["configuration"]);
    assert_eq!(diagnosis.code, 78);
    let line = diagnosis.line("configuration");
    for part in ["cluster name is required", "timeouts.websocket_ping", "pipeops.token"] {
        assert!(line.seen.contains(part), "{part}: {line:?}");
    }
    assert!(!format!("{diagnosis:?}").contains(bed.plane.token()));
    for (id, result) in [("clock", "pass"), ("dns", "skip"), ("kubernetes", "skip"), ("state", "skip"), ("environment", "pass")] {
        assert_eq!(diagnosis.line(id).result, result, "{id}");
    }
    assert!(bed.kube().requests().is_empty());
}

#[test]
fn a_wrong_flag_is_wrong_usage() {
    let output = patient(&bed()).arg("--sloww").output("doctor");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean --slow?"));
}

#[test]
fn the_state_cannot_be_written() {
    let bed = bed();
    let file = bed.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let diagnosis = examine(patient(&bed).set("agent.state_dir", file.join("below").display().to_string()));
    let line = diagnosis.only_failure("state");
    assert!(line.cure.contains("agent.state_dir") && line.cure.contains("install -d"), "{line:?}");
}

#[test]
fn the_state_cannot_be_understood() {
    let bed = bed();
    std::fs::create_dir(bed.state_dir()).unwrap();
    std::fs::write(bed.state_file(), "half a sta").unwrap();
    assert!(examine(patient(&bed)).only_failure("state").cure.contains("state.json"));
    assert_eq!(std::fs::read(bed.state_file()).unwrap(), b"half a sta");
}

#[test]
fn nothing_stays_behind() {
    let bed = bed();
    examine(patient(&bed)).only_warnings(&[]);
    assert!(!bed.state_dir().exists());
}

#[test]
fn json_and_text_say_the_same() {
    let bed = bed();
    let launch = || patient(&bed).set("agent.state_dir", "/proc/self/nowhere").set("agent.auto_install_components", true);
    let diagnosis = examine(launch());
    let output = launch().output("doctor");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "no log lines where nobody asked for them");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b') && text.is_ascii(), "{text}");
    let mut lines = text.lines().skip(2);
    for check in &diagnosis.checks {
        if check.id == "clock" || check.id == "memory" {
            // These show what changes from one moment to the next.
            lines.next().unwrap();
            continue;
        }
        let mut seen = check.seen.lines();
        let first = format!("{}  {:20}  {}", check.result.to_uppercase(), check.name, seen.next().unwrap());
        assert_eq!(lines.next(), Some(&*first), "{text}");
        for line in seen.map(str::to_owned).chain(check.cure.lines().map(|line| format!("-> {line}"))) {
            assert_eq!(lines.next(), Some(&*format!("{:28}{line}", "")), "{text}");
        }
    }
    assert_eq!(lines.next(), Some(""));
    assert!(lines.next().unwrap().contains("1 failed") && lines.next().is_none(), "{text}");
}

#[test]
fn a_log_is_written_for_whoever_asks_for_it() {
    let bed = bed();
    let output = patient(&bed).arg("--log-level=debug").output("doctor");
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"msg\""));
    assert!(!String::from_utf8_lossy(&output.stderr).contains(bed.plane.token()));
    let output = patient(&bed).set("logging.level", "debug").arg("--json").output("doctor");
    Diagnosis::of(&output).only_warnings(&[]);
}

#[test]
fn no_secret_is_ever_shown() {
    let bed = bed();
    bed.kube().write_kubeconfig(bed.folder(), "canary-of-kubernetes");
    let launch = || {
        let launch =
            patient(&bed).set("pipeops.token", "canary-of-the-agent").set("kubernetes.service_token", "canary-of-service");
        launch.env("HTTPS_PROXY", "http://canary-user:canary-password@127.0.0.1:9").arg("--log-level=trace")
    };
    for json in [false, true] {
        let launch = if json { launch().arg("--json") } else { launch() };
        let output = launch.output("doctor");
        assert_eq!(output.status.code(), Some(1));
        for stream in [output.stdout, output.stderr] {
            let text = String::from_utf8(stream).unwrap();
            assert!(!text.is_empty() && !text.contains("canary"), "{text}");
        }
    }
}
