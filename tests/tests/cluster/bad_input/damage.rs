//! Damaged journals, journals of other clusters, and places that hold none.
//!
//! **Words**: a *damage* is what was done to the largest segment of a copy of a journal.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{Journal, Parts, Writer, writer::Identity};
use hindcast_tests::{
    oracle::subject::{Hindcast, Place},
    real::process::Workdir,
};
use object_store::local::LocalFileSystem;
use ring::digest;

use super::{normal, root, uid, with};
use crate::scene::{ask, run_to_its_end};

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to).map(drop)?;
        }
    }
    Ok(())
}

/// A copy of the journal, and the file in it that holds the most.
fn copied(dir: &Workdir, hindcast: &Hindcast, name: &str) -> Result<(Hindcast, PathBuf)> {
    let folder = dir.path().join(name);
    copy(&root(hindcast), &folder)?;
    let place = Place::folder(&folder)?;
    let copy = with(hindcast, |other| other.place = place);
    let wal = folder.join(uid(&copy)?).join("wal");
    let mut files: Vec<_> = fs::read_dir(wal)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort_by_key(|file| fs::metadata(file).map_or(0, |meta| meta.len()));
    Ok((copy, files.pop().context("there are segments")?))
}

/// The file as a newer version would have written it: another format, and the digest of that.
fn newer_format(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let find =
        |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).rposition(|part| part == what).context("it is there");
    let format = find(&bytes, b"hindcast.format\x18\x011")? + b"hindcast.format\x18\x01".len();
    let stated = find(&bytes, b"hindcast.sha256\x18\x40")? + b"hindcast.sha256\x18\x40".len();
    bytes[format] = b'2';
    bytes[stated..stated + 64].fill(b'0');
    let digest = digest::digest(&digest::SHA256, &bytes);
    let text: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[stated..stated + 64].copy_from_slice(text.as_bytes());
    Ok(bytes)
}

pub(super) async fn damages(dir: &Workdir, hindcast: &Hindcast, at: &str) -> Result<()> {
    let flipped = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    // What every damage is followed by.
    let helps = "hint: `hindcast doctor` says what is damaged, what that means and what helps; --around-damage reads around what cannot be read of the log, and says so\n";
    let unreadable = "is not readable Parquet: it does not begin and end as one\nhint: the file is truncated, altered, or not Hindcast's\n";
    type Damage<'a> = &'a dyn Fn(Vec<u8>) -> Result<Vec<u8>>;
    let cases: [(&str, Damage<'_>, &str); 6] = [
        ("cut", &|bytes| Ok(cut(bytes)), unreadable),
        ("emptied", &|_| Ok(Vec::new()), unreadable),
        (
            "flipped",
            &|bytes| Ok(flipped(bytes)),
            "was altered or damaged: its bytes do not have the digest it states\nhint: restore this object from a copy of the bucket, or read a moment before it\n",
        ),
        ("replaced", &|_| Ok(b"<html>not found</html>".to_vec()), unreadable),
        (
            "foreign",
            &|_| Ok(b"PAR1 of somebody else PAR1".to_vec()),
            "is not a Hindcast file, or its digest was altered\n",
        ),
        (
            "newer",
            &|bytes| newer_format(bytes),
            "has format 2; this version reads 1\nhint: read it with a newer hindcast\n",
        ),
    ];
    for (name, damage, reason) in cases {
        let (copy, file) = copied(dir, hindcast, name)?;
        fs::write(&file, damage(fs::read(&file)?)?)?;
        let number = file.file_name().context("a file")?.to_string_lossy().into_owned();
        let expected = format!("error: <uid>/wal/{number}: {reason}{helps}");
        for args in [&["get", "cm", "-A", "--at", at][..], &["status"], &["log", "-A"], &["journal", "cat", &number]] {
            let said = ask(&copy, args).await?;
            ensure!(
                said.code == 2 && normal(&copy, &said)?.ends_with(&expected) && said.out.is_empty(),
                "{name}: not {expected} in {said}"
            );
        }
        // The files that are whole are listed all the same.
        let listed = ask(&copy, &["journal", "ls"]).await?;
        let reason = reason.lines().next().unwrap_or_default();
        listed.is(2, &[&number, reason, "00000000000000000001.parquet"])?;
        let refused = run_to_its_end(&copy, &[]).await?;
        ensure!(refused.code == 2 && normal(&copy, &refused)?.contains(reason), "{refused}");
    }
    let (copy, file) = copied(dir, hindcast, "removed")?;
    fs::remove_file(&file)?;
    ask(&copy, &["get", "cm", "-A", "--at", at])
        .await?
        .is(2, &["is missing, though segment ", "hint: a segment was removed or is not readable"])?;
    Ok(())
}

pub(super) async fn journals_of_others(dir: &Workdir, hindcast: &Hindcast) -> Result<()> {
    let (copy, _) = copied(dir, hindcast, "moved")?;
    let (root, uid) = (root(&copy), uid(&copy)?);
    let other = "00000000-0000-4000-8000-000000000000";
    fs::rename(root.join(&uid), root.join(other))?;
    let belongs = format!(
        ": belongs to cluster {uid}, not {other}\nhint: a file of another journal lies in this folder: move it away\n"
    );
    for args in [&["status"][..], &["get", "cm", "-A"], &["log", "-A"]] {
        ask(&copy, args).await?.is(2, &[&format!("error: {other}/wal/"), &belongs])?;
    }
    // `run` finds another cluster's files in the folder of its own.
    let folder = dir.path().join("foreign-folder");
    let place = Place::folder(&folder)?;
    let foreign = with(hindcast, |other| other.place = place);
    let store = Arc::new(LocalFileSystem::new_with_prefix(&folder)?);
    let journal = Journal::open(store, &object_store::path::Path::default(), other, Parts::system());
    let identity = Identity { writer: "test".to_owned(), instance: "test".to_owned() };
    drop(Writer::claim(&journal, identity, None).await?);
    fs::rename(folder.join(other), folder.join(&uid))?;
    let belongs = format!(": belongs to cluster {other}, not {uid}\nhint: ");
    run_to_its_end(&foreign, &[]).await?.is(2, &[&belongs])?;
    // Two clusters side by side are told apart only by name.
    let (copy, _) = copied(dir, hindcast, "two")?;
    let two = dir.path().join("two");
    self::copy(&two.join(&uid), &two.join(other))?;
    let said = ask(&copy, &["get", "cm", "-A"]).await?;
    said.is(2, &["holds several clusters\nhint: choose with --cluster: ", other, &uid])?;
    // A folder that is empty, none, or no folder.
    let nowhere = |url: String| with(hindcast, |other| other.place.url = url);
    ask(&nowhere("file:///nowhere/at/all".to_owned()), &["status"]).await?.is(
        2,
        &["error: journal file:///nowhere/at/all: there is no such folder\nhint: `hindcast run` begins a journal"],
    )?;
    let empty = Place::folder(&dir.path().join("empty"))?;
    ask(&nowhere(empty.url), &["status"])
        .await?
        .is(2, &[": holds nothing yet\nhint: `hindcast run` with the same --journal writes it"])?;
    ask(&nowhere("ftp://host/path".to_owned()), &["status"])
        .await?
        .is(2, &["error: journal ftp://host/path: unknown store `ftp`\nhint: a journal is file:///path"])?;
    let said = ask(&nowhere("s3://user:password@bucket/path".to_owned()), &["status"]).await?;
    said.is(2, &["credentials do not belong in the URL"])?.never(&["password"])?;
    Ok(())
}
