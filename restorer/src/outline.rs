//! A plan as it is kept without its bodies, and what holds a plan made anew to it.
//!
//! Bodies are read again when a kept plan is carried out. **Invariants.** (1) Nothing is done that the outline does not
//! name. (2) Nothing is done to an object that is another one by now, live or in the past [`Prepared::confine`].

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{fold::ObjectKey, row::Revision};

use crate::plan::{Action, LiveRef, Prepared, Verb, WantedRef};

/// What was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The cut of the moment: its main revision, and that of each domain.
    pub cut: (Revision, BTreeMap<String, Revision>),
    /// The actions.
    pub steps: Vec<Step>,
}

/// One action of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was to be done.
    pub verb: Verb,
    /// The object's Kind.
    pub kind: String,
    /// The object.
    pub key: ObjectKey,
    /// What stood there.
    pub live: Option<LiveRef>,
    /// What was wanted.
    pub wanted: Option<WantedRef>,
}

/// What an outline took from a plan that was made anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confined {
    /// What it names and that needs nothing, or may not be touched, by now: Kind and object.
    pub idle: Vec<(String, ObjectKey)>,
    /// How many objects differ by now that it does not name; they are left alone.
    pub beyond: usize,
}

/// Why an outline cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutOfDate {
    /// Its moment is another cut by now.
    Moment,
    /// These are other objects by now, live or in the past: Kind and object.
    Objects(Vec<(String, ObjectKey)>),
}

impl Prepared {
    /// Confines a plan that was made anew to what an outline names.
    pub fn confine(&mut self, outline: &Outline) -> Result<Confined, OutOfDate> {
        let plan = &mut self.plan;
        let domains = plan.cut.domains.iter().map(|(domain, point)| (domain.clone(), point.rv)).collect();
        if (plan.cut.rev(), domains) != outline.cut {
            return Err(OutOfDate::Moment);
        }
        let mut steps: BTreeMap<&ObjectKey, &Step> = outline.steps.iter().map(|step| (&step.key, step)).collect();
        let mut changed = Vec::new();
        let mut beyond = 0;
        plan.actions.retain(|action| match steps.remove(&action.key) {
            Some(step) => {
                if !step.is(action) {
                    changed.push((action.kind.clone(), action.key.clone()));
                }
                true
            }
            None => {
                beyond += 1;
                false
            }
        });
        if !changed.is_empty() {
            return Err(OutOfDate::Objects(changed));
        }
        let keys: BTreeSet<&ObjectKey> = plan.actions.iter().map(|action| &action.key).collect();
        self.bodies.retain(|key, _| keys.contains(key));
        let idle = steps.into_values().map(|step| (step.kind.clone(), step.key.clone())).collect();
        Ok(Confined { idle, beyond })
    }
}

impl Step {
    /// Whether an action is this step still: the same live object with the same intent, the same past version.
    fn is(&self, action: &Action) -> bool {
        let live = |live: &LiveRef| (live.uid.clone(), live.hash.clone());
        let wanted = |wanted: &WantedRef| (wanted.pos, wanted.hash.clone());
        self.verb == action.verb
            && self.live.as_ref().map(live) == action.live.as_ref().map(live)
            && self.wanted.as_ref().map(wanted) == action.wanted.as_ref().map(wanted)
    }
}
