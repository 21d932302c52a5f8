//! Copies of a value in other text: as it is, in JSON, in base64, in hex, or in a payload that nobody reads at a
//! glance.
//!
//! **Words**: an *applier* keeps what it applied in an annotation, with the values in it, current or older ones; a
//! *copy* is text that holds a value in one of its spellings.
//!
//! **Invariants.** (1) A value of fewer than [`SHORT`] bytes is looked for as the whole text only, and one of fewer
//! than [`TINY`] not at all: an `a` or a `yes` would be found everywhere, and could not be kept secret anyway. (2) The
//! work is bounded: a text that would take too long to search counts as a copy.
//!
//! Not here: which texts are looked at ([`super::Rules`]).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

/// Values below this many bytes are found only where they are the whole text.
const SHORT: usize = 6;
/// Values below this many bytes are not looked for.
const TINY: usize = 4;
/// The most bytes of text times bytes of values that are searched.
const MOST: usize = 1 << 34;

/// Whether an annotation of that name is an applier's record of what it applied, or a hash of it from which values
/// could be guessed.
pub(super) fn is_applier(name: &str) -> bool {
    let (prefix, word) = name.split_once('/').unwrap_or(("", name));
    let word = word.to_ascii_lowercase();
    let records = ["last-applied", "last-handled", "last-configuration", "original-object", "previous-data"];
    records.iter().any(|part| word.contains(part))
        || (prefix == "kapp.k14s.io" && word.starts_with("original"))
        || (prefix == "objectset.rio.cattle.io" && word == "applied")
}

/// Whether a text is a packed payload, or holds the data of a Secret as a manifest would: what is in it may be a value,
/// also one that the object no longer has.
pub(super) fn is_payload(text: &str) -> bool {
    // gzip, zip, zstd, zlib, and JSON, each in base64.
    let packed = ["H4sI", "UEsD", "KLUv", "eJ", "eyJ"];
    let encoded = |c: u8| c.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&c);
    if text.len() >= 24 && packed.iter().any(|head| text.starts_with(head)) && text.bytes().all(encoded) {
        return true;
    }
    let manifest = ["\"data\"", "\"stringData\"", "\\\"data\\\"", "\\\"stringData\\\"", "\ndata:", "\nstringData:"];
    text.starts_with("data:\n") || text.starts_with("stringData:\n") || manifest.iter().any(|part| text.contains(part))
}

/// Whether `text` holds any of the values.
pub(super) fn holds_any(text: &str, values: &[Vec<u8>]) -> bool {
    let total: usize = values.iter().map(Vec::len).sum();
    total.saturating_mul(text.len()) > MOST || values.iter().any(|value| holds(text, value))
}

fn holds(text: &str, value: &[u8]) -> bool {
    if value.len() < TINY || value.iter().all(u8::is_ascii_whitespace) {
        return false;
    }
    let encoded = STANDARD.encode(value);
    if value.len() < SHORT {
        return text.trim().as_bytes() == value || text.trim() == encoded;
    }
    let mut forms = vec![encoded.into_bytes()];
    // Copies often lack the final newline.
    let bare = value.trim_ascii();
    if bare.len() >= SHORT && bare.len() < value.len() {
        forms.push(bare.to_vec());
    }
    if let Ok(plain) = std::str::from_utf8(value) {
        // JSON in base64.
        let once = escaped(plain);
        if once != plain {
            forms.push(once.into_bytes());
        }
    }
    forms.push(value.to_vec());
    forms.iter().any(|form| in_some_spelling(text, form))
}

/// As it is, in JSON once and twice, in hex, and inside base64 of either alphabet at any alignment.
fn in_some_spelling(text: &str, form: &[u8]) -> bool {
    // No spelling is shorter than the value itself.
    if form.len() > text.len() {
        return false;
    }
    if let Ok(plain) = std::str::from_utf8(form) {
        let once = escaped(plain);
        let found = text.contains(plain)
            || (once != plain && (text.contains(&once) || text.contains(&escaped(&once))))
            || (!plain.is_ascii() && text.contains(&ascii(&once)))
            || (plain.contains('/') && text.contains(&once.replace('/', "\\/")));
        if found {
            return true;
        }
    }
    let hex = crate::segment::hex(form);
    if text.contains(&hex) || text.contains(&hex.to_uppercase()) {
        return true;
    }
    (0..3).any(|before| {
        let padded = [vec![0; before], form.to_vec()].concat();
        // The characters that hold bits of the value alone.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        let inside = |encoded: String| encoded.get(from..to).is_some_and(|part| text.contains(part));
        inside(STANDARD.encode(&padded)) || inside(URL_SAFE.encode(&padded))
    })
}

fn escaped(text: &str) -> String {
    let quoted = crate::exact::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}
