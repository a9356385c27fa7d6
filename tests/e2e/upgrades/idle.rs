//! Many connections at once that say nothing, and what each costs.

use devplane::plane::ProxyRequest;

use crate::site::Site;

const SOCKETS: usize = 500;
/// For each connection over plain TCP.
const BOUND: u64 = 8 * 1024;

fn bytes_for_each(site: &Site) -> u64 {
    // What everything costs that is there for all of them.
    let mut sockets: Vec<_> = (0..20).map(|_| site.echo()).collect();
    for socket in &mut sockets {
        socket.round_trip("warm");
    }
    site.rig.settle();
    let before = resident(site);
    sockets.extend((0..SOCKETS).map(|_| site.echo()));
    site.rig.settle();
    let after = resident(site);
    assert_eq!(site.app.connections().open, SOCKETS + 20);
    // They are connections and not only entries in a table.
    for socket in sockets.iter_mut().step_by(50) {
        socket.round_trip("still here");
    }
    for socket in sockets {
        socket.close();
    }
    site.until_connections(0);
    after.saturating_sub(before) / u64::try_from(SOCKETS).unwrap()
}

/// The agent's resident memory in bytes.
fn resident(site: &Site) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.rig.agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number: u64 = line.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    number * 1024
}

#[test]
fn b21_500_idle_websockets_at_once_cost_little() {
    let site = Site::start();
    let each = bytes_for_each(&site);
    println!("{SOCKETS} idle WebSockets over TCP: {each} bytes each");
    assert!(each <= BOUND, "{each} bytes each");
    site.finish();
}

#[test]
fn b21_500_idle_websockets_over_tls() {
    let site = Site::over_tls();
    let each = bytes_for_each(&site);
    println!("{SOCKETS} idle WebSockets over TLS: {each} bytes each");
    site.finish();
}

/// Streams do not take a place from requests: there is no pool that they exhaust.
#[test]
fn b21_websockets_leave_room_for_requests() {
    let site = Site::start();
    let mut sockets: Vec<_> = (0..120).map(|_| site.echo()).collect();
    let answers: Vec<_> = (0..60).map(|_| site.rig.open(site.aim(ProxyRequest::get("/slow").query("ms=200")))).collect();
    for answer in answers {
        assert_eq!(answer.collect_within(crate::rig::PATIENCE).unwrap().status, 200);
    }
    for socket in &mut sockets {
        socket.round_trip("still here");
    }
    for socket in sockets {
        socket.close();
    }
    site.finish();
}
