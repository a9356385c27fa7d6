//! The forms of an answer, and that nothing of it is lost.

use std::time::{Duration, Instant};

use devkube::Behaviour;
use devplane::plane::Part;

use crate::rig::{BLOB, PATIENCE, Rig, assert_bytes, blob, get, head, parts};

/// Messages of the agent that are neither heartbeats nor pongs, fallbacks or errors.
fn answers(rig: &Rig) -> u64 {
    rig.settle();
    rig.bed.with_plane(|plane| {
        let records = plane.records();
        records.messages - records.registers.total() - records.heartbeats.total() - records.others.total()
    })
}

fn errors(rig: &Rig, kind: &'static str) -> usize {
    rig.bed.with_plane(move |plane| {
        let others = plane.records().others.iter();
        others.filter(|message| message.kind == kind).count()
    })
}

#[test]
fn must9_forms_of_answers() {
    let rig = Rig::start();
    let bytes = blob(&rig, 100_000);

    let before = answers(&rig);
    let answer = rig.ask(get(BLOB).buffered());
    assert_eq!((answer.status, answer.error), (200, None));
    assert_bytes(&answer.body, &bytes);
    assert_eq!(answers(&rig) - before, 1, "one proxy_response");

    let before = answers(&rig);
    let all = rig.parts(get(BLOB));
    assert_eq!(answers(&rig) - before, all.len() as u64);
    let (Some(Part::Head { status, headers }), Some(Part::End)) = (all.first(), all.last()) else {
        panic!("{all:?}");
    };
    assert_eq!(*status, 200);
    let of = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    assert_eq!(of("content-type").unwrap().1, ["application/octet-stream"]);
    assert_eq!(of("content-length").unwrap().1, ["100000"]);
    let mut body = Vec::new();
    for part in &all[1..all.len() - 1] {
        let Part::Chunk(bytes) = part else {
            panic!("{part:?} between head and end");
        };
        body.extend_from_slice(bytes);
    }
    assert_bytes(&body, &bytes);
    rig.finish();
}

#[test]
fn must9_failing_answers() {
    let rig = Rig::start();
    let bytes = blob(&rig, 64 * 1024);
    rig.kube().set_behaviour(BLOB, Behaviour::CutBody);

    let all = rig.parts(get(BLOB).buffered());
    let [Part::Error(text)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("broken: "), "{text}");

    // Half a body: what came is passed on, and then that it is not all.
    let all = rig.parts(get(BLOB));
    let (Some(Part::Head { status: 200, .. }), Some(Part::Abort(text))) = (all.first(), all.last()) else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("broken: "), "{text}");
    let mut body = Vec::new();
    for part in &all[1..all.len() - 1] {
        let Part::Chunk(bytes) = part else {
            panic!("{part:?} between head and abort");
        };
        body.extend_from_slice(bytes);
    }
    assert_bytes(&body, &bytes[..32 * 1024]);
    rig.settle();
    assert_eq!(errors(&rig, "proxy_error"), 1);
    assert_eq!(errors(&rig, "proxy_response_abort"), 1);
    rig.finish();
}

#[test]
fn must9_a_buffered_answer_of_3_mib() {
    let rig = Rig::start();
    let bytes = blob(&rig, 3 << 20);
    let before = answers(&rig);
    let answer = rig.ask(get(BLOB).buffered());
    assert_eq!((answer.status, answer.error), (200, None));
    assert_bytes(&answer.body, &bytes);
    assert_eq!(answers(&rig) - before, 1);
    println!("buffered 3 MiB: agent's peak RSS {} KiB", rig.peak_kib());
    rig.finish();
}

#[test]
fn b09_2000_pieces_in_order() {
    let rig = Rig::start();
    let bytes = blob(&rig, 200_000);
    let pieces = Behaviour::SlowBody { chunk: 100, interval: Duration::from_millis(1) };
    rig.kube().set_behaviour(BLOB, pieces);
    let started = Instant::now();
    let all = rig.parts(get(BLOB));
    let chunks = all.iter().filter(|part| matches!(part, Part::Chunk(_)));
    println!("2000 pieces: {} chunks in {:?}", chunks.count(), started.elapsed());
    assert_eq!(all.last(), Some(&Part::End));
    assert_bytes(&body(&all), &bytes);
    rig.finish();
}

#[test]
fn b09_4_mib_byte_for_byte() {
    let rig = Rig::start();
    let bytes = blob(&rig, 4 << 20);
    // Several at once, so that they compete.
    let streams: Vec<_> = (0..4).map(|_| rig.open(get(BLOB))).collect();
    let threads: Vec<_> = streams.into_iter().map(|stream| std::thread::spawn(move || stream.collect_within(PATIENCE))).collect();
    for thread in threads {
        let answer = thread.join().unwrap().unwrap();
        assert_eq!((answer.status, answer.error), (200, None));
        assert_bytes(&answer.body, &bytes);
    }
    rig.finish();
}

#[test]
fn b12_an_8_mib_blob_costs_little_memory() {
    let rig = Rig::start();
    let bytes = blob(&rig, 8 << 20);
    let before = rig.peak_kib();
    let answer = rig.ask(get(BLOB));
    assert_eq!((answer.status, answer.error), (200, None));
    assert_bytes(&answer.body, &bytes);
    let peak = rig.peak_kib();
    println!("streamed 8 MiB: agent's peak RSS {before} KiB before, {peak} KiB after");
    assert!(peak < 40 * 1024, "{peak} KiB");
    rig.finish();
}

#[test]
fn b12_a_slow_reader_loses_nothing_and_costs_little() {
    let rig = Rig::start();
    let bytes = blob(&rig, 16 << 20);
    let mut stream = rig.open(get(BLOB));
    assert_eq!(head(&mut stream), 200);
    rig.bed.plane.stall_agents(true).unwrap();
    // What was on its way still comes; then the plane takes nothing for more than a second.
    let mut body = Vec::new();
    while let Some(part) = stream.next_within(Duration::from_millis(1500)) {
        let Part::Chunk(bytes) = part else {
            panic!("{part:?} while the plane reads nothing");
        };
        body.extend_from_slice(&bytes);
    }
    assert!(body.len() < bytes.len());
    rig.bed.plane.stall_agents(false).unwrap();
    let rest = parts(stream);
    assert_eq!(rest.last(), Some(&Part::End));
    body.extend(self::body(&rest));
    assert_bytes(&body, &bytes);
    let peak = rig.peak_kib();
    println!("16 MiB to a slow reader: agent's peak RSS {peak} KiB");
    assert!(peak < 40 * 1024, "{peak} KiB");
    rig.finish();
}

fn body(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        if let Part::Chunk(bytes) = part {
            body.extend_from_slice(bytes);
        }
    }
    body
}
