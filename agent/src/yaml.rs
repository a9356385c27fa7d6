//! YAML (and with it JSON) as a tree in which every value knows its line and column.
//!
//! The agent reads two kinds of files with it, its own configuration and kubeconfig. Neither needs the parts of YAML
//! that surprise people or let a small file grow large, so anchors, aliases, tags, merge keys, duplicate keys and
//! further documents are refused. Empty documents before or after the one with content are let through, since some
//! generators end a file with `---`.

#[cfg(test)]
mod tests;

use core::fmt;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle};

/// Deepest nesting of lists and mappings.
const MAXIMUM_DEPTH: usize = 64;
/// Largest text in bytes.
const MAXIMUM_BYTES: usize = 1024 * 1024;

/// One value and the place where it begins. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// A text, number or truth value as it was written. `quoted` is true for every notation but the plain one.
    Scalar {
        text: String,
        quoted: bool,
    },
    Sequence(Vec<Node>),
    /// In the order of the file; no key occurs twice.
    Mapping(Vec<Entry>),
}

/// One key of a mapping, its place, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) node: Node,
}

/// The first thing in a text that is not YAML or is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for YamlError {}

impl Node {
    /// The value of a key, `None` if there is no such key or this is not a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a mapping, empty for every other value.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Scalar { .. } | Value::Sequence(_) => &[],
        }
    }

    /// The items of a list, empty for every other value.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            Value::Null | Value::Scalar { .. } | Value::Mapping(_) => &[],
        }
    }

    /// The text of a scalar as written, whether it looks like a text, a number or a truth value.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// A plain `true` or `false`.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What kind of value this is, for a message: "nothing", "a text", "a list", "a mapping".
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted: false } => Some(text),
            Value::Scalar { .. } | Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }
}

/// Reads one YAML or JSON document. An empty text is a null.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() > MAXIMUM_BYTES {
        return Err(YamlError { line: 1, column: 1, message: "the file is larger than 1 MiB".to_owned() });
    }
    let mut reader = Reader { events: Parser::new_from_str(text) };
    let mut found: Option<Node> = None;
    while let Some((event, at)) = reader.next()? {
        if matches!(event, Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd) {
            continue;
        }
        if event == Event::StreamEnd {
            break;
        }
        let node = reader.node(event, at, 0)?;
        match &found {
            Some(first) if !first.is_null() => {
                if !node.is_null() {
                    return Err(at.error("a second document: only one is allowed"));
                }
            }
            Some(_) | None => found = Some(node),
        }
    }
    Ok(found.unwrap_or(Node { line: 1, column: 1, value: Value::Null }))
}

/// A place in the text, both numbers from 1.
#[derive(Clone, Copy)]
struct Place {
    line: u32,
    column: u32,
}

impl Place {
    fn new(marker: &Marker) -> Place {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Place { line: number(marker.line().max(1)), column: number(marker.col().saturating_add(1)) }
    }

    fn error(self, message: impl Into<String>) -> YamlError {
        YamlError { line: self.line, column: self.column, message: message.into() }
    }

    fn node(self, value: Value) -> Node {
        Node { line: self.line, column: self.column, value }
    }
}

struct Reader<'text> {
    events: Parser<'text, granit_parser::StrInput<'text>>,
}

