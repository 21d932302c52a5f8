//! Histories that once failed, shrunk: each runs with every property trial.

use anyhow::{Context as _, Result};

use super::Op;

/// A history that failed once.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it showed.
    pub name: &'static str,
    /// Its steps, as a failing trial prints them.
    ops: &'static str,
}

impl Case {
    /// Its steps.
    pub fn ops(&self) -> Result<Vec<Op>> {
        serde_json::from_str(self.ops).with_context(|| self.name)
    }
}

/// All of them.
pub const CASES: &[Case] = &[];
