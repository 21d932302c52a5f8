//! A plan as a file: what was looked at, never the bodies and never a value.
//!
//! Applying a file means making the plan anew from its cut and selection and comparing: [`PlanFile::check`] names what is
//! not as it was. **Invariants.** (1) A file of a newer format, or that is no plan, is refused by name. (2) A live object's new
//! resourceVersion alone is no difference; another intent is.

use std::collections::BTreeMap;

use hindcast_journal::{
    At, Cut, Error, Micros, Moment, Result,
    cut::CutPoint,
    fold::ObjectKey,
};
use serde::{Deserialize, Serialize};

use super::{Action, LiveRef, Plan, Prepared, Verb, WantedRef};
use crate::{Selection, Timeline};

const API_VERSION: &str = "hindcast.dev/v1";
const KIND: &str = "PlanFile";
const FORMAT: u32 = 1;

/// A plan as it is kept in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanFile {
    api_version: String,
    kind: String,
    format: u32,
    /// The cluster.
    pub cluster: String,
    cut: BTreeMap<String, Point>,
    /// The time of the cut.
    pub time: Micros,
    /// For an undo: the id of the restore that is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// What it is about, and what may be done.
    pub selection: Selection,
    actions: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    #[serde(default)]
    incarnation: u32,
    rv: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    verb: Verb,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    resource: String,
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live: Option<LiveRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<WantedRef>,
}

impl Step {
    fn of(action: &Action) -> Self {
        Self {
            verb: action.verb,
            group: action.key.group.clone(),
            resource: action.key.resource.clone(),
            kind: action.kind.clone(),
            namespace: action.key.namespace.clone(),
            name: action.key.name.clone(),
            live: action.live.clone(),
            wanted: action.wanted.clone(),
        }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            group: self.group.clone(),
            resource: self.resource.clone(),
            name: self.name.clone(),
        }
    }
}

/// What is not as it was when the file was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object; `None` for the plan as a whole.
    pub key: Option<ObjectKey>,
    /// Its Kind.
    pub kind: String,
    /// What is different, in words.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            None => f.write_str(&self.what),
            Some(key) if key.namespace.is_empty() => write!(f, "{} {}: {}", self.kind, key.name, self.what),
            Some(key) => write!(f, "{} {}/{}: {}", self.kind, key.namespace, key.name, self.what),
        }
    }
}

