//! How much at once.

use std::time::{Duration, Instant};

use devkube::Behaviour;
use devplane::plane::{Body, Part};

use crate::rig::{BLOB, CONFIG_MAPS, ECHO, PATIENCE, Rig, assert_bytes, blob, get, parts, pattern, request};

#[test]
fn b12_more_exchanges_than_allowed_are_refused_with_an_answer() {
    let rig = Rig::with(|launch| launch.set("limits.max_exchanges", 8));
    rig.kube().set_behaviour(CONFIG_MAPS, Behaviour::Hang);
    let mut running: Vec<_> = (0..8).map(|_| rig.open(get(CONFIG_MAPS))).collect();
    rig.until_hanging(8);
    for _ in 0..3 {
        let streamed = parts(rig.open(get("/version")));
        let [Part::Abort(text)] = streamed.as_slice() else {
            panic!("{streamed:?}");
        };
        assert!(text.starts_with("overloaded: "), "{text}");
        let buffered = parts(rig.open(get("/version").buffered()));
        let [Part::Error(text)] = buffered.as_slice() else {
            panic!("{buffered:?}");
        };
        assert!(text.starts_with("overloaded: "), "{text}");
    }
    assert_eq!(rig.proxied().len(), 8);
    // One less is room for one more.
    drop(running.pop());
    rig.until("one has gone", |kube| kube.live_requests() == 7);
    assert_eq!(rig.ask(get("/version")).status, 200);
    drop(running);
    rig.idle_after(Instant::now());
    rig.finish();
}

#[test]
fn fifty_parallel() {
    let rig = Rig::start();
    let delay = Behaviour::Delay(Duration::from_millis(500));
    rig.kube().set_behaviour(CONFIG_MAPS, delay);
    let started = Instant::now();
    let streams: Vec<_> = (0..50)
        .map(|number| {
            let request = get(CONFIG_MAPS);
            rig.open(if number % 2 == 0 { request } else { request.buffered() })
        })
        .collect();
    for stream in streams {
        let answer = stream.collect_within(PATIENCE).unwrap();
        assert_eq!((answer.status, answer.error), (200, None));
    }
    let elapsed = started.elapsed();
    println!("50 requests of 500 ms: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    rig.finish();
}

#[test]
fn b12_what_does_not_fit_is_refused_and_the_rest_goes_on() {
    let rig = Rig::start();
    let bytes = blob(&rig, 9 << 20);
    let all = parts(rig.open(get(BLOB).buffered()));
    let [Part::Error(text)] = all.as_slice() else {
        panic!("{} parts", all.len());
    };
    assert!(text.starts_with("overloaded: "), "{text}");
    assert_bytes(&rig.ask(get(BLOB)).body, &bytes);

    let mut upload = request("POST", ECHO);
    upload.body = Body::Base64(pattern(9 << 20));
    let all = parts(rig.open(upload));
    let [Part::Abort(text)] = all.as_slice() else {
        panic!("{} parts", all.len());
    };
    assert!(text.starts_with("overloaded: "), "{text}");
    assert_eq!(rig.ask(get("/version")).status, 200);
    println!("too much at once: agent's peak RSS {} KiB", rig.peak_kib());
    rig.finish();
}

#[test]
fn a_request_that_comes_twice_is_carried_once() {
    let rig = Rig::start();
    rig.bed.set_faults(|faults| faults.duplicate_requests = true);
    rig.kube().set_behaviour(CONFIG_MAPS, Behaviour::Delay(Duration::from_millis(300)));
    let answer = rig.ask(get(CONFIG_MAPS));
    assert_eq!((answer.status, answer.error), (200, None));
    rig.settle();
    assert_eq!(rig.proxied().len(), 1);
    rig.finish();
}

#[test]
fn b12_a_backend_that_does_not_read_holds_up_its_own_upload_only() {
    let rig = Rig::start();
    let upload = |delay: Duration, length: usize| {
        rig.kube().set_behaviour(ECHO, Behaviour::Delay(delay));
        let mut upload = request("POST", ECHO);
        upload.body = Body::Chunked;
        let stream = rig.open(upload);
        let exchange = stream.exchange();
        for piece in pattern(length).chunks(32 * 1024) {
            if rig.bed.plane.body_chunk(exchange, piece.into()).is_err() {
                // The agent has ended it.
                break;
            }
        }
        // Meanwhile others are served.
        assert_eq!(rig.ask(get("/version")).status, 200);
        let _ = rig.bed.plane.body_end(exchange);
        parts(stream)
    };
    // What fits waits for the backend.
    let all = upload(Duration::from_secs(1), 3 << 20);
    assert!(matches!(all[0], Part::Head { status: 200, .. }), "{all:?}");
    // What does not is given up.
    let all = upload(Duration::from_secs(3600), 16 << 20);
    let [Part::Abort(text)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("backpressure: "), "{text}");
    println!("an upload that nobody reads: agent's peak RSS {} KiB", rig.peak_kib());
    rig.finish();
}
