//! The table of references: which places of which kinds name a namespace, a storage class, an image or a host, and how.
//!
//! **Words**: a *row* is a family of kinds with the places of one sort of reference; a *form* is how a name stands in a place:
//! by itself, before a slash, within a DNS name.
//!
//! **Invariants** (`tests/rows.rs`). (1) Ids are unique, and each row's places are all met by its test case. (2) `REFERENCES.md`
//! is [`markdown`], word for word.
//!
//! Not here: how a form is read and changed (`form`); where Pods are in a kind (`pods`).
//!
//! Start reading at [`Row`], then the chapter you came for: `core` has Kubernetes itself, `network` what leads traffic, `projects`
//! what else is widely run.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    pattern::{self, Word},
    pods,
};

mod core;
mod network;
mod projects;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// A short name, which changes are told by.
    pub id: &'static str,
    /// The kinds that have the places.
    pub kinds: Kinds,
    /// The places.
    pub places: &'static [Place],
}

/// The kinds of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind.
    Any,
    /// These, as kind keys; `*` stands for any group, or any kind of a group.
    These(&'static [&'static str]),
    /// Every kind with a template for Pods, and Pods: places are in the template.
    Pods,
}

/// A place of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How the name stands there.
    pub form: Form,
    /// Where, in words of `pattern`.
    pub at: &'static str,
}

/// How a name stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A namespace, by itself; behind `!` too.
    Namespace,
    /// Namespaces between commas.
    Namespaces,
    /// Objects as `namespace/name`, also several between commas.
    Object,
    /// `system:serviceaccount:namespace:name`, `system:serviceaccounts:namespace`.
    Account,
    /// A service account as `namespace:name`.
    Colon,
    /// Hosts, also with scheme, user, port and path, also several between commas.
    Host,
    /// A host, before it a namespace and a slash.
    ScopedHost,
    /// A domain that DNS names are looked for in: `namespace.svc.cluster.local`.
    Search,
    /// A principal of a mesh: `…/ns/namespace/sa/name`.
    Principal,
    /// An identity of Linkerd: `name.namespace.serviceaccount.identity.…`.
    Identity,
    /// A selector of namespaces, or of endpoints, by labels that hold the name.
    Selector,
    /// Namespaces between commas, in base64.
    Packed,
    /// The object once more, as JSON.
    Manifest,
    /// An expression of Calico over labels that hold the name.
    Expression,
    /// A rule of Traefik: hosts in it.
    Rule,
    /// A storage class.
    Class,
    /// Members of a quota that begin with a storage class.
    Quota,
    /// An image.
    Image,
}

impl Form {
    fn words(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Namespaces => "namespaces between commas",
            Self::Object => "`namespace/name`",
            Self::Account => "`system:serviceaccount:namespace:name`, `system:serviceaccounts:namespace`",
            Self::Colon => "`namespace:name`",
            Self::Host => "host or URL",
            Self::ScopedHost => "`namespace/host`",
            Self::Search => "`namespace.svc.…`",
            Self::Principal => "`…/ns/namespace/sa/name`",
            Self::Identity => "`name.namespace.serviceaccount.identity.…`",
            Self::Selector => "selector with a label that holds the name",
            Self::Packed => "namespaces between commas, in base64",
            Self::Manifest => "the object once more, as JSON",
            Self::Expression => "expression over a label that holds the name",
            Self::Rule => "rule with hosts",
            Self::Class => "storage class",
            Self::Quota => "names that begin with a storage class",
            Self::Image => "image",
        }
    }
}

/// Places of one form each, in the words of the rows.
macro_rules! places {
    ($($name:ident $form:ident),* $(,)?) => {
        $(const fn $name(at: &'static str) -> Place {
            Place { form: Form::$form, at }
        })*
    };
}

places!(
    namespace Namespace,
    namespaces Namespaces,
    object Object,
    account Account,
    colon Colon,
    host Host,
    scoped_host ScopedHost,
    search Search,
    principal Principal,
    identity Identity,
    selector Selector,
    packed Packed,
    manifest Manifest,
    expression Expression,
    rule Rule,
    class Class,
    quota Quota,
    image Image,
);

const fn row(id: &'static str, kinds: &'static [&'static str], places: &'static [Place]) -> Row {
    Row { id, kinds: Kinds::These(kinds), places }
}

const fn any(id: &'static str, places: &'static [Place]) -> Row {
    Row { id, kinds: Kinds::Any, places }
}

const fn of_pods(id: &'static str, places: &'static [Place]) -> Row {
    Row { id, kinds: Kinds::Pods, places }
}

/// The chapters, with their rows in order.
const CHAPTERS: &[(&str, &[Row])] = &[
    ("Every object", core::EVERY),
    ("Accounts and admission", core::ACCESS),
    ("Workloads", core::WORKLOADS),
    ("Volumes", core::VOLUMES),
    ("Services and traffic", core::TRAFFIC),
    ("Gateway API", network::GATEWAY),
    ("Controllers of traffic", network::CONTROLLERS),
    ("Meshes", network::MESHES),
    ("Network policies", network::POLICIES),
    ("Certificates and secrets", projects::SECRETS),
    ("GitOps", projects::GITOPS),
    ("Monitoring and scaling", projects::MONITORING),
    ("Policy and tenancy", projects::POLICY),
    ("Backups, clusters and platforms", projects::PLATFORMS),
];

/// Every row, in the order they are printed.
pub fn references() -> impl Iterator<Item = &'static Row> {
    CHAPTERS.iter().flat_map(|(_, rows)| rows.iter())
}