impl<'text> Reader<'text> {
    fn next(&mut self) -> Result<Option<(Event<'text>, Place)>, YamlError> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, Place::new(&span.start)))),
            Some(Err(error)) => Err(Place::new(error.marker()).error(syntax_message(error.kind()))),
        }
    }

    /// The next event where the parser guarantees one.
    fn expect(&mut self, after: Place) -> Result<(Event<'text>, Place), YamlError> {
        self.next()?.ok_or_else(|| after.error("the text ends here too early"))
    }

    /// Builds the value that begins with `event`. Recursion is bounded by [`MAXIMUM_DEPTH`].
    fn node(&mut self, event: Event<'text>, at: Place, depth: usize) -> Result<Node, YamlError> {
        if let Event::Scalar(text, style, anchor, tag) = event {
            refuse_properties(at, anchor, tag.is_some())?;
            return Ok(at.node(scalar(&text, style)));
        }
        if depth >= MAXIMUM_DEPTH {
            return Err(at.error(format!("nested deeper than {MAXIMUM_DEPTH} levels")));
        }
        if let Event::SequenceStart(_, anchor, tag) = event {
            refuse_properties(at, anchor, tag.is_some())?;
            return self.sequence(at, depth);
        }
        if let Event::MappingStart(_, anchor, tag) = event {
            refuse_properties(at, anchor, tag.is_some())?;
            return self.mapping(at, depth);
        }
        if let Event::Alias(_) = event {
            return Err(at.error("aliases (*name) are not supported: write the value out"));
        }
        Err(at.error("a value is expected here"))
    }

    fn sequence(&mut self, at: Place, depth: usize) -> Result<Node, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, place) = self.expect(at)?;
            if event == Event::SequenceEnd {
                return Ok(at.node(Value::Sequence(items)));
            }
            items.push(self.node(event, place, depth + 1)?);
        }
    }

    fn mapping(&mut self, at: Place, depth: usize) -> Result<Node, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let (event, place) = self.expect(at)?;
            if event == Event::MappingEnd {
                return Ok(at.node(Value::Mapping(entries)));
            }
            let key = key_text(event, place)?;
            if !seen.insert(key.clone()) {
                let first = entries.iter().find(|entry| entry.key == key).map_or(0, |entry| entry.line);
                return Err(place.error(format!("duplicate key \"{}\", first on line {first}", shown(&key))));
            }
            let (event, value_place) = self.expect(place)?;
            let node = self.node(event, value_place, depth + 1)?;
            entries.push(Entry { key, line: place.line, column: place.column, node });
        }
    }
}

fn refuse_properties(at: Place, anchor: usize, tagged: bool) -> Result<(), YamlError> {
    if anchor != 0 {
        return Err(at.error("anchors (&name) are not supported: write the value out"));
    }
    if tagged {
        return Err(at.error("tags (!name) are not supported"));
    }
    Ok(())
}

fn key_text(event: Event<'_>, at: Place) -> Result<String, YamlError> {
    let Event::Scalar(text, style, anchor, tag) = event else {
        return Err(at.error(if matches!(event, Event::Alias(_)) {
            "aliases (*name) are not supported: write the value out"
        } else {
            "a key must be a text"
        }));
    };
    refuse_properties(at, anchor, tag.is_some())?;
    if style == ScalarStyle::Plain && text == "<<" {
        return Err(at.error("merge keys (<<) are not supported: write the keys out"));
    }
    Ok(text.into_owned())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar { text: text.to_owned(), quoted }
    }
}

/// A key for a message, cut to a bearable length.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Plain words for the mistakes people make; everything else gets one sentence, the place says the rest.
fn syntax_message(kind: &ErrorKind) -> String {
    if let ErrorKind::UnclosedFlowCollection { open } = kind {
        return format!("the bracket '{open}' is never closed");
    }
    if let ErrorKind::MismatchedFlowCollectionEnd { open, close } = kind {
        return format!("the bracket '{open}' is closed by '{close}'");
    }
    if let ErrorKind::UnexpectedCharacter { character } = kind {
        return format!("unexpected character '{}'", character.escape_default());
    }
    let words: [(&[ErrorKind], &str); 9] = [
        (
            &[ErrorKind::TabNotAllowed, ErrorKind::TabInBlockIndentation, ErrorKind::TabInIndentation],
            "a tab where spaces are needed",
        ),
        (&[ErrorKind::InvalidIndentation, ErrorKind::InvalidBlockScalarIndent], "the indentation fits no line above"),
        (&[ErrorKind::UnclosedQuotedScalar], "the quotation mark is never closed"),
        (&[ErrorKind::UnknownQuotedScalarEscape], "unknown escape after a backslash in double quotes"),
        (
            &[ErrorKind::MappingValueNotAllowed, ErrorKind::SimpleKeyExpected, ErrorKind::InvalidSimpleKey],
            "\"key: value\" is not possible here; put the text in quotes if it holds a colon",
        ),
        (&[ErrorKind::ExpectedBlockMappingKey], "a key is expected here, with the indentation of the keys above"),
        (&[ErrorKind::RecursionLimitExceeded], "nested deeper than 64 levels"),
        (&[ErrorKind::UnknownAnchor], "aliases (*name) are not supported: write the value out"),
        (
            &[ErrorKind::UnexpectedEof, ErrorKind::UnexpectedEofFlowMapping, ErrorKind::UnexpectedEofFlowSequence],
            "the text ends here too early",
        ),
    ];
    let message = words.iter().find(|(kinds, _)| kinds.contains(kind)).map(|(_, message)| *message);
    message.unwrap_or("this is not valid YAML").to_owned()
}
