//! Which kinds are journaled: all but noise, or what the settings name.
//!
//! **Words**: a kind is *called* by every name that kubectl takes for it.

use hindcast_journal::facts::Discovery;

use crate::Settings;

/// Whether the settings want the kind journaled.
pub(crate) fn wanted(kind: &Discovery, settings: &Settings) -> bool {
    let named = |words: &[String]| words.iter().any(|word| is_called(kind, word));
    if !settings.only.is_empty() {
        return named(&settings.only);
    }
    let noise = matches!(
        (kind.group.as_str(), kind.resource.as_str()),
        ("" | "events.k8s.io", "events") | ("coordination.k8s.io", "leases")
    );
    !named(&settings.exclude) && (!noise || named(&settings.include))
}

/// Whether a person may call the kind by this name, as kubectl would understand it.
fn is_called(kind: &Discovery, word: &str) -> bool {
    let word = word.to_lowercase();
    let (word, group) = match word.split_once('/') {
        Some((group, word)) => (word.to_owned(), Some(group.to_owned())),
        None => match word.split_once('.') {
            Some((word, group)) => (word.to_owned(), Some(group.to_owned())),
            None => (word, None),
        },
    };
    let versioned = format!("{}.{}", kind.version, kind.group);
    if group.is_some_and(|g| g != kind.group && g != versioned) {
        return false;
    }
    word == kind.resource
        || word == kind.singular
        || word == kind.kind.to_lowercase()
        || kind.short_names.contains(&word)
}

#[cfg(test)]
mod tests;
