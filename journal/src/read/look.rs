//! Looking for a moment, when few objects of it are wanted or it is not known yet which: of merged files no more is read than
//! decides where it lies.
//!
//! **Invariants.** (1) The answer is what [`Reader::at`] gives: where that is not sure, it is asked itself [`Reader::look`].
//! (2) What an answer was found with serves its state, and what was read by itself serves the next question.

use std::sync::Arc;

use super::{Reader, Until, is_end_of_life, rows::Place};
use crate::{Past, Result, cut::At, level::Asked, parts::Micros};

/// A moment is found this long before a checkpoint that is later, or else one more is gone to: what is closed comes a while
/// after it.
const BEHIND: Micros = 2 * 60_000_000;

/// How many raw segments of earlier questions are kept.
const KNOWN: usize = 4096;

impl Reader {
    /// The answer to a question, as [`Reader::at`] gives it. For a question about a time, merged files are read as far as it
    /// needs, and further only for the objects that the answer is asked for. What was read by [`Reader::at`] before serves as well.
    pub async fn look(&mut self, at: &At) -> Result<Past> {
        let asked = match at {
            At::Time(time) => Asked { time: *time, before: false },
            At::BeforeTime(time) => Asked { time: *time, before: true },
            _ => return self.at(at).await,
        };
        if self.started || self.log.is_laid() || self.journal.goes_around() {
            return self.at(at).await;
        }
        let mut own = Self { asked: Some(asked), ..self.clone() };
        let moment = own.resolve(at).await?;
        let raw = own.log.raw().map(|segment| (segment.meta.segment, segment.clone()));
        let before = self.known.iter().take(KNOWN).map(|(number, segment)| (*number, segment.clone()));
        self.known = Arc::new(before.chain(raw).collect());
        self.log.use_known(self.known.clone());
        // Whoever asks again waits for more. The rows of a life that ended are to be known one by one, and so are those
        // behind the moment where a kind had been let go: what was recovered of it may stand among them.
        let beyond = own.log.runs().len() > own.read_until(&Until::Time(asked.time)).len();
        if !moment.closed || beyond || own.rows().any(is_end_of_life) {
            return self.at(at).await;
        }
        Ok(Past::new(own, moment))
    }

    /// A segment behind the one that closes a moment, as far as the newest manifest tells.
    pub(super) fn end_of(&self, place: Place, asked: Asked) -> Option<u64> {
        self.start.as_ref()?;
        let behind = |time: Micros| time > asked.time.saturating_add(BEHIND);
        let mut later = self.manifest.checkpoints.iter().filter(|c| c.segment >= place.segment);
        later.find(|c| behind(c.time())).map(|c| c.segment)
    }

    /// The same, with everything read that is in what it has read.
    pub(super) async fn in_full(&self) -> Result<Self> {
        Ok(Self { log: self.log.in_full().await?, asked: None, ..self.clone() })
    }

    /// Whether only outlines of merged files were read.
    pub(super) fn is_outlined(&self) -> bool {
        self.asked.is_some()
    }
}
