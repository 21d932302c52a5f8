//! KIND, as kubectl takes it, against the journal's own discovery.
//!
//! **Words**: a *kind word* is what a person writes (`deploy`, `deployments.apps`, `deployments.v1.apps`,
//! `Deployment`); a *kind key* is `group/resource`.
//!
//! **Invariants.**
//! 1. A word means one kind or is refused with the candidates named: the core group first, then the groups of
//!    Kubernetes itself in the order of its API server, and any others only when they are alone.
//! 2. An unknown word is refused with near matches; it is never an empty answer.
//!
//! Not here: whether the kind was protected at the moment asked (`past`).

use hindcast_journal::{Error, Result, facts::Discovery};

#[cfg(test)]
mod tests;

/// What `KIND[,KIND…][/NAME]` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The kinds, in the order written.
    pub kinds: Vec<Discovery>,
    /// The name, where one was given.
    pub name: Option<String>,
}

/// The groups of Kubernetes itself, in the order in which an ambiguous word means them.
const BUILT_IN: [&str; 20] = [
    "",
    "apps",
    "batch",
    "autoscaling",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "admissionregistration.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "node.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storagemigration.k8s.io",
];

/// Whether a group is one of Kubernetes itself.
pub fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// `group/resource` as a person reads it: `deployments.apps`, `pods`.
pub fn label(kind: &Discovery) -> String {
    named(&kind.group, &kind.resource)
}

/// `resource.group`, or the resource alone in the core group.
pub fn named(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// Reads `KIND`, `KIND/NAME` or `KIND,KIND`, with the name also as a separate argument.
pub fn parse(text: &str, name: Option<&str>, known: &[Discovery]) -> Result<Asked> {
    let (kinds, inline) = match text.split_once('/') {
        None => (text, None),
        Some((kind, name)) => (kind, Some(name)),
    };
    if let Some(inline) = inline {
        if inline.is_empty() || inline.contains('/') {
            return Err(Error::invalid(format!("`{text}`"), "not KIND/NAME")
                .with_hint("as in kubectl: deploy/web, or deploy web"));
        }
        if name.is_some() {
            return Err(Error::invalid(format!("`{text}`"), "the name is given twice")
                .with_hint("write KIND/NAME or KIND NAME"));
        }
    }
    let name = inline.or(name).map(str::to_owned);
    let mut asked = Vec::new();
    for word in kinds.split(',') {
        let kind = resolve(word.trim(), known)?;
        if !asked.contains(&kind) {
            asked.push(kind);
        }
    }
    if name.is_some() && asked.len() > 1 {
        return Err(Error::invalid(format!("`{text}`"), "a name needs a single kind"));
    }
    Ok(Asked { kinds: asked, name })
}

/// The kind that a word means.
pub fn resolve(word: &str, known: &[Discovery]) -> Result<Discovery> {
    if word.is_empty() {
        return Err(
            Error::invalid("KIND", "missing").with_hint("as in kubectl: pods, deploy, deployments.apps, deploy/web")
        );
    }
    if word.eq_ignore_ascii_case("all") {
        return Err(Error::invalid("KIND `all`", "not a kind; kubectl's `all` leaves most kinds out")
            .with_hint("name the kinds: deploy,sts,ds,svc,cm"));
    }
    let mut found: Vec<&Discovery> = known.iter().filter(|kind| means(kind, word)).collect();
    // A group that is a beginning of another one (`deployments.app`) is as good as kubectl takes it: not at all.
    if found.len() > 1 {
        let best = found.iter().map(|kind| rank(kind, word)).min();
        found.retain(|kind| Some(rank(kind, word)) == best);
    }
    match found.as_slice() {
        [kind] => Ok((*kind).clone()),
        [] => Err(unknown(word, known)),
        several => {
            let names: Vec<String> = several.iter().map(|kind| label(kind)).collect();
            Err(Error::invalid(format!("kind `{word}`"), format!("ambiguous: {}", names.join(", ")))
                .with_hint(format!("write one of them in full, such as {}", names.first().map_or("", |n| n))))
        }
    }
}

/// Whether the word can mean the kind: the first part is a name of it, the rest its group, with or without the
/// version before it.
fn means(kind: &Discovery, word: &str) -> bool {
    if is_name(kind, word) {
        return true;
    }
    let Some((name, rest)) = word.split_once('.') else { return false };
    if !is_name(kind, name) {
        return false;
    }
    let group = &kind.group;
    let version = &kind.version;
    rest.eq_ignore_ascii_case(group)
        || rest
            .split_once('.')
            .is_some_and(|(v, g)| v == version && g.eq_ignore_ascii_case(group))
        // The core group has no name: `pods.v1` or `pods.v1.`.
        || (group.is_empty() && (rest == version || rest.strip_suffix('.') == Some(version)))
}

fn is_name(kind: &Discovery, word: &str) -> bool {
    kind.resource.eq_ignore_ascii_case(word)
        || kind.singular.eq_ignore_ascii_case(word)
        || kind.kind.eq_ignore_ascii_case(word)
        || kind.short_names.iter().any(|short| short.eq_ignore_ascii_case(word))
}

/// Lower is meant before higher: Kubernetes' own groups in their order, then all others alike; within a group a
/// name goes before a short name; a kind that is served before one that is gone.
fn rank(kind: &Discovery, word: &str) -> (bool, usize, bool) {
    let group = BUILT_IN.iter().position(|group| *group == kind.group).unwrap_or(BUILT_IN.len());
    let head = word.split_once('.').map_or(word, |(head, _)| head);
    let short = !kind.resource.eq_ignore_ascii_case(head)
        && !kind.singular.eq_ignore_ascii_case(head)
        && !kind.kind.eq_ignore_ascii_case(head);
    (kind.gone, group, short)
}

fn unknown(word: &str, known: &[Discovery]) -> Error {
    let (name, rest) = word.split_once('.').unwrap_or((word, ""));
    // The name is right and the group or version is not: say which there are.
    let same: Vec<&Discovery> = known.iter().filter(|kind| is_name(kind, name)).collect();
    let failure = Error::invalid(format!("kind `{word}`"), "not known to the journal at that moment");
    if !same.is_empty() && !rest.is_empty() {
        let read: Vec<String> = same
            .iter()
            .map(|kind| match kind.version.as_str() {
                "" => label(kind),
                version => format!("{} (read as {version})", label(kind)),
            })
            .collect();
        return failure.with_hint(format!("there is {}", read.join(", ")));
    }
    let mut near: Vec<(usize, String)> = known
        .iter()
        .filter_map(|kind| {
            let names = [&kind.resource, &kind.singular].into_iter().chain(&kind.short_names);
            let best = names
                .filter(|candidate| !candidate.is_empty())
                .map(|candidate| distance(&candidate.to_lowercase(), &name.to_lowercase()))
                .min()?;
            (best <= (name.len() / 4).max(1)).then(|| (best, label(kind)))
        })
        .collect();
    near.sort();
    near.dedup();
    near.truncate(3);
    if near.is_empty() {
        return failure.with_hint("hindcast status -o json lists every kind the journal knows");
    }
    let near: Vec<String> = near.into_iter().map(|(_, name)| name).collect();
    failure.with_hint(format!("did you mean {}?", near.join(" or ")))
}

/// How many letters have to be added, dropped, changed or swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |up: usize, at: usize| {
                rows.get((i + 1).wrapping_sub(up)).and_then(|r| r.get(at)).copied().unwrap_or(usize::MAX / 2)
            };
            let left = row.last().copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(1, j) + usize::from(x != y)).min(cell(1, j + 1) + 1).min(left + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(2, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}
