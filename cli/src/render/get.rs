//! `hindcast get`: tables, names and lists.

use hindcast_journal::{
    exact::{Object as Map, Value},
    facts::Discovery,
};
use hindcast_restorer::{Object, View};

use super::table;
use crate::{args::Output, columns, context::Context, kinds, kubeconfig::Namespaces, printer::Text};

/// What the answer looks like.
pub(crate) struct Shape<'a> {
    /// The options and the way out.
    pub(crate) context: &'a Context<'a>,
    /// The kinds, in the order asked.
    pub(crate) kinds: &'a [Discovery],
    /// Whether objects of several namespaces stand side by side.
    pub(crate) all: bool,
}

/// A `List`, as `kubectl get -o json`.
pub(crate) fn list(shape: &Shape<'_>, items: Vec<Value>) {
    let metadata: Map = [("resourceVersion", Value::from(""))].into_iter().collect();
    let list: Map = [
        ("apiVersion", Value::from("v1")),
        ("items", Value::Array(items)),
        ("kind", Value::from("List")),
        ("metadata", Value::Object(metadata)),
    ]
    .into_iter()
    .collect();
    super::object(shape.context.printer, shape.context.common.output, &Value::Object(list));
}

/// `deployment.apps/web`, a line each.
pub(crate) fn names(shape: &Shape<'_>, objects: &[&Object]) {
    for object in objects {
        let kind = shape.kinds.iter().find(|kind| is_of(kind, object));
        shape.context.printer.line(&Text::plain(full_name(kind, object)));
    }
}

fn is_of(kind: &Discovery, object: &Object) -> bool {
    object.row.group == kind.group && object.row.resource == kind.resource
}

fn full_name(kind: Option<&Discovery>, object: &Object) -> String {
    let singular = kind.map(|kind| kind.singular.as_str()).filter(|s| !s.is_empty());
    let kind = kinds::named(&object.row.group, singular.unwrap_or(&object.row.resource));
    format!("{kind}/{}", object.row.name)
}

/// Tables, one a kind.
pub(crate) fn table(shape: &Shape<'_>, objects: &[&Object], view: &View, namespaces: &Namespaces) {
    let printer = shape.context.printer;
    if objects.is_empty() {
        // kubectl says this on stderr too, and it is true here: the kinds were protected.
        let place = match namespaces {
            Namespaces::One(namespace) if shape.kinds.iter().any(|k| k.namespaced) => {
                format!(" in {namespace} namespace")
            }
            _ => String::new(),
        };
        printer.note(format!("No resources found{place} at that moment"));
        return;
    }
    let several = shape.kinds.len() > 1;
    let mut first = true;
    for kind in shape.kinds {
        let mine: Vec<&Object> = objects.iter().filter(|o| is_of(kind, o)).copied().collect();
        if mine.is_empty() {
            continue;
        }
        if !std::mem::take(&mut first) {
            printer.line(&Text::plain(""));
        }
        for line in lines(shape, kind, &mine, view, several) {
            printer.line(&Text::plain(line));
        }
    }
}

fn lines(shape: &Shape<'_>, kind: &Discovery, objects: &[&Object], view: &View, several: bool) -> Vec<String> {
    let columns = columns::of(kind, shape.context.common.output == Output::Wide);
    let with_namespace = shape.all && kind.namespaced;
    let mut headings = Vec::new();
    if with_namespace {
        headings.push("NAMESPACE".to_owned());
    }
    headings.push("NAME".to_owned());
    headings.extend(columns.iter().map(|column| column.heading.clone()));
    let rows = objects.iter().map(|object| {
        let mut row = Vec::new();
        if with_namespace {
            row.push(object.row.namespace.clone());
        }
        row.push(if several { full_name(Some(kind), object) } else { object.row.name.clone() });
        match &object.unreadable {
            Some(reason) => row.push(format!("<unreadable: {reason}>")),
            None => row.extend(columns.iter().map(|c| c.cell(&object.value, view.moment.time))),
        }
        row
    });
    table::lines(&headings, rows.collect())
}
