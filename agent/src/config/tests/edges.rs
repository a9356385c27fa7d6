//! Every setting with every wrong shape and at the edges of its range; hints; files that are something else.

use super::origin::file_with;
use super::*;
use crate::go_duration;

/// A file that gives the setting this value, as it stands, and the place of the value as messages show it.
fn file_and_place(key: &Key, value: &str) -> (String, String) {
    let (section, name) = key.path.rsplit_once('.').unwrap();
    let closing = "}".repeat(section.matches('.').count() + 1);
    let head = format!("{}: {{{name}: ", section.replace('.', ": {"));
    let place = format!("{FILE}:1:{}", head.len() + 1);
    (format!("{head}{value}{closing}\n"), place)
}

/// The first message about a file with this value, and the place of the value.
fn first_message(key: &Key, value: &str) -> (String, String) {
    let (text, place) = file_and_place(key, value);
    let mut world = world_with_required().file(FILE, &text);
    for name in key.environment {
        world.variables.remove(*name);
    }
    if key.setting == Setting::TokenFile {
        world.variables.remove("PIPEOPS_TOKEN");
    }
    let first = match load(&world, &["--config", FILE]) {
        Ok(_) => String::new(),
        Err(error) => error.problems.iter().next().unwrap().to_string(),
    };
    (first, place)
}

