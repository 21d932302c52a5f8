//! The key file on disk: found, read, made and added to.
//!
//! **Invariants.** (1) A file that others may read is refused, with the remedy: whoever has it reads every Secret
//! of the past. (2) A key file is written whole and under its name at once, with mode 0600; an existing one is
//! replaced only by one that holds all its keys.
//!
//! Not here: what the keys do (the journal's `seal`).

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use hindcast_journal::{
    Parts,
    seal::{Key, KeyFile},
};

use crate::{
    failure::{Failure, Result},
    moment::rfc3339,
    store,
};

#[cfg(test)]
mod tests;

/// Where the keys are: where it was said, or beside the default journal when that is the one in use.
pub(crate) fn path(given: Option<&Path>, journal: Option<&str>) -> Result<Option<PathBuf>> {
    match (given, journal) {
        (Some(path), _) => Ok(Some(path.to_owned())),
        (None, None) => store::default_key_file().map(Some),
        (None, Some(_)) => Ok(None),
    }
}

/// Reads a key file; nothing if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<KeyFile>> {
    let what = format!("key file {}", path.display());
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::new(what, e.to_string())),
    };
    check_mode(path, &what)?;
    Ok(Some(KeyFile::parse(&what, &text)?))
}

/// Reads a key file that has to be there.
pub(crate) fn read_existing(path: &Path) -> Result<KeyFile> {
    read(path)?.ok_or_else(|| {
        Failure::new(format!("key file {}", path.display()), "there is no such file")
            .hint("make one with `hindcast key init --key-file FILE`, or name the one that `run` uses")
    })
}

/// Adds a key, which becomes the one that new values are sealed with; makes the file if there is none.
pub(crate) fn add(path: &Path, name: Option<&str>, parts: &Parts) -> Result<Key> {
    let what = format!("key file {}", path.display());
    let mut file = read(path)?.unwrap_or_default();
    let fresh = file.keys.is_empty();
    let name = match name {
        Some(name) => name.to_owned(),
        None => next_name(&file),
    };
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !fits {
        return Err(Failure::new(format!("key name `{name}`"), "has other than letters, digits, `-` and `_`"));
    }
    if file.keys.iter().any(|key| is_called(key, &name)) {
        return Err(Failure::new(&what, format!("holds a key `{name}` already"))
            .hint("give the new key another name with --name"));
    }
    let mut key = Key::generate(&name, &rfc3339(parts.clock.now()), parts);
    // Two files that begin with a `key-1` each hold different keys: their names say so.
    key.name = key.id();
    file.keys.insert(0, key.clone());
    write(path, file.to_text().as_bytes(), fresh).map_err(|e| Failure::new(what, format!("cannot be written: {e}")))?;
    Ok(key)
}

fn next_name(file: &KeyFile) -> String {
    // Of one more names than there are keys, one is free.
    (1..=file.keys.len() + 1)
        .map(|n| format!("key-{n}"))
        .find(|name| !file.keys.iter().any(|key| is_called(key, name)))
        .unwrap_or_default()
}

/// Whether a key has a name, with its fingerprint or, as older ones, without.
fn is_called(key: &Key, name: &str) -> bool {
    key.name == name || key.name == format!("{name}-{}", key.fingerprint())
}

/// Writes aside, then puts the file under its name: a fresh one only if nothing stands there.
fn write(path: &Path, text: &[u8], fresh: bool) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.new", std::process::id()));
    let aside = PathBuf::from(aside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&aside).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()?;
        if fresh { std::fs::hard_link(&aside, path) } else { std::fs::rename(&aside, path) }
    });
    if fresh || written.is_err() {
        // What stands under its own name now does not need the other one; nothing depends on this.
        let _ = std::fs::remove_file(&aside);
    }
    written?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(unix)]
fn check_mode(path: &Path, what: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_err(|e| Failure::new(what, e.to_string()))?.permissions().mode();
    // A key mounted from a Kubernetes Secret is readable to the pod's group by design.
    if mode & 0o007 != 0 {
        return Err(Failure::new(what, format!("everybody may read it (mode {:04o})", mode & 0o7777))
            .hint(format!("chmod 600 {}", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &str) -> Result<()> {
    Ok(())
}
