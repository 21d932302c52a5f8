//! What was told of data keys: that they were wrapped anew, and that they are forgotten.
//!
//! **Words**: a statement is *told* in `meta/custody/<n>`, a numbered fact ([`crate::custody`] writes and signs it). A data key is
//! *gone* when files of it were removed, and *forgotten* when all of them were.
//!
//! **Invariants.** (1) What is told is taken at its word here where it cannot be checked: of a false one follows at most another data key
//! for new values, or a hash that is not checked. That a value is not opened any more follows only from one that is signed by a key at
//! hand [`Known::take`]; whether a file is rightly gone is for [`crate::verify`] to say. (2) One that cannot be read keeps nobody from
//! sealing [`Known::next`]. (3) What was read is not asked for again, however the look that read it ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Key,
    trust::{Checked, Stated, Trust, stated},
};
use crate::{
    Error, Result,
    layout::CUSTODY,
    parts::{Micros, utc_millis},
    store::Store,
};

/// What stands before the bytes that a signature is over.
const STATED: &[u8] = b"hindcast custody v1\n";

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The cluster's uid.
    pub cluster: String,
    /// Its own number.
    pub number: u64,
    /// When it was decided.
    pub time: Micros,
    /// By whom: host and process.
    pub by: String,
    /// The name of the key that signs it.
    pub key: String,
    /// The key's fingerprint.
    pub print: String,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// The data keys of which files go, and are not made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Those files, below the cluster's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// What was done with data keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "lowercase")]
pub enum Deed {
    /// All that these keys open, another one opens too: they need not be at hand any more.
    Wrapped {
        /// The keys, by name and fingerprint.
        keys: Vec<String>,
        /// The other one.
        to: String,
    },
    /// Values are forgotten.
    Forgotten {
        /// Their namespace; empty for what stands in none.
        namespace: String,
        /// The one object, as `group/resource/namespace/name`, if it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        object: Option<String>,
        /// Why, as it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl Told {
    /// What a file says, whoever signed it.
    pub(crate) fn parse(what: &str, cluster: &str, file: &[u8]) -> Result<Self> {
        let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("is no statement of data keys: {e}"));
        let stated = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let told: Self = serde_json::from_slice(stated).map_err(|e| bad(&e))?;
        told.check_cluster(what, cluster)?;
        Ok(told)
    }

    fn check_cluster(&self, what: &str, cluster: &str) -> Result<()> {
        match self.cluster == cluster {
            true => Ok(()),
            false => Err(Error::corrupt(what, format!("belongs to cluster {}, not {cluster}", self.cluster))),
        }
    }

    /// What a file says, and whether it is signed by whom it says.
    pub(crate) fn read(what: &str, cluster: &str, file: &[u8], trust: &Trust) -> Result<(Self, Checked)> {
        let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("is no statement of data keys: {e}"));
        let stated = Stated::<Self>::read(STATED, file, bad)?;
        stated.value.check_cluster(what, cluster)?;
        let checked = stated.checked(trust, &stated.value.key, Some(&stated.value.print));
        Ok((stated.value, checked.ok_or_else(|| bad(&"it has no signature"))?))
    }

    /// The file of it, signed.
    pub(crate) fn to_file(&self, key: &Key) -> Result<Bytes> {
        stated("a statement", STATED, self, Some(key))
    }
}

/// What has been told, as far as it was looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The newest that was read.
    newest: u64,
    /// When all of it was looked for, on the monotonic clock.
    looked: Option<Duration>,
    /// When that was tried in vain since.
    failed: Option<Duration>,
    /// By data key, the key that alone opens it.
    gone: BTreeMap<String, Option<String>>,
    /// When, and by whom; and whether that is signed by a key at hand.
    forgotten: BTreeMap<String, (Micros, String, bool)>,
    /// Keys that need not be at hand.
    replaced: BTreeSet<String>,
}

