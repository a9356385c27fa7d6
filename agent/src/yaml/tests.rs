//! What is read, what is refused, and the places of both.

use super::*;

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn every_value_knows_its_place() {
    let node = parse("# a comment\na:\n  b: 9\n  c: [x, \"true\"]\nd: ~\n").unwrap();
    let b = node.get("a").unwrap().get("b").unwrap();
    assert_eq!((b.line, b.column, b.as_text()), (3, 6, Some("9")));
    let items = node.get("a").unwrap().get("c").unwrap().items();
    assert_eq!((items[1].line, items[1].column), (4, 10));
    assert_eq!(items[1].as_bool(), None, "a quoted text is not a truth value");
    assert!(node.get("d").unwrap().is_null());
    let entry = &node.entries()[0].node.entries()[1];
    assert_eq!((entry.key.as_str(), entry.line, entry.column), ("c", 4, 3));
}

#[test]
fn json_is_read_too() {
    let text = "{\n\t\"a\": {\"b\": true, \"u\": \"\\u00e9\\ud83d\\ude00\\/\"},\n\t\"list\":[1,2, null]\n}\n";
    let node = parse(text).unwrap();
    assert_eq!(node.get("a").unwrap().get("b").unwrap().as_bool(), Some(true));
    assert_eq!(node.get("a").unwrap().get("u").unwrap().as_text(), Some("\u{e9}\u{1f600}/"));
    assert_eq!(node.get("list").unwrap().items().len(), 3);
    assert!(parse("{\"a\":{\"b\":\"c\"},\"d\":[]}").is_ok());
}

#[test]
fn harmless_documents_are_let_through() {
    for text in ["---\na: 1\n", "a: 1\n---\n", "---\n---\na: 1\n...\n", "\u{feff}a: 1\n", "a: 1\r\n"] {
        assert_eq!(parse(text).unwrap().get("a").unwrap().as_text(), Some("1"), "{text:?}");
    }
    for text in ["", "\n", "# nothing\n", "---\n", "null"] {
        assert!(parse(text).unwrap().is_null(), "{text:?}");
    }
}

#[test]
fn plain_words_for_what_is_refused() {
    let cases = [
        ("a: &x 1\n", "line 1, column 7: anchors (&name) are not supported: write the value out"),
        ("a: 1\nb: *x\n", "line 2, column 4: aliases (*name) are not supported: write the value out"),
        ("a: !!str 1\n", "line 1, column 10: tags (!name) are not supported"),
        ("a: !x {b: 1}\n", "line 1, column 7: tags (!name) are not supported"),
        ("a:\n  <<: {b: 1}\n", "line 2, column 3: merge keys (<<) are not supported: write the keys out"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: duplicate key \"a\", first on line 1"),
        ("a: 1\n---\nb: 2\n", "line 3, column 1: a second document: only one is allowed"),
        ("? [a, b]\n: 1\n", "line 1, column 3: a key must be a text"),
        ("a: [1, 2\n", "line 1, column 4: the bracket '[' is never closed"),
        ("a: \"x\n", "line 1, column 4: the quotation mark is never closed"),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message, "{text:?}");
    }
    let broken = ["a:\n\tb: 1\n", "a: b: c\n", "a: 1\n b: 2\n", "a: {b\n", "\"\\q\"", "a: }", "%YAML 3.0\n---\na: 1\n"];
    for text in broken {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn depth_and_size_are_limited() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(&nested(64)).is_ok());
    assert_eq!(refused(&nested(65)), "line 1, column 65: nested deeper than 64 levels");
    assert!(parse(&nested(10_000)).is_err());
    assert!(parse(&"- ".repeat(10_000)).is_err());
    assert_eq!(refused(&"#".repeat(1024 * 1024 + 1)), "line 1, column 1: the file is larger than 1 MiB");
    let many: String = (0..20_000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(parse(&many).unwrap().entries().len(), 20_000);
}
