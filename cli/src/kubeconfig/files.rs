//! The kubeconfig's files: which there are, and what they say together.
//!
//! **Invariants**, as kubectl has them. (1) A file that is named by `--kubeconfig` has to be there; one of several in
//! `KUBECONFIG` may be missing, and hides none of the others. (2) The first file that says something wins. (3) A file
//! that is there and cannot be read is an error, which names it.
//!
//! Not here: what the text of one means ([`super::text`]).

use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use hindcast_journal::Error;
use kube::config::Kubeconfig;

use super::text;
use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What the files say together; nothing if there is none.
    pub(crate) config: Option<Kubeconfig>,
    /// Files that `KUBECONFIG` names and that are not there.
    pub(crate) missing: Vec<PathBuf>,
}

impl Found {
    /// The kubeconfig, if it or `wanted` says which context is meant: one without says no more than none.
    pub(crate) fn choosing(&self, wanted: Option<&str>) -> Option<&Kubeconfig> {
        self.config.as_ref().filter(|config| wanted.is_some() || config.current_context.is_some())
    }
}

/// The kubeconfig of `--kubeconfig`, else of `KUBECONFIG`, else of the home directory.
pub(crate) fn find(named: Option<&Path>) -> Result<Found> {
    match named {
        Some(path) => read(path)?
            .map(|config| Found { config: Some(config), missing: Vec::new() })
            .ok_or_else(|| unreadable(path, "there is no such file")),
        None => of_environment(std::env::var_os("KUBECONFIG"), std::env::home_dir()),
    }
}

fn of_environment(kubeconfig: Option<OsString>, home: Option<PathBuf>) -> Result<Found> {
    let listed = kubeconfig.unwrap_or_default();
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let path = home.map(|home| home.join(".kube").join("config"));
        let config = path.map(|path| read(&path)).transpose()?.flatten();
        return Ok(Found { config, missing: Vec::new() });
    }
    let mut found = Found::default();
    for path in paths {
        let Some(next) = read(&path)? else {
            found.missing.push(path);
            continue;
        };
        found.config = Some(match found.config.take() {
            Some(before) => before.merge(next).map_err(|e| unreadable(&path, Error::causes(&e)))?,
            None => next,
        });
    }
    Ok(found)
}

/// One file; nothing if it is not there.
fn read(path: &Path) -> Result<Option<Kubeconfig>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(path, e)),
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    text::kubeconfig(&bytes, dir).map(Some).map_err(|reason| unreadable(path, reason))
}

fn unreadable(path: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::new("kubeconfig", format!("{}: {reason}", path.display())).hint("--kubeconfig FILE, or KUBECONFIG")
}
