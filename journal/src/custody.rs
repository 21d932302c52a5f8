//! Custody: who can open what is sealed, and who no longer can.
//!
//! **Words**: to *rewrap* is to keep each data key once more, wrapped by the newest key of the key file, so that the older ones need not
//! be at hand any more ([`rewrap`]). To *forget* is to remove every file of data keys, after which nobody opens what they sealed
//! ([`forget`]). A *survey* is which files of data keys there are, and what opens them. A *statement* tells what was done.
//!
//! **Format.** `meta/custody/<n>`, a numbered fact, is two lines of JSON: the statement ([`Told`]), and `{"signature": …}`: Ed25519 over
//! `hindcast custody v1`, a line end and the bytes of the first line, by the journal's key for seals.
//!
//! **Invariants.**
//! 1. Nothing is overwritten: a copy is a file of its own name, created if absent, and read back before it counts [`rewrap::wrap`].
//! 2. No file is removed before a statement names it that is signed by a key at hand, and every writer must have seen it [`until_seen`];
//!    what a process that died left is removed by the next one [`forget::sweep`].
//! 3. A file is removed for a copy only if both were read anew and opened to the same bytes, each by its own key [`rewrap::remove`].
//! 4. The number of a statement is its claim: of two processes that decide at once the create of one fails, and it looks anew [`state`].
//!
//! Not here: sealing and opening ([`crate::seal`]); whether a file that is gone is rightly so ([`crate::verify`]).

pub mod forget;
mod kept;
pub mod rewrap;
mod survey;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use object_store::path::Path;

pub use self::survey::{File, Held, Survey, survey};
use crate::{
    Error, Journal, Result,
    layout::CUSTODY,
    proof::{Checked, Trust},
    seal::{Deed, Key, LOOK, Told},
    store::Put,
};

/// How many numbers are tried for a statement: another process may take one.
const RIVALS: usize = 8;

/// Who decides: the key that signs, and the host and process.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The key.
    pub key: &'a Key,
    /// Host and process.
    pub who: &'a str,
}

/// How long after it was told a statement must have been seen by every writer that can reach the store: it looks so often, and a request
/// that it began before may take the rest.
pub const SEEN: Duration = LOOK.saturating_add(Duration::from_secs(5));

/// Waits until every writer that can reach the store must have looked at what is told by now.
async fn until_seen(journal: &Journal) {
    journal.parts().clock.sleep(SEEN).await;
}

/// What was told and is signed by one of the keys, oldest first.
async fn signed_by(journal: &Journal, keys: &[Arc<Key>]) -> Result<Vec<Told>> {
    let trust = Trust::new(keys, Vec::new())?;
    let mut out = Vec::new();
    for (_, path, file) in files_after(journal, 0).await? {
        match Told::read(path.as_ref(), journal.cluster(), &file, &trust) {
            Ok((told, Checked::Holds)) => out.push(told),
            Ok((told, _)) => {
                let key = told.key;
                tracing::warn!(%path, key, "a statement of data keys is not signed by a key at hand: nothing is removed for it");
            }
            Err(error) => tracing::warn!(%error, "a statement of data keys is passed over"),
        }
    }
    Ok(out)
}

/// All that was told, oldest first. What cannot be read is left out: `verify` names it.
pub async fn told(journal: &Journal) -> Result<Vec<Told>> {
    Ok(told_after(journal, 0).await?.1)
}

/// What was told after a statement, oldest first, and the number of the newest.
pub async fn told_after(journal: &Journal, number: u64) -> Result<(u64, Vec<Told>)> {
    let files = files_after(journal, number).await?;
    let newest = files.last().map_or(number, |(newest, ..)| *newest);
    let told = files.iter().filter_map(|(_, path, file)| Told::parse(path.as_ref(), journal.cluster(), file).ok());
    Ok((newest, told.collect()))
}

/// The files of the statements after one, with their numbers.
async fn files_after(journal: &Journal, number: u64) -> Result<Vec<(u64, Path, Bytes)>> {
    let mut out = Vec::new();
    for number in number + 1.. {
        let path = journal.store().layout().meta(CUSTODY, number);
        let Some(file) = journal.store().get_opt(&path).await? else { break };
        out.push((number, path, file));
    }
    Ok(out)
}

/// Writes a statement under the next free number.
pub(crate) async fn state(
    journal: &Journal,
    by: By<'_>,
    deed: Deed,
    ids: Vec<String>,
    files: Vec<String>,
) -> Result<Told> {
    let store = journal.store();
    let newest = store.newest(|n| store.layout().meta(CUSTODY, n), 0).await?;
    let mut told = Told {
        cluster: journal.cluster().to_owned(),
        number: newest,
        time: journal.parts().clock.now(),
        by: by.who.to_owned(),
        key: by.key.name.clone(),
        print: by.key.fingerprint(),
        deed,
        ids,
        files,
    };
    for _ in 0..RIVALS {
        told.number += 1;
        let path = store.layout().meta(CUSTODY, told.number);
        let file = told.to_file(by.key)?;
        // What stands there may be our own, if an earlier answer was lost.
        if store.create(&path, file.clone()).await? == Put::Created || store.get(&path).await? == file {
            return Ok(told);
        }
    }
    Err(Error::new(crate::error::ErrorKind::Unavailable, "a statement of data keys", "others write them just now")
        .with_hint("try again"))
}

/// Removes files that a statement names.
async fn remove(journal: &Journal, files: &[String]) -> Result<()> {
    let store = journal.store();
    for file in files {
        store.remove(&store.layout().named(file)).await?;
    }
    Ok(())
}
