//! Unified diffs of lines.
//!
//! **Invariant.** What the hunks leave out is the same on both sides, and the two texts can be had back from them
//! (`tests.rs`).

use std::borrow::Cow;

use similar::{Algorithm, DiffOp, DiffTag};

use super::excerpt;
use crate::printer::Style;

/// Lines around a difference.
const CONTEXT: usize = 3;

/// One place where two texts differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hunk<'t> {
    /// `@@ -5,7 +5,7 @@`
    pub(crate) heading: String,
    /// The first line that differs: in which text, and its index.
    pub(crate) first: (Sign, usize),
    /// The lines, each with what it is.
    pub(crate) lines: Vec<(Sign, &'t str)>,
}

impl<'t> Hunk<'t> {
    /// The lines, none longer than `width`: a long line that took the place of another shows where it differs from that.
    pub(crate) fn within(&self, width: usize) -> Vec<(Sign, Cow<'t, str>)> {
        let mut out = Vec::with_capacity(self.lines.len());
        let mut rest = self.lines.as_slice();
        while let Some((sign, line)) = rest.first() {
            if *sign == Sign::Both {
                out.push((*sign, excerpt::shorten(line, width).into()));
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let run = |of: Sign, from: usize| rest.iter().skip(from).take_while(|(sign, _)| *sign == of).count();
            let old = run(Sign::Old, 0);
            let new = run(Sign::New, old);
            let line = |at: usize, count: usize, from: usize| {
                rest.get(from + at).filter(|_| at < count).map(|(_, line)| *line)
            };
            let side = |sign: Sign, at: usize| {
                let (old, new) = (line(at, old, 0), line(at, new, old));
                match (old, new, sign) {
                    (Some(old), Some(new), Sign::Old) => excerpt::around(old, new, width).0,
                    (Some(old), Some(new), _) => excerpt::around(old, new, width).1,
                    (one, other, _) => excerpt::shorten(one.or(other).unwrap_or_default(), width),
                }
            };
            out.extend((0..old).map(|at| (Sign::Old, side(Sign::Old, at).into())));
            out.extend((0..new).map(|at| (Sign::New, side(Sign::New, at).into())));
            rest = rest.get(old + new..).unwrap_or_default();
        }
        out
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// In both.
    Both,
    /// In the old text only.
    Old,
    /// In the new text only.
    New,
}

impl Sign {
    /// The mark that stands before the line.
    pub(crate) fn mark(self) -> char {
        match self {
            Self::Both => ' ',
            Self::Old => '-',
            Self::New => '+',
        }
    }

    /// How the line stands out.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Both => Style::Plain,
            Self::Old => Style::Red,
            Self::New => Style::Green,
        }
    }
}

/// The places where two lists of lines differ.
pub(crate) fn hunks<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Hunk<'t>> {
    let ops = similar::capture_diff_slices(Algorithm::Myers, old, new);
    similar::group_diff_ops(ops, CONTEXT).iter().filter_map(|ops| hunk(ops, old, new)).collect()
}

fn hunk<'t>(ops: &[DiffOp], old: &[&'t str], new: &[&'t str]) -> Option<Hunk<'t>> {
    let (begin, end) = (ops.first()?, ops.last()?);
    let first = ops.iter().find(|op| op.tag() != DiffTag::Equal)?;
    let mut lines = Vec::new();
    for op in ops {
        let mut add = |sign, text: &[&'t str], range: std::ops::Range<usize>| {
            lines.extend(text.get(range).into_iter().flatten().map(|line| (sign, *line)));
        };
        if op.tag() == DiffTag::Equal {
            add(Sign::Both, old, op.old_range());
        } else {
            add(Sign::Old, old, op.old_range());
            add(Sign::New, new, op.new_range());
        }
    }
    let range = |from: usize, to: usize| match to - from {
        // As diff(1): an empty range names the line before it.
        0 => format!("{from},0"),
        1 => format!("{}", from + 1),
        count => format!("{},{count}", from + 1),
    };
    let heading = format!(
        "@@ -{} +{} @@",
        range(begin.old_range().start, end.old_range().end),
        range(begin.new_range().start, end.new_range().end)
    );
    let first = if first.old_range().is_empty() {
        (Sign::New, first.new_range().start)
    } else {
        (Sign::Old, first.old_range().start)
    };
    Some(Hunk { heading, first, lines })
}

/// The lines of two texts, for [`hunks`]. A line end at the end of both makes no empty line; of one alone it does, or its
/// difference would not be seen.
pub(crate) fn split<'t>(old: &'t str, new: &'t str) -> (Vec<&'t str>, Vec<&'t str>) {
    let (old, new) = match (old.strip_suffix('\n'), new.strip_suffix('\n')) {
        (Some(old), Some(new)) => (old, new),
        _ => (old, new),
    };
    (old.split('\n').collect(), new.split('\n').collect())
}

#[cfg(test)]
mod tests;
