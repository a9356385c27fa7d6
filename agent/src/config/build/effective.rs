//! The settings as they hold in the end, for people to look at.

use core::hash::{Hash as _, Hasher as _};
use std::hash::DefaultHasher;

use crate::config::Effective;
use crate::config::collect::Collected;
use crate::config::keys::{KEYS, Key, Kind};
use crate::config::source::Source;
use crate::config::token::looks_like_token;
use crate::logger::mask;
use crate::proxy::ProxyUrl;
use crate::secret::MASK;

/// What holds in the end, one row per key, for people to look at.
pub(super) fn rows(collected: &Collected) -> Vec<Effective> {
    let row = |key: &'static Key| {
        if key.kind == Kind::Labels {
            let labels: Vec<String> =
                collected.file.labels.iter().map(|(name, value)| mask(&format!("{name}={value}")).into_owned()).collect();
            let source = collected.file.labels_source.clone().unwrap_or(Source::Default);
            let text = (!labels.is_empty()).then(|| labels.join(","));
            return Effective { key, fingerprint: fingerprint(text.as_deref()), text, source };
        }
        let found = collected.values.get(&key.setting);
        let text = match key.kind {
            Kind::Secret => found.map(|_| MASK.to_owned()),
            Kind::Proxy => {
                found.map(|found| ProxyUrl::parse(&found.text).map_or_else(|_| MASK.to_owned(), |url| url.to_string()))
            }
            Kind::Path if found.is_some_and(|found| looks_like_token(key.setting, &found.text)) => Some(MASK.to_owned()),
            Kind::Text
            | Kind::Url
            | Kind::Path
            | Kind::Address
            | Kind::Boolean
            | Kind::Integer { .. }
            | Kind::Duration { .. }
            | Kind::Seconds { .. }
            | Kind::Bytes { .. }
            | Kind::Choice(_)
            | Kind::Pem
            | Kind::List(_)
            | Kind::Labels => found.map(|found| found.text.as_str()).or(key.default).map(|text| mask(text).into_owned()),
        };
        let value = found.map(|found| found.text.as_str()).or(key.default);
        Effective {
            key,
            text,
            source: found.map_or(Source::Default, |found| found.source.clone()),
            fingerprint: fingerprint(value),
        }
    };
    KEYS.iter().map(row).collect()
}

/// A number for a value, which says nothing about it to people.
fn fingerprint(value: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
