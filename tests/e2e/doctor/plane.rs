//! The way to the control plane: each step fails for its own reason, and what stands behind it is not tried.

use std::net::TcpListener;
use std::time::Duration;

use devplane::plane::{Faults, Refusal, Role};

use super::diagnosis::{Diagnosis, bed, examine, patient};
use super::harness::{Bed, LIMIT, Setup};
use super::middle::{answering, certificate, forgetting};
use super::proxy::{Options, Proxy};
use super::server::Server;

/// The steps in order.
const STEPS: [&str; 6] = ["dns", "proxy", "tcp", "tls", "upgrade", "token"];

/// The only failure is this step, and the ones behind it were skipped.
#[track_caller]
fn fails_at(diagnosis: &Diagnosis, step: &str) -> (String, String) {
    let line = diagnosis.only_failure(step);
    let place = STEPS.iter().position(|it| *it == step).unwrap();
    for behind in &STEPS[place + 1..] {
        assert_eq!(diagnosis.line(behind).result, "skip", "{behind}: {diagnosis:#?}");
    }
    (line.seen.clone(), line.cure.clone())
}

/// A plane without TLS behind something that ends it.
fn plain() -> Bed {
    Bed::new(Setup { tls: false, gateway: false, ..Setup::default() })
}

fn address(bed: &Bed) -> std::net::SocketAddr {
    bed.plane.api_url().trim_start_matches("http://").trim_start_matches("https://").parse().unwrap()
}

#[test]
fn all_is_well() {
    let bed = bed();
    let diagnosis = examine(patient(&bed));
    diagnosis.only_warnings(&[]);
    assert_eq!(diagnosis.result, "pass");
    for (id, result) in
        [("dns", "skip"), ("proxy", "skip"), ("tcp", "pass"), ("tls", "pass"), ("upgrade", "pass"), ("token", "pass")]
    {
        assert_eq!(diagnosis.line(id).result, result, "{id}: {diagnosis:#?}");
    }
    assert!(diagnosis.line("tls").seen.contains("devplane authority"), "{diagnosis:#?}");
    assert!(!format!("{diagnosis:?}").contains(bed.plane.token()));
    assert!(bed.wait_until(|plane| !plane.records().disconnects.is_empty(), LIMIT));
    let records = bed.records();
    assert!(records.registers.is_empty(), "the doctor registers nothing");
    let left = records.disconnects.iter().next().unwrap();
    assert_eq!((left.role, left.code), (Role::Controller, Some(1000)));
    bed.assert_clean();
}

#[test]
fn all_is_well_without_tls_on_this_machine() {
    let bed = plain();
    let diagnosis = examine(patient(&bed).set("pipeops.api_url", bed.plane.api_url().replace("127.0.0.1", "localhost")));
    diagnosis.only_warnings(&[]);
    assert_eq!((&*diagnosis.line("dns").result, &*diagnosis.line("tls").result), ("pass", "skip"), "{diagnosis:#?}");
}

#[test]
fn the_name_is_not_known() {
    let bed = bed();
    let diagnosis = examine(patient(&bed).set("pipeops.api_url", "https://plane.example.invalid"));
    let (seen, cure) = fails_at(&diagnosis, "dns");
    assert!(seen.contains("plane.example.invalid"), "{seen}");
    assert!(cure.contains("PIPEOPS_API_URL"), "{cure}");
}

#[test]
fn the_port_is_refused() {
    let bed = bed();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let diagnosis = examine(patient(&bed).set("pipeops.api_url", format!("https://{free}")));
    let (seen, cure) = fails_at(&diagnosis, "tcp");
    assert!(seen.contains(&free.to_string()), "{seen}");
    assert!(cure.contains("firewall"), "{cure}");
}

#[test]
fn the_proxy_wants_a_password() {
    let bed = bed();
    let proxy = Proxy::start(Options { credentials: Some("plant:pa55word"), ..Options::default() });
    let diagnosis = examine(patient(&bed).env("HTTPS_PROXY", proxy.url("")));
    let (seen, cure) = fails_at(&diagnosis, "proxy");
    assert!(seen.contains("407"), "{seen}");
    assert!(cure.contains("HTTPS_PROXY"), "{cure}");
    assert_eq!(diagnosis.line("dns").result, "skip", "the proxy looks the name up");
}

#[test]
fn the_proxy_is_not_there() {
    let bed = bed();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let diagnosis = examine(patient(&bed).env("HTTPS_PROXY", format!("http://{free}")));
    let (seen, _) = fails_at(&diagnosis, "proxy");
    assert!(seen.contains(&free.to_string()), "{seen}");
}

