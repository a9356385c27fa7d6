//! Settings that change while exchanges are under way.

use pipeops_agent_core::policy::Policy;
use pipeops_agent_core::streams::{Input, Limits, Output, Settings};
use serde_json::json;

use crate::rig::{EXEC, Rig, server_frame, upgrade};

fn settings() -> Settings {
    let Limits { ceiling, exchanges, .. } = Limits::default();
    Settings { policy: Policy::default(), ceiling, exchanges }
}

#[test]
fn a_new_policy_is_for_what_comes_and_leaves_alone_what_is_there() {
    let mut rig = Rig::new();
    let running = rig.open_exec("running", "");
    let _ = rig.outputs();
    let policy = Policy { read_only: true, ..Policy::default() };
    rig.backend(Input::Settings(Box::new(Settings { policy, ..settings() })));
    assert!(rig.outputs().is_empty() && rig.sent().is_empty());

    rig.plane(&upgrade("late", EXEC, json!({})));
    let sent = rig.sent();
    assert!(rig.outputs().iter().all(|output| !matches!(output, Output::Open(_))));
    assert_eq!((sent[0]["request_id"].as_str(), sent[0]["payload"]["status"].as_u64()), (Some("late"), Some(403)));

    rig.data(running, &server_frame(0x82, b"\x01still here"));
    assert_eq!(rig.sent().len(), 1, "the running one is carried on");
    rig.plane(&crate::rig::ws_data("running", b"\x01ls"));
    assert_eq!(rig.fed().len(), 1);

    rig.backend(Input::Settings(Box::new(settings())));
    rig.plane(&upgrade("again", EXEC, json!({})));
    assert_eq!(rig.opened().uri, EXEC);
}

#[test]
fn a_lower_ceiling_stops_reading_until_enough_has_gone_and_a_higher_one_goes_on() {
    let mut rig = Rig::with_ceiling(1 << 20);
    rig.plane(&json!({"type":"proxy_request","request_id":"a","payload":{"path":"/api/v1/pods",
        "headers":{"Authorization":"Bearer user"},"supports_response_streaming":true}}));
    let key = rig.opened().key;
    rig.backend(Input::Head { key, status: 200, headers: Vec::new() });
    rig.data(key, &[1; 4096]);
    rig.data(key, &[1; 4096]);
    assert!(!rig.reads().is_empty());
    rig.backend(Input::Settings(Box::new(Settings { ceiling: 6000, ..settings() })));
    rig.data(key, &[1; 4096]);
    assert!(rig.outputs().is_empty(), "over the ceiling nothing more is read, and nobody is ended");
    assert!(rig.used() > 6000);

    rig.backend(Input::Settings(Box::new(settings())));
    assert_eq!(rig.reads().len(), 1, "whoever waited goes on at once");
    let sent =
        rig.sent().iter().map(|message| message["payload"]["data"].as_str().map_or(0, |text| text.len() / 4 * 3)).sum::<usize>();
    assert!(sent >= 3 * 4096, "nothing was lost: {sent}");
}

#[test]
fn fewer_exchanges_end_none_and_admit_none() {
    let mut rig = Rig::new();
    for id in ["a", "b"] {
        rig.open_exec(id, "");
    }
    let _ = rig.outputs();
    rig.backend(Input::Settings(Box::new(Settings { exchanges: 2, ..settings() })));
    rig.plane(&upgrade("c", EXEC, json!({})));
    assert!(rig.sent()[0]["payload"]["error"].as_str().unwrap().starts_with("overloaded"));
    assert!(rig.outputs().is_empty());
    rig.backend(Input::Settings(Box::new(Settings { exchanges: 3, ..settings() })));
    rig.plane(&upgrade("d", EXEC, json!({})));
    assert!(rig.opened().upgrade);
}
