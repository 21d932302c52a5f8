//! What names may look like in clouds.

/// A name of Compute Engine's: RFC 1035, at most 63.
pub(super) fn name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(fits)
}

/// A label: lower-case letters, digits, hyphens and underscores, at most 63 of each; a key begins with a letter.
pub(super) fn label(key: &str, value: Option<&str>) -> bool {
    let fits = |text: &str| {
        text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    fits(key) && key.starts_with(|c: char| c.is_ascii_lowercase()) && value.is_some_and(fits)
}

/// A UUID that is not all zeros.
pub(super) fn uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        && text.bytes().any(|b| !matches!(b, b'0' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_ids_are_held_to_the_rules() {
        assert!(name("pvc-1") && !name("1-pvc") && !name("pvc-") && !name("Pvc") && !name(&"a".repeat(64)));
        assert!(label("team_1", Some("")) && !label("hindcast.dev/id", Some("a")) && !label("a", Some("B")));
        assert!(!label("1a", Some("a")) && !label("a", None));
        assert!(uuid("0a000000-0000-4000-8000-000000000001") && !uuid("00000000-0000-0000-0000-000000000000"));
        assert!(!uuid("0a000000") && !uuid("0a000000-0000-4000-8000-00000000000x"));
    }
}
