//! What `run` works by: what its command line says, and for the rest a `Journal` of the cluster where one is named. Whichever says it,
//! the same settings come of it.
//!
//! **Words**: the *base* is what the command line says. What an object says of a *policy* (how long what is kept, how often what is done)
//! can be left as it was where it cannot be meant; where, as whom and of what the journal is cannot.
//!
//! **Invariants.** (1) What the command line says holds, and is named [`Settings::decided`]; two stores are a contradiction, and refused by
//! both their names. (2) A policy that cannot be meant is a fault beside the settings, with the field's name: what was in force stays, and
//! at a start nothing is removed by it [`Settings::of`]. (3) What a Secret holds is in no text [`Held`].
//!
//! Not here: how the object and its Secrets are read (`hindcast_operator::journals`), what is done when it changes (`commands/run/steward`).

use std::{collections::BTreeMap, fmt, time::Duration};

use hindcast_compactor::expire::Retention;
use hindcast_journal::seal::{KeyFile, Rules};
use hindcast_operator::{
    api::{Filters, JournalProof, JournalRetention, JournalSpec, JournalStore, SecretValues},
    journals::Secrets,
};
use hindcast_snapshotter::cloud::Hidden;
use url::Url;

use crate::{
    args::{Common, Every, Keep, Run, duration, every, keep, retention},
    failure::{Failure, Result},
    store::{self, environment::Environment},
};

#[cfg(test)]
mod tests;

/// What a process holds that it was given by Secrets, in the place of files and of its environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    credentials: Option<BTreeMap<String, Hidden>>,
    authority: Option<String>,
    keys: Option<(String, Hidden)>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// The variables by which the store is reached.
    pub(crate) fn environment(&self) -> Environment {
        let mut env = Environment::of_process();
        if let Some(credentials) = &self.credentials {
            let given = credentials.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
            env = env.of_another(given);
        }
        if let Some(authority) = &self.authority {
            env = env.trusting(authority);
        }
        env
    }

    /// The keys, if a Secret was named for them.
    pub(crate) fn keys(&self) -> Result<Option<KeyFile>> {
        let read = |(what, text): &(String, Hidden)| KeyFile::parse(what, text.reveal().as_bytes());
        Ok(self.keys.as_ref().map(read).transpose()?)
    }
}

/// What `run` works by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The common options.
    pub(crate) common: Common,
    /// Those of `run`.
    pub(crate) run: Run,
    /// What Secrets gave.
    pub(crate) held: Held,
    /// The flags that said what the object says too.
    pub(crate) decided: Vec<&'static str>,
}

/// What an object says, and what its Secrets hold.
pub(crate) struct Said<'a> {
    /// Which object it is, for people.
    pub(crate) object: &'a str,
    /// What it says.
    pub(crate) spec: &'a JournalSpec,
    /// What its Secrets hold.
    pub(crate) secrets: &'a Secrets,
}

impl Settings {
    /// The settings, and which policies could not be meant. `before` is what is in force, if anything is.
    pub(crate) fn of(
        (common, run): (&Common, &Run),
        said: &Said<'_>,
        before: Option<&Self>,
    ) -> Result<(Self, Vec<Failure>)> {
        let mut settings =
            Self { common: common.clone(), run: run.clone(), held: Held::default(), decided: Vec::new() };
        settings.store(said)?;
        settings.keys(said)?;
        settings.filters(said)?;
        let faults = settings.policies(said.spec, before.map(|before| &before.run));
        if let Some(proof) = &said.spec.proof {
            settings.run.proving.seal_in_cluster |= proof.seal_in_cluster;
        }
        settings.check()?;
        Ok((settings, faults))
    }

