//! The binary's answers to `plan`, `restore` and `undo`, read as the JSON that its users get.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// A whole answer of the binary.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; -1 for none.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    asked: String,
}

impl Said {
    /// What was said to `args`.
    pub fn new(args: &[&str], output: &std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            asked: args.join(" "),
        }
    }

    /// As a plan.
    pub fn plan(&self) -> Result<Plan> {
        serde_json::from_str(&self.out).with_context(|| format!("no plan: {self}"))
    }

    /// As what became of a restore.
    pub fn restore(&self) -> Result<Restore> {
        serde_json::from_str(&self.out).with_context(|| format!("no restore: {self}"))
    }

    /// The parts of a restore that did not end as they should, and its notes: a short form of a long answer.
    fn odd(&self) -> Vec<String> {
        let Ok(restore) = serde_json::from_str::<Restore>(&self.out) else { return Vec::new() };
        let actions = restore.actions.iter().filter(|action| !action.is_well()).map(|a| format!("{a:?}"));
        actions.chain(restore.notes.iter().map(Value::to_string)).take(20).collect()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "$ hindcast {}\nexit {}\n", self.asked, self.code)?;
        for odd in self.odd() {
            writeln!(f, "not as asked: {odd}")?;
        }
        let shown: String = self.out.chars().take(4000).collect();
        write!(f, "{shown}\n--- stderr\n{}", self.err)
    }
}

/// `kind: Plan`.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// What would be done.
    pub actions: Vec<Action>,
    /// What differs and is left alone.
    pub left: Vec<Left>,
    /// What is as it was but for fields that are kept.
    #[serde(default)]
    pub kept: Vec<KeptIn>,
    /// What else is worth knowing.
    #[serde(default)]
    pub notes: Vec<Value>,
    /// How many objects are as they were.
    #[serde(default)]
    pub unchanged: u64,
    /// Reservations.
    #[serde(default)]
    pub warnings: Vec<Value>,
}

/// `kind: Restore`.
#[derive(Debug, Clone, Deserialize)]
pub struct Restore {
    /// Its id.
    #[serde(default)]
    pub id: Option<String>,
    /// What became of each action.
    pub actions: Vec<Action>,
    /// What was left alone.
    #[serde(default)]
    pub left: Vec<Left>,
    /// What is as it was but for fields that are kept.
    #[serde(default)]
    pub kept: Vec<KeptIn>,
    /// Rollouts that were waited for.
    #[serde(default)]
    pub rollouts: Vec<Value>,
    /// What else is worth knowing.
    #[serde(default)]
    pub notes: Vec<Value>,
    /// Counts.
    #[serde(default)]
    pub summary: Summary,
}

/// Counts of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "named as the results")]
pub struct Summary {
    pub done: u64,
    pub already: u64,
    pub conflicts: u64,
    pub refused: u64,
    pub failed: u64,
    pub skipped: u64,
}

/// One object's part of a plan or restore.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// `create`, `update`, `recreate` or `delete`.
    pub verb: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// When, in a plan.
    #[serde(default)]
    pub wave: Value,
    /// Field by field, in a plan.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What is left to its owner, in a plan.
    #[serde(default)]
    pub kept: Vec<Change>,
    /// Why a delete is allowed.
    #[serde(default)]
    pub evidence: Option<Value>,
    /// What must be known of it.
    #[serde(default)]
    pub warnings: Vec<Value>,
    /// `done`, `already`, `conflict`, `refused`, `failed` or `skipped`, in a restore.
    #[serde(default)]
    pub result: Option<String>,
    /// What reading it back said, in a restore.
    #[serde(default)]
    pub verified: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub message: Option<String>,
    /// What is not as asked.
    #[serde(default)]
    pub differences: Vec<Change>,
}

/// A field.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    /// JSON pointer.
    pub path: String,
    /// Before.
    #[serde(default)]
    pub from: Value,
    /// After.
    #[serde(default)]
    pub to: Value,
    /// Whose rule keeps it.
    #[serde(default)]
    pub rule: Option<String>,
    /// Who owns it.
    #[serde(default)]
    pub owner: Option<String>,
    /// Of a kept one, how it stands to what was asked for.
    #[serde(default)]
    pub standing: String,
}

/// What differs and is left alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Left {
    /// What would have been done.
    pub verb: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Short code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// The flag that would do it.
    #[serde(default)]
    pub flag: Option<String>,
    /// How it stands to what was asked for: `machines`, `rule`, `beside`, `wanting` or `unable`.
    #[serde(default)]
    pub standing: String,
}

/// An object that is as it was but for fields that are kept.
#[derive(Debug, Clone, Deserialize)]
pub struct KeptIn {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// The fields.
    pub fields: Vec<Change>,
}

/// Whether something that was asked for could be done, and was not.
fn is_open(standing: &str) -> bool {
    matches!(standing, "wanting" | "unable")
}

impl Action {
    /// Whether it ended as the plan said; true of a plan's.
    pub fn is_well(&self) -> bool {
        let verified = self.verified.as_deref();
        self.result.as_deref().is_none_or(|r| matches!(r, "done" | "already"))
            && verified.is_none_or(|v| matches!(v, "equal" | "equal-but-for-controller-owned" | "equal-but-for-kept"))
    }

    /// `Kind/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

impl Plan {
    /// How it has to end: 1 where anything is done, or left that could be done or is beside; else 0.
    pub fn code(&self) -> i32 {
        let left = self.left.iter().any(|left| is_open(&left.standing) || left.standing == "beside");
        let of_actions = self.actions.iter().flat_map(|action| &action.kept);
        let mut kept = self.kept.iter().flat_map(|of| &of.fields).chain(of_actions);
        i32::from(!self.actions.is_empty() || left || kept.any(|field| is_open(&field.standing)))
    }
}

impl Restore {
    /// Whether something that was asked for is left alone that could be done.
    pub fn is_open(&self) -> bool {
        let left = self.left.iter().any(|left| is_open(&left.standing));
        let mut kept = self.kept.iter().flat_map(|of| &of.fields);
        let of_actions = self.actions.iter().any(|action| action.verified.as_deref() == Some("equal-but-for-kept"));
        left || of_actions || kept.any(|field| is_open(&field.standing))
    }
}

impl Left {
    /// `Kind/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}
