//! Who listens on a plugin's socket.
//!
//! **Invariants.** (1) Nothing is asked of a process of a user who could not have started the plugin: it is root's, this
//! user's, or that of the owner of the socket's folder ([`check`]). (2) Nobody else can put a socket in the place of the
//! plugin's: its folder is one that only its owner writes to, or in which each may move only what is his own ([`check`]).
//!
//! Not here: whether the plugin is the one that was there before ([`crate::line`]).

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

use hindcast_journal::error::{Error, ErrorKind};
use tokio::{fs, net::UnixStream};

/// What may be done in a folder: by its group and by others, and that each may move only what is his own.
const WRITES: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A connection to a socket, and whoever may listen there. What is wrong otherwise is said of `who` by the error.
pub(crate) async fn connect(path: &Path, what: &str, who: &str) -> io::Result<Result<UnixStream, Error>> {
    let folder = match path.parent() {
        Some(folder) => fs::metadata(folder).await.ok(),
        None => None,
    };
    let stream = UnixStream::connect(path).await?;
    // The other end of a pair of one's own is oneself.
    let (own, _) = UnixStream::pair()?;
    let (own, peer) = (own.peer_cred()?.uid(), stream.peer_cred()?.uid());
    let folder = folder.map(|folder| (folder.uid(), folder.mode()));
    Ok(match check(peer, own, folder) {
        Ok(()) => Ok(stream),
        Err((reason, hint)) => {
            let reason = if what == who { reason } else { format!("{who}: {reason}") };
            Err(Error::new(ErrorKind::Refused, what, reason).with_hint(hint))
        }
    })
}

/// Whether a process of the user `peer` may be asked by one of the user `own`, with the owner and mode of the folder.
fn check(peer: u32, own: u32, folder: Option<(u32, u32)>) -> Result<(), (String, &'static str)> {
    let Some((owner, mode)) = folder else {
        let hint = "let the user of this process look into the folder above the socket's";
        return Err(("the folder of its socket cannot be looked at".to_owned(), hint));
    };
    if mode & WRITES != 0 && mode & STICKY == 0 {
        let reason =
            format!("others than its owner can write to the folder of its socket (mode {:04o})", mode & 0o7777);
        let hint = "let the plugin listen in a folder of its own that only its user can write to (mode 0755)";
        return Err((reason, hint));
    }
    if ![0, own, owner].contains(&peer) {
        let reason = format!(
            "a process of the user {peer} listens on its socket, neither root's, nor this user's ({own}), nor of the \
             user of its folder ({owner})"
        );
        let hint = "run the plugin by the user of its socket's folder, and see who it is that listens there now";
        return Err((reason, hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_root_oneself_or_the_folders_owner() {
        for peer in [0, 1000, 2000] {
            assert!(check(peer, 1000, Some((2000, 0o755))).is_ok(), "{peer}");
        }
        let (reason, hint) = check(3000, 1000, Some((2000, 0o755))).unwrap_err();
        assert!(reason.contains("user 3000") && reason.contains("(1000)") && reason.contains("(2000)"), "{reason}");
        assert!(!hint.is_empty());
    }

    #[test]
    fn a_folder_that_others_write_to_is_no_plugins() {
        for mode in [0o777, 0o775, 0o757] {
            let (reason, _) = check(0, 0, Some((0, mode))).unwrap_err();
            assert!(reason.contains(&format!("mode {mode:04o}")), "{reason}");
        }
        for mode in [0o1777, 0o2755, 0o700] {
            assert!(check(0, 0, Some((0, mode))).is_ok(), "{mode:o}");
        }
        assert!(check(0, 0, None).is_err());
    }

    #[tokio::test]
    async fn a_socket_in_a_folder_of_everybody_is_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let _listens = tokio::net::UnixListener::bind(&path).unwrap();
        assert!(connect(&path, "a", "plugin b").await.unwrap().is_ok(), "one's own");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = connect(&path, "a", "plugin b").await.unwrap().unwrap_err();
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("plugin b: others"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("0755")));
        let none = connect(&folder.path().join("none.sock"), "a", "plugin b").await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
