//! Values that are not stored, or not as they should be: kinds that are let go while their values cannot be sealed, and
//! what is read again once they can.
//!
//! **Words**: an object is *lacking* while values of its newest version are not in the journal; a kind is *to be
//! reread* while the newest versions of its objects may be kept in another way than they would be now.
//!
//! **Invariants.** (1) A lacking object's next row is a full object, with all its values. (2) What is read again is
//! written only where it reads otherwise, so that this ends. (3) That all was read again is a row, and until there is
//! one every start looks again [`Core::reread_done`].

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::{
    cut::MAIN,
    encode::{Base, CHAIN_LIMIT},
    facts::{Discovery, Kept, Mark, Uncovered},
    row::{Op, Revision},
    seal::rules::EDITION,
};

use super::{Core, Sighting, observe::object_name};

/// What every placeholder begins with.
const HIDDEN: &[u8] = b"<redacted ";

/// What is known about values that should be in the journal and are not.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// Kind key and object name of those that lack values.
    lacking: BTreeSet<(String, String)>,
    /// Kinds that are to be reread.
    reread: BTreeSet<String>,
    /// Whether the row that says how versions are kept is to be written when nothing is to be reread any more.
    unsaid: bool,
    /// Kinds that were let go because their values cannot be sealed.
    broken: BTreeSet<String>,
}

impl Core {
    /// How versions are kept by this writer.
    fn kept(&self) -> Kept {
        Kept {
            edition: EDITION,
            secrets: self.encoder.secrets().as_str().to_owned(),
            seal: self.encoder.rules().clone(),
        }
    }

    /// An object of which the journal lacks values, as it was taken up.
    pub(crate) fn lacks(&mut self, key: &str, name: &str) {
        self.values.lacking.insert((key.to_owned(), name.to_owned()));
    }

    /// Values of a namespace are forgotten: of those that stand the journal lacks them.
    pub(crate) fn forgotten(&mut self, namespace: &str) {
        if self.encoder.secrets().as_str() == "dropped" {
            return;
        }
        let rules = self.encoder.rules();
        let kinds =
            self.kinds.iter().filter(|(_, kind)| rules.may_seal(&kind.discovery.group, &kind.discovery.resource));
        let meant = |name: &str| name.split_once('/').map_or("", |(within, _)| within) == namespace;
        let named = kinds.flat_map(|(key, kind)| kind.objects.keys().map(move |name| (key, name)));
        let found: Vec<(String, String)> =
            named.filter(|(_, name)| meant(name)).map(|(key, name)| (key.clone(), name.clone())).collect();
        for (key, name) in found {
            let base = self.retained(&key, &name).0;
            if base.is_some_and(|base| base.public.windows(HIDDEN.len()).any(|text| text == HIDDEN)) {
                self.values.lacking.insert((key.clone(), name));
                self.values.reread.insert(key);
            }
        }
    }

    /// Loads how the journal keeps versions: what is kept in another way than now is to be read again.
    pub(crate) fn resume_kept(&mut self, kept: Option<&Kept>) {
        let values = &self.values;
        let lacking: Vec<String> = values.lacking.iter().map(|(key, _)| key.clone()).collect();
        if self.encoder.secrets().as_str() != "dropped" {
            self.values.reread.extend(lacking);
        }
        if kept == Some(&self.kept()) {
            return;
        }
        self.values.unsaid = true;
        let rules = self.encoder.rules();
        let sealing = self.kinds.values().map(|kind| &kind.discovery).filter(|d| rules.may_seal(&d.group, &d.resource));
        let keys: Vec<String> = sealing.map(|discovery| discovery.kind_key()).collect();
        self.values.reread.extend(keys);
    }

    /// The kind is to be reread.
    pub(crate) fn look_again(&mut self, key: &str) {
        self.values.reread.insert(key.to_owned());
    }

    /// A covered kind that is to be reread; none while there is nothing to read again. Writes down when that is so.
    pub(crate) fn next_reread(&mut self) -> Option<Arc<Discovery>> {
        let kinds = &self.kinds;
        let due =
            self.values.reread.iter().find_map(|key| kinds.get(key).filter(|kind| kind.covered && kind.cursor > 0));
        if let Some(kind) = due {
            return Some(kind.discovery.clone());
        }
        // A kind that is not covered is listed, and so read again, before it is.
        if std::mem::take(&mut self.values.unsaid) {
            self.values.reread.clear();
            let about = Discovery { domain: MAIN.to_owned(), ..Discovery::default() };
            let rv = self.reached(MAIN).1;
            let kept = Mark::Kept(self.kept());
            self.fact(Op::Mark, &about, rv, Some(&kept));
        }
        None
    }

    /// An object of a list at `list` that was made to read again what the journal lacks.
    pub(crate) fn reread(&mut self, key: &str, seen: &Sighting, list: Revision) {
        let name = object_name(&seen.header);
        let retained = self.kinds.get(key).filter(|kind| kind.covered).and_then(|kind| kind.objects.get(&name));
        // Another version is on its way through the watch, and is stored whole.
        if retained.is_some_and(|entry| {
            *entry.uid == *seen.header.uid && Some(entry.object_rv) == seen.header.rv && entry.rv < list
        }) {
            self.same(key, &name, seen, list);
        }
    }

    /// The kind has been read again.
    pub(crate) fn reread_done(&mut self, key: &str) {
        self.values.reread.remove(key);
    }

    /// Whether the journal lacks values of an object; its next row has them all.
    pub(super) fn is_lacking(&self, key: &str, name: &str) -> bool {
        !self.values.lacking.is_empty() && self.values.lacking.contains(&(key.to_owned(), name.to_owned()))
    }

    /// The base of an object's next row: of one that lacks values it is such that the row is a full object.
    pub(super) fn whole(&self, key: &str, name: &str, base: Option<Base>) -> Option<Base> {
        let lacking = self.is_lacking(key, name);
        base.map(|base| if lacking { Base { chain: CHAIN_LIMIT, ..base } } else { base })
    }

    /// A full row of an object is being written.
    pub(super) fn has_whole(&mut self, key: &str, name: &str) {
        if self.is_lacking(key, name) && self.encoder.secrets().as_str() != "dropped" {
            self.values.lacking.remove(&(key.to_owned(), name.to_owned()));
        }
    }

    /// Values of these objects could not be sealed: the kind is let go, until they can.
    pub(crate) fn unsealable(&mut self, key: &str, names: impl IntoIterator<Item = String>, detail: &str) {
        self.values.lacking.extend(names.into_iter().map(|name| (key.to_owned(), name)));
        if self.values.broken.insert(key.to_owned()) {
            tracing::warn!(kind = key, detail, "values cannot be sealed: the kind is let go until they can");
        }
        self.uncover(key, Uncovered::Unsealable, detail);
    }

    /// Whether the kind was let go because its values cannot be sealed.
    pub(crate) fn waits_to_seal(&self, key: &str) -> bool {
        self.values.broken.contains(key)
    }

    /// Sealing works again: the kinds come back.
    pub(crate) fn sealable(&mut self) {
        for key in std::mem::take(&mut self.values.broken) {
            tracing::info!(kind = key, "values can be sealed again: the kind comes back");
        }
    }
}
