//! A thousand agents after a restart of the plane.

use std::time::Duration;

use pipeops_agent_core::session::{Attempt, Config, Failure, Input, Output, Session};
use pipeops_agent_core::time::Instant;

/// How the agents came back.
#[derive(Clone, Copy, Debug)]
pub struct Herd {
    /// The most dials within one second.
    pub peak_per_second: usize,
    /// When the last agent was online again, milliseconds after the plane was.
    pub last_back: u64,
    /// Dials in all.
    pub dials: usize,
}

/// Drops `agents` stable agents at once, keeps the plane away for `outage`, and counts.
#[must_use]
pub fn stampede(agents: u64, outage: Duration) -> Herd {
    let lost = Instant::from_millis(120_000);
    let back = lost + outage;
    let mut dials: Vec<u64> = Vec::new();
    let mut last_back = 0;
    for seed in 0..agents {
        let mut session = Session::new(Config::default(), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), Instant::ZERO, None);
        session.handle(Instant::ZERO, Input::FactsReady);
        let mut current = Attempt::default();
        let mut now = Instant::ZERO;
        // Online on the controller's socket, and stable.
        drain(&mut session, &mut current, &mut Vec::new(), now);
        session.handle(now, Input::Connected(current));
        drain(&mut session, &mut current, &mut Vec::new(), now);
        let registration = pipeops_agent_core::message::Registration { cluster_id: "c".into(), ..Default::default() };
        session.handle(now, Input::Registered(current, Box::new(registration.clone())));
        drain(&mut session, &mut current, &mut Vec::new(), now);
        while let Some(next) = session.poll_timeout().filter(|next| *next < lost) {
            now = next;
            session.handle(now, Input::Heard(current));
            session.handle(now, Input::Timeout);
            drain(&mut session, &mut current, &mut Vec::new(), now);
        }
        session.handle(lost, Input::Failed(current, Failure::Closed { code: 1006, reason: String::new() }));
        drain(&mut session, &mut current, &mut dials, lost);
        while let Some(next) = session.poll_timeout() {
            now = next;
            session.handle(now, Input::Timeout);
            if drain(&mut session, &mut current, &mut dials, now) {
                if now >= back {
                    last_back = last_back.max(now.since(back).as_millis() as u64);
                    break;
                }
                session.handle(now, Input::Failed(current, Failure::Transport { text: "refused".into(), hint: None }));
                drain(&mut session, &mut current, &mut dials, now);
            }
        }
    }
    dials.sort_unstable();
    let mut peak = 0;
    let mut first = 0;
    for (index, at) in dials.iter().enumerate() {
        while dials.get(first).is_some_and(|earliest| at - earliest >= 1000) {
            first += 1;
        }
        peak = peak.max(index + 1 - first);
    }
    Herd { peak_per_second: peak, last_back, dials: dials.len() }
}

/// True when that dialled.
fn drain(session: &mut Session, current: &mut Attempt, dials: &mut Vec<u64>, now: Instant) -> bool {
    let mut dialled = false;
    while let Some(output) = session.poll_output() {
        match output {
            Output::Dial(attempt, _) => {
                *current = attempt;
                dials.push(now.as_millis());
                dialled = true;
            }
            Output::Heartbeat(attempt, beat) => session.handle(now, Input::Written(attempt, beat)),
            Output::Register(_) | Output::Ping(_) | Output::Close(..) | Output::Drain | Output::Stopped | Output::Event(_) => {}
        }
    }
    dialled
}
