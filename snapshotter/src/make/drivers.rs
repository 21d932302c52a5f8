//! The drivers that points are made with, those that come and go among them.
//!
//! **Words**: drivers that are *passing* come and go while the process lives: an object of the cluster names them.
//!
//! **Invariant.** What is begun with some drivers ends with them: whoever begins pins those that are there now
//! [`Drivers::pinned`], and keeps what is let go of meanwhile until it is done.

use std::sync::{Arc, Mutex, PoisonError};

use hindcast_journal::{Error, Result, error::ErrorKind, point::Volume};

use crate::{driver::VolumeDriver, plan};

/// Drivers that come and go. Every clone sees what was put there last.
#[derive(Debug, Clone, Default)]
pub struct Passing(Arc<Mutex<Vec<Arc<dyn VolumeDriver>>>>);

impl Passing {
    /// These are there from now on, and no others.
    pub fn put(&self, drivers: Vec<Arc<dyn VolumeDriver>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = drivers;
    }

    fn now(&self) -> Vec<Arc<dyn VolumeDriver>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Drivers, in the order in which they are asked whether they take a volume: those that stay, then those that are passing.
#[derive(Debug, Clone, Default)]
pub struct Drivers {
    stay: Vec<Arc<dyn VolumeDriver>>,
    passing: Passing,
}

impl Drivers {
    /// Drivers that stay.
    pub fn new(stay: Vec<Arc<dyn VolumeDriver>>) -> Self {
        Self { stay, passing: Passing::default() }
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = Arc<dyn VolumeDriver>>) {
        self.stay.extend(more);
    }

    pub(super) fn follow(&mut self, passing: Passing) {
        self.passing = passing;
    }

    /// Those that are there now, whatever comes and goes from here on.
    pub(super) fn pinned(&self) -> Self {
        Self::new(self.all())
    }

    pub(super) fn all(&self) -> Vec<Arc<dyn VolumeDriver>> {
        self.stay.iter().cloned().chain(self.passing.now()).collect()
    }

    pub(super) fn met(&self, name: &str) -> Option<Arc<dyn VolumeDriver>> {
        self.all().into_iter().find(|driver| driver.name() == name)
    }

    /// The driver of this name. Those that have none yet are met before it is said that it is not there.
    pub(super) async fn named(&self, name: &str) -> Result<Arc<dyn VolumeDriver>> {
        if let Some(driver) = self.met(name) {
            return Ok(driver);
        }
        let all = self.all();
        let nameless = || all.iter().filter(|driver| plan::is_nameless(driver.name()));
        futures::future::join_all(nameless().map(|driver| driver.consider(&[]))).await;
        self.met(name).ok_or_else(|| {
            let what = format!("volume driver {name}");
            let whys: Vec<String> = nameless().filter_map(|driver| driver.takes(&Volume::default()).err()).collect();
            match whys.is_empty() {
                true => Error::invalid(what, "is not there in this process").with_hint(remedy(name)),
                // It may be one of these.
                false => Error::new(ErrorKind::Unavailable, what, format!("was not met yet: {}", whys.join("; ")))
                    .with_hint("see that its plugin is running; what it made is left as it is"),
            }
        })
    }
}

/// What gives a process the driver of this name.
fn remedy(name: &str) -> String {
    match name {
        "aws" | "azure" | "gcp" => format!(
            "use a build with that driver, and say where its snapshots are: as --volume-location {name}:…, or for what \
             `hindcast run` does as a VolumeLocation; what it made is left as it is"
        ),
        _ => "use a build and settings with that driver; what it made is left as it is".to_owned(),
    }
}
