//! The JSON Schema of the configuration file, made from the table of settings.
//!
//! It describes what to write. Keys in other cases and dotted keys, which the agent takes too, are not in it; neither are rules
//! between two settings.

use core::fmt::Write as _;

use crate::config::{KEYS, Key, Kind, ignored};
use crate::logger::push_json_text;

const HEAD: &str = "\
{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",
\"title\":\"Configuration of pipeops-agent\",
\"type\":[\"object\",\"null\"],\"additionalProperties\":false,\"properties\":{";
const SECTION: &str = "{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,\"properties\":{";
/// Where unknown keys of the previous agent are let through.
const OPEN_SECTION: &str = "{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"deprecated\":true},\"properties\":{";
const IGNORED: &str = "{\"deprecated\":true,\"description\":\"accepted and ignored\"}";

/// What the values of texts may be in YAML: `cluster_name: 7` is a text too.
const SCALAR: &str = "\"type\":[\"string\",\"number\",\"boolean\",\"null\"]";
const BOOLEAN: &str =
    "\"enum\":[true,false,0,1,\"true\",\"True\",\"TRUE\",\"t\",\"T\",\"1\",\"false\",\"False\",\"FALSE\",\"f\",\"F\",\"0\",null]";
const INTEGER: &str = "\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^\\\\s*([0-9]+)?\\\\s*$\"";
const DURATION: &str = "\
\"type\":[\"string\",\"null\"],\"pattern\":\"^\\\\s*(\\\\+?(([0-9]+(\\\\.[0-9]*)?|\\\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)?\\\\s*$\"";
const SECONDS: &str = "\
\"type\":[\"integer\",\"string\",\"null\"],\
\"pattern\":\"^\\\\s*([0-9]+|\\\\+?(([0-9]+(\\\\.[0-9]*)?|\\\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)?\\\\s*$\"";
const BYTES: &str = "\
\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^\\\\s*([0-9]+\\\\s*(B|[KMG]iB?|[kKMG]B)?)?\\\\s*$\"";
const URL: &str =
    "\"type\":[\"string\",\"null\"],\"pattern\":\"^\\\\s*([hH][tT][tT][pP][sS]?|[wW][sS][sS]?)://[^\\\\s@#]+\\\\s*$\"";
const SECRET: &str = "\"type\":[\"string\",\"number\",\"null\"],\"writeOnly\":true,\"pattern\":\"^\\\\s*[!-~]*\\\\s*$\"";
const PEM: &str = "\"type\":[\"string\",\"null\"],\"contentEncoding\":\"base64\",\"pattern\":\"^[A-Za-z0-9+/=\\\\s]*$\"";
const LABELS: &str =
    "\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}";
const LIST: &str = "\"type\":[\"array\",\"string\",\"number\",\"null\"],\"items\":{\"type\":[\"string\",\"number\",\"boolean\"]}";

/// The schema, with a line feed at the end.
pub(crate) fn schema() -> String {
    let mut text = String::from(HEAD);
    push_section(&mut text, "");
    text.push_str("}}\n");
    text
}

/// The properties of a section; `prefix` is its path with a dot at the end, or empty.
fn push_section(text: &mut String, prefix: &str) {
    let mut names: Vec<&str> = Vec::new();
    for path in KEYS.iter().map(|key| key.path).chain(ignored::KEYS.iter().copied()) {
        let name = path.strip_prefix(prefix).and_then(|rest| rest.split('.').next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    for (index, name) in names.iter().enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        push_json_text(text, name);
        text.push(':');
        let path = format!("{prefix}{name}");
        if let Some(key) = KEYS.iter().find(|key| key.path == path) {
            push_setting(text, key);
        } else if ignored::KEYS.contains(&path.as_str()) {
            text.push_str(IGNORED);
        } else {
            text.push_str(if ignored::OPEN_SECTIONS.contains(&path.as_str()) { OPEN_SECTION } else { SECTION });
            push_section(text, &format!("{path}."));
            text.push_str("}}");
        }
    }
}

fn push_setting(text: &mut String, key: &Key) {
    text.push_str("{\"description\":");
    push_json_text(text, &format!("{} ({})", key.meaning, key.kind));
    text.push(',');
    let mut number = false;
    // Writing to a String cannot fail.
    match key.kind {
        Kind::Text | Kind::Path | Kind::Proxy | Kind::Address => {
            let _ = write!(text, "{SCALAR},\"maxLength\":4096");
        }
        Kind::Secret => text.push_str(SECRET),
        Kind::Url => text.push_str(URL),
        Kind::Boolean => {
            text.push_str(BOOLEAN);
            number = true;
        }
        Kind::Integer { minimum, maximum } => {
            let _ = write!(text, "{INTEGER},\"minimum\":{minimum},\"maximum\":{maximum}");
            number = true;
        }
        Kind::Duration { .. } => text.push_str(DURATION),
        Kind::Seconds { minimum, maximum } => {
            let _ = write!(text, "{SECONDS},\"minimum\":{},\"maximum\":{}", minimum.as_secs(), maximum.as_secs());
            number = true;
        }
        Kind::Bytes { minimum, maximum } => {
            let _ = write!(text, "{BYTES},\"minimum\":{minimum},\"maximum\":{maximum}");
            number = true;
        }
        Kind::Choice(words) => {
            text.push_str("\"enum\":[");
            for word in words {
                push_json_text(text, word);
                text.push(',');
                // Without quotes the file has a number there.
                if word.starts_with(|first: char| first.is_ascii_digit()) {
                    text.push_str(word);
                    text.push(',');
                }
            }
            text.push_str("null]");
        }
        Kind::Pem => text.push_str(PEM),
        Kind::Labels => text.push_str(LABELS),
        Kind::List(_) => text.push_str(LIST),
    }
    if let Some(default) = key.default {
        text.push_str(",\"default\":");
        if number {
            text.push_str(default);
        } else {
            push_json_text(text, default);
        }
    }
    text.push('}');
}
