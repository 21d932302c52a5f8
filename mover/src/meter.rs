//! How far a copy is: bytes of files, bytes on the line, and when it may be done.
//!
//! The total is known when the tree was walked once, which goes on beside the copy; until then nothing is foretold.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hindcast_journal::Parts;
use rustic_core::{Progress, ProgressBars, ProgressType, RusticProgress};
use serde::{Deserialize, Serialize};

use crate::backend::Line;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Bytes of files that were read, found unchanged, or written.
    pub done: u64,
    /// Of so many, with the lengths of links; `None` while they are not counted.
    pub total: Option<u64>,
    /// Bytes that were sent to the store: encrypted and compressed, and only what it did not have.
    pub sent: u64,
    /// Bytes that were read from it.
    pub received: u64,
    /// Seconds that it may take still, at the pace so far.
    pub left: Option<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", size(self.done))?;
        if let Some(total) = self.total {
            write!(f, " of {}", size(total))?;
        }
        if self.sent > 0 {
            write!(f, ", {} sent", size(self.sent))?;
        }
        if let Some(left) = self.left {
            write!(f, ", about {left} s left")?;
        }
        Ok(())
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Counts what is done. Whoever wants to know asks for a [`Report`].
#[derive(Debug)]
pub struct Meter {
    parts: Parts,
    begun: Duration,
    done: AtomicU64,
    total: AtomicU64,
    pub(crate) line: Arc<Line>,
}

impl Meter {
    /// At the beginning.
    pub fn new(parts: Parts) -> Arc<Self> {
        let begun = parts.clock.monotonic();
        Arc::new(Self { parts, begun, done: AtomicU64::new(0), total: AtomicU64::new(0), line: Arc::default() })
    }

    /// How far it is.
    pub fn report(&self) -> Report {
        let done = self.done.load(Ordering::Relaxed);
        let total = Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0);
        let taken = self.parts.clock.monotonic().saturating_sub(self.begun);
        let left = total.and_then(|total| left(done, total, taken));
        Report { done, total, sent: self.line.sent(), received: self.line.received(), left }
    }
}

/// The seconds that the rest takes at the pace so far.
fn left(done: u64, total: u64, taken: Duration) -> Option<u64> {
    let rest = total.saturating_sub(done);
    (done > 0).then(|| (taken.as_secs_f64() * rest as f64 / done as f64).ceil() as u64)
}

/// What the format's library counts with.
#[derive(Debug, Clone)]
pub(crate) struct Bars(pub(crate) Arc<Meter>);

impl ProgressBars for Bars {
    fn progress(&self, kind: ProgressType, _: &str) -> Progress {
        match kind {
            ProgressType::Bytes => Progress::new(self.clone()),
            _ => Progress::hidden(),
        }
    }
}

impl RusticProgress for Bars {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, length: u64) {
        self.0.total.store(length, Ordering::Relaxed);
    }

    fn set_title(&self, _: &str) {}

    fn inc(&self, by: u64) {
        self.0.done.fetch_add(by, Ordering::Relaxed);
    }

    fn finish(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_pace() {
        assert_eq!(left(0, 100, Duration::from_secs(9)), None);
        assert_eq!(left(25, 100, Duration::from_secs(10)), Some(30));
        assert_eq!(left(100, 100, Duration::from_secs(10)), Some(0));
        assert_eq!(left(120, 100, Duration::from_secs(10)), Some(0), "files may grow while they are read");
    }

    #[test]
    fn a_report_reads_as_a_sentence() {
        let report = Report { done: 3 << 20, total: Some(5 << 30), sent: 512, received: 0, left: Some(7) };
        assert_eq!(report.to_string(), "3.0 MiB of 5.0 GiB, 512 B sent, about 7 s left");
        assert_eq!(Report { done: 10, ..Report::default() }.to_string(), "10 B");
    }
}
