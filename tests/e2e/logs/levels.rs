//! "Log Levels Guide": what each level shows, on the same day in an agent's life.

use std::collections::{BTreeMap, BTreeSet};

use devplane::plane::ProxyRequest;

use crate::harness::{ADMIN_TOKEN, Bed, LIMIT, Setup};
use crate::{LOST, text};

/// Start, two heartbeats, a request, a loss, the return, the end. Gives the messages by their level.
fn day(level: &str) -> BTreeMap<String, BTreeSet<String>> {
    let bed = Bed::new(Setup::default());
    let mut agent = bed.agent().set("logging.level", level).set("agent.heartbeat_interval_connected", 5).online();
    agent.until(&bed, "two heartbeats", |plane| plane.records().heartbeats.total() >= 2);
    let request = ProxyRequest::get("/version").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    assert_eq!(bed.plane.request(request).unwrap().collect_within(LIMIT).unwrap().status, 200);
    bed.plane.drop_agents().unwrap();
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().registers.total() == 2);
    agent.until(&bed, "a heartbeat after it", |plane| plane.records().heartbeats.total() >= 3);
    agent.terminate();
    assert!(agent.wait_exit(LIMIT).success());
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in agent.logs() {
        found.entry(text(&line, "level").into()).or_default().insert(text(&line, "msg").into());
    }
    found
}

#[test]
fn f30_f45_each_level_shows_what_the_guide_says() {
    let days = ["error", "warn", "info", "debug", "trace"].map(|level| std::thread::spawn(move || day(level)));
    let [error, warn, info, debug, trace] = days.map(|day| day.join().unwrap());
    // Nothing of all this is critical.
    assert!(error.is_empty(), "{error:?}");
    // Of failures there was one; nothing that comes again and again is shown.
    assert_eq!(warn.keys().collect::<Vec<_>>(), ["warning"]);
    assert_eq!(warn["warning"], BTreeSet::from([LOST.to_owned()]), "{warn:?}");
    // Start, registration, changes.
    assert_eq!(info.keys().collect::<Vec<_>>(), ["info", "warning"]);
    for message in
        ["Starting PipeOps Agent", crate::REGISTERED, crate::CLUSTER_REGISTERED, crate::STATE_CHANGED, crate::RECONNECTING]
    {
        assert!(info["info"].contains(message), "{message} in {info:?}");
    }
    assert_eq!(debug["info"], info["info"]);
    assert!(debug["debug"].contains("Heartbeat sent successfully"), "{debug:?}");
    assert!(!debug.contains_key("trace"));
    assert_eq!(trace["info"], info["info"]);
    for message in
        ["WebSocket message", "HTTP request to a backend", "HTTP answer of a backend", "Upgrade request to the control plane"]
    {
        assert!(trace["trace"].contains(message), "{message} in {trace:?}");
    }
}
