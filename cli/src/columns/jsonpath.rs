//! The part of `JSONPath` that printer columns use.
//!
//! Read are `.a.b`, `['a.b']`, escaped dots (`.a\.b`), `[0]`, `[-1]`, `[*]`, `.*`, `[1:3]` and filters that compare
//! one field with a literal (`[?(@.type=="Ready")]`, `!=`) or ask for it (`[?(@.type)]`). Not here: arithmetic,
//! recursive descent, `range`; a path with them is none, and its column stays empty.

use hindcast_journal::exact::Value;

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    All,
    Index(i64),
    Slice(i64, Option<i64>),
    Filter(Path, Option<(bool, String)>),
}

impl Path {
    /// Reads a path, with or without braces around it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        if !rest.starts_with(['.', '[']) {
            // kubectl takes `spec.x` for `.spec.x`.
            let (name, tail) = member(rest)?;
            steps.push(Step::Member(name));
            rest = tail;
        }
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('[') {
                let end = closing(tail)?;
                let (inside, tail) = tail.split_at_checked(end)?;
                steps.push(bracket(inside.trim())?);
                rest = tail.strip_prefix(']')?;
            } else {
                let tail = rest.strip_prefix('.')?;
                if let Some(tail) = tail.strip_prefix('*') {
                    steps.push(Step::All);
                    rest = tail;
                } else if tail.starts_with('[') || (tail.is_empty() && steps.is_empty()) {
                    rest = tail;
                } else {
                    let (name, tail) = member(tail)?;
                    steps.push(Step::Member(name));
                    rest = tail;
                }
            }
        }
        Some(Self(steps))
    }

    /// Everything at the path.
    pub(super) fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.find(value)).collect();
        }
        found
    }
}

impl Step {
    fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let list = value.as_array().unwrap_or_default();
        let at = |index: i64| if index < 0 { index + list.len() as i64 } else { index };
        match self {
            Self::Member(name) => value.get(name).into_iter().collect(),
            Self::All => match value {
                Value::Object(object) => object.iter().map(|(_, value)| value).collect(),
                _ => list.iter().collect(),
            },
            Self::Index(index) => {
                usize::try_from(at(*index)).ok().and_then(|index| list.get(index)).into_iter().collect()
            }
            Self::Slice(from, to) => {
                let from = at(*from).clamp(0, list.len() as i64) as usize;
                let to = to.map_or(list.len() as i64, at).clamp(0, list.len() as i64) as usize;
                list.get(from..to).unwrap_or_default().iter().collect()
            }
            Self::Filter(path, test) => list
                .iter()
                .filter(|element| {
                    let found = path.find(element);
                    match (test, found.first()) {
                        (None, found) => found.is_some(),
                        (Some((equal, wanted)), Some(found)) => (super::text(found) == *wanted) == *equal,
                        (Some((equal, _)), None) => !equal,
                    }
                })
                .collect(),
        }
    }
}

/// A member's name up to the next point or bracket outside escapes, and what follows.
fn member(text: &str) -> Option<(String, &str)> {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => {
                return (at > 0).then(|| (name, text.get(at..).unwrap_or_default()));
            }
            c if c.is_whitespace() || matches!(c, '{' | '}' | '(' | ')') => return None,
            c => {
                name.push(c);
                escaped = false;
            }
        }
    }
    (!name.is_empty()).then_some((name, ""))
}

/// Where the bracket that is open closes, quotes and inner brackets skipped.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::All);
    }
    if let Some(name) = quoted(text) {
        return Some(Step::Member(name.replace("\\.", ".")));
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        for (sign, equal) in [("==", true), ("!=", false)] {
            if let Some((path, wanted)) = filter.split_once(sign) {
                let wanted = wanted.trim();
                let wanted = quoted(wanted).unwrap_or(wanted).to_owned();
                return Some(Step::Filter(own(path)?, Some((equal, wanted))));
            }
        }
        return Some(Step::Filter(own(filter)?, None));
    }
    if let Some((from, to)) = text.split_once(':') {
        let from = if from.is_empty() { 0 } else { from.parse().ok()? };
        let to = if to.is_empty() { None } else { Some(to.parse().ok()?) };
        return Some(Step::Slice(from, to));
    }
    text.parse().ok().map(Step::Index)
}

/// A path that begins at the element of a list.
fn own(text: &str) -> Option<Path> {
    let text = text.trim().strip_prefix('@')?;
    if text.contains(['<', '>', '=']) {
        return None;
    }
    Path::parse(if text.is_empty() { "." } else { text })
}
