//! What was put back, compared with what was kept.
//!
//! The format's library only logs what it could not set: an owner, a mode, an attribute. So each entry is looked at again.
//! The contents need no second reading: each piece was authenticated before it was written.
//!
//! The root of a tree is no entry of the format, but a volume's root has an owner and a mode that its workload needs
//! ([`Root`]): it goes into the snapshot's description.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use rustic_core::{
    RusticResult,
    repofile::{Node, NodeType},
};
use serde::{Deserialize, Serialize};

/// How many differences are named; beyond them only their number.
const NAMED: usize = 100;

/// The bits of a mode that can be set.
const MODE: u32 = 0o7777;

/// The owner and the mode of a tree's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Root {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Root {
    /// Those of a folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let found = fs::metadata(folder)?;
        if !found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"));
        }
        Ok(Self { uid: found.uid(), gid: found.gid(), mode: found.mode() & MODE })
    }

    /// Gives them to a folder; why not, if it cannot be.
    pub(crate) fn set(self, folder: &Path) -> Option<String> {
        // The mode last: a new owner takes the set-id bits away.
        let owned = chown(folder, Some(self.uid), Some(self.gid));
        let set = owned.and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(self.mode)));
        set.err().map(|error| format!(".: {error}"))
    }
}

/// In what the entries below a folder are not what was kept.
pub(crate) fn differences(
    folder: &Path,
    kept: impl Iterator<Item = RusticResult<(PathBuf, Node)>>,
) -> RusticResult<Vec<String>> {
    let (mut named, mut more) = (Vec::new(), 0);
    for entry in kept {
        let (path, node) = entry?;
        if let Some(why) = difference(&folder.join(&path), &node) {
            if named.len() < NAMED {
                named.push(format!("{}: {why}", path.display()));
            } else {
                more += 1;
            }
        }
    }
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Ok(named)
}

fn difference(path: &Path, node: &Node) -> Option<String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) => return Some(error.to_string()),
    };
    let kind = found.file_type();
    let same = match &node.node_type {
        NodeType::File => kind.is_file(),
        NodeType::Dir => kind.is_dir(),
        NodeType::Symlink { .. } => kind.is_symlink(),
        NodeType::Dev { .. } => kind.is_block_device(),
        NodeType::Chardev { .. } => kind.is_char_device(),
        NodeType::Fifo => kind.is_fifo(),
        // A socket is of the process that listens on it: none is made.
        NodeType::Socket => return None,
    };
    if !same {
        return Some("it is of another kind".to_owned());
    }
    let meta = &node.meta;
    if kind.is_file() && found.len() != meta.size {
        return Some(format!("it has {} bytes instead of {}", found.len(), meta.size));
    }
    if kind.is_symlink() && fs::read_link(path).ok().as_deref() != Some(node.node_type.to_link()) {
        return Some("it leads elsewhere".to_owned());
    }
    let owner = (meta.uid.unwrap_or(found.uid()), meta.gid.unwrap_or(found.gid()));
    if owner != (found.uid(), found.gid()) {
        return Some(format!("its owner is {}:{} instead of {}:{}", found.uid(), found.gid(), owner.0, owner.1));
    }
    let mode = meta.mode.map_or(found.mode() & MODE, mode);
    if !kind.is_symlink() && mode != found.mode() & MODE {
        return Some(format!("its mode is {:04o} instead of {mode:04o}", found.mode() & MODE));
    }
    let seconds = meta.mtime.map(rustic_core::jiff::Timestamp::as_nanosecond);
    let now = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    if seconds.is_some_and(|time| time != now) {
        return Some("it has another time of change".to_owned());
    }
    let lacks = meta.extended_attributes.iter().find(|attribute| {
        let found = xattr::get(path, &attribute.name).ok().flatten();
        found.as_deref() != Some(attribute.value.as_deref().unwrap_or_default())
    });
    lacks.map(|attribute| format!("it lacks the attribute {}", attribute.name))
}

/// A mode as the format has it, which is Go's, as Unix has it.
fn mode(of: u32) -> u32 {
    let bit = |from: u32, to: u32| if of & (1 << from) == 0 { 0 } else { to };
    of & 0o777 | bit(23, 0o4000) | bit(22, 0o2000) | bit(20, 0o1000)
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn set_id_and_sticky_bits_are_where_go_has_them() {
        assert_eq!(mode(0o644), 0o644);
        assert_eq!(mode(1 << 31 | 1 << 20 | 0o777), 0o1777);
        assert_eq!(mode(1 << 23 | 1 << 22 | 0o755), 0o6755);
    }
}
