//! Texts that are too long for a line: their beginning, or of two that differ the part that does, with what is around it.
//!
//! **Invariants.** (1) Nothing that is shown is longer than the width, in characters. (2) Two texts that differ are shown with their
//! first difference, and so differ as shown too. (3) What is cut off is told by `…`.

#[cfg(test)]
mod tests;

/// At most `width` characters of a text.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if fits(text, width) {
        return text.to_owned();
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

/// Two texts around their first difference, each at most `width` characters.
pub(crate) fn around(old: &str, new: &str, width: usize) -> (String, String) {
    if (fits(old, width) && fits(new, width)) || old == new {
        return (shorten(old, width), shorten(new, width));
    }
    let first = first_difference(old, new);
    // A third of the width goes to what stands before the difference, beside the two marks and what differs.
    let begin = back(old, first, width.saturating_sub(3) / 3);
    // What stands before is the same in both, so it may be left out of both or of none.
    let begin = if fits(old.get(..begin).unwrap_or_default(), 1) { 0 } else { begin };
    (part(old, begin, width), part(new, begin, width))
}

/// The text from a place on.
fn part(text: &str, begin: usize, width: usize) -> String {
    let rest = text.get(begin..).unwrap_or_default();
    if begin == 0 {
        return shorten(rest, width);
    }
    format!("…{}", shorten(rest, width.saturating_sub(1)))
}

/// Whether a text has at most so many characters; it is not read further than that.
fn fits(text: &str, width: usize) -> bool {
    text.chars().nth(width).is_none()
}

/// The byte at which two texts begin to differ.
fn first_difference(old: &str, new: &str) -> usize {
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// So many characters before a byte.
fn back(text: &str, at: usize, characters: usize) -> usize {
    let before = text.get(..at).unwrap_or_default().char_indices().rev();
    before.take(characters).last().map_or(at, |(at, _)| at)
}