#[test]
fn every_setting_with_every_wrong_shape() {
    let mut cases = 0;
    for key in KEYS {
        let list = matches!(key.kind, Kind::List(_));
        let labels = key.kind == Kind::Labels;
        let shapes =
            [("{a: {b: CANARY}}", "a mapping", false), ("[[CANARY]]", "a list", false), ("[{a: CANARY}]", "a list", list)];
        for (value, found, is_right) in shapes {
            if is_right || (list && found == "a list") {
                continue;
            }
            let (message, place) = first_message(key, value);
            let expected = match (labels, found) {
                (true, "a mapping") => continue,
                (true, _) => format!("{place}: {}: a mapping is expected, found {found}", key.path),
                (false, _) if list => format!("{place}: {}: a list is expected, found {found}", key.path),
                (false, _) => format!("{place}: {}: one value is expected, found {found}", key.path),
            };
            assert_eq!(message, expected);
            cases += 1;
        }
        let wrong_text = match key.kind {
            Kind::Boolean => "\"soon\" is neither true nor false",
            Kind::Integer { .. } => "\"soon\" is not a whole number",
            Kind::Duration { .. } | Kind::Seconds { .. } => "\"soon\" is not a duration such as 30s, 500ms or 1m30s",
            Kind::Bytes { .. } => "\"soon\" is not a number of bytes such as 8388608 or 8MiB",
            Kind::Choice(words) => &format!("\"soon\" is not one of {}", words.join(", ")),
            Kind::Url => "a URL needs a scheme: write https://soon",
            Kind::Address => {
                "\"soon\" is not an IP address: write 127.0.0.1 for this machine alone, 0.0.0.0 for all of its addresses"
            }
            Kind::Pem => "base64 of something that is no PEM certificate",
            Kind::Labels => "a mapping is expected, found a text",
            Kind::Text | Kind::Secret | Kind::Path | Kind::Proxy | Kind::List(_) => continue,
        };
        let (message, place) = first_message(key, "soon");
        assert_eq!(message, format!("{place}: {}: {wrong_text}", key.path));
        cases += 1;
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn every_range_at_its_edges() {
    for key in KEYS {
        let (inside, outside, range) = match key.kind {
            Kind::Integer { minimum, maximum } => {
                let below = minimum.checked_sub(1).map_or_else(|| "-1".to_owned(), |number| number.to_string());
                (
                    [minimum.to_string(), maximum.to_string()],
                    [below, (maximum + 1).to_string()],
                    format!("{minimum} to {maximum}"),
                )
            }
            Kind::Bytes { minimum, maximum } => (
                [minimum.to_string(), maximum.to_string()],
                [(minimum - 1).to_string(), (maximum + 1).to_string()],
                format!("{minimum} to {maximum} bytes"),
            ),
            Kind::Duration { minimum, maximum } | Kind::Seconds { minimum, maximum } => {
                let nanos = |duration: Duration| format!("{}ns", duration.as_nanos());
                let tick = Duration::from_nanos(1);
                let below = minimum.checked_sub(tick).map_or_else(|| "0.1h61m".to_owned(), nanos);
                let range = format!("{} to {}", go_duration::format(minimum), go_duration::format(maximum));
                ([nanos(minimum), nanos(maximum)], [below, nanos(maximum + tick)], range)
            }
            Kind::Text
            | Kind::Secret
            | Kind::Url
            | Kind::Proxy
            | Kind::Address
            | Kind::Path
            | Kind::Boolean
            | Kind::Choice(_)
            | Kind::Pem
            | Kind::Labels
            | Kind::List(_) => continue,
        };
        for value in inside {
            // The order of two settings may be wrong now; the range is not.
            assert!(!first_message(key, &value).0.contains("outside"), "{} {value}", key.path);
        }
        for value in outside {
            let (message, place) = first_message(key, &value);
            assert_eq!(message, format!("{place}: {}: \"{value}\" is outside {range}", key.path));
        }
    }
}

#[test]
fn values_that_were_put_down_in_another_way() {
    let cases = [
        ("PIPEOPS_API_URL", "plane.example:8443/base", "a URL needs a scheme: write https://plane.example:8443/base"),
        ("PIPEOPS_API_URL", "u:CANARY@plane.example", "a URL needs a scheme: begin it with https://"),
        ("PIPEOPS_API_URL", "https:/plane.example", "a URL needs a scheme: begin it with https://"),
        ("PIPEOPS_API_URL", "\"https://plane.example\"", "the value stands in quotes: leave them out"),
        ("PIPEOPS_TOKEN", "'CANARY'", "the value stands in quotes: leave them out"),
        ("PIPEOPS_TOKEN", "Bearer CANARY", "the token begins with \"Bearer\": leave that word out"),
        ("PIPEOPS_TOKEN", "<CANARY>", "this stands for a token and is none: put the token itself here"),
        ("PIPEOPS_TOKEN", "${CANARY}", "this stands for a token and is none: put the token itself here"),
        ("PIPEOPS_TOKEN", "{{ .CANARY }}", "this stands for a token and is none: put the token itself here"),
        ("PIPEOPS_TOKEN", "CANARY\r\nCANARY", "the token holds white space or a character outside printable ASCII"),
        ("PIPEOPS_CLUSTER_NAME", "\"east\"", "the value stands in quotes: leave them out"),
        ("PIPEOPS_CLUSTER_NAME", "ea\u{1b}[31mst", "control characters are not allowed"),
        ("PIPEOPS_ALLOW_PLAINTEXT", "Off", "\"Off\" is neither true nor false: write false"),
        ("KUBERNETES_IN_CLUSTER", "enabled", "\"enabled\" is neither true nor false: write true"),
        ("KUBECONFIG", "~/.kube/config", "~ means nothing here: write the whole path"),
        ("LOGGING_LEVEL", "verbose", "\"verbose\" is not one of error, warn, info, debug, trace"),
        ("AGENT_PORT", "8080/tcp", "\"8080/tcp\" is not a whole number"),
        (
            "PIPEOPS_HEARTBEAT_INTERVAL_CONNECTED",
            "30 s",
            "\"30 s\" is not a duration: unknown unit \" s\", use ns, us, ms, s, m or h",
        ),
        ("LOG_LEVEL", "eyJhbGciOi.eyJzdWIiOiJDQU5BUlki.c2ln", "\"***\" is not one of error, warn, info, debug, trace"),
    ];
    for (name, value, message) in cases {
        let key = KEYS.iter().find(|key| key.environment.contains(&name)).unwrap();
        let error = load(&world_with_required().set(name, value), &[]).unwrap_err().to_string();
        assert_eq!(error, format!("environment variable {name}: {}: {message}", key.path), "{value}");
        assert!(!error.contains("CANARY"), "{error}");
    }
}

#[test]
fn keys_that_were_put_down_in_another_way() {
    let cases = [
        ("PIPEOPS_TOKEN: CANARY", "1:1: unknown key pipeops_token: did you mean pipeops.token?"),
        ("LOG_LEVEL: debug", "1:1: unknown key log_level: did you mean logging.level?"),
        ("log-level: debug", "1:1: unknown key log-level: did you mean logging.level?"),
        ("cluster-name: a", "1:1: unknown key cluster-name: did you mean agent.cluster_name?"),
        ("agent:\n  cluster-name: a", "2:3: unknown key agent.cluster-name: did you mean agent.cluster_name?"),
        ("agent:\n  clusterName: a", "2:3: unknown key agent.clustername: did you mean agent.cluster_name?"),
        ("pipeops:\n  tls:\n    ca: a", "3:5: unknown key pipeops.tls.ca"),
        ("limits:\n  agent.port: 1", "2:3: unknown key limits.agent.port: did you mean agent.port?"),
        ("agent.port.x: 1", "1:1: unknown key agent.port.x: did you mean agent.port?"),
    ];
    for (text, message) in cases {
        assert_eq!(load_file(text).unwrap_err().to_string(), format!("{FILE}:{message}"), "{text}");
    }
}

#[test]
fn files_that_are_no_configuration() {
    let wide: Vec<u8> = "agent: {}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = format!("agent: {}1{}", "[".repeat(100), "]".repeat(100));
    let cases: [(&[u8], &str); 15] = [
        (&[&[0xff, 0xfe], &wide[..]].concat(), "1:1: the file is UTF-16: save it as UTF-8"),
        (&[0xfe, 0xff, 0, b'a'], "1:1: the file is UTF-16: save it as UTF-8"),
        (&wide, "1:1: the file holds NUL characters: it is UTF-16, which must be saved as UTF-8, or no text"),
        (b"\x7fELF\x02\x01\x01\x00\xff\xff", "1:1: the file is not UTF-8"),
        (b"agent: {port: 9, id: \xe9}", "1:1: the file is not UTF-8"),
        (&b" ".repeat(1024 * 1024 + 1), "1:1: the file is larger than 1 MiB"),
        (deep.as_bytes(), "1:71: nested deeper than 64 levels"),
        (b"{\"agent\": {\"port\": 9,}, }x", "1:26: this is not valid YAML"),
        (b"{\"agent\": {\"port\": \"x\"}}", "1:20: agent.port: \"x\" is not a whole number"),
        (b"{\"agent\": {\"port\": 9}", "1:1: the bracket '{' is never closed"),
        (b"{\"agent\": {\"port\": 9, \"port\": 9}}", "1:23: duplicate key \"port\", first on line 1"),
        (b"agent: {port: \"9}", "1:15: the quotation mark is never closed"),
        (b"agent:\n  port: 9\n port: 9\n", "3:2: a key is expected here, with the indentation of the keys above"),
        (
            b"pipeops:\n  api_url: https://a: b\n",
            "2:21: \"key: value\" is not possible here; put the text in quotes if it holds a colon",
        ),
        (b"[agent]\nport = 9\n", "2:1: this is not valid YAML"),
    ];
    for (content, message) in cases {
        let mut world = world_with_required().file(FILE, "");
        world.files.insert(FILE.into(), (content.to_vec(), 0o600));
        let error = load(&world, &["--config", FILE]).unwrap_err().to_string();
        assert_eq!(error, format!("{FILE}:{message}"), "{:?}", String::from_utf8_lossy(&content[..content.len().min(40)]));
    }
    for text in ["\u{feff}agent: {port: 9}", "agent:\r\n  port: 9\r\n", "{\n\t\"agent\": {\"port\": 9}\n}\n"] {
        assert_eq!(load_file(text).unwrap().0.agent.port, 9, "{text:?}");
    }
}

#[test]
fn a_file_that_is_something_else_does_not_fill_the_screen() {
    let text: String = (0..20_000).map(|index| format!("key{index}: CANARY\n")).collect();
    let error = load_file(&text).unwrap_err();
    assert_eq!(error.problems.len(), 20_000);
    let message = error.to_string();
    assert_eq!(message.lines().count(), Notes::LIMIT + 1);
    assert!(message.ends_with("\nand 19900 more"), "{message}");
    let text: String =
        std::iter::once("state:\n".to_owned()).chain((0..20_000).map(|index| format!("  q{index}zz: x\n"))).collect();
    let (_, warnings) = load_file(&text).unwrap();
    assert_eq!((warnings.len(), warnings.iter().count(), warnings.more()), (20_000, 100, 19_900));
}

#[test]
fn a_value_may_be_set_to_nothing() {
    for key in KEYS.iter().filter(|key| key.required_as.is_none()) {
        let mut text = file_with(key, "");
        if key.kind == Kind::Labels {
            text = "agent: {labels: }".to_owned();
        }
        let (config, warnings) = load_file(&text).unwrap_or_else(|error| panic!("{}: {error}", key.path));
        assert_eq!((config.effective()[key.setting as usize].text.as_deref(), warnings.len()), (key.default, 0), "{}", key.path);
    }
}
