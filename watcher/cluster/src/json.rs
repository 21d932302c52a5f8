//! Finds things in JSON bytes, without parsing them into values.
//!
//! Watch events and lists are split into the exact bytes of their objects, so that the journal keeps exactly what the
//! server sent. **Invariants.** (1) A span is the bytes of one value, without surrounding white space. (2) Hostile
//! input leads to `None`, never a panic: all access is checked. (3) Nothing is judged here: duplicate keys or bad
//! escapes are left to the journal's own parser, which keeps such objects as *unreadable*.

use bytes::Bytes;

/// The members of the object in `bytes`, in order: raw key (without quotes) and value span. Ends early where the
/// bytes stop being JSON, as [`Members::complete`] tells.
pub struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Inside,
    Closed,
    Broken,
}

impl<'a> Members<'a> {
    /// Those of the object that `bytes` begin with.
    pub fn of(bytes: &'a [u8]) -> Self {
        let at = space(bytes, 0);
        let state = if bytes.get(at) == Some(&b'{') { State::Inside } else { State::Broken };
        Self { bytes, at: at + 1, state }
    }

    /// Whether the object was read to its closing brace.
    pub fn complete(&self) -> bool {
        self.state == State::Closed
    }

    fn step(&mut self) -> Option<(&'a [u8], std::ops::Range<usize>)> {
        let mut at = space(self.bytes, self.at);
        if self.bytes.get(at) == Some(&b',') {
            at = space(self.bytes, at + 1);
        }
        if self.bytes.get(at) == Some(&b'}') {
            self.state = State::Closed;
            return None;
        }
        self.state = State::Broken;
        let end = string(self.bytes, at)?;
        let key = self.bytes.get(at + 1..end - 1)?;
        let colon = space(self.bytes, end);
        if self.bytes.get(colon) != Some(&b':') {
            return None;
        }
        let start = space(self.bytes, colon + 1);
        let stop = value(self.bytes, start)?;
        self.at = stop;
        self.state = State::Inside;
        Some((key, start..stop))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Inside {
            return None;
        }
        let (key, span) = self.step()?;
        Some((key, self.bytes.get(span)?))
    }
}

/// The elements of the array in `bytes`; `None` when it is not a whole array.
pub fn elements(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut at = space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    at = space(bytes, at + 1);
    let mut out = Vec::new();
    loop {
        match bytes.get(at)? {
            b']' => return Some(out),
            b',' => at = space(bytes, at + 1),
            _ => {
                let end = value(bytes, at)?;
                out.push(bytes.get(at..end)?);
                at = space(bytes, end);
            }
        }
    }
}

/// The value of `key` in the object that `bytes` are.
pub fn member<'a>(bytes: &'a [u8], key: &str) -> Option<&'a [u8]> {
    Members::of(bytes).find(|(k, _)| *k == key.as_bytes()).map(|(_, v)| v)
}

/// A string value as text; escapes other than the plain ones are left to `serde_json`.
pub fn text(span: &[u8]) -> Option<String> {
    let inner = span.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice(span).ok();
    }
    String::from_utf8(inner.to_vec()).ok()
}

/// The slice `part` of `whole` as shared bytes.
pub fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    whole.slice_ref(part)
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the string that starts at `at`.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that starts at `at`.
fn value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string(bytes, at),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, at);
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        b'}' | b']' | b',' | b':' => None,
        _ => {
            let rest = bytes.get(at..)?;
            let len = rest
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
                .unwrap_or(rest.len());
            Some(at + len)
        }
    }
}

#[cfg(test)]
mod tests;
