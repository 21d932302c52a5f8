//! Forgetting: every file of the data keys of a namespace goes, and with them what they sealed.
//!
//! **Words**: what is *asked* is a namespace, or one object in it. Its *uses* are which objects have values under which data key, in all
//! that the journal still holds.
//!
//! A data key is one namespace's, and one month's. So a namespace can be forgotten, and of single objects those whose data keys seal
//! nothing else; others are refused with the reason.
//!
//! **Invariants.**
//! 1. It is told first, and removed only when every writer that can reach the store must have looked: none seals on with what is about
//!    to go [`apply`].
//! 2. What is removed is found by listing after that, so that a copy which came meanwhile goes too; a process that dies before is
//!    followed by `run`, which removes the rest [`sweep`].
//! 3. An object is forgotten only where all that is kept of the past was read and shows no other one under its data keys: for the plan,
//!    and once more right before it is told [`plan`]. Of another that came in the moments after that, the watcher has what stands sealed
//!    anew.
//! 4. Nothing is removed for a statement that no key at hand signed [`super::signed_by`].
//!
//! What stays: objects in public form, with a placeholder for each value, which tells its length and whether it is a value that somebody
//! with the key file guesses. What writes the values that stand in the cluster anew is the watcher.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{By, kept, remove, signed_by, state, until_seen};
use crate::{
    Error, Journal, Reader, Result, Row,
    checkpoint::Manifest,
    error::ErrorKind,
    expiry,
    facts::{self, Kept, Mark},
    fold::{Entry, ObjectKey, Scope, State},
    parts::Micros,
    row::{Cell, Op},
    seal::{Deed, Key, Told, wrapped},
};

/// How values are stored that are not sealed.
const PLAINTEXT: &str = "plaintext";

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The namespace; empty for what stands in none.
    pub namespace: String,
    /// The one object.
    pub object: Option<ObjectKey>,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
}

/// What forgetting would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The data keys, by id.
    pub ids: BTreeSet<String>,
    /// Their files, below the cluster's folder.
    pub files: Vec<String>,
    /// Objects with values under them, with how many ciphertexts of each were found.
    pub objects: BTreeMap<String, u64>,
    /// Those of them that stand, as far as the journal knows.
    pub standing: BTreeSet<String>,
    /// Other objects with values under these data keys: what stands against forgetting one object.
    pub others: BTreeSet<String>,
    /// What of the past could not be read, so that there may be more objects than these.
    pub unread: Vec<String>,
    /// Data keys that were told to be forgotten and have files still: these go too.
    pub left: BTreeSet<String>,
    /// Whether values of the past may be kept in clear: for a time they were, or fewer places were sealed than now.
    pub clear: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.ids.is_empty() && self.left.is_empty()
    }

    /// Why it is not done, if it is not.
    pub fn refusal(&self, asked: &Asked) -> Option<Error> {
        let object = asked.object.as_ref()?;
        let what = name_of(object);
        let instead = match asked.namespace.as_str() {
            "" => "all that stands in no namespace is forgotten with `hindcast forget --cluster-scoped`".to_owned(),
            namespace => format!("the whole namespace is forgotten with `hindcast forget -n {namespace}`"),
        };
        if let Some(unread) = self.unread.first() {
            let reason =
                format!("cannot be forgotten alone, since nobody can tell what else its data keys seal: {unread}");
            return Some(Error::invalid(what, reason).with_hint(instead));
        }
        let others: Vec<&str> = self.others.iter().take(3).map(String::as_str).collect();
        (!others.is_empty()).then(|| {
            let more = self.others.len().saturating_sub(others.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let reason = format!(
                "cannot be forgotten alone: a data key is of a namespace and a month, and its own seal values of {}{more} too",
                others.join(", ")
            );
            Error::invalid(what, reason).with_hint(instead)
        })
    }
}

/// `group/resource/namespace/name`, as rows and cells name an object.
fn name_of(key: &ObjectKey) -> String {
    format!("{}/{}/{}/{}", key.group, key.resource, key.namespace, key.name)
}

/// Which objects have values under which data key.
#[derive(Debug, Default)]
struct Uses {
    /// By data key and object, the rows that have a value.
    by: BTreeMap<String, BTreeMap<String, u64>>,
    standing: BTreeSet<String>,
    /// How versions were kept, oldest first.
    ways: Vec<Kept>,
    /// Whether values were kept in clear for a time.
    plaintext: bool,
}

