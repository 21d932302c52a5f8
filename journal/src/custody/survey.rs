//! Which files of data keys there are, and what opens them.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    Error, Journal, Result,
    seal::{Key, wrapped},
};

/// Files read at once.
const AT_ONCE: usize = 16;

/// A file of a data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name below `keys/`.
    pub name: String,
    /// The key that it says it is wrapped by, with its fingerprint where that is said.
    pub by: String,
    /// Which of the keys at hand opens it.
    pub opened: Option<usize>,
    /// Why none does.
    pub why: Option<String>,
}

/// A data key.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: String,
    /// The namespace whose values it seals; empty for what stands in none.
    pub namespace: String,
    /// The month.
    pub month: String,
    /// Its files: its own, if that is there, and copies.
    pub files: Vec<File>,
    /// The data key itself.
    pub(super) key: Option<[u8; 32]>,
    /// Whether two files open to two different data keys.
    pub conflict: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("id", &self.id).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Held {
    /// Whether a key of the file opens it: the first is 0.
    pub fn opens_with(&self, key: usize) -> bool {
        self.files.iter().any(|file| file.opened == Some(key))
    }

    /// Whether any key at hand opens it.
    pub fn opens(&self) -> bool {
        self.key.is_some()
    }

    /// Why none does.
    pub fn why(&self) -> String {
        let why = self.files.iter().find_map(|file| file.why.clone());
        why.unwrap_or_else(|| format!("keys/{}: there is no file of it", self.id))
    }
}

/// All data keys of a journal, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// They.
    pub held: Vec<Held>,
}

impl Survey {
    /// How many data keys a key of the file opens, and how many of them nothing else at hand does.
    pub fn of_key(&self, key: usize) -> (u64, u64) {
        let opens = self.held.iter().filter(|held| held.opens_with(key));
        let alone = |held: &&Held| held.files.iter().all(|file| file.opened.is_none_or(|other| other == key));
        (opens.clone().count() as u64, opens.filter(alone).count() as u64)
    }

    /// Data keys that no key at hand opens.
    pub fn closed(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| !held.opens())
    }

    /// The keys that alone open those, by name, with how many.
    pub fn wanting(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for held in self.closed() {
            for file in &held.files {
                *out.entry(file.by.clone()).or_default() += 1;
            }
        }
        out
    }
}

/// Looks at every file of a data key; `keys` are those at hand, the newest first.
pub async fn survey(journal: &Journal, keys: &[Arc<Key>]) -> Result<Survey> {
    let store = journal.store();
    let listed = store.list(&store.layout().data_keys(), None).await?;
    let names = listed.iter().filter_map(|found| found.path.filename());
    let names: Vec<String> = names.filter(|name| wrapped::split(name).is_some()).map(str::to_owned).collect();
    let read = stream::iter(names).map(|name| {
        let store = store.clone();
        async move { Ok::<_, Error>((store.get_opt(&store.layout().data_key(&name)).await?, name)) }
    });
    let mut read = std::pin::pin!(read.buffered(AT_ONCE));
    let mut found: BTreeMap<String, Held> = BTreeMap::new();
    while let Some((bytes, name)) = read.try_next().await? {
        // One that goes just now is gone.
        let (Some(bytes), Some((id, _))) = (bytes, wrapped::split(&name)) else { continue };
        let (namespace, month, _) = wrapped::parts_of(id).unwrap_or_default();
        let held = found.entry(id.to_owned()).or_insert_with(|| Held {
            id: id.to_owned(),
            namespace: namespace.to_owned(),
            month: month.to_owned(),
            files: Vec::new(),
            key: None,
            conflict: false,
        });
        let (opened, why) = match wrapped::unwrap(journal.cluster(), id, &name, keys, &bytes) {
            Ok((key, by)) => {
                held.conflict |= held.key.is_some_and(|other| other != key);
                held.key = held.key.or(Some(key));
                (Some(by), None)
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let by = wrapped::wrapped_by(&bytes).unwrap_or_else(|| "unknown".to_owned());
        held.files.push(File { name: name.clone(), by, opened, why });
    }
    Ok(Survey { held: found.into_values().collect() })
}
