//! The settings as they hold in the end, for people to look at.

use crate::config::Effective;
use crate::config::collect::Collected;
use crate::config::keys::{KEYS, Key, Kind};
use crate::config::source::Source;
use crate::logger::mask;
use crate::secret::MASK;

/// What holds in the end, one row per key, for people to look at.
pub(super) fn rows(collected: &Collected) -> Vec<Effective> {
    let row = |key: &'static Key| {
        if key.kind == Kind::Labels {
            let labels: Vec<String> = collected.file.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let source = collected.file.labels_source.clone().unwrap_or(Source::Default);
            return Effective { key, text: (!labels.is_empty()).then(|| labels.join(",")), source };
        }
        let found = collected.values.get(&key.setting);
        let text = match key.kind {
            Kind::Secret => found.map(|_| MASK.to_owned()),
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
        Effective { key, text, source: found.map_or(Source::Default, |found| found.source.clone()) }
    };
    KEYS.iter().map(row).collect()
}