/// A place of a row, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) row: &'static str,
    pub(super) place: &'static Place,
    pub(super) words: Vec<Word>,
    /// The kinds, where they are no single ones.
    kinds: Option<&'static str>,
}

/// Everything read, and where the places of a kind are among it.
struct Index {
    all: Vec<Read>,
    by_kind: BTreeMap<&'static str, Vec<usize>>,
    /// Those of many kinds.
    wide: Vec<usize>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { all: Vec::new(), by_kind: BTreeMap::new(), wide: Vec::new() };
    for row in references() {
        for place in row.places {
            let read = |words: Vec<Word>, kinds| Read { row: row.id, place, words, kinds };
            match row.kinds {
                Kinds::Any => index.add(read(pattern::words(place.at).collect(), Some("*"))),
                Kinds::These(kinds) => {
                    for kind in kinds {
                        index.add(read(pattern::words(place.at).collect(), Some(kind)));
                    }
                }
                Kinds::Pods => {
                    for (kind, template) in pods::templates() {
                        let words = pattern::words(template).chain(pattern::words(place.at)).collect();
                        index.add(read(words, Some(kind)));
                    }
                }
            }
        }
    }
    index
});

impl Index {
    fn add(&mut self, mut read: Read) {
        let at = self.all.len();
        match read.kinds.take() {
            Some(kind) if !kind.contains('*') => self.by_kind.entry(kind).or_default().push(at),
            wide => {
                read.kinds = wide;
                self.wide.push(at);
            }
        }
        self.all.push(read);
    }
}

/// The places of a kind, in the order of the table.
pub(super) fn places(kind_key: &str) -> impl Iterator<Item = &'static Read> {
    let index: &'static Index = &INDEX;
    let fits = |at: &&usize| index.all.get(**at).and_then(|read| read.kinds).is_some_and(|kinds| like(kinds, kind_key));
    let own = index.by_kind.get(kind_key).map(Vec::as_slice).unwrap_or_default();
    let mut at: Vec<usize> = index.wide.iter().filter(fits).chain(own).copied().collect();
    at.sort_unstable();
    at.into_iter().filter_map(|at| index.all.get(at))
}

/// Whether a kind is one of those meant: `*`, `group/*`, `*/resource`.
fn like(kinds: &str, kind_key: &str) -> bool {
    if kinds == "*" {
        return true;
    }
    let (Some((groups, resources)), Some((group, resource))) = (kinds.split_once('/'), kind_key.split_once('/')) else {
        return false;
    };
    (groups == "*" || groups == group) && (resources == "*" || resources == resource)
}

/// The table as a document.
pub fn markdown() -> String {
    let mut out = String::from(
        "# What a mapping changes, kind by kind\n\n\
         Where an object is put somewhere else, under another namespace, class, image or host, these places are changed, and no other. \
         This is the table of references that `hindcast rules` prints, and a test keeps both equal.\n\n\
         Other text that seems to name an old namespace (an argument, a variable, an expression, a value of a Secret) is told with its place \
         and left as it is. `status` is not looked at. A host within the cluster follows its namespace; any other one follows the hosts \
         and domains that are mapped. Of a Service that goes into another namespace, allocated addresses and node ports are taken out, \
         unless they are to be kept.\n",
    );
    for (title, rows) in CHAPTERS {
        out.extend(["\n## ", title, "\n\n| reference | kinds | places | what stands there |\n|---|---|---|---|\n"]);
        for row in *rows {
            let kinds = kinds_of(row.kinds);
            for (n, (form, places)) in by_form(row).into_iter().enumerate() {
                let id = if n == 0 { format!("`{}`", row.id) } else { String::new() };
                let kinds = if n == 0 { kinds.as_str() } else { "" };
                let line = [id.as_str(), kinds, &places.join(", "), form.words()].map(|cell| cell.replace('|', "\\|"));
                out.push_str(&format!("| {} |\n", line.join(" | ")));
            }
        }
    }
    out.push_str("\nKinds with a template for Pods: ");
    let kinds: Vec<&str> = pods::templates().map(|(kind, _)| kind.trim_start_matches('/')).collect();
    out.push_str(&kinds.join(", "));
    out.push_str(".\n");
    out
}

/// The kinds as a person reads them.
fn kinds_of(kinds: Kinds) -> String {
    let kind = |kind: &&str| match kind.split_once('/') {
        Some((group, "*")) => format!("any of {group}"),
        Some(("*", resource)) => format!("{resource} of any group"),
        _ => kind.trim_start_matches('/').to_owned(),
    };
    match kinds {
        Kinds::Any => "all".to_owned(),
        Kinds::Pods => "Pods, and all with a template for them".to_owned(),
        Kinds::These(kinds) => kinds.iter().map(kind).collect::<Vec<_>>().join(", "),
    }
}

/// The places of a row, those of one form together.
fn by_form(row: &Row) -> Vec<(Form, Vec<String>)> {
    let mut out: Vec<(Form, Vec<String>)> = Vec::new();
    for place in row.places {
        let spelled = pattern::spelled(place.at);
        match out.iter_mut().find(|(form, _)| *form == place.form) {
            Some((_, places)) => places.push(spelled),
            None => out.push((place.form, vec![spelled])),
        }
    }
    out
}
