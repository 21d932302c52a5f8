//! Namespaces.

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{Family, Holds, Kind, Rule, Turn, shapers};
use crate::{
    kept::{Fresh, Row},
    reason::Loss,
    verb::Verb,
};

/// Namespaces, by their kind key.
pub(crate) const NAMESPACES: &str = "/namespaces";

/// Their plural name; they are of the core.
pub(crate) const NAME: &str = "namespaces";

pub(super) const FAMILY: Family = Family {
    kinds: &[Kind {
        stands: Some(|caller, key, _, sent| {
            Ok(sent.is_none() && caller.account().is_some_and(|(home, _)| home == key.name))
        }),
        destroys: Some(|_| Some(Loss::Namespace)),
        holds: Some(Holds::Namespace),
        rows: FIELDS,
        turn: Turn::Namespaces,
        turns: Some(turn),
        goes: Turn::Holders,
        beside: true,
        ..Kind::of("", NAME)
    }],
    rules: &[
        Rule {
            id: "namespace-fields",
            kinds: &["/namespaces"],
            what: "`spec.finalizers`, the label `kubernetes.io/metadata.name` and OpenShift's uid ranges stay as they are live.",
            why: "The server sets them; files on volumes belong to the uids of now.",
        },
        Rule {
            id: "namespace-created",
            kinds: &["/namespaces"],
            what: "A namespace that objects need and that is gone is created first, with its labels, annotations and spec of then.",
            why: "Without it nothing in it can be created; its labels decide what its Pods may do.",
        },
        Rule {
            id: "namespace-security",
            kinds: &["/namespaces"],
            what: "Labels of a namespace are put back before its objects; where Pod Security is stricter then than now, after them.",
            why: "Its Pods of then may be older than the label, which would refuse them.",
        },
    ],
};

const FIELDS: &[Row] = &[
    Row {
        rule: "namespace-fields",
        places: &["spec finalizers", "metadata labels kubernetes.io/metadata.name"],
        owner: "the server",
        fresh: Fresh::Absent,
        quiet: true,
    },
    Row {
        rule: "namespace-fields",
        places: &["metadata annotations openshift.io/sa.scc.*"],
        owner: "the namespace's security allocation",
        fresh: Fresh::AsThen,
        quiet: true,
    },
];

/// One that asks more of its Pods than now is changed after them.
fn turn(verb: Verb, wanted: Option<&Value>, live: Option<&Value>) -> Turn {
    let tightens =
        wanted.zip(live).is_some_and(|(wanted, live)| verb == Verb::Update && shapers::tightens(wanted, live));
    if tightens { Turn::Limits } else { Turn::Namespaces }
}

/// A namespace, as an object.
pub(crate) fn home(namespace: &str) -> ObjectKey {
    ObjectKey { namespace: String::new(), group: String::new(), resource: NAME.to_owned(), name: namespace.to_owned() }
}
