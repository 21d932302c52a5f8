//! What a journal's URL says of its store behind `?`: options without secrets, by the names that a `BackupStorageLocation`
//! of Velero has for them.
//!
//! **Words**: an *option* belongs to one store of one URL, a variable of the environment to a whole process; where both
//! say something, the option holds.
//!
//! **Invariants.** (1) A name that is not an option of the store is refused by name, and so is one that would have no
//! effect, with the reason. (2) No value is repeated in an error: somebody may have put a secret there.
//!
//! Not here: what an option does (`s3`, `azure`, `gcs`).

use std::collections::BTreeMap;

use url::Url;

use super::environment::switch;
use crate::failure::{Failure, Result};

/// What a store takes.
pub(super) struct Known {
    /// The store's scheme, as it is shown.
    pub(super) scheme: &'static str,
    /// The options that have an effect.
    pub(super) taken: &'static [&'static str],
    /// Options that Velero has, why they are not taken here, and what to do instead.
    pub(super) refused: &'static [(&'static str, &'static str, &'static str)],
}

/// The options of one URL.
pub(super) struct Options {
    what: String,
    given: BTreeMap<String, String>,
}

/// Never, whichever the store is.
const INSECURE: &str = "insecureSkipTLSVerify";

/// Refuses to talk to whoever answers: the reason, and what to do.
pub(super) const TRUST: (&str, &str) = (
    "certificates are verified always: whoever answers in the store's place would read along, and could make up a past",
    "name the authority that signed the store's certificate: caCert=FILE in the URL (PEM), AWS_CA_BUNDLE for s3://, \
     or SSL_CERT_FILE",
);

impl Options {
    /// Those of a URL, which `known` says what may be in.
    pub(super) fn of(url: &Url, known: &Known) -> Result<Self> {
        let mut bare = url.clone();
        bare.set_query(None);
        let what = format!("journal {bare}");
        let mut given = BTreeMap::new();
        for part in url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            if !part.contains('=') {
                let reason = "what stands behind `?` is no option: each is NAME=VALUE, with `&` between them";
                return Err(Failure::new(&what, reason).hint(known.list()));
            }
        }
        for (name, value) in url.query_pairs() {
            known.check(&what, &name, &value)?;
            if given.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Failure::new(&what, format!("the option `{name}` is given twice")).hint("give it once"));
            }
        }
        Ok(Self { what, given })
    }

    /// The journal's URL without them, as an error names it.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// An option's value.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// An option that says yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.text(name)
            .map(|text| {
                switch(text).ok_or_else(|| {
                    Failure::new(&self.what, format!("the option `{name}` says neither true nor false"))
                        .hint(format!("{name}=true, or leave it out"))
                })
            })
            .transpose()
    }

    /// A refusal of one option's value.
    pub(super) fn wrong(&self, name: &str, reason: impl std::fmt::Display) -> Failure {
        Failure::new(&self.what, format!("the option `{name}` {reason}"))
    }
}

impl Known {
    fn check(&self, what: &str, name: &str, value: &str) -> Result<()> {
        if name == INSECURE {
            // Whoever says no says what is so.
            return match switch(value) {
                Some(false) => Ok(()),
                _ => Err(Failure::new(what, format!("the option `{name}` is not taken: {}", TRUST.0)).hint(TRUST.1)),
            };
        }
        if self.taken.contains(&name) {
            return Ok(());
        }
        if let Some((_, reason, hint)) = self.refused.iter().find(|(refused, ..)| *refused == name) {
            return Err(Failure::new(what, format!("the option `{name}` is not taken: {reason}")).hint(*hint));
        }
        let reason = format!("`{name}` is no option of {}://", self.scheme);
        Err(Failure::new(what, reason)
            .hint(self.list())
            .hint("credentials are no options: they come from the environment, since a URL is printed and logged"))
    }

    fn list(&self) -> String {
        if self.taken.is_empty() {
            return format!("{}:// has no options", self.scheme);
        }
        format!("the options of {}:// are {}", self.scheme, self.taken.join(", "))
    }
}
