//! Velero's resource modifiers: a file of rules, each with conditions and patches, taken as it is.
//!
//! A rule holds of the object as it was: its conditions name the old namespaces. All that hold are carried out in their order, before
//! anything else is mapped. JSON patches are RFC 6902, with negative indices as Velero has them; a `test` that fails, or whose place is
//! not there, leaves the rule undone and is no error. Merge patches are RFC 7386; strategic ones: `strategic`.
//!
//! **Invariants.** (1) What is in the file is understood or refused, with its line. This is stricter than Velero, which finds an unknown
//! operation or a bad expression when it restores. (2) A patch that cannot be applied leaves the object alone and is an error of it
//! (Velero would restore it half patched). (3) Numbers are the tokens of the file.
//!
//! Not here: patches by kinds of a version that no longer is; `skipDefaultResourceModifier`, which is about a server's own rules.
//!
//! Start reading at [`Modifiers::apply`].

use std::collections::BTreeMap;

use hindcast_journal::{
    Error, Result,
    exact::{self, Value},
    fold::ObjectKey,
};
use serde::{Deserialize, Serialize};

use super::{Change, Why, changes_of};
use crate::names::{kind_name, object};

mod condition;
mod patch;
mod read;
mod strategic;

use condition::Condition;
use patch::Operation;

/// A file of rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Modifiers {
    file: String,
    text: String,
    rules: Vec<Rule>,
}

/// How they are kept: as they were written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: String,
    text: String,
}

#[derive(Debug, Clone)]
struct Rule {
    line: u64,
    condition: Condition,
    patches: Patches,
}

#[derive(Debug, Clone)]
enum Patches {
    Json(Vec<Operation>),
    Merge(Vec<Value>),
    Strategic(Vec<Value>),
}

impl PartialEq for Modifiers {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, &self.text) == (&other.file, &other.text)
    }
}

impl Eq for Modifiers {}

impl From<Modifiers> for Written {
    fn from(Modifiers { file, text, .. }: Modifiers) -> Self {
        Self { file, text }
    }
}

impl TryFrom<Written> for Modifiers {
    type Error = String;

    fn try_from(Written { file, text }: Written) -> Result<Self, String> {
        Self::read(&file, &text).map_err(|e| e.to_string())
    }
}

impl Modifiers {
    /// What a text says; `file` is how errors and changes call it.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        Ok(Self { file: file.to_owned(), text: text.to_owned(), rules: read::rules(file, text)? })
    }

    /// What the data of a `ConfigMap` say, which has one key.
    pub fn of_config_map(name: &str, data: &BTreeMap<String, String>) -> Result<Self> {
        let what = format!("resource modifiers {name}");
        let mut entries = data.iter();
        match (entries.next(), entries.next()) {
            (Some((key, text)), None) => Self::read(&format!("{what}: {key}"), text),
            (None, _) => {
                Err(Error::invalid(what, "the ConfigMap has no data")
                    .with_hint("put the rules under one key of its data"))
            }
            (Some(_), Some(_)) => {
                let keys: Vec<&str> = data.keys().map(String::as_str).collect();
                Err(Error::invalid(what, format!("the ConfigMap has {} data keys: {}", keys.len(), keys.join(", ")))
                    .with_hint("leave one key, which holds the rules"))
            }
        }
    }

    /// Carries out the rules that hold of an object.
    pub(super) fn apply(&self, key: &ObjectKey, value: &mut Value, changed: &mut Vec<Change>) -> Result<()> {
        let kind = kind_name(&key.kind_key());
        // All of them are asked before any is carried out.
        let hold: Vec<&Rule> = self.rules.iter().filter(|rule| rule.condition.holds(&kind, key, value)).collect();
        for rule in hold {
            let mut after = value.clone();
            let wrong = |reason: String| {
                Error::invalid(format!("{} (line {}): {}", self.file, rule.line, object(key)), reason)
                    .with_hint("narrow the conditions of the rule to objects that it fits, or correct its patches")
            };
            match &rule.patches {
                Patches::Json(operations) => {
                    if !patch::json(&mut after, operations).map_err(wrong)? {
                        continue;
                    }
                }
                Patches::Merge(patches) => patches.iter().for_each(|patch| patch::merge(&mut after, patch)),
                Patches::Strategic(patches) => {
                    for patch in patches {
                        strategic::merge(key, &mut after, patch).map_err(wrong)?;
                    }
                }
            }
            let why = Why::Modifier(self.file.clone(), rule.line);
            changed.extend(changes_of(&exact::diff(value, &after), value, &why));
            *value = after;
        }
        Ok(())
    }
}