impl Uses {
    fn take<'c>(&mut self, object: &str, cells: impl IntoIterator<Item = &'c Cell>) {
        for cell in cells.into_iter().filter(|cell| !cell.key_id.is_empty()) {
            *self.by.entry(cell.key_id.clone()).or_default().entry(object.to_owned()).or_default() += 1;
        }
    }

    fn row(&mut self, row: &Row) {
        self.take(&row.key(), &row.cells);
    }

    fn entry(&mut self, entry: &Entry) {
        self.take(&entry.row.key(), entry.cells.values());
    }

    fn state(&mut self, state: &State, namespace: &str) {
        state.objects.values().filter(|entry| entry.row.namespace == namespace).for_each(|entry| self.entry(entry));
        self.plaintext |= state.secrets.as_deref() == Some(PLAINTEXT);
        self.ways.extend(state.kept.clone());
    }

    fn mark(&mut self, row: &Row) -> Result<()> {
        match facts::read(row)? {
            Mark::Start { secrets, .. } => self.plaintext |= secrets == PLAINTEXT,
            Mark::Kept(kept) => self.ways.push(kept),
            _ => {}
        }
        Ok(())
    }

    /// Whether the past may hold values in clear.
    fn is_clear(&self) -> bool {
        let newest = self.ways.last();
        let less = |kept: &Kept| newest.is_some_and(|newest| kept.edition < newest.edition || kept.seal != newest.seal);
        self.plaintext || self.ways.iter().any(|kept| kept.secrets == PLAINTEXT || less(kept))
    }

    /// All that the journal holds of a namespace: every row that is still there, what stands before them, the cuts that are kept, and what
    /// restores replaced.
    async fn of(journal: &Journal, namespace: &str) -> Result<Self> {
        let mut uses = Self::default();
        let within = |other: &str| other == namespace;
        let scope = match namespace {
            "" => Scope::default(),
            namespace => Scope { namespace: Some(namespace.to_owned()), ..Scope::default() },
        };
        let reader = Reader::open(journal).await?;
        let (begin, mut segments) = reader.history(Micros::MIN, &scope, true).await?;
        let mut state = begin;
        uses.state(&state, namespace);
        let mut standing: BTreeSet<String> =
            state.objects.values().filter(|entry| within(&entry.row.namespace)).map(|entry| entry.row.key()).collect();
        state.objects.clear();
        while let Some(segment) = segments.next().await? {
            for row in segment.rows.iter().filter(|row| row.op == Op::Mark) {
                uses.mark(row)?;
            }
            for row in segment.rows.iter().filter(|row| row.op.is_object() && within(&row.namespace)) {
                uses.row(row);
                match row.op {
                    Op::Delete => _ = standing.remove(&row.key()),
                    _ => _ = standing.insert(row.key()),
                }
            }
        }
        if let Some(expired) = Manifest::read(journal).await?.expired() {
            for kept in expiry::Statement::named(journal, expired).await?.kept {
                let (stood, cut) = (uses.ways.len(), kept.checkpoint.load(journal, &scope).await?);
                uses.state(&cut, namespace);
                // It is of the past, and the last of the others is the newest.
                let older = uses.ways.len() - stood;
                uses.ways.rotate_right(older);
            }
        }
        uses.standing = standing;
        uses.kept(journal, namespace).await?;
        Ok(uses)
    }

    /// What records of restores have of a namespace.
    async fn kept(&mut self, journal: &Journal, namespace: &str) -> Result<()> {
        let store = journal.store();
        for found in store.list(&store.layout().restores(), None).await? {
            if !found.path.filename().is_some_and(|name| name.starts_with("pre-")) {
                continue;
            }
            let Some(batch) = store.get_opt(&found.path).await? else { continue };
            for (object, ids) in kept::objects(found.path.as_ref(), &batch)? {
                let own = ids.into_iter().filter(|id| !id.is_empty() && object.namespace == namespace);
                for id in own {
                    *self.by.entry(id).or_default().entry(name_of(&object)).or_default() += 1;
                }
            }
        }
        Ok(())
    }
}

