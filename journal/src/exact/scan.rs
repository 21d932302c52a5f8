//! The letters of JSON: strings and numbers in bytes, decoding and encoding of escapes.
//!
//! Words: a string is *plain* when it has no escape, so its raw bytes are its value; it is *canonical* when
//! its escapes are the ones [`write_string`] would write, so that it may be copied as it stands.
//!
//! Not here: structure, which is the tape's.

use std::borrow::Cow;

use super::error::{ParseError, ParseReason};

const ONES: u64 = u64::MAX / 0xFF;
const HIGHS: u64 = ONES * 0x80;

/// A scanned string, quotes included.
pub(super) struct Scanned {
    /// One past the closing quote.
    pub(super) end: usize,
    /// It has at least one escape.
    pub(super) escaped: bool,
    /// Its escapes are spelled canonically.
    pub(super) canonical: bool,
}

/// The first position from `from` on of a quote, a backslash or a control character; the length if none.
/// Eight bytes are looked at in one word; a borrow can flag a byte falsely only above a true hit, and only
/// the lowest hit is used. (Sixteen were measured and are no faster.)
#[inline]
pub(super) fn plain_run(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    let mut rest = bytes.get(from..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let hits = ((quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
        rest = after;
    }
    for &byte in rest {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            return at;
        }
        at += 1;
    }
    at
}

/// Scans the string whose opening quote is at `start`.
#[inline]
pub(super) fn string(bytes: &[u8], start: usize) -> Result<Scanned, ParseError> {
    let mut at = start + 1;
    let (mut escaped, mut canonical) = (false, true);
    loop {
        at = plain_run(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(Scanned { end: at + 1, escaped, canonical }),
            Some(b'\\') => {
                escaped = true;
                let (next, spelled) = escape(bytes, at)?;
                canonical &= spelled;
                at = next;
            }
            Some(_) => return Err(ParseReason::ControlCharacter.at(at)),
            None => return Err(ParseReason::UnexpectedEnd.at(at)),
        }
    }
}

/// Checks the escape at `at`; returns where it ends and whether it is spelled canonically.
fn escape(bytes: &[u8], at: usize) -> Result<(usize, bool), ParseError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => Ok((at + 2, true)),
        Some(b'/') => Ok((at + 2, false)),
        Some(b'u') => {
            let unit = hex4(bytes, at + 2)?;
            match unit {
                0xD800..=0xDBFF => {
                    if bytes.get(at + 6..at + 8) != Some(b"\\u") {
                        return Err(ParseReason::LoneSurrogate.at(at));
                    }
                    match hex4(bytes, at + 8)? {
                        0xDC00..=0xDFFF => Ok((at + 12, false)),
                        _ => Err(ParseReason::LoneSurrogate.at(at)),
                    }
                }
                0xDC00..=0xDFFF => Err(ParseReason::LoneSurrogate.at(at)),
                0x08 | 0x09 | 0x0A | 0x0C | 0x0D => Ok((at + 6, false)),
                _ => {
                    let upper = bytes.get(at + 5).is_some_and(u8::is_ascii_uppercase);
                    Ok((at + 6, unit < 0x20 && !upper))
                }
            }
        }
        Some(_) => Err(ParseReason::InvalidEscape.at(at)),
        None => Err(ParseReason::UnexpectedEnd.at(at + 1)),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    let digits = bytes.get(at..at + 4).ok_or(ParseReason::UnexpectedEnd.at(bytes.len()))?;
    digits.iter().try_fold(0, |unit, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or(ParseReason::InvalidEscape.at(at))?;
        Ok(unit << 4 | digit)
    })
}

/// Where the number that begins at `start` ends.
#[inline]
pub(super) fn number(bytes: &[u8], start: usize) -> Result<usize, ParseError> {
    let mut at = start;
    let invalid = |at: usize| match bytes.get(at) {
        Some(_) => ParseReason::InvalidNumber.at(at),
        None => ParseReason::UnexpectedEnd.at(at),
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    match bytes.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = digits(bytes, at + 1),
        _ => return Err(invalid(at)),
    }
    if bytes.get(at).is_some_and(u8::is_ascii_digit) {
        return Err(invalid(at));
    }
    if bytes.get(at) == Some(&b'.') {
        let end = digits(bytes, at + 1);
        if end == at + 1 {
            return Err(invalid(end));
        }
        at = end;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let end = digits(bytes, at);
        if end == at {
            return Err(invalid(end));
        }
        at = end;
    }
    Ok(at)
}

fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// The value of a string that [`string`] accepted, given without its quotes.
pub(super) fn decode(inner: &str) -> Cow<'_, str> {
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        let (char, length) = decode_escape(after);
        out.push(char);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of the escape whose letter begins `after`, and how many bytes it takes. What [`string`]
/// would refuse becomes the replacement character; callers only pass what it accepted.
fn decode_escape(after: &str) -> (char, usize) {
    let unit = |from: usize| after.get(from..from + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match after.as_bytes().first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => match (unit(1), unit(7)) {
            (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
                let scalar = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
            }
            (Some(scalar), _) => (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
            (None, _) => (char::REPLACEMENT_CHARACTER, 1),
        },
        Some(&byte) if byte.is_ascii() => (char::from(byte), 1),
        _ => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// Writes a string with its quotes in the shortest JSON escape.
pub(super) fn write_string(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut from = 0;
    loop {
        let stop = plain_run(bytes, from);
        out.extend_from_slice(bytes.get(from..stop).unwrap_or_default());
        let Some(&byte) = bytes.get(stop) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0A => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            0x0D => out.extend_from_slice(b"\\r"),
            control => {
                let low = char::from_digit(u32::from(control & 15), 16).unwrap_or('0');
                out.extend_from_slice(if control < 0x10 { b"\\u000" } else { b"\\u001" });
                out.push(low as u8);
            }
        }
        from = stop + 1;
    }
    out.push(b'"');
}
