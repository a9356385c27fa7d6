//! What the doctor said.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Bed, Launch, Setup};

/// One run with `--json`.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) code: i32,
    pub(crate) result: String,
    pub(crate) checks: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) result: String,
    pub(crate) seen: String,
    pub(crate) cure: String,
}

/// A bed whose machine has nothing that needs a warning.
pub(crate) fn bed() -> Bed {
    Bed::new(Setup::default())
}

/// The agent's configuration, with limits that any machine meets.
pub(crate) fn patient(bed: &Bed) -> Launch<'_> {
    bed.agent().unset("logging.level").set("limits.max_exchanges", 16)
}

pub(crate) fn examine(launch: Launch<'_>) -> Diagnosis {
    Diagnosis::of(&launch.arg("--json").output("doctor"))
}

impl Diagnosis {
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{output:?}"));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
        let field = |check: &Value, key: &str| check[key].as_str().unwrap_or_else(|| panic!("{key}: {check}")).to_owned();
        let checks = json["checks"].as_array().unwrap().iter().map(|check| Line {
            id: field(check, "id"),
            name: field(check, "name"),
            result: field(check, "result"),
            seen: field(check, "seen"),
            cure: field(check, "cure"),
        });
        Self { code: output.status.code().unwrap(), result: field(&json, "result"), checks: checks.collect() }
    }

    #[track_caller]
    pub(crate) fn line(&self, id: &str) -> &Line {
        self.checks.iter().find(|line| line.id == id).unwrap_or_else(|| panic!("no check {id}: {self:#?}"))
    }

    /// The ids of the checks that ended so.
    pub(crate) fn ids(&self, result: &str) -> Vec<&str> {
        self.checks.iter().filter(|line| line.result == result).map(|line| line.id.as_str()).collect()
    }

    /// The only check that failed is this one; it says what it saw, and what mends it.
    #[track_caller]
    pub(crate) fn only_failure(&self, id: &str) -> &Line {
        assert_eq!(self.ids("fail"), [id], "{self:#?}");
        assert_eq!((self.code, self.result.as_str()), (1, "fail"));
        let line = self.line(id);
        assert!(!line.seen.is_empty() && !line.cure.is_empty(), "{line:?}");
        line
    }

    /// Nothing failed, and of what there is a warning about this is all.
    #[track_caller]
    pub(crate) fn only_warnings(&self, ids: &[&str]) {
        assert_eq!(self.ids("fail"), Vec::<&str>::new(), "{self:#?}");
        assert_eq!(self.ids("warn"), ids, "{self:#?}");
        assert_eq!(self.code, 0);
    }
}