/// What forgetting would do, with the keys at hand. Nothing is written.
pub async fn plan(journal: &Journal, keys: &[Arc<Key>], asked: &Asked) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, file) in files_of(journal, &asked.namespace).await? {
        files.entry(id).or_default().push(file);
    }
    let forgotten = forgotten(journal, keys).await?;
    let uses = match Uses::of(journal, &asked.namespace).await {
        Ok(uses) => uses,
        // A namespace can be forgotten whatever else is damaged.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            plan.unread.push(error.to_string());
            Uses::default()
        }
        Err(error) => return Err(error),
    };
    let own = asked.object.as_ref().map(name_of);
    for (id, files) in files {
        if forgotten.contains(&id) {
            plan.left.insert(id);
            continue;
        }
        let users = uses.by.get(&id);
        if let Some(own) = &own {
            let Some(users) = users.filter(|users| users.contains_key(own)) else { continue };
            plan.others.extend(users.keys().filter(|user| *user != own).cloned());
        }
        for (object, n) in users.into_iter().flatten() {
            *plan.objects.entry(object.clone()).or_default() += n;
        }
        plan.ids.insert(id);
        plan.files.extend(files);
    }
    plan.clear = uses.is_clear();
    plan.standing = plan.objects.keys().filter(|object| uses.standing.contains(*object)).cloned().collect();
    Ok(plan)
}

/// The data keys that were told to be forgotten, as one of the keys signed it.
async fn forgotten(journal: &Journal, keys: &[Arc<Key>]) -> Result<BTreeSet<String>> {
    let known = signed_by(journal, keys).await?;
    let forgets = known.into_iter().filter(|told| matches!(told.deed, Deed::Forgotten { .. }));
    Ok(forgets.flat_map(|told| told.ids).collect())
}

/// The files of data keys of a namespace, each with the id.
async fn files_of(journal: &Journal, namespace: &str) -> Result<Vec<(String, String)>> {
    let store = journal.store();
    let listed = store.list(&store.layout().data_keys(), None).await?;
    let names = listed.iter().filter_map(|found| found.path.filename());
    let own = names.filter_map(|name| {
        let (id, _) = wrapped::split(name)?;
        let (of, ..) = wrapped::parts_of(id)?;
        (of == namespace).then(|| (id.to_owned(), format!("keys/{name}")))
    });
    Ok(own.collect())
}

/// Forgets what was planned: tells it, signed by the first of the keys, waits until every writer must have looked, and removes. The
/// statement, if one was written.
pub async fn apply(
    journal: &Journal,
    keys: &[Arc<Key>],
    asked: &Asked,
    planned: &Plan,
    who: &str,
) -> Result<Option<Told>> {
    let none = || Error::invalid("the key file", "is not named").with_hint("--key-file FILE, or HINDCAST_KEY_FILE");
    let key = keys.first().ok_or_else(none)?;
    // Of one object, what else its data keys seal by now counts, not what they did when somebody began to think about it.
    let anew = match asked.object {
        Some(_) => Some(plan(journal, keys, asked).await?),
        None => None,
    };
    let plan = anew.as_ref().unwrap_or(planned);
    if let Some(refusal) = plan.refusal(asked) {
        return Err(refusal);
    }
    let mut told = None;
    if !plan.ids.is_empty() {
        let deed = Deed::Forgotten {
            namespace: asked.namespace.clone(),
            object: asked.object.as_ref().map(name_of),
            reason: asked.reason.clone(),
        };
        let (ids, files) = (plan.ids.iter().cloned().collect(), plan.files.clone());
        told = Some(state(journal, By { key, who }, deed, ids, files).await?);
    }
    if !plan.is_nothing() {
        until_seen(journal).await;
        sweep(journal, keys).await?;
    }
    Ok(told)
}

/// Removes whatever there still is of data keys that were told to be forgotten, as one of the keys signed it.
pub async fn sweep(journal: &Journal, keys: &[Arc<Key>]) -> Result<u64> {
    let ids = forgotten(journal, keys).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let store = journal.store();
    let listed = store.list(&store.layout().data_keys(), None).await?;
    let names = listed.iter().filter_map(|found| found.path.filename());
    let left: Vec<String> = names
        .filter(|name| wrapped::split(name).is_some_and(|(id, _)| ids.contains(id)))
        .map(|name| format!("keys/{name}"))
        .collect();
    remove(journal, &left).await?;
    Ok(left.len() as u64)
}
