//! What a restore is about, from words to a selection.
//!
//! **Invariant.** Every kind and name is resolved against the journal's own discovery, so that a word that means nothing is
//! refused and never an empty scope.

use std::collections::BTreeMap;

use hindcast_journal::{
    Error, Past, Result,
    cut::At,
    facts::Discovery,
    fold::{KindState, Scope},
};

use super::{
    kinds::{self, Asked},
    paths,
};
use crate::{
    Timeline, View,
    permission::Widen,
    selection::{Selection, Volumes, What},
};

/// What is meant, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One object: `KIND/NAME`, or KIND and the name apart.
    pub object: Option<(String, Option<String>)>,
    /// The namespace of that object, or whose objects are meant. Without either the cluster is.
    pub namespace: Option<String>,
    /// Only these, each `KIND/NAME`.
    pub only: Vec<String>,
    /// Only objects with these labels.
    pub labels: String,
    /// Only this part of each, as people write it.
    pub path: Option<String>,
    /// Which claims get their data from recovery points.
    pub volumes: Volumes,
    /// Kinds whose deletes are allowed, in words.
    pub allow_delete: Vec<String>,
    /// What else is allowed.
    pub widen: Widen,
}

impl Wanted {
    /// The selection that is meant. `home` says in which namespace an object is for which none is named.
    pub async fn selection(
        &self,
        timeline: &mut Timeline,
        then: &Past,
        home: impl FnOnce() -> String,
    ) -> Result<Selection> {
        let mut only = Vec::with_capacity(self.only.len());
        for word in &self.only {
            only.push(one(word, asked(timeline, then, word.trim(), None).await?)?);
        }
        let mut widen = self.widen.clone();
        widen.allow_delete.extend(deletes(timeline, &self.allow_delete).await?);
        Ok(Selection {
            what: self.what(timeline, then, home).await?,
            labels: self.labels.clone(),
            only,
            path: self.path.as_deref().map(pointer).transpose()?,
            volumes: self.volumes,
            widen,
        })
    }

    async fn what(&self, timeline: &mut Timeline, then: &Past, home: impl FnOnce() -> String) -> Result<What> {
        let Some((kind, name)) = &self.object else {
            return Ok(match &self.namespace {
                Some(namespace) => What::Namespace(namespace.clone()),
                None => What::All,
            });
        };
        let asked = asked(timeline, then, kind, name.as_deref()).await?;
        let namespaced = asked.kinds.iter().any(|kind| kind.namespaced);
        let (kind, name) = one(kind, asked)?;
        let namespace = match (namespaced, &self.namespace) {
            (false, _) => String::new(),
            (true, Some(namespace)) => namespace.clone(),
            (true, None) => home(),
        };
        Ok(What::Object { kind, namespace, name })
    }
}

/// Reads `KIND…` against the kinds of the moment; a kind that is only known later is taken too, since it was not
/// protected then, which is another answer than an unknown word.
pub async fn asked(timeline: &mut Timeline, past: &Past, kind: &str, name: Option<&str>) -> Result<Asked> {
    let known = named(&View::of(past, &Scope::nothing()).await?.kinds);
    match kinds::parse(kind, name, &known) {
        Ok(asked) => Ok(asked),
        Err(failure) => {
            let mut all = known;
            for later in named(&kinds_ever(timeline).await?) {
                if all.iter().all(|kind| kind.kind_key() != later.kind_key()) {
                    all.push(later);
                }
            }
            kinds::parse(kind, name, &all).map_err(|_| failure)
        }
    }
}

/// The kinds that the journal has come to know since, whatever became of them.
pub async fn kinds_ever(timeline: &mut Timeline) -> Result<BTreeMap<String, KindState>> {
    let past = timeline.at(&At::NowOpen).await?;
    Ok(View::of(&past, &Scope::nothing()).await?.kinds)
}

/// The kind keys of kinds in words whose deletes are allowed.
pub async fn deletes(timeline: &mut Timeline, words: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::with_capacity(words.len());
    if !words.is_empty() {
        let known: Vec<Discovery> = kinds_ever(timeline).await?.into_values().map(|kind| kind.discovery).collect();
        for word in words {
            let kind = kinds::resolve(word.trim(), &known)?.kind_key();
            if !found.contains(&kind) {
                found.push(kind);
            }
        }
    }
    Ok(found)
}

/// The JSON pointer of a path as people write it.
pub fn pointer(path: &str) -> Result<String> {
    paths::pointer(path).map_err(|reason| {
        Error::invalid(format!("path `{path}`"), reason).with_hint(
            "as spec.template, spec.template.spec.containers[web].image, metadata.annotations[\"a.b/c\"], or /spec/template",
        )
    })
}

/// One kind and one name.
fn one(text: &str, asked: Asked) -> Result<(String, String)> {
    match (asked.kinds.as_slice(), asked.name) {
        ([kind], Some(name)) => Ok((kind.kind_key(), name)),
        _ => Err(Error::invalid(format!("`{text}`"), "not one object").with_hint("KIND/NAME, as deploy/web")),
    }
}

fn named(kinds: &BTreeMap<String, KindState>) -> Vec<Discovery> {
    kinds.values().map(|kind| kind.discovery.clone()).filter(|kind| !kind.resource.is_empty()).collect()
}