#[test]
fn through_a_proxy_all_is_well() {
    let bed = bed();
    let proxy = Proxy::start(Options { credentials: Some("plant:pa55word"), ..Options::default() });
    let launch = || patient(&bed).env("HTTPS_PROXY", proxy.url("plant:pa55word"));
    let diagnosis = examine(launch());
    diagnosis.only_warnings(&[]);
    for (id, result) in [("dns", "skip"), ("proxy", "pass"), ("tcp", "skip"), ("tls", "pass"), ("token", "pass")] {
        assert_eq!(diagnosis.line(id).result, result, "{id}: {diagnosis:#?}");
    }
    let line = diagnosis.line("proxy");
    assert!(line.seen.contains(&proxy.server.address.to_string()), "{line:?}");
    assert!(!format!("{diagnosis:?}").contains("pa55word"));
    let (seen, _) = fails_at(&examine(launch().unset("pipeops.tls.ca_file")), "tls");
    assert!(seen.contains("devplane authority"), "{seen}");
}

#[test]
fn the_authority_is_unknown() {
    let bed = bed();
    let diagnosis = examine(patient(&bed).unset("pipeops.tls.ca_file"));
    let (seen, cure) = fails_at(&diagnosis, "tls");
    assert!(seen.contains("devplane authority"), "who has signed it: {seen}");
    assert!(cure.contains("pipeops.tls.ca_file"), "{cure}");
}

/// The diagnosis of a plane with a certificate of its own.
fn with_certificate(days: Option<super::middle::Days>, valid_for: Option<Duration>) -> Diagnosis {
    let bed = plain();
    let (ca_pem, config) = certificate(days, valid_for);
    let ca_file = bed.folder().join("plant-ca.pem");
    std::fs::write(&ca_file, ca_pem).unwrap();
    let middle = Server::before(address(&bed).to_string(), config);
    let launch = patient(&bed).set("pipeops.api_url", middle.url());
    examine(launch.set("pipeops.tls.ca_file", ca_file.display().to_string()))
}

#[test]
fn the_certificate_has_expired() {
    let diagnosis = with_certificate(Some(((2020, 1, 1), (2021, 1, 1))), None);
    let (seen, cure) = fails_at(&diagnosis, "tls");
    assert!(seen.contains("2021-01-01") && seen.contains("plant authority"), "{seen}");
    assert!(cure.contains("clock") || cure.contains("renew"), "{cure}");
}

#[test]
fn the_certificate_is_not_valid_yet_as_with_a_clock_of_1970() {
    let diagnosis = with_certificate(Some(((2090, 1, 1), (2091, 1, 1))), None);
    let (seen, cure) = fails_at(&diagnosis, "tls");
    assert!(seen.contains("valid from 2090-01-01"), "{seen}");
    assert!(cure.contains("clock"), "{cure}");
}

#[test]
fn the_certificate_will_expire_soon() {
    for (days, warnings) in [(13, &["tls"][..]), (15, &[])] {
        let diagnosis = with_certificate(None, Some(Duration::from_secs(days * 86_400)));
        diagnosis.only_warnings(warnings);
        assert!(diagnosis.line("tls").seen.contains("plant authority"), "{diagnosis:#?}");
    }
}

#[test]
fn the_token_is_refused() {
    let bed = bed();
    let diagnosis = examine(patient(&bed).set("pipeops.token", "a-wrong-token"));
    let (seen, cure) = fails_at(&diagnosis, "token");
    assert!(seen.contains("401"), "{seen}");
    assert!(cure.contains("PIPEOPS_TOKEN"), "{cure}");
    assert!(!format!("{diagnosis:?}").contains("a-wrong-token"));
}

#[test]
fn the_token_file_is_not_there() {
    let bed = bed();
    let diagnosis = examine(patient(&bed).unset("pipeops.token").set("pipeops.token_file", "/nonexistent/token"));
    assert_eq!(diagnosis.ids("fail"), ["configuration"], "{diagnosis:#?}");
    assert_eq!(diagnosis.code, 78);
}

#[test]
fn something_else_answers() {
    let bed = plain();
    for (answer, part) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>", "200"),
        ("SSH-2.0-OpenSSH_9.6\r\n", ""),
        ("", ""),
    ] {
        let middle = answering(answer);
        let diagnosis = examine(patient(&bed).set("pipeops.api_url", format!("http://{}", middle.address)));
        let (seen, cure) = fails_at(&diagnosis, "upgrade");
        assert!(seen.contains(part), "{seen}");
        assert!(cure.contains("PIPEOPS_API_URL"), "{cure}");
    }
}

#[test]
fn the_plane_is_busy() {
    let refuse = Refusal { status: 503, retry_after: Some("7".into()), remaining: None };
    let faults = Faults { refuse_controller: Some(refuse), ..Faults::default() };
    let bed = Bed::new(Setup { faults, ..Setup::default() });
    let diagnosis = examine(patient(&bed));
    let (seen, cure) = fails_at(&diagnosis, "upgrade");
    assert!(seen.contains("503"), "{seen}");
    assert!(cure.contains("wait"), "{cure}");
}

