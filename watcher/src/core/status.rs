//! The core as others see it: status and gauges.

use std::collections::BTreeMap;

use hindcast_journal::facts::Uncovered;

use super::{Core, Kind};
use crate::handle::{KindStatus, Phase, Status};

impl Core {
    /// What the kind's stream is doing.
    pub(crate) fn phase(&mut self, key: &str, phase: Phase) {
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.phase = phase;
        }
    }

    /// What the kind's stream failed with.
    pub(crate) fn trouble(&mut self, key: &str, detail: &str) {
        if let Some(kind) = self.kinds.get_mut(key) {
            detail.clone_into(&mut kind.detail);
        }
    }

    /// The status of now, with the gauges set to it.
    pub(crate) fn status(&mut self) -> Status {
        let now = self.now();
        let mut kinds = BTreeMap::new();
        for (key, kind) in &self.kinds {
            self.metrics.covered.with_label_values(&[key]).set(i64::from(kind.covered));
            if kind.covered {
                self.metrics.lag.with_label_values(&[key]).set((now.hi - kind.heard) as f64 / 1e6);
                self.metrics.objects.with_label_values(&[key]).set(kind.objects.len() as i64);
            }
            kinds.insert(
                key.clone(),
                KindStatus {
                    phase: kind.phase,
                    covered: kind.covered,
                    domain: kind.discovery.domain.clone(),
                    cursor: kind.cursor,
                    objects: kind.objects.len(),
                    detail: kind.detail.clone(),
                },
            );
        }
        let seconds_until_loss = self.seconds_until_loss();
        self.metrics.buffer_bytes.set(self.buffer.bytes() as i64);
        self.metrics.buffer_seconds.set(seconds_until_loss.map_or(-1.0, |s| s as f64));
        self.metrics.state_bytes.set(self.packer.bytes() as i64);
        let clock_offset = self.timekeeper.server_offset().unwrap_or(0);
        self.metrics.clock_offset.set(clock_offset as f64 / 1e6);
        let spread = now.hi - now.lo;
        self.metrics.clock_spread.set(spread as f64 / 1e6);
        let reason = self.not_ready();
        Status {
            ready: reason.is_empty(),
            reason,
            kinds,
            buffered_bytes: self.buffer.bytes(),
            seconds_until_loss,
            clock_offset,
            clocks: self.timekeeper.disagreement().to_owned(),
            proof: self.proving.proof.clone(),
        }
    }

    fn not_ready(&self) -> String {
        if !self.started {
            return "starting".to_owned();
        }
        if self.store_down.is_some() {
            return "the store does not take segments".to_owned();
        }
        // What the server does not give is said where kinds are told of; it makes the rest no less protected.
        let denied = |kind: &Kind| matches!(kind.ended, Some(Uncovered::Stuck | Uncovered::ApiDown));
        let missing = self.kinds.iter().filter(|(_, kind)| {
            !kind.covered
                && !denied(kind)
                && (matches!(kind.phase, Phase::Starting | Phase::Listing | Phase::Healing)
                    || kind.phase == Phase::Resuming && kind.ended.is_none())
        });
        let missing: Vec<&str> = missing.map(|(key, _)| key.as_str()).collect();
        if missing.is_empty() {
            return String::new();
        }
        let shown = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        format!("{} kinds are not yet protected: {shown}", missing.len())
    }

    fn seconds_until_loss(&self) -> Option<u64> {
        let down = self.parts.clock.monotonic().saturating_sub(self.store_down?).as_secs_f64();
        let room = self.settings.buffer_bytes.saturating_sub(self.buffer.bytes()) as f64;
        // What came in was measured raw and is held compressed, so this errs on the early side.
        let rate = self.outage_bytes as f64 / down.max(1.0);
        Some(if rate > 0.0 { (room / rate).min(1e9) as u64 } else { 1_000_000_000 })
    }
}
