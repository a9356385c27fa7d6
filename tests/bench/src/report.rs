//! The figures: printed as they come, kept for a file, and held against the hard budgets.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Failure;

#[derive(Default)]
pub(crate) struct Report {
    figures: Map<String, Value>,
    broken: Vec<String>,
}

impl Report {
    /// A figure, with the goal in words or nothing.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str, goal: &str) {
        let digits = if value >= 100.0 { 0 } else { 2 };
        let goal_text = if goal.is_empty() { String::new() } else { format!("   goal {goal}") };
        line(&format!("{name:<66} {value:>10.digits$} {unit:<7}{goal_text}"));
        let rounded = (value * 1000.0).round() / 1000.0;
        self.figures.insert(name.into(), json!({"value": rounded, "unit": unit, "goal": goal}));
    }

    /// A budget whose excess is a failure.
    pub(crate) fn hard(&mut self, name: &str, value: f64, most: f64, unit: &str) {
        if value > most {
            self.broken.push(format!("{name}: {value:.2} {unit}, and {most} {unit} are allowed"));
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = json!({"figures": self.figures, "broken": self.broken});
        std::fs::write(path, format!("{text:#}\n")).map_err(Failure::of("JSON file"))
    }

    /// Says which hard budgets are broken; whether there are none.
    pub(crate) fn verdict(&self) -> bool {
        for broken in &self.broken {
            line(&format!("BROKEN {broken}"));
        }
        self.broken.is_empty()
    }
}

/// One line on standard output.
pub(crate) fn line(text: &str) {
    // Where standard output is gone there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{text}");
}
