//! A wall clock that a test sets, for each process that is started with it. The monotonic clock stays as it is.
//!
//! By libfaketime, of Debian's package `faketime`: the process reads a file whenever it asks for the time.

use super::process::Workdir;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// A clock that is off by as much as a test says.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    dir: Workdir,
}

impl FakeClock {
    /// A clock that is not off yet.
    pub fn new() -> Result<Self> {
        let found = |lib: fs::DirEntry| lib.path().join("faketime/libfaketimeMT.so.1");
        let library = fs::read_dir("/usr/lib")?.flatten().map(found).find(|library| library.exists()).context(
            "no clock can be set without libfaketime\nhint: install the package `faketime`, as with apt-get install faketime",
        )?;
        let clock = Self { library, dir: Workdir::new()? };
        clock.set(0)?;
        Ok(clock)
    }

    /// What a process has to have in its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        let file = self.dir.path().join("offset").display().to_string();
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// From now on it is so many milliseconds ahead, or behind.
    pub fn set(&self, ahead: i64) -> Result<()> {
        // Whole or not at all: an empty file would be no time.
        let (new, file) = (self.dir.path().join("new"), self.dir.path().join("offset"));
        fs::write(&new, format!("{:+.3}\n", ahead as f64 / 1000.0))?;
        Ok(fs::rename(new, file)?)
    }
}
