//! The files beside the log, as they have been stated: what the next statement has to say of them.
//!
//! **Invariants.** (1) No file is read twice by one ledger [`Ledger::gather`]. (2) A file that is gone stays stated, and
//! is found missing, unless it was a recovery point's [`Ledger::gone`]. (3) A statement that is not signed by a key at hand is
//! not gone on from: then every file is stated anew. (4) One statement states at most [`MOST`] new files; the rest have
//! theirs with the next one.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;

use super::{Checked, FACTS, SEAL, Statement, Trust};
use crate::{Result, layout::Layout, seal::Key, segment::sha256, store::Store};

/// New files in one statement.
const MOST: usize = 4096;

/// The fact of which those go that are old.
const MANIFEST: &str = "manifest";

/// Files read at once.
const AT_ONCE: usize = 16;

/// After how many statements one names every file again.
const WHOLE_EVERY: usize = 64;

/// What the next statement has to say of files.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    pub(crate) whole: bool,
    pub(crate) facts: BTreeMap<String, u64>,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) gone: Vec<String>,
    /// The newest statement that was known.
    pub(crate) newest: u64,
}

/// What has been stated of files.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Of each numbered fact, up to which number. There may be many.
    facts: BTreeMap<String, u64>,
    /// Of the others, each.
    files: BTreeMap<String, String>,
    /// The newest statement there is.
    newest: u64,
    /// How many statements there are since one that names all of these; `None` if the next is to be one.
    since: Option<usize>,
}

impl Ledger {
    /// What is to be stated next: files that have come, and points that have gone. From then on the ledger takes that as
    /// stated; one whose statement was not written is thrown away.
    pub async fn gather(mut self, store: &Store, keys: &[Arc<Key>]) -> Result<(Self, Gathered)> {
        self.catch_up(store, &Trust::new(keys, Vec::new())?).await?;
        let layout = store.layout();
        let mut new: Vec<String> = Vec::new();
        let whole = self.since.is_none_or(|since| since + 1 >= WHOLE_EVERY);
        for fact in FACTS {
            let known = self.facts.get(fact).copied().unwrap_or(0);
            // One name is asked for where a listing would mostly tell of nothing new. The first ones may be gone, and are looked for
            // whenever every file is named; of manifests any may be that others follow.
            if !whole && fact != MANIFEST && !store.exists(&layout.meta(fact, known + 1)).await? {
                continue;
            }
            let known = (known > 0).then(|| layout.meta(fact, known));
            new.extend(names(store, &layout.metas(fact), known.as_ref()).await?);
        }
        let mut others = Vec::new();
        for folder in [layout.data_keys(), layout.points(), layout.restores()] {
            others.extend(names(store, &folder, None).await?);
        }
        new.extend(others.iter().filter(|name| !self.files.contains_key(*name)).cloned());
        new.truncate(MOST);
        let read = stream::iter(new).map(|name| {
            let store = store.clone();
            async move {
                // One that goes just now is not stated.
                let bytes = store.get_opt(&store.layout().named(&name)).await?;
                Ok::<_, crate::Error>(bytes.map(|bytes| (name, sha256(&bytes))))
            }
        });
        let read: Vec<Option<(String, String)>> = read.buffered(AT_ONCE).try_collect().await?;
        let mut files: BTreeMap<String, String> = read.into_iter().flatten().collect();
        let gone = self.gone(&others);
        self.files.retain(|name, _| !gone.contains(name));
        for (name, digest) in &files {
            match fact_of(name) {
                Some((fact, number)) => _ = self.facts.insert(fact.to_owned(), number),
                None => _ = self.files.insert(name.clone(), digest.clone()),
            }
        }
        let since = self.since.filter(|since| since + 1 < WHOLE_EVERY);
        self.since = Some(since.map_or(0, |since| since + 1));
        if since.is_none() {
            files.extend(self.files.clone());
        }
        let (facts, newest) = (self.facts.clone(), self.newest);
        Ok((self, Gathered { whole: since.is_none(), facts, files, gone, newest }))
    }

    /// Takes note of the statement that was written of what was gathered.
    pub fn stated(&mut self, number: u64) {
        self.newest = number;
    }

    /// Takes in what has been stated since by other writers, or, at first, by all.
    async fn catch_up(&mut self, store: &Store, trust: &Trust) -> Result<()> {
        let layout = store.layout();
        let (known, newest) = match self.newest {
            0 => {
                let listed = store.list(&layout.metas(SEAL), None).await?;
                (0, listed.iter().filter_map(|l| Layout::number(&l.path)).max().unwrap_or(0))
            }
            known => (known, store.newest(|n| layout.meta(SEAL, n), known).await?),
        };
        self.newest = newest;
        let mut read: Vec<Statement> = Vec::new();
        for number in (known + 1..=newest).rev() {
            let path = layout.meta(SEAL, number);
            let file = store.get_opt(&path).await?.unwrap_or_default();
            let cluster = layout.root().filename().unwrap_or_default();
            match Statement::read(path.as_ref(), cluster, &file, trust) {
                Ok((statement, Checked::Holds)) => read.push(statement),
                _ => {
                    *self = Self { newest, ..Self::default() };
                    return Ok(());
                }
            }
            if read.last().is_some_and(|statement| statement.whole) {
                *self = Self { newest, ..Self::default() };
                break;
            }
        }
        for statement in read.into_iter().rev() {
            self.files.retain(|name, _| !statement.gone.contains(name));
            self.files.extend(statement.files.into_iter().filter(|(name, _)| fact_of(name).is_none()));
            self.facts = statement.facts;
            // If none names every file, the next one is to.
            self.since = if statement.whole { Some(0) } else { self.since.map(|since| since + 1) };
        }
        Ok(())
    }

    /// Files of recovery points that are rightly gone: with the whole point, or since its deletion has begun.
    fn gone(&self, listed: &[String]) -> Vec<String> {
        let there: std::collections::BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        let rightly = |name: &&String| {
            let Some(folder) = point_of(name) else { return false };
            let any = there.range(folder..).next().is_some_and(|next| next.starts_with(folder));
            let delete = format!("{folder}delete");
            !there.contains(name.as_str())
                && (!any || there.contains(delete.as_str()) || self.files.contains_key(&delete))
        };
        self.files.keys().filter(rightly).cloned().collect()
    }
}

/// The names below a folder, after one of them, as seen from the cluster's folder.
async fn names(store: &Store, folder: &Path, after: Option<&Path>) -> Result<Vec<String>> {
    let root = format!("{}/", store.layout().root());
    let listed = store.list(folder, after).await?;
    Ok(listed.iter().filter_map(|found| Some(found.path.as_ref().strip_prefix(&root)?.to_owned())).collect())
}

/// A numbered fact's word and number.
pub(crate) fn fact_of(name: &str) -> Option<(&str, u64)> {
    let (fact, _) = name.strip_prefix("meta/")?.split_once('/')?;
    Some((fact, Layout::number(&Path::from(name))?))
}

/// The folder of the recovery point that a file belongs to.
pub(crate) fn point_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("points/")?;
    let end = "points/".len() + rest.find('/')? + 1;
    name.get(..end)
}
