//! The variables that say how a store is reached: those of the process, or those that a test gives.
//!
//! A variable that is set to nothing counts as not set, since templates leave such ones behind. Values are credentials
//! often, so none is ever printed.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// Variables by name.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// An authority to trust, PEM, beside those that files hold.
    authority: Option<String>,
}

/// What the names of variables have in them that say who asks.
const WHO: [&str; 14] = [
    "ACCESS_KEY",
    "ACCOUNT",
    "CLIENT",
    "CONNECTION_STRING",
    "CREDENTIALS",
    "IDENTITY",
    "MSI",
    "PROFILE",
    "ROLE",
    "SAS",
    "SERVICE_ACCOUNT",
    "SKIP_SIGNATURE",
    "TENANT",
    "TOKEN",
];

impl Environment {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::of(std::env::vars_os().filter_map(text))
    }

    /// These.
    pub(crate) fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { variables, authority: None }
    }

    /// The same, but for who asks, which these say alone: half of one's credentials with half of another's are nobody's.
    pub(crate) fn of_another(mut self, given: impl IntoIterator<Item = (String, String)>) -> Self {
        let of_store = |name: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix));
        self.variables.retain(|name, _| !(of_store(name) && WHO.iter().any(|part| name.contains(part))));
        self.variables.extend(given.into_iter().filter(|(_, value)| !value.is_empty()));
        self
    }

    /// The same, and this authority is trusted too.
    pub(crate) fn trusting(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// An authority to trust, PEM.
    pub(super) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The first of these names that is set, and its value.
    pub(super) fn first<'a>(&'a self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).and_then(switch) == Some(true)
    }

    /// The variables whose names begin with `prefix`, in the order of their names.
    pub(super) fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let named = self.variables.iter().filter(move |(name, _)| name.starts_with(prefix));
        named.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A file in the user's home.
    pub(super) fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.get("HOME").map(|home| PathBuf::from(home).join(path))
    }
}

/// Yes or no, as the stores' own tools take it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
