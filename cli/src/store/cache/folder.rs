//! The folder of a cache: files by name, bounded, the longest unused removed first.
//!
//! **Invariants.** (1) A file comes to be whole, by a rename [`Folder::write`]. (2) Several processes may write, read and remove at
//! once: a file that is gone is not there, nothing else. (3) Nothing here fails but [`Folder::open`]: a full disk makes no cache.
//! (4) Folders are 0700 and files 0600. (5) Nothing is removed but what has a name that an entry would have [`is_entry`], in a folder
//! below the one that was named: that may be any folder, also one with a user's own files in it.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::failure::{Failure, Result};

/// How much of all may be added before it is counted again: other processes add too.
const COUNTED: u64 = 16;
/// No file is a larger part of all than this.
const LARGEST: u64 = 8;
/// What is left of an unfinished write after this long is nobody's.
const LEFT: Duration = Duration::from_hours(1);
/// A use is noted no more often than this.
const NOTED: Duration = Duration::from_mins(1);
/// How many digits the name of an entry has, and how many of them are that of its folder.
const DIGITS: usize = 64;
const FOLDER: usize = 2;
/// What files that are being written begin with.
const UNFINISHED: &str = "tmp-";

/// The folder below the one that was named.
const BELOW: &str = "hindcast-entries";

/// Whether a folder or a file is named as those of entries are: by the digits of a digest.
fn is_entry(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A folder of files.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    limit: u64,
    count: Mutex<Count>,
    next: AtomicU64,
}

/// How much there is.
#[derive(Debug, Default)]
struct Count {
    /// As of the last look, with what this process has added since; `None` before the first.
    bytes: Option<u64>,
    added: u64,
}

#[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn age(of: SystemTime) -> Duration {
    now().duration_since(of).unwrap_or_default()
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Why a folder cannot be trusted: whoever else writes there could make up a past.
#[cfg(unix)]
fn foreign(folder: &fs::Metadata, own: &fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    if folder.uid() != own.uid() {
        return Some("is another user's");
    }
    (folder.mode() & 0o022 != 0).then_some("may be written to by others")
}

#[cfg(not(unix))]
fn foreign(_: &fs::Metadata, _: &fs::Metadata) -> Option<&'static str> {
    None
}

impl Folder {
    /// A folder, which is made if it is not there.
    pub(super) fn open(root: &Path, limit: u64) -> Result<Self> {
        let refuse = |reason: String| {
            Failure::new(format!("--cache {}", root.display()), reason).hint(
                "name a folder of your own that is no one else's to write to, or leave --cache (HINDCAST_CACHE) out",
            )
        };
        make(root).map_err(|error| refuse(format!("cannot be made: {error}")))?;
        let folder = Self { root: root.join(BELOW), limit, count: Mutex::default(), next: AtomicU64::new(0) };
        let (path, file) = folder.unfinished(root).map_err(|error| refuse(format!("cannot be written to: {error}")))?;
        let looked = file.metadata().and_then(|own| Ok((fs::metadata(root)?, own)));
        let _ = fs::remove_file(path);
        let (of, own) = looked.map_err(|error| refuse(format!("cannot be looked at: {error}")))?;
        match foreign(&of, &own) {
            Some(reason) => Err(refuse(reason.to_owned())),
            None => Ok(folder),
        }
    }

    /// Whether a file of this size is kept.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        bytes <= self.limit / LARGEST
    }

    fn path(&self, name: &str) -> PathBuf {
        let (folder, file) = name.split_at_checked(FOLDER).unwrap_or(("", name));
        self.root.join(folder).join(file)
    }

    /// A file's bytes. That it was of use is noted.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name);
        let bytes = fs::read(&path).ok()?;
        let noted = fs::metadata(&path).and_then(|of| of.modified()).ok()?;
        if age(noted) > NOTED {
            let _ = OpenOptions::new().append(true).open(&path).and_then(|file| file.set_modified(now()));
        }
        Some(bytes)
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Writes a file, in the place of any of that name.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        if self.try_to_write(name, bytes).is_ok() {
            self.added(bytes.len() as u64);
        }
    }

    fn try_to_write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        make(folder)?;
        let (unfinished, mut file) = self.unfinished(folder)?;
        let written = file.write_all(bytes).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// A file that is still to get its name.
    fn unfinished(&self, folder: &Path) -> std::io::Result<(PathBuf, File)> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
            match create(&path) {
                // A process of that number left it.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                created => return created.map(|file| (path, file)),
            }
        }
    }

    /// Counts what was added, and makes room where it is too much.
    fn added(&self, bytes: u64) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.added += bytes;
        count.bytes = count.bytes.map(|all| all + bytes);
        let known = count.bytes.is_some_and(|all| all <= self.limit && count.added <= self.limit / COUNTED);
        if !known {
            *count = Count { bytes: Some(self.make_room()), added: 0 };
        }
    }

    /// Removes the longest unused until a tenth is free, if there is too much; what there is then.
    fn make_room(&self) -> u64 {
        let mut files = Vec::new();
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let own = |folder: &fs::DirEntry| is_entry(&folder.file_name().to_string_lossy(), FOLDER);
        for folder in folders.filter(|folder| own(folder) && folder.file_type().is_ok_and(|kind| kind.is_dir())) {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let Ok(of) = file.metadata() else { continue };
                let used = of.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let name = file.file_name();
                let unfinished = name.to_string_lossy().starts_with(UNFINISHED);
                if !unfinished && !is_entry(&name.to_string_lossy(), DIGITS - FOLDER) {
                    continue;
                }
                if unfinished && age(used) > LEFT {
                    let _ = fs::remove_file(file.path());
                } else {
                    files.push((used, of.len(), file.path(), unfinished));
                }
            }
        }
        let mut all: u64 = files.iter().map(|(_, size, ..)| size).sum();
        if all <= self.limit {
            return all;
        }
        files.sort();
        for (_, size, path, unfinished) in files {
            if all <= self.limit - self.limit / 10 {
                break;
            }
            if !unfinished && fs::remove_file(path).is_ok() {
                all -= size;
            }
        }
        all
    }
}
