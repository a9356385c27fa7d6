//! Answers that go on for long: watches, followed logs, slow bodies; and how they are ended.

use std::time::{Duration, Instant};

use devkube::Behaviour;
use devplane::plane::{Part, ProxyRequest, rfc3339};
use serde_json::Value;

use crate::rig::{BLOB, CONFIG_MAPS, Rig, assert_bytes, blob, config_map, get, head, parts, read_until};

fn watch() -> ProxyRequest {
    get(CONFIG_MAPS).query("watch=true")
}

fn put(rig: &Rig, name: &str) {
    rig.kube().put(config_map(name)).unwrap();
}

#[test]
fn b05_a_watch_and_a_slow_body_outlive_35_seconds() {
    let rig = Rig::start();
    let started = Instant::now();
    let mut stream = rig.open(watch());
    assert_eq!(head(&mut stream), 200);
    put(&rig, "early");
    read_until(&mut stream, "\"early\"");

    let bytes = blob(&rig, 32 * 1024);
    let slow = Behaviour::SlowBody { chunk: 1000, interval: Duration::from_secs(1) };
    rig.kube().set_behaviour(BLOB, slow);
    let answer = rig.open(get(BLOB));
    let answer = answer.collect_within(Duration::from_secs(60)).unwrap();
    assert_eq!((answer.status, answer.error), (200, None));
    assert_bytes(&answer.body, &bytes);
    let slow = started.elapsed();
    assert!(slow > Duration::from_secs(31), "{slow:?}");

    // Nothing happens in the watch until then.
    let rest = Duration::from_millis(35_500).saturating_sub(started.elapsed());
    assert_eq!(stream.next_within(rest), None);
    put(&rig, "late");
    read_until(&mut stream, "\"late\"");
    println!("slow body {slow:?}, watch {:?}", started.elapsed());
    drop(stream);
    rig.idle_after(Instant::now());
    rig.finish();
}

#[test]
fn b05_log_lines_come_at_once() {
    let rig = Rig::start();
    let path = "/api/v1/namespaces/default/pods/web-0/log";
    let mut stream = rig.open(get(path).query("follow=true"));
    assert_eq!(head(&mut stream), 200);
    read_until(&mut stream, "listening on :80\n");
    let mut times = Vec::new();
    for number in 0..50 {
        let line = format!("line {number}");
        let pushed = Instant::now();
        rig.kube().push_log("default", "web-0", &line);
        let read = read_until(&mut stream, "\n");
        times.push(pushed.elapsed());
        assert_eq!(read, format!("{line}\n"));
    }
    times.sort();
    println!("log lines: p50 {:?}, max {:?}", times[25], times[49]);
    assert!(times[49] < Duration::from_millis(500), "{:?}", times[49]);
    drop(stream);
    rig.until("nobody follows", |kube| kube.log_followers("default", "web-0") == 0);
    rig.finish();
}

#[test]
fn b09_2000_events_of_a_watch_in_order() {
    let rig = Rig::start();
    let mut stream = rig.open(watch());
    assert_eq!(head(&mut stream), 200);
    let mut last = Value::Null;
    for number in 0..2000 {
        let mut object = config_map("counter");
        object["data"]["number"] = number.to_string().into();
        last = rig.kube().put(object).unwrap();
    }
    let version = last["metadata"]["resourceVersion"].to_string();
    let read = read_until(&mut stream, &version);
    let read = if read.ends_with('\n') { read } else { read + &read_until(&mut stream, "\n") };
    let numbers: Vec<String> = read
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| event["object"]["data"]["number"].as_str().unwrap().into())
        .collect();
    let expected: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
    drop(stream);
    rig.idle_after(Instant::now());
    rig.finish();
}

