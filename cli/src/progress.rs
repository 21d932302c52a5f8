//! How far something is: one line on a terminal, now and then a line elsewhere.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hindcast_journal::{
    Parts,
    verify::{self, Stage as Looking},
};
use hindcast_restorer::apply::{Progress, Stage};

use crate::printer::Printer;

/// How often a line is written where it cannot be written over, and how often where it can.
const SPARSE: Duration = Duration::from_secs(5);
const DENSE: Duration = Duration::from_millis(100);

/// Tells how far a restore is.
pub(crate) struct Watch<'a> {
    printer: &'a Printer,
    parts: &'a Parts,
    last: Mutex<(Duration, Option<Stage>)>,
}

impl<'a> Watch<'a> {
    /// A watch that begins now.
    pub(crate) fn new(printer: &'a Printer, parts: &'a Parts) -> Self {
        Self { printer, parts, last: Mutex::new((parts.clock.monotonic(), None)) }
    }

    /// Takes note of how far it is; says so if it is time.
    pub(crate) fn tell(&self, progress: &Progress<'_>) {
        let now = self.parts.clock.monotonic();
        let often = if self.printer.is_watched() { DENSE } else { SPARSE };
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let another = last.1.is_some_and(|stage| stage != progress.stage);
            let due = now.saturating_sub(last.0) >= often || (another && self.printer.is_watched());
            last.1 = Some(progress.stage);
            if !due {
                return;
            }
            last.0 = now;
        }
        self.printer.progress(&line(progress));
    }
}

/// `120 of 500 (24 %), 210/s, 2 s left`
fn line(progress: &Progress<'_>) -> String {
    match progress.stage {
        Stage::Verifying => return "reading back what was written".to_owned(),
        Stage::RollingOut => return "waiting for rollouts; Ctrl-C leaves them alone".to_owned(),
        Stage::Applying => {}
    }
    let percent = progress.done * 100 / progress.total.max(1);
    let left = match progress.remaining {
        Some(left) if progress.done < progress.total => format!(", {} s left", left.as_secs() + 1),
        _ => String::new(),
    };
    format!("{} of {} ({percent} %), {:.0}/s{left}", progress.done, progress.total, progress.rate)
}

/// Tells how far it is, in whatever words.
pub(crate) struct Line<'a> {
    printer: &'a Printer,
    parts: &'a Parts,
    last: Mutex<Duration>,
}

impl<'a> Line<'a> {
    /// A line that begins now.
    pub(crate) fn new(printer: &'a Printer, parts: &'a Parts) -> Self {
        Self { printer, parts, last: Mutex::new(parts.clock.monotonic()) }
    }

    /// Says it if it is time.
    pub(crate) fn tell(&self, words: impl FnOnce() -> String) {
        let now = self.parts.clock.monotonic();
        let often = if self.printer.is_watched() { DENSE } else { SPARSE };
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if now.saturating_sub(*last) < often {
                return;
            }
            *last = now;
        }
        self.printer.progress(&words());
    }
}

/// `looked at 120 of 500 segments (24 %)`
pub(crate) fn looked_at(progress: &verify::Progress) -> String {
    let verify::Progress { stage, done, of } = *progress;
    let what = match stage {
        Looking::Listing => return format!("listing: {done} objects"),
        Looking::Beside => "files beside the log",
        Looking::Log => "segments",
    };
    format!("looked at {done} of {of} {what} ({} %)", done * 100 / of.max(1))
}

#[cfg(test)]
mod tests;