impl PlanFile {
    /// The file of a plan.
    pub fn of(plan: &Plan) -> Self {
        let point = |point: &CutPoint| Point { incarnation: point.incarnation, rv: point.rv };
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            format: FORMAT,
            cluster: plan.cluster.clone(),
            cut: plan.cut.domains.iter().map(|(domain, at)| (domain.clone(), point(at))).collect(),
            time: plan.time,
            undoes: plan.undoes.clone(),
            selection: plan.selection.clone(),
            actions: plan.actions.iter().map(Step::of).collect(),
        }
    }

    /// The bytes of the file.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::internal("the plan", "cannot be written as JSON").with_source(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file; `name` is what it is called in errors.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[derive(Default)]
        struct Head {
            api_version: String,
            kind: String,
            format: u32,
        }
        let again = "make it with `hindcast plan … --out FILE`";
        let head: Head = serde_json::from_slice(bytes).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            Error::invalid(name, format!("is no plan file: it cannot be read as JSON at {place}")).with_hint(again)
        })?;
        if head.kind == "Plan" {
            return Err(Error::invalid(name, "is the printed form of a plan, which cannot be applied").with_hint(again));
        }
        if head.kind != KIND || !head.api_version.starts_with("hindcast.dev/") {
            let kind = if head.kind.is_empty() { "nothing that says what it is".to_owned() } else { format!("a {}", head.kind) };
            return Err(Error::invalid(name, format!("is no plan file: it holds {kind}")).with_hint(again));
        }
        if head.format > FORMAT || head.api_version != API_VERSION {
            let reason = format!(
                "is of a newer format ({} {}) than this version reads ({API_VERSION} {FORMAT})",
                head.api_version, head.format
            );
            return Err(Error::invalid(name, reason).with_hint("use the version of hindcast that made it, or plan again"));
        }
        let file: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::invalid(name, format!("is a plan file that was damaged: {e}")).with_hint(again))?;
        let mut keys: Vec<ObjectKey> = file.actions.iter().map(Step::key).collect();
        keys.sort_unstable();
        if file.cluster.is_empty() || file.cut.is_empty() || keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(Error::invalid(name, "is a plan file that was damaged: it names no cut, or an object twice")
                .with_hint(again));
        }
        file.selection.selector().map_err(|e| Error::invalid(name, format!("is a plan file that was damaged: {e}")))?;
        Ok(file)
    }

    /// Refuses a file that is about another cluster.
    pub fn is_of(&self, name: &str, cluster: &str) -> Result<()> {
        if self.cluster == cluster {
            return Ok(());
        }
        Err(Error::invalid(name, format!("is a plan of cluster {}, and this is {cluster}", self.cluster))
            .with_hint("use the context and the journal it was made with, or plan again"))
    }

    /// The cut.
    pub fn cut(&self) -> Cut {
        let point = |point: &Point| CutPoint { incarnation: point.incarnation, rv: point.rv };
        Cut { domains: self.cut.iter().map(|(domain, at)| (domain.clone(), point(at))).collect() }
    }

    /// The moment of its cut, exactly as it was; not of a time, which later knowledge may resolve to another one.
    pub async fn moment(&self, timeline: &mut Timeline) -> Result<Moment> {
        let mut moment = timeline.resolve(&At::Time(self.time)).await?;
        let cut = self.cut();
        moment.closed = moment.beyond.is_none() && cut.within(&moment.frontier);
        moment.uncertain.clear();
        moment.before_start = false;
        moment.cut = cut;
        Ok(moment)
    }

    /// What is not as it was when the file was written, in a plan made anew from the same cut and selection.
    pub fn check(&self, now: &Prepared) -> Vec<Difference> {
        let plan = &now.plan;
        let mut out = Vec::new();
        let mut whole = |what: &str| out.push(Difference { key: None, kind: String::new(), what: what.to_owned() });
        if plan.cluster != self.cluster {
            whole("it is of another cluster");
        }
        if plan.cut != self.cut() || plan.undoes != self.undoes {
            whole("it is of another moment");
        }
        if plan.selection != self.selection {
            whole("it is about other objects, or allows other things");
        }
        let actions: BTreeMap<&ObjectKey, &Action> = plan.actions.iter().map(|action| (&action.key, action)).collect();
        for step in &self.actions {
            let key = step.key();
            let what = match actions.get(&key) {
                None => Some(gone(step, &key, plan)),
                Some(action) => step.differs(action),
            };
            out.extend(what.map(|what| Difference { key: Some(key), kind: step.kind.clone(), what }));
        }
        let known: Vec<ObjectKey> = self.actions.iter().map(Step::key).collect();
        for action in plan.actions.iter().filter(|action| !known.contains(&action.key)) {
            out.push(Difference {
                key: Some(action.key.clone()),
                kind: action.kind.clone(),
                what: format!("{} is needed now and was not planned", word(action.verb)),
            });
        }
        out
    }
}

impl Step {
    /// What of an action is not as it was planned.
    fn differs(&self, action: &Action) -> Option<String> {
        if self.verb != action.verb {
            return Some(format!("{} was planned, and {} is needed now", word(self.verb), word(action.verb)));
        }
        match (&self.live, &action.live) {
            (Some(then), Some(now)) if then.uid != now.uid => {
                return Some("it was deleted and created again since the plan was made".to_owned());
            }
            (Some(then), Some(now)) if then.hash != now.hash => {
                return Some("it was changed since the plan was made".to_owned());
            }
            (Some(_), None) => return Some("it was deleted since the plan was made".to_owned()),
            (None, Some(_)) => return Some("it was created since the plan was made".to_owned()),
            _ => {}
        }
        match (&self.wanted, &action.wanted) {
            (Some(then), Some(now)) if then != now => {
                Some("the version that is put back is read differently than when the plan was made".to_owned())
            }
            (Some(_), None) | (None, Some(_)) => Some("what is put back is not what was planned".to_owned()),
            _ => None,
        }
    }
}

/// Why a planned action is not needed or not possible any more.
fn gone(step: &Step, key: &ObjectKey, plan: &Plan) -> String {
    match plan.left.iter().find(|left| left.key == *key) {
        Some(left) => format!("{} was planned, and now it is left alone: {}", word(step.verb), left.reason),
        None => format!("{} was planned, and now there is nothing to do", word(step.verb)),
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Recreate => "recreate",
        Verb::Delete => "delete",
    }
}
