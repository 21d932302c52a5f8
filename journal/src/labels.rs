//! Label selectors, as kubectl takes them after `-l`.
//!
//! **Invariants.** `!=` and `notin` also match where the label is absent, as in Kubernetes; all requirements must
//! hold. Not here: field selectors.

use crate::{Error, Result, exact::Value};

/// How a selector is written.
const SYNTAX: &str = "as in kubectl: app=web, 'tier in (a,b),!canary', env!=prod";

#[cfg(test)]
mod tests;

/// Requirements that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads a selector; the empty one matches everything.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::invalid(format!("selector `{text}`"), reason).with_hint(SYNTAX);
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let parts = split(text).ok_or_else(|| refuse("the parentheses do not match"))?;
        parts.iter().map(|part| requirement(part.trim()).map_err(refuse)).collect::<Result<_>>().map(Self)
    }

    /// Whether an object's labels match.
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.matches(|key| labels?.get(key)?.as_str())
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels match; `label` gives the value under a key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| {
            let value = label(&requirement.key);
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => value.is_some_and(|v| values.iter().any(|x| x == v)),
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|x| x != v)),
                Test::Above(bound) => value.and_then(number).is_some_and(|n| n > *bound),
                Test::Below(bound) => value.and_then(number).is_some_and(|n| n < *bound),
            }
        })
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if !inside => inside = true,
            ')' if inside => inside = false,
            '(' | ')' => return None,
            ',' if !inside => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!inside).then_some(parts)
}

fn requirement(text: &str) -> Result<Requirement, &'static str> {
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement { key: key(name)?, test: Test::Absent });
    }
    if let Some((head, set)) = text.split_once('(') {
        let set = set.strip_suffix(')').ok_or("nothing stands behind the parenthesis")?;
        let values = set.split(',').map(|v| value(v.trim())).collect::<Result<_, _>>()?;
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(Requirement { key: key(name)?, test: Test::In(values) }),
            (Some(name), Some("notin"), None) => Ok(Requirement { key: key(name)?, test: Test::NotIn(values) }),
            _ => Err("before a set stands `KEY in` or `KEY notin`"),
        };
    }
    for (sign, not) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((name, wanted)) = text.split_once(sign) {
            let values = vec![value(wanted.trim())?];
            let wants = if not { Test::NotIn(values) } else { Test::In(values) };
            return Ok(Requirement { key: key(name)?, test: wants });
        }
    }
    for (sign, above) in [('>', true), ('<', false)] {
        if let Some((name, bound)) = text.split_once(sign) {
            let bound = number(bound.trim()).ok_or("a comparison needs a whole number")?;
            let wants = if above { Test::Above(bound) } else { Test::Below(bound) };
            return Ok(Requirement { key: key(name)?, test: wants });
        }
    }
    Ok(Requirement { key: key(text)?, test: Test::Exists })
}

fn key(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let name = text.split_once('/').map_or(text, |(_, name)| name);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if name.is_empty() || name.len() > 63 || name.contains('/') || !text.chars().all(allowed) {
        return Err("that is not a label key");
    }
    Ok(text.to_owned())
}

fn value(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() > 63 || !text.chars().all(allowed) {
        return Err("that is not a label value");
    }
    Ok(text.to_owned())
}
