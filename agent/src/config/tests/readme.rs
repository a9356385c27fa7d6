//! The table of settings in the README says what the table in the code says.

use super::*;

const README: &str = include_str!("../../../../README.md");

#[test]
fn the_readme_lists_every_setting() {
    let code = |text: &str| format!("`{text}`");
    let mut table = String::from("| Setting | Environment | Flag | Default | Meaning |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let environment: Vec<String> = key.environment.iter().map(|name| code(name)).collect();
        let required = key.required_as.map_or("", |_| "required");
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            code(key.path),
            environment.join("<br>"),
            key.flag.map(code).unwrap_or_default(),
            key.default.map_or_else(|| required.to_owned(), code),
            key.meaning
        ));
    }
    let written = README.split("<!-- settings -->\n").nth(1).and_then(|rest| rest.split("<!-- /settings -->").next()).unwrap();
    assert!(written == table, "replace the table in README.md by this one:\n{table}");
}
