//! Rewrapping: every data key once more, wrapped by the newest key, so that the older keys may go.
//!
//! **Invariants.** (1) What is wrapped already is left as it is, so a run that died is taken up by the next one, and a second one writes
//! nothing [`plan`]. (2) The statement that older keys need not be at hand is written when every data key they open was found to open
//! with the newest one alone [`wrap`]. (3) A file that no key at hand opens stays: nobody can tell that it holds the same.
//!
//! What older keys made beside wrapped keys stays as it is: placeholders and state hashes, which nobody compares or checks without them,
//! and signatures, which hold by their public keys.

use std::sync::Arc;

use super::{By, Held, Survey, forget, remove as remove_files, state, survey, told, until_seen};
use crate::{
    Error, Journal, Result,
    seal::{Deed, Key, Told, wrapped},
};

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// How many data keys there are.
    pub all: u64,
    /// Those that are to be wrapped anew, by id.
    pub wrap: Vec<String>,
    /// Files that are no longer needed then, below `keys/`.
    pub spare: Vec<String>,
    /// Data keys that no key at hand opens, or that open to two: id and why. They stay as they are.
    pub closed: Vec<(String, String)>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Data keys that were wrapped anew.
    pub wrapped: u64,
    /// Files that were removed.
    pub removed: u64,
    /// The newest statement that was written.
    pub told: Option<Told>,
}

/// What is to be done, by what there is; the newest key is the first.
pub fn plan(survey: &Survey) -> Plan {
    let mut plan = Plan { all: survey.held.len() as u64, ..Plan::default() };
    for held in &survey.held {
        if held.conflict {
            let why = format!("keys/{}: its files hold two different data keys", held.id);
            plan.closed.push((held.id.clone(), why));
        } else if !held.opens() {
            plan.closed.push((held.id.clone(), held.why()));
        } else {
            if !held.opens_with(0) {
                plan.wrap.push(held.id.clone());
            }
            let older = held.files.iter().filter(|file| file.opened.is_some_and(|by| by > 0));
            plan.spare.extend(older.map(|file| file.name.clone()));
        }
    }
    plan
}

/// Wraps every data key by the newest of the keys, and tells that the older ones need not be at hand, if that is so.
pub async fn wrap(journal: &Journal, keys: &[Arc<Key>], who: &str) -> Result<Done> {
    let newest = newest(keys)?;
    forget::sweep(journal, keys).await?;
    let before = survey(journal, keys).await?;
    let todo = plan(&before);
    let mut done = Done::default();
    for held in before.held.iter().filter(|held| todo.wrap.contains(&held.id)) {
        write(journal, newest, held).await?;
        done.wrapped += 1;
    }
    // What was forgotten meanwhile has no copy.
    forget::sweep(journal, keys).await?;
    // Read anew: what counts is what is in the bucket.
    let after = survey(journal, keys).await?;
    let (free, to) = (free(&after, keys), newest.id());
    let known = told(journal).await?;
    let is_told = |id: &String| {
        known
            .iter()
            .any(|told| matches!(&told.deed, Deed::Wrapped { keys, to: other } if *other == to && keys.contains(id)))
    };
    if !free.iter().all(is_told) {
        let deed = Deed::Wrapped { keys: free, to };
        done.told = Some(state(journal, By { key: newest, who }, deed, Vec::new(), Vec::new()).await?);
    }
    Ok(done)
}

/// Removes files of data keys that older keys wrapped, where the newest opens the same. Who seals with an older key has to know by then:
/// it would not find the data key that it means, and make another one under the same id.
pub async fn remove(journal: &Journal, keys: &[Arc<Key>], who: &str) -> Result<Done> {
    let newest = newest(keys)?;
    let found = survey(journal, keys).await?;
    let mut done = Done::default();
    let (ids, files) = older(&found);
    if files.is_empty() {
        return Ok(done);
    }
    let known = told(journal).await?;
    let is_told = |file: &String| known.iter().any(|told| told.files.contains(file));
    if !files.iter().all(is_told) {
        let deed = Deed::Wrapped { keys: free(&found, keys), to: newest.id() };
        let told = state(journal, By { key: newest, who }, deed, ids, files.clone()).await?;
        done.told = Some(told);
    }
    until_seen(journal).await;
    // What is no longer proven stays.
    let (_, proven) = older(&survey(journal, keys).await?);
    let files: Vec<String> = files.into_iter().filter(|file| proven.contains(file)).collect();
    remove_files(journal, &files).await?;
    done.removed = files.len() as u64;
    Ok(done)
}

/// Data keys that the newest key opens, and the files of them that older ones wrapped.
fn older(found: &Survey) -> (Vec<String>, Vec<String>) {
    let proven = |held: &&Held| held.opens_with(0) && !held.conflict;
    let (mut ids, mut files) = (Vec::new(), Vec::new());
    for held in found.held.iter().filter(proven) {
        let older = held.files.iter().filter(|file| file.opened.is_some_and(|by| by > 0));
        let names: Vec<String> = older.map(|file| format!("keys/{}", file.name)).collect();
        if !names.is_empty() {
            ids.push(held.id.clone());
            files.extend(names);
        }
    }
    (ids, files)
}

/// The older keys all of whose data keys the newest opens too.
fn free(survey: &Survey, keys: &[Arc<Key>]) -> Vec<String> {
    let both =
        |at: usize| survey.held.iter().all(|held| !held.opens_with(at) || (held.opens_with(0) && !held.conflict));
    keys.iter().enumerate().skip(1).filter(|(at, _)| both(*at)).map(|(_, key)| key.id()).collect()
}

fn newest(keys: &[Arc<Key>]) -> Result<&Key> {
    let none = || Error::invalid("the key file", "is not named").with_hint("--key-file FILE, or HINDCAST_KEY_FILE");
    keys.first().map(|key| &**key).ok_or_else(none)
}

/// Writes a copy, and reads it back with the new key alone.
async fn write(journal: &Journal, by: &Key, held: &Held) -> Result<()> {
    let store = journal.store();
    let name = wrapped::copy(&held.id, by);
    let what = format!("keys/{name}");
    let Some(key) = &held.key else { return Err(Error::internal(what, "is of a data key that does not open")) };
    let bytes = wrapped::wrap(journal.parts(), journal.cluster(), &held.id, by, key)?;
    let path = store.layout().data_key(&name);
    // One that is there may be another process's, or ours if an answer was lost: all that counts is what it holds.
    store.create(&path, bytes).await?;
    let stands = store.get(&path).await?;
    let alone = [Arc::new(by.clone())];
    match wrapped::unwrap(journal.cluster(), &held.id, &name, &alone, &stands) {
        Ok((opened, _)) if opened == *key => Ok(()),
        Ok(_) => Err(Error::corrupt(what, "holds another data key than the one that it is a copy of")
            .with_hint("look at who wrote it, and move it away: nothing was removed")),
        Err(error) => Err(error),
    }
}
