//! Names of recovery points, and names with `*` and `?` in them.

use crate::{Error, Result};

/// What stands for the newest point.
pub const LATEST: &str = "latest";

/// The longest name: room is left for what is made of it in a cluster.
const LONGEST: usize = 200;

/// Refuses what is no name of a point: it is a key in the bucket and the name of an object of a cluster.
pub fn check_name(name: &str) -> Result<()> {
    let refuse = |reason: &str| {
        Err(Error::invalid(format!("point {name:?}"), reason)
            .with_hint("a name is of small letters, digits, `-` and `.`, as in nightly-20261101"))
    };
    if name.is_empty() || name.len() > LONGEST {
        return refuse("has no name, or one of more than 200 characters");
    }
    if name == LATEST {
        return refuse("stands for the newest point");
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = name.chars().next().is_some_and(plain) && name.chars().last().is_some_and(plain);
    if !ends || !name.chars().all(|c| plain(c) || matches!(c, '-' | '.')) || name.contains("..") {
        return refuse("is not a valid name");
    }
    Ok(())
}

/// Whether a text fits a pattern in which `*` stands for any characters and `?` for one.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Greedy with one step back: where the last star began to match, and how far it has.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, matched)) = back else { return false };
                back = Some((star, matched + 1));
                p = star + 1;
                t = matched + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