    /// What of these settings a living process cannot take up from others, by the names of the fields that say it.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (run, now) = (&self.run, &other.run);
        let store = self.common.journal == other.common.journal
            && self.held.credentials == other.held.credentials
            && self.held.authority == other.held.authority;
        let filters = (&run.exclude, &run.include, &run.only, &run.seal);
        [
            ("spec.store", store),
            ("spec.key", self.held.keys == other.held.keys),
            ("spec.secretValues", run.plaintext_secrets == now.plaintext_secrets),
            ("spec.filters", filters == (&now.exclude, &now.include, &now.only, &now.seal)),
            ("spec.proof.every", run.prove_every() == now.prove_every()),
            ("spec.proof.sealInCluster", run.proving.seal_in_cluster == now.proving.seal_in_cluster),
            ("spec.compaction.keepRaw", run.keep_raw() == now.keep_raw()),
            ("spec.compaction.deltaTable", run.raw.no_delta_table == now.raw.no_delta_table),
            ("spec.linger", run.linger() == now.linger()),
        ]
        .into_iter()
        .filter_map(|(field, same)| (!same).then_some(field))
        .collect()
    }

    /// What is to be sealed needs a key.
    fn check(&self) -> Result<()> {
        let needs = [
            ("spec.filters.seal", !self.run.seal.is_empty()),
            ("spec.proof.sealInCluster", self.run.proving.seal_in_cluster),
        ];
        let keyed = self.common.key_file.is_some() || self.held.keys.is_some();
        match needs.iter().find(|(_, needs)| *needs && !keyed) {
            Some((field, _)) => Err(Failure::new(*field, "needs a key to seal with")
                .hint("name a Secret with the file that `hindcast key init` made: spec.key.secretRef")),
            None => Ok(()),
        }
    }

    fn store(&mut self, said: &Said<'_>) -> Result<()> {
        let JournalStore { ca_cert, credentials, .. } = &said.spec.store;
        let url = url(&said.spec.store)?;
        let place = |url: &str| url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        match &self.common.journal {
            Some(given) if place(&store::shown(given)?) != place(&url) => {
                return Err(Failure::new(
                    format!("--journal {}", place(&store::shown(given)?)),
                    format!("is another store than {} of {} says: {}", "spec.store.url", said.object, place(&url)),
                )
                .hint("leave --journal (HINDCAST_JOURNAL) out, or let both name the same"));
            }
            Some(given) if given.contains('?') => self.decided.push("--journal"),
            _ => self.common.journal = Some(url.clone()),
        }
        self.held.authority.clone_from(ca_cert);
        if let (Some(named), Some(values)) = (credentials, &said.secrets.credentials) {
            let prefix = match url.split(':').next() {
                Some("s3") => "AWS_",
                Some("az" | "azure") => "AZURE_",
                Some("gs") => "GOOGLE_",
                _ => "",
            };
            let counts = |name: &str| !prefix.is_empty() && (name.starts_with(prefix) || name == "credentials.json");
            let values: BTreeMap<String, Hidden> = values
                .iter()
                .filter(|(name, _)| counts(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if values.is_empty() {
                let what = format!("Secret {} of spec.store.credentials", named.secret_name);
                let failure = Failure::new(what, format!("holds nothing that says as whom {} is asked", place(&url)));
                return Err(match prefix {
                    "" => failure.hint("such a store asks nobody who he is: leave spec.store.credentials out"),
                    "AWS_" => failure.hint("give it the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
                    "AZURE_" => {
                        failure.hint("give it the keys AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY")
                    }
                    _ => failure.hint("give it the key credentials.json"),
                });
            }
            self.held.credentials = Some(values);
        }
        // What the store itself has against it is said now, and not when it is first asked.
        let journal = self.common.journal.clone().unwrap_or(url);
        store::check(&journal, &self.held.environment()).map_err(|failure| in_field("spec.store", failure))
    }

    fn keys(&mut self, said: &Said<'_>) -> Result<()> {
        let Some(key) = &said.spec.key else { return Ok(()) };
        if self.common.key_file.is_some() {
            self.decided.push("--key-file");
            return Ok(());
        }
        let what = format!("{} of Secret {} (spec.key.secretRef)", key.secret_ref.key, key.secret_ref.name);
        self.held.keys = said.secrets.key.clone().map(|text| (what, text));
        self.held.keys().map(|_| ())
    }

    fn filters(&mut self, said: &Said<'_>) -> Result<()> {
        let run = &mut self.run;
        if said.spec.secret_values == SecretValues::Clear {
            run.plaintext_secrets = true;
        }
        let none = Filters::default();
        let Filters { exclude, include, only, seal } = said.spec.filters.as_ref().unwrap_or(&none);
        let others = !exclude.is_empty() || !include.is_empty();
        if others && !only.is_empty() {
            return Err(Failure::new(
                "spec.filters",
                "only says which kinds there are, and exclude or include say otherwise",
            )
            .hint("leave only out, or the others"));
        }
        // What is said of kinds belongs together: half of it from here and half from there would be neither.
        if run.exclude.is_empty() && run.include.is_empty() && run.only.is_empty() {
            (run.exclude, run.include, run.only) = (exclude.clone(), include.clone(), only.clone());
        } else if said.spec.filters.is_some() {
            self.decided.push("--exclude, --include, --only");
        }
        // What is to be sealed is, whoever says so.
        for place in seal {
            if !run.seal.contains(place) {
                run.seal.push(place.clone());
            }
        }
        if run.plaintext_secrets && !run.seal.is_empty() {
            return Err(Failure::new(
                "spec.filters.seal",
                "nothing is sealed where the values of Secrets are kept in clear",
            )
            .hint("leave out what is to be sealed, or secretValues: Clear (--plaintext-secrets)"));
        }
        Rules::parse(&run.seal).map(|_| ()).map_err(|error| in_field("spec.filters.seal", error.into()))
    }

    /// What may be left as it was.
    fn policies(&mut self, spec: &JournalSpec, before: Option<&Run>) -> Vec<Failure> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, why: String| faults.push(Failure::new(field, why));
        let run = &mut self.run;
        if let Some(said) = &spec.retention {
            if run.keeping.retention.is_some() || run.keeping.retention_file.is_some() {
                self.decided.push("--retention");
            } else {
                match line(said).and_then(|line| retention(&line).map_err(|why| ("spec.retention", why))) {
                    Ok(retention) => {
                        run.keeping.retention = Some(retention);
                        run.keeping.no_delete |= !said.remove;
                    }
                    // Nothing expires by what nobody meant: without one that was in force all is kept.
                    Err((field, why)) => {
                        fault(field, why);
                        if let Some(before) = before {
                            run.keeping = before.keeping.clone();
                        }
                    }
                }
            }
        }
        if let Some(said) = &spec.linger {
            match (run.linger, duration(said)) {
                (Some(_), _) => self.decided.push("--linger"),
                (None, Ok(linger)) => run.linger = Some(linger),
                (None, Err(why)) => {
                    fault("spec.linger", why);
                    run.linger = before.and_then(|before| before.linger);
                }
            }
        }
        if let Some(JournalProof { every: Some(said), .. }) = &spec.proof {
            match (run.proving.prove_every, every(said)) {
                (Some(_), _) => self.decided.push("--prove-every"),
                (None, Ok(often)) => run.proving.prove_every = Some(often),
                (None, Err(why)) => {
                    fault("spec.proof.every", why);
                    run.proving.prove_every = before.and_then(|before| before.proving.prove_every);
                }
            }
        }
        if let Some(said) = &spec.compaction {
            run.raw.no_delta_table |= !said.delta_table;
            match (run.raw.keep_raw, said.keep_raw.as_deref().map(keep)) {
                (_, None) => {}
                (Some(_), Some(_)) => self.decided.push("--keep-raw"),
                (None, Some(Ok(kept))) => run.raw.keep_raw = Some(kept),
                (None, Some(Err(why))) => {
                    fault("spec.compaction.keepRaw", why);
                    run.raw.keep_raw = Some(before.map_or(Keep::Forever, Run::keep_raw));
                }
            }
        }
        faults
    }
}

impl Run {
    /// How long the oldest unwritten change may wait.
    pub(crate) fn linger(&self) -> Duration {
        self.linger.unwrap_or(Duration::from_secs(1))
    }

    /// How long a segment is kept that a merged file of a day holds too.
    pub(crate) fn keep_raw(&self) -> Keep {
        self.raw.keep_raw.unwrap_or(Keep::For(Duration::from_hours(24)))
    }

    /// How often it is held against the cluster's own lists.
    pub(crate) fn prove_every(&self) -> Every {
        self.proving.prove_every.unwrap_or(Every::Time(Duration::from_hours(1)))
    }

    /// The namespace of recovery points, schedules and volume locations, if no object has another.
    pub(crate) fn resources_namespace(&self) -> &str {
        self.resources_namespace.as_deref().unwrap_or("hindcast")
    }
}

/// The URL of an object's store, with its options.
fn url(store: &JournalStore) -> Result<String> {
    let mut text = store.url.clone();
    if !store.options.is_empty() {
        // The text is not quoted before it is known to hold no credentials.
        let url = Url::parse(&store.url);
        let mut url = url.map_err(|error| Failure::new("spec.store.url", error.to_string()))?;
        url.query_pairs_mut().extend_pairs(&store.options);
        text = url.into();
    }
    store::shown(&text).map_err(|failure| in_field("spec.store", failure))
}

/// A retention as --retention takes it, of which each field is a duration and nothing more.
fn line(said: &JournalRetention) -> Result<String, (&'static str, String)> {
    let JournalRetention { all, hourly, daily, monthly, .. } = said;
    let tiers = [
        ("spec.retention.hourly", "hourly", hourly.as_ref()),
        ("spec.retention.daily", "daily", daily.as_ref()),
        ("spec.retention.monthly", "monthly", monthly.as_ref()),
    ];
    let mut parts = Vec::new();
    for (field, name, keep) in [("spec.retention.all", "all", Some(all))].into_iter().chain(tiers) {
        let Some(keep) = keep else { continue };
        duration(keep).map_err(|why| (field, format!("{why}; days are 30d")))?;
        parts.push(format!("{name}={keep}"));
    }
    Ok(parts.join(","))
}

/// A retention in force as --retention takes it.
pub(crate) fn kept(retention: Option<&Retention>) -> String {
    let Some(Retention { all, tiers, .. }) = retention else { return "everything".to_owned() };
    let tiers = tiers.iter().map(|tier| format!(",{}={}", tier.every.word(), span(tier.keep)));
    format!("all={}{}", span(*all), tiers.collect::<String>())
}

/// A duration in its largest whole unit.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = [("d", 86_400), ("h", 3_600), ("m", 60)].into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

fn in_field(field: &str, failure: Failure) -> Failure {
    Failure { what: format!("{field}: {}", failure.what), ..failure }
}
