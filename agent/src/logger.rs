//! Writes log records to standard error: JSON lines for machines, text for people.
//!
//! The level in force is that of [`log::max_level`]. Records of other crates are dropped unless it is TRACE: they are
//! written for the authors of those crates. Every message and every text among the fields goes through [`mask`],
//! since any of them may repeat what came from outside.

mod json;
mod mask;
mod text;

use std::io::Write as _;
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

pub(crate) use json::push_text as push_json_text;
pub(crate) use mask::mask;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Text,
}

/// Installs the logger for the life of the process. Fails if there is one already.
pub(crate) fn init(level: LevelFilter, format: Format) -> Result<(), SetLoggerError> {
    let logger: Box<dyn Log> = match format {
        Format::Json => Box::new(JsonLogger),
        Format::Text => Box::new(text::TextLogger::new()),
    };
    log::set_boxed_logger(logger)?;
    set_level(level);
    Ok(())
}

/// Changes the level from now on.
pub(crate) fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// One JSON object per line on standard error.
struct JsonLogger;

impl Log for JsonLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata.target(), metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_wanted(origin(record), record.metadata()) {
            let line = json::line(record, SystemTime::now());
            // One call, so that lines of several threads do not mix. When nobody reads any more there is nothing to do.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// The module a record comes from, else its target.
fn origin<'record>(record: &Record<'record>) -> &'record str {
    record.module_path().unwrap_or_else(|| record.target())
}

fn is_wanted(module: &str, metadata: &Metadata<'_>) -> bool {
    metadata.level() <= log::max_level() && (is_ours(module) || log::max_level() == LevelFilter::Trace)
}

/// True for modules of this crate and of crates whose names begin with its name.
fn is_ours(module: &str) -> bool {
    let own = module_path!().split("::").next().unwrap_or_default();
    module.starts_with(own)
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn records_of_other_crates_are_dropped_unless_tracing() {
        let wanted = |module, level| is_wanted(module, &Metadata::builder().level(level).target(module).build());
        set_level(LevelFilter::Debug);
        assert!(wanted(module_path!(), Level::Debug));
        assert!(!wanted(module_path!(), Level::Trace));
        assert!(!wanted("rustls::client", Level::Error));
        set_level(LevelFilter::Trace);
        assert!(wanted("rustls::client", Level::Debug));
        assert!(wanted(module_path!(), Level::Trace));
    }
}
