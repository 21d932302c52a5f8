//! Small things that every cloud's driver needs of numbers and names.

/// Bytes of a gibibyte, the unit in which clouds sell disks.
const GIB: u64 = 1 << 30;

/// Bytes of so many gibibytes.
pub(crate) fn gibibytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0).saturating_mul(GIB)
}

/// The gibibytes that hold so many bytes, and no fewer than those of `least` bytes.
pub(crate) fn in_gibibytes(bytes: u64, least: u64) -> i64 {
    bytes.max(least).max(1).div_ceil(GIB) as i64
}

/// At most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A text as clouds take it for a name: lower-case letters, digits and hyphens, at most 63, a letter first. What cannot be
/// told in that way gets a piece of its digest, so that two texts have two names.
pub(crate) fn label(text: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && text.len() <= 63 && text.chars().all(fits) && !text.ends_with('-') {
        return text.to_owned();
    }
    let lower = text.chars().map(|c| c.to_ascii_lowercase());
    let told: String = lower.map(|c| if fits(c) { c } else { '-' }).take(48).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digest: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("x{told}-{digest}")
}

/// A moment as clouds write it, RFC 3339.
pub(crate) fn moment(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests;