#[test]
fn b05_a_cancel_closes_the_upstream() {
    let rig = Rig::start();
    let mut figures = Vec::new();
    for _ in 0..10 {
        let mut stream = rig.open(watch());
        assert_eq!(head(&mut stream), 200);
        let cancelled = Instant::now();
        stream.cancel();
        figures.push(rig.idle_after(cancelled));
    }
    // Before there is an answer, and in the middle of one that nobody reads.
    rig.kube().set_behaviour(CONFIG_MAPS, Behaviour::Hang);
    let stream = rig.open(get(CONFIG_MAPS));
    rig.until_hanging(1);
    let cancelled = Instant::now();
    stream.cancel();
    figures.push(rig.idle_after(cancelled));
    blob(&rig, 8 << 20);
    rig.kube().set_behaviour(BLOB, Behaviour::HangBody);
    let mut stream = rig.open(get(BLOB).buffered());
    rig.until("half an answer", |kube| kube.live_requests() == 1);
    assert_eq!(stream.next_within(Duration::from_millis(200)), None);
    let cancelled = Instant::now();
    stream.cancel();
    figures.push(rig.idle_after(cancelled));
    figures.sort();
    println!("from cancel to closed: p50 {:?}, max {:?}", figures[6], figures[11]);
    assert!(figures[11] < Duration::from_millis(300), "{figures:?}");
    rig.finish();
}

#[test]
fn b05_time_limits_of_the_plane() {
    let rig = Rig::start();
    rig.kube().set_behaviour(CONFIG_MAPS, Behaviour::Hang);
    let second = |request: ProxyRequest, spelling: usize| match spelling {
        0 => ProxyRequest { timeout: Some(1000.into()), ..request },
        1 => ProxyRequest { timeout: Some("1s".into()), ..request },
        _ => {
            let epoch = rig.bed.with_plane(|plane| plane.config.epoch + plane.now());
            ProxyRequest { deadline: Some(rfc3339(epoch + 1000)), ..request }
        }
    };
    for spelling in 0..3 {
        rig.settle();
        let started = Instant::now();
        let streamed = rig.open(second(get(CONFIG_MAPS), spelling));
        let buffered = rig.open(second(get(CONFIG_MAPS).buffered(), spelling));
        let streamed = parts(streamed);
        let elapsed = started.elapsed();
        let [Part::Abort(text)] = streamed.as_slice() else {
            panic!("{streamed:?}");
        };
        assert!(text.starts_with("deadline: "), "{text}");
        let buffered = parts(buffered);
        let [Part::Error(text)] = buffered.as_slice() else {
            panic!("{buffered:?}");
        };
        assert!(text.starts_with("deadline: "), "{text}");
        println!("a limit of 1 s in spelling {spelling}: {elapsed:?}");
        assert!(elapsed > Duration::from_millis(800), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
        rig.idle_after(Instant::now());
    }
    // In the middle of a body the limit holds as well.
    let bytes = blob(&rig, 10_000);
    rig.kube().set_behaviour(BLOB, Behaviour::HangBody);
    let all = parts(rig.open(second(get(BLOB), 0)));
    let Some(Part::Abort(text)) = all.last() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("deadline: "), "{text}");
    assert!(all.contains(&Part::Chunk(bytes[..5000].to_vec())), "{all:?}");
    rig.finish();
}

#[test]
fn a_watch_that_the_backend_cuts_is_aborted() {
    let rig = Rig::start();
    let mut stream = rig.open(watch());
    assert_eq!(head(&mut stream), 200);
    put(&rig, "before");
    read_until(&mut stream, "\"before\"");
    rig.kube().cut_watches();
    let all = parts(stream);
    let Some(Part::Abort(text)) = all.last() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("broken: "), "{text}");
    rig.finish();
}

#[test]
fn time_limits_that_are_none_and_one_that_is_over() {
    let rig = Rig::start();
    for timeout in [
        Value::from(0),
        (-5).into(),
        "0s".into(),
        "-1s".into(),
        "soon".into(),
        "".into(),
        true.into(),
        "1h30m".into(),
        600_000.into(),
    ] {
        let request = ProxyRequest { timeout: Some(timeout.clone()), ..get("/version") };
        let answer = rig.ask(request);
        assert_eq!((answer.status, answer.error), (200, None), "{timeout}");
    }
    let until = |deadline: &str| ProxyRequest { deadline: Some(deadline.into()), ..get("/version") };
    // One that cannot be read is none.
    assert_eq!(rig.ask(until("tomorrow")).status, 200);
    rig.kube().set_behaviour("/version", Behaviour::Hang);
    let all = parts(rig.open(until("2001-01-01T00:00:00Z")));
    let [Part::Abort(text)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("deadline: "), "{text}");
    rig.idle_after(Instant::now());
    rig.finish();
}
