//! One pass over what was left: what it has learnt of the drivers.
//!
//! **Invariants.** (1) A driver that could not be asked is not asked again in the same pass: each try costs its whole
//! patience, and holds up everything else [`Pass::ask`]. (2) What a driver does not find says nothing of a point
//! [`of_driver`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use hindcast_journal::{Error, Result, error::ErrorKind};

use super::Maker;
use crate::driver::VolumeDriver;

/// The drivers that could not be asked, and why.
#[derive(Debug, Default)]
pub(super) struct Pass(Mutex<BTreeMap<String, String>>);

impl Pass {
    /// Asks the driver of this name, unless it could not be asked before.
    pub(super) async fn ask<T>(
        &self,
        maker: &Maker,
        name: &str,
        question: impl AsyncFnOnce(&Arc<dyn VolumeDriver>) -> Result<T>,
    ) -> Result<T> {
        let down = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(why) = down {
            return Err(Error::new(ErrorKind::Unavailable, format!("volume driver {name}"), why));
        }
        let answer = match maker.drivers.named(name).await {
            Ok(driver) => question(&driver).await.map_err(of_driver),
            Err(error) => Err(error),
        };
        if let Err(error) = &answer {
            self.failed(name, error);
        }
        answer
    }

    /// Notes that a driver could not be asked, if it is for that.
    pub(super) fn failed(&self, name: &str, error: &Error) {
        if error.kind() == ErrorKind::Unavailable {
            let mut down = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            down.entry(name.to_owned()).or_insert_with(|| error.told());
        }
    }
}

/// An error of a driver, to whoever asked about a point. That something is not there would be said of the point itself.
pub(super) fn of_driver(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    let (what, reason) = error.thing_and_reason();
    let hint = error.hint().unwrap_or("look at it in the storage system").to_owned();
    Error::new(ErrorKind::Refused, what, reason).with_hint(hint).with_source(error)
}