impl Known {
    /// Whether it was looked at within so much time.
    pub(super) fn is_fresh(&self, now: Duration, within: Duration) -> bool {
        self.looked.is_some_and(|looked| now.saturating_sub(looked) < within)
    }

    /// Whether all that was told has been read once.
    pub(super) fn has_looked(&self) -> bool {
        self.looked.is_some()
    }

    /// Whether a look failed within so much time, so that the next need not be waited for.
    pub(super) fn has_failed(&self, now: Duration, within: Duration) -> bool {
        self.failed.is_some_and(|failed| now.saturating_sub(failed) < within)
    }

    /// Whether it knows no less than another.
    pub(super) fn covers(&self, other: &Self) -> bool {
        (self.newest, self.looked) >= (other.newest, other.looked)
    }

    /// Notes that all was read that had been told by then; or that a look ended then without.
    pub(super) fn looked(&mut self, when: Duration, whole: bool) {
        match whole {
            true => (self.looked, self.failed) = (Some(when), None),
            false => self.failed = Some(when),
        }
    }

    /// Takes in the next that was told, if there is one; `trust` is what signatures are checked with.
    pub(super) async fn next(&mut self, store: &Store, trust: &Trust) -> Result<bool> {
        let path = store.layout().meta(CUSTODY, self.newest + 1);
        let Some(file) = store.get_opt(&path).await? else { return Ok(false) };
        let cluster = store.layout().root().filename().unwrap_or_default();
        // What is stated counts also where the signature cannot be read.
        let read = Told::read(path.as_ref(), cluster, &file, trust)
            .map(|(told, checked)| (told, checked == Checked::Holds))
            .or_else(|_| Ok((Told::parse(path.as_ref(), cluster, &file)?, false)));
        match read {
            Ok((told, holds)) => self.take(told, holds),
            Err::<_, Error>(error) => tracing::warn!(%error, "a statement of data keys is passed over"),
        }
        self.newest += 1;
        Ok(true)
    }

    fn take(&mut self, told: Told, holds: bool) {
        let to = match &told.deed {
            Deed::Wrapped { to, .. } => Some(to),
            Deed::Forgotten { .. } => None,
        };
        self.gone.extend(told.ids.iter().map(|id| (id.clone(), to.cloned())));
        match told.deed {
            Deed::Wrapped { keys, .. } => self.replaced.extend(keys),
            Deed::Forgotten { .. } => {
                for id in told.ids {
                    let before = self.forgotten.get(&id).is_some_and(|(.., holds)| *holds);
                    if !before {
                        self.forgotten.insert(id, (told.time, told.by.clone(), holds));
                    }
                }
            }
        }
    }

    /// Whether a data key is not to be made again.
    pub(super) fn is_gone(&self, id: &str) -> bool {
        self.gone.contains_key(id)
    }

    /// The key that alone opens a data key whose other files were removed.
    pub(super) fn wrapped_to(&self, id: &str) -> Option<&str> {
        self.gone.get(id)?.as_deref()
    }

    /// Whether nothing is to be sealed with a data key any more.
    pub(super) fn is_forgotten(&self, id: &str) -> bool {
        self.forgotten.contains_key(id)
    }

    /// Whether nothing that was sealed with a data key is to be opened any more, as a key at hand signed it.
    pub(super) fn is_closed(&self, id: &str) -> bool {
        self.forgotten.get(id).is_some_and(|(.., holds)| *holds)
    }

    /// When and by whom a data key was forgotten, in words.
    pub(super) fn words(&self, id: &str) -> Option<String> {
        let (time, by, _) = self.forgotten.get(id)?;
        Some(format!("forgotten on {} by {by}: its data key was destroyed", utc_millis(*time)))
    }

    /// Whether a key, by name and fingerprint, need not be at hand.
    pub(super) fn is_replaced(&self, key: &str) -> bool {
        self.replaced.contains(key)
    }

    /// Whether any key need not be.
    pub(super) fn has_replaced(&self) -> bool {
        !self.replaced.is_empty()
    }
}
