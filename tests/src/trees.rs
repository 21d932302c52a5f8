//! Trees of files as they lie on volumes: planted by a seed, and looked at without the code under test.
//!
//! What is planted: empty, small and large files, holes, hard links, symbolic links that lead nowhere, names that are no
//! text, modes with set-id bits, owners (as root), times of odd nanoseconds, attributes where the file system has them, pipes.

#![expect(clippy::unnecessary_debug_formatting, reason = "a name may be of any bytes, and is shown as one line")]

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::{self, File, FileTimes, OpenOptions},
    io::Write as _,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use rustix::fs::{CWD, FileType, Mode};

use crate::sim::rng::Rng;

/// Plants a tree of about so many entries into an empty folder.
pub fn plant(root: &Path, seed: u64, entries: usize) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for number in 0..entries {
        let folder = rng.pick(&folders).context("there is the root")?.clone();
        let path = folder.join(name(&mut rng, number));
        match rng.below(20) {
            0..4 => {
                fs::create_dir(&path)?;
                folders.push(path);
                continue;
            }
            4..6 => {
                let target =
                    if rng.permille(300) { PathBuf::from("../nowhere/at all") } else { name(&mut rng, 0).into() };
                symlink(target, &path)?;
                continue;
            }
            6..8 if !files.is_empty() => {
                let other = rng.pick(&files).context("there are files")?;
                fs::hard_link(other, &path)?;
                continue;
            }
            8 => {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_bits_truncate(0o640), 0)?;
                continue;
            }
            9..11 => holes(&path, &mut rng)?,
            _ => fs::write(&path, bytes(&mut rng))?,
        }
        dress(&path, &mut rng)?;
        files.push(path);
    }
    // The folders last, the deepest first: what is put into one changes its time.
    for folder in folders.iter().skip(1).rev() {
        dress(folder, &mut rng)?;
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o2771))?;
    Ok(())
}

/// Changes, adds and takes away some of a tree.
pub fn change(root: &Path, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut files = Vec::new();
    walk(root, root, &mut |path, meta| {
        if meta.is_file() {
            files.push(root.join(path));
        }
        Ok(())
    })?;
    for (number, file) in files.iter().enumerate() {
        match rng.below(6) {
            0 => fs::remove_file(file)?,
            1 => OpenOptions::new().append(true).open(file)?.write_all(&bytes(&mut rng))?,
            2 => {
                let folder = file.parent().context("it is below the root")?;
                fs::write(folder.join(format!("new {number}")), bytes(&mut rng))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn name(rng: &mut Rng, number: usize) -> OsString {
    let odd: [&[u8]; 8] =
        [b"-rf", b"a b", b"new\nline", b"\xff\xfe no text", "größe".as_bytes(), b"q\"uo'te", b"back\\slash", b".dot"];
    let mut name = match rng.below(3) {
        0 => rng.pick(&odd).copied().unwrap_or_default().to_vec(),
        1 => b"n".repeat(rng.between(1, 200) as usize),
        _ => b"file".to_vec(),
    };
    name.extend_from_slice(format!("-{number}").as_bytes());
    OsString::from_vec(name)
}

/// Nothing, a few bytes, a page, or more than a pack's piece; some of it compresses.
fn bytes(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(10) {
        0 => 0,
        1..6 => rng.between(1, 4096),
        6..9 => rng.between(4097, 200_000),
        _ => rng.between(1 << 20, 5 << 20),
    };
    let dull = rng.permille(300);
    let mut bytes = Vec::with_capacity(length as usize + 8);
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&if dull { [b'x'; 8] } else { rng.number().to_le_bytes() });
    }
    bytes.truncate(length as usize);
    bytes
}

fn holes(path: &Path, rng: &mut Rng) -> Result<()> {
    let file = File::create(path)?;
    let length = rng.between(1 << 20, 6 << 20);
    file.set_len(length)?;
    for _ in 0..rng.below(4) {
        file.write_all_at(&bytes(rng), rng.below(length))?;
    }
    Ok(())
}

/// Gives it an owner, a mode, attributes and a time.
fn dress(path: &Path, rng: &mut Rng) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(rng.between(0, 3000) as u32), Some(rng.between(0, 3000) as u32))?;
    }
    let set = if rng.permille(100) { 0o6000 } else { 0 };
    let mode = if path.is_dir() { 0o700 | rng.below(0o100) as u32 } else { set | 0o400 | rng.below(0o400) as u32 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if rng.permille(300) {
        // Not every file system has them.
        let value = rng.number().to_le_bytes();
        let _ = rustix::fs::lsetxattr(path, "user.hindcast", &value, rustix::fs::XattrFlags::empty());
    }
    let time = UNIX_EPOCH + Duration::new(rng.between(1, 2_000_000_000), rng.below(1_000_000_000) as u32);
    let handle = rustix::fs::open(path, rustix::fs::OFlags::RDONLY, Mode::empty())?;
    File::from(handle).set_times(FileTimes::new().set_modified(time))?;
    Ok(())
}

/// What there is below a folder, by path: everything that a restore has to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture(BTreeMap<PathBuf, String>);

impl Picture {
    /// Looks at a folder.
    pub fn of(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut links: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
        walk(root, root, &mut |path, meta| {
            let full = root.join(path);
            let mut said = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
            if meta.is_symlink() {
                write!(said, " -> {:?}", fs::read_link(&full)?)?;
            }
            if meta.is_file() {
                let hash = ring::digest::digest(&ring::digest::SHA256, &fs::read(&full)?);
                write!(said, " {} bytes {}", meta.len(), hex(hash.as_ref()))?;
                if meta.nlink() > 1 {
                    let first = links.entry((meta.dev(), meta.ino())).or_insert_with(|| path.to_owned());
                    write!(said, " linked with {first:?}")?;
                }
            }
            write!(said, " at {}.{:09}", meta.mtime(), meta.mtime_nsec())?;
            let mut value = [0; 64];
            if let Ok(length) = rustix::fs::lgetxattr(&full, "user.hindcast", &mut value) {
                write!(said, " attribute {:?}", &value[..length])?;
            }
            entries.insert(path.to_owned(), said);
            Ok(())
        })?;
        let root = fs::metadata(root)?;
        entries.insert(PathBuf::from("."), format!("{:o} {}:{}", root.mode(), root.uid(), root.gid()));
        Ok(Self(entries))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In what another one differs, an entry a line.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(other.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let of = |picture: &Self, path| picture.0.get(path).cloned().unwrap_or_else(|| "is not there".to_owned());
        let pairs = paths.into_iter().map(|path| (path, of(self, path), of(other, path)));
        pairs.filter(|(_, a, b)| a != b).map(|(path, a, b)| format!("{path:?}: {a} | {b}")).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Blocks on the disk that the files below a folder take.
pub fn blocks(root: &Path) -> Result<u64> {
    let mut blocks = 0;
    walk(root, root, &mut |_, meta| {
        blocks += meta.blocks();
        Ok(())
    })?;
    Ok(blocks)
}

/// Everything below a folder, sorted by name, without following links.
fn walk(root: &Path, folder: &Path, each: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<()>) -> Result<()> {
    let mut names: Vec<OsString> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    names.sort_by(|a, b| OsStr::as_bytes(a).cmp(OsStr::as_bytes(b)));
    for name in names {
        let path = folder.join(name);
        let meta = fs::symlink_metadata(&path)?;
        each(path.strip_prefix(root)?, &meta)?;
        if meta.is_dir() {
            walk(root, &path, each)?;
        }
    }
    Ok(())
}