#[test]
fn the_plane_does_not_answer() {
    let bed = Bed::new(Setup { faults: Faults { hang_controller: true, ..Faults::default() }, ..Setup::default() });
    let (seen, _) = fails_at(&examine(patient(&bed)), "upgrade");
    assert!(seen.contains("10 s"), "{seen}");
}

#[test]
fn the_clock_is_compared_with_the_planes() {
    let bed = plain();
    for (date, result) in [("Sun, 06 Nov 1994 08:49:37 GMT", "warn"), ("yesterday", "")] {
        let answer = format!("HTTP/1.1 503 Service Unavailable\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n");
        let middle = answering(&answer);
        let diagnosis = examine(patient(&bed).set("pipeops.api_url", format!("http://{}", middle.address)));
        let line = diagnosis.checks.iter().find(|line| line.id == "time_difference");
        assert_eq!(line.map_or("", |line| line.result.as_str()), result, "{diagnosis:#?}");
    }
}

#[test]
fn an_agent_that_runs_is_not_disturbed() {
    let bed = bed();
    let agent = bed.agent().online();
    let before = bed.records();
    let sockets = bed.open_sockets();
    let diagnosis = examine(patient(&bed));
    diagnosis.only_warnings(&[]);
    // A heartbeat of after the examination, on the connection of before it.
    let connection = before.upgrades.iter().filter_map(|it| it.connection).max();
    assert!(bed.wait_until(move |plane| plane.records().disconnects.iter().any(|it| Some(it.connection) > connection), LIMIT));
    agent.online(&bed);
    let after = bed.records();
    assert_eq!(after.registers.total(), before.registers.total());
    assert_eq!(bed.open_sockets(), sockets);
    let lost = after.disconnects.iter().filter(|it| Some(it.connection) <= connection).count();
    assert_eq!(lost, before.disconnects.iter().count(), "{after:#?}");
    assert!(agent.logs_with_msg("Connection lost").is_empty(), "{}", agent.text());
    bed.assert_clean();
    agent.stop();
}

#[test]
fn the_gateway_is_looked_at_where_one_is_known() {
    let bed = bed();
    assert_eq!(examine(patient(&bed)).line("gateway").result, "skip");
    // Its end is when all of the state is surely written.
    bed.agent().online().stop();
    let before = bed.accepted();
    let diagnosis = examine(patient(&bed));
    diagnosis.only_warnings(&[]);
    assert_eq!(diagnosis.line("gateway").result, "pass", "{diagnosis:#?}");
    assert_eq!(bed.accepted().len(), before.len() + 1, "no upgrade at the gateway");
    let text = std::fs::read_to_string(bed.state_file()).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    state["gateway_ws_url"] = format!("wss://{free}/ws").into();
    std::fs::write(bed.state_file(), state.to_string()).unwrap();
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("gateway");
    assert!(line.seen.contains(&free.to_string()) && line.cure.contains("firewall"), "{line:?}");
    bed.assert_clean();
}

#[test]
fn a_quiet_connection_lasts() {
    let bed = bed();
    let launch = patient(&bed).set("timeouts.websocket_ping", "100ms").arg("--slow").arg("--json");
    let mut output = launch.output("doctor");
    let progress = String::from_utf8(std::mem::take(&mut output.stderr)).unwrap();
    assert!(progress.starts_with("Watching an idle connection; this takes up to 1.3s."), "{progress}");
    let diagnosis = Diagnosis::of(&output);
    diagnosis.only_warnings(&[]);
    assert_eq!(diagnosis.line("idle").seen, "lasts 600ms of silence; the agent pings every 100ms");
    assert!(bed.records().registers.is_empty());
}

#[test]
fn something_on_the_way_forgets_quiet_connections() {
    // Each waits for an answer that does not come, so both at once.
    std::thread::scope(|scope| {
        for (ping, result) in [("500ms", "pass"), ("2s", "warn")] {
            scope.spawn(move || forgets(ping, result));
        }
    });
}

fn forgets(ping: &str, result: &str) {
    let bed = plain();
    let middle = forgetting(address(&bed), Duration::from_millis(750));
    let launch = patient(&bed).set("pipeops.api_url", format!("http://{}", middle.address));
    let mut output = launch.set("timeouts.websocket_ping", ping).arg("--slow").arg("--json").output("doctor");
    output.stderr.clear();
    let diagnosis = Diagnosis::of(&output);
    let line = diagnosis.line("idle");
    assert_eq!(line.result, result, "{line:?}");
    assert_eq!(line.cure.contains("timeouts.websocket_ping: 1s"), result == "warn", "{line:?}");
}
