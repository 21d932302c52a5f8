//! The moment that merged files are asked about.
//!
//! **Words**: a row *lies* behind a moment if it was committed by then, before it if it was not committed until later, and
//! around it if its bounds do not tell.

use crate::{cut::MAIN, parts::Micros, segment::FrontierVector};

/// The role of a run of which only the outline is read.
pub(crate) const OUTLINE: &str = "outline";

/// A moment that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The time.
    pub(crate) time: Micros,
    /// Whether what was committed by that very time lies before it.
    pub(crate) before: bool,
}

/// On which side of a moment rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lies {
    Behind,
    Around,
    Before,
}

impl Asked {
    /// Whether what has this upper bound was committed by the moment.
    pub(crate) fn knows(self, hi: Micros) -> bool {
        if self.before { hi < self.time } else { hi <= self.time }
    }

    /// Where a row with these bounds lies.
    pub(super) fn lies(self, lo: Micros, hi: Micros) -> Lies {
        match (self.knows(hi), lo <= self.time) {
            (true, _) => Lies::Behind,
            (false, true) => Lies::Around,
            (false, false) => Lies::Before,
        }
    }

    /// Whether everything up to the moment is closed.
    pub(crate) fn closed(self, frontier: &FrontierVector) -> bool {
        // Between two lives of its counter nothing closes the main domain, even while other domains close.
        frontier.contains_key(MAIN) && frontier.values().all(|point| point.time >= self.time)
    }
}
