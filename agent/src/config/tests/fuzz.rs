//! Changed at random, files, arguments and variables give a configuration or at least one problem, and never a secret.
//!
//! The seed is fixed: a failure is the same on every machine.

use std::time::Instant;

use super::*;
use crate::yaml;

const CASES: usize = 24_000;

/// Files to begin with. What must not be repeated is called CANARY.
const FILES: [&str; 5] = [
    "pipeops:\n  api_url: https://plane.example/base\n  token: CANARYtoken\n  tls: {ca_file: /ca, insecure_skip_verify: true}\n\
     agent:\n  cluster_name: east\n  labels: {site: north, floor: 2}\n  port: 9\n  heartbeat_interval_connected: 45s\n",
    "{\"pipeops\": {\"api_url\": \"https://plane.example\", \"token\": \"CANARYtoken\"}, \"agent\": {\"cluster_name\": \"east\"}}",
    "kubernetes: {in_cluster: true, service_token: CANARYservice}\ntimeouts: {websocket_ping: 1s, shutdown: 1m30s}\n\
     limits: {buffer_bytes: 16MiB, max_exchanges: 4096}\n",
    "policy:\n  verbs: [get, list]\n  namespaces:\n  - team-*\n  deny_paths: [/api/v1/secrets]\n  allow_services: shop/*,a/b:80\n\
     \u{20} allow_addresses: [192.0.2.0/24]\nstate: {namespace: n}\n",
    "# previous agent\ngateway: {enabled: true}\nagent.port: 9\nlogging: {level: warn}\ntunnels: [x]\n",
];

/// Pieces that are put in.
const PIECES: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ", ",
    "\n",
    "\n  ",
    "\t",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!!x ",
    "<<: ",
    "---\n",
    "~",
    "-1",
    "0",
    "99999999999999999999",
    "1h",
    "8MiB",
    "true",
    "yes",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[31m",
    "\u{2028}",
    "é",
    "| \n",
];

struct Random(u64);

impl Random {
    /// Marsaglia's xorshift.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn mutate(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let (at, to) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
            let (from, to) = (at.min(to), at.max(to));
            match self.below(7) {
                0 => drop(bytes.drain(from..to.min(from + 20))),
                1 | 2 => drop(bytes.splice(at..at, self.pick(&PIECES).bytes())),
                3 => {
                    let part: Vec<u8> = bytes[from..to.min(from + 40)].to_vec();
                    bytes.splice(at..at, part);
                }
                4 => bytes.truncate(to),
                5 => bytes.splice(at..at, std::iter::repeat_n(*self.pick(b"[{ -:a\xff"), 200)).for_each(drop),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (self.0 % 8);
                    }
                }
            }
        }
        bytes
    }
}

/// Whether all secrets of the file are still the values of settings that are known to be secret; a change may have moved one
/// elsewhere, where nobody can know it for what it is.
fn in_place(world: &World) -> bool {
    fn below(node: &yaml::Node, key: &str) -> bool {
        let secret = |text: &str| text.contains("CANARY");
        !node.as_text().is_some_and(secret) || matches!(key.to_ascii_lowercase().as_str(), "token" | "service_token")
    }
    fn all(node: &yaml::Node, key: &str) -> bool {
        below(node, key)
            && node.items().iter().all(|item| all(item, ""))
            && node.entries().iter().all(|entry| !entry.key.contains("CANARY") && all(&entry.node, &entry.key))
    }
    let text = String::from_utf8_lossy(&world.files[Path::new(FILE)].0).into_owned();
    yaml::parse(&text).map_or(true, |root| all(&root, ""))
}

/// Whatever comes, these stay short of secrets and within bounds.
fn check(world: &World, words: &[std::ffi::OsString], case: usize) -> bool {
    let Ok(arguments) = Arguments::parse(words.iter().cloned()).map_err(|error| assert!(!error.to_string().contains("CANARY")))
    else {
        return false;
    };
    let (texts, valid) = match Config::load(&arguments, world, world, FULL) {
        Ok((config, warnings)) => {
            assert!(!case.is_multiple_of(16) || !format!("{config:?}").contains("CANARY") || !in_place(world), "case {case}");
            (warnings.to_string(), true)
        }
        Err(error) => {
            assert!(!error.problems.is_empty(), "case {case}");
            assert_eq!(error.effective.len(), KEYS.len());
            (format!("{}\n{}", error.problems, error.warnings), false)
        }
    };
    assert!(texts.lines().count() <= 2 * Notes::LIMIT + 3, "case {case}: {texts}");
    assert!(
        texts.lines().all(|line| line.len() < 2000 && !line.chars().any(|character| character.is_control())),
        "case {case}: {texts}"
    );
    assert!(!texts.contains("CANARY") || !in_place(world), "case {case}: {texts}");
    valid
}

#[test]
fn whatever_the_sources_say_there_is_a_configuration_or_a_problem_and_no_secret() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (began, mut valid) = (Instant::now(), 0);
    let names: Vec<&str> = KEYS.iter().flat_map(|key| key.environment).copied().collect();
    let flags: Vec<&str> = KEYS.iter().filter_map(|key| key.flag).collect();
    for case in 0..CASES {
        let mut world = world_with_required().file("/ca", "x").file("/t", "CANARYfile");
        if case % 3 == 0 {
            world.variables.remove("PIPEOPS_TOKEN");
        }
        world = world.set("PIPEOPS_K8S_SERVICE_TOKEN", "CANARYenvironment");
        let text = *random.pick(&FILES);
        let content = random.mutate(text);
        let content = if case % 8 == 0 { text.as_bytes().to_vec() } else { content };
        world.files.insert(FILE.into(), (content, 0o600));
        let mut words: Vec<std::ffi::OsString> = vec!["--config".into(), FILE.into()];
        for _ in 0..random.below(3) {
            let name = *random.pick(&names);
            let value = random.mutate("word").into_iter().filter(|byte| *byte != 0).collect();
            world.variables.insert(name.to_owned(), <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(value));
        }
        for _ in 0..random.below(3) {
            let flag = format!("{}=value", random.pick(&flags));
            let flag = random.mutate(&flag);
            words.push(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(flag));
        }
        valid += usize::from(check(&world, &words, case));
    }
    assert!(valid > CASES / 50, "{valid}: the changes leave nothing of the files");
    assert!(valid < CASES * 9 / 10, "{valid}: the changes change nothing");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
