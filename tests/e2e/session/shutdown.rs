//! The end of the agent.

use devplane::plane::Role;

use super::harness::{Agent, Bed, LIMIT, Setup};
use super::{RECONNECTING, bed, seconds};

const LIMIT_OF_EXIT: u64 = 5;

#[track_caller]
fn ends_in_time(mut agent: Agent) {
    agent.terminate();
    let status = agent.wait_exit(seconds(LIMIT_OF_EXIT));
    assert_eq!(status.code(), Some(0), "{}", agent.text());
    assert_eq!(agent.logs_with_msg("Received shutdown signal").len(), 1);
    assert_eq!(agent.logs_with_msg("PipeOps agent stopped gracefully").len(), 1);
}

#[test]
fn b60_the_plane_is_told_of_the_end() {
    for gateway in [true, false] {
        let bed = Bed::new(Setup { gateway, ..Setup::default() });
        let agent = bed.agent().online();
        // Whoever has said something is known to have arrived where the end will be heard.
        agent.until(&bed, "a heartbeat", |plane| plane.records().heartbeats.total() > 0);
        ends_in_time(agent);
        assert!(bed.wait_until(|plane| plane.connections().count() == 0, LIMIT));
        let records = bed.records();
        let last = records.disconnects.last().unwrap();
        let role = if gateway { Role::Gateway } else { Role::Controller };
        assert_eq!((last.role, last.by_plane), (role, false));
        assert!(matches!(last.code, Some(1000 | 1001)), "{last:?}");
        bed.assert_clean();
    }
}

#[test]
fn b60_interrupt_ends_it_too() {
    let bed = bed();
    let mut agent = bed.agent().online();
    agent.signal("INT");
    assert_eq!(agent.wait_exit(seconds(LIMIT_OF_EXIT)).code(), Some(0));
    bed.assert_clean();
}

#[test]
fn b60_a_plane_that_swallows_everything_does_not_hold_the_end_back() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.set_faults(|faults| faults.black_hole = true);
    ends_in_time(agent);
}

#[test]
fn b60_a_plane_that_reads_nothing_does_not_hold_the_end_back() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.set_faults(|faults| {
        faults.stop_reading = true;
        faults.black_hole = true;
    });
    ends_in_time(agent);
}

#[test]
fn b60_a_plane_that_is_away_does_not_hold_the_end_back() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.plane.stop_listening().unwrap();
    bed.plane.drop_agents().unwrap();
    agent.wait_msg(RECONNECTING, LIMIT);
    ends_in_time(agent);
}

#[test]
fn b60_an_upgrade_or_registration_without_an_answer_does_not_hold_the_end_back() {
    for registration in [false, true] {
        let bed = bed();
        bed.set_faults(move |faults| {
            if registration {
                faults.register = devplane::plane::RegisterReply::Silent;
            } else {
                faults.hang_controller = true;
            }
        });
        let agent = bed.agent().start();
        agent.until(&bed, "a dial", move |plane| {
            let records = plane.records();
            if registration { !records.registers.is_empty() } else { !records.upgrades.is_empty() }
        });
        ends_in_time(agent);
    }
}
