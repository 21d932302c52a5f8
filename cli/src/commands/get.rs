//! `hindcast get`: objects as they were, as kubectl would have shown them.

use hindcast_journal::{Scope, exact::Value, facts::Discovery};
use hindcast_restorer::{Object, View};

use crate::{
    args::{Get, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    kinds::{self, Asked},
    kubeconfig::{self, Namespaces},
    moment,
    past::{self, Reading},
    render,
    selector::Selector,
};

/// Answers `get`.
pub(super) async fn run(context: &Context<'_>, args: &Get) -> Result<Exit> {
    let t = moment::parse(&args.at, &context.wall)?;
    let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
    let mut past = past::open(context).await?;
    let then = past.at(&t, args.open).await?;
    let asked = past.asked(&then, &args.kind, args.name.as_deref()).await?;
    if asked.name.is_some() && args.place.all_namespaces {
        return Err(Failure::new(format!("{} -A", args.kind), "a name is of one namespace")
            .hint("give the namespace with -n, or leave the name out"));
    }
    let namespaces = places(context, &asked.kinds, &args.place);
    let mut view = View::of(&then, &scope(&asked, &namespaces)).await?;
    let protected = past.protected(&view, &asked.kinds)?;
    past.reserve_view(&view, &protected);
    if !matches!(context.common.output, Output::Json | Output::Yaml) {
        // A column of a table may be of a field that is sealed.
        let rules = past.timeline.rules();
        for object in view.objects.iter_mut().filter(|o| rules.is_named(&o.row.group, &o.row.resource)) {
            object.value = render::hidden(object, past.hide());
        }
    }
    let objects = select(&view, &protected, &namespaces, &selector);
    if let (Some(name), true) = (&asked.name, objects.is_empty()) {
        return Err(not_found(context, &asked, name, &namespaces, &view));
    }
    past.reserve_values(objects.iter().copied(), args.show_secrets);
    past.reserve_later(objects.iter().map(|object| &object.row));
    let columns = render::get::Shape { context, kinds: &protected, all: namespaces == Namespaces::All };
    match context.common.output {
        Output::Json | Output::Yaml => {
            let mut values = Vec::with_capacity(objects.len());
            for object in objects {
                values.push(value(&past, object, args.show_secrets).await?);
            }
            render::get::list(&columns, values);
        }
        Output::Name => render::get::names(&columns, &objects),
        Output::Text | Output::Wide => render::get::table(&columns, &objects, &view, &namespaces),
    }
    Ok(past.finish())
}

/// The namespaces, asked for only if a kind has them.
pub(super) fn places(context: &Context<'_>, kinds: &[Discovery], place: &crate::args::Place) -> Namespaces {
    if kinds.iter().any(|kind| kind.namespaced) { kubeconfig::namespace(context, place) } else { Namespaces::All }
}

/// What has to be read: with a namespace only if every kind has one.
pub(super) fn scope(asked: &Asked, namespaces: &Namespaces) -> Scope {
    let one = match namespaces {
        Namespaces::One(namespace) if asked.kinds.iter().all(|kind| kind.namespaced) => Some(namespace.clone()),
        _ => None,
    };
    Scope {
        kinds: Some(asked.kinds.iter().map(Discovery::kind_key).collect()),
        namespace: one,
        name: asked.name.clone(),
    }
}

/// The objects that were asked for, kind by kind.
fn select<'v>(view: &'v View, kinds: &[Discovery], namespaces: &Namespaces, selector: &Selector) -> Vec<&'v Object> {
    let of = |kind: &Discovery, object: &Object| object.row.group == kind.group && object.row.resource == kind.resource;
    let placed = |kind: &Discovery, object: &Object| match namespaces {
        Namespaces::One(namespace) if kind.namespaced => object.row.namespace == *namespace,
        _ => true,
    };
    let labelled =
        |object: &Object| selector.matches(|key| object.value.pointer("/metadata/labels")?.get(key)?.as_str());
    kinds
        .iter()
        .flat_map(|kind| view.objects.iter().filter(move |o| of(kind, o) && placed(kind, o)))
        .filter(|object| labelled(object))
        .collect()
}

/// An object for JSON or YAML: hidden, or opened where that was asked.
pub(super) async fn value(past: &Reading<'_>, object: &Object, show_secrets: bool) -> Result<Value> {
    if show_secrets {
        return Ok(past.timeline.reveal(object).await?);
    }
    Ok(render::hidden(object, past.hide()))
}

/// The error for a name that was not there.
pub(super) fn not_found(
    context: &Context<'_>,
    asked: &Asked,
    name: &str,
    namespaces: &Namespaces,
    view: &View,
) -> Failure {
    let kind = asked.kinds.first().map(kinds::label).unwrap_or_default();
    let (place, option) = match namespaces {
        Namespaces::One(namespace) => (format!(" in namespace {namespace}"), format!(" -n {namespace}")),
        Namespaces::All => (String::new(), String::new()),
    };
    Failure::new(
        format!("{kind} \"{name}\""),
        format!("was not there{place} at {}", context.wall.show(view.moment.time)),
    )
    .hint(format!("hindcast log {kind}/{name}{option} shows when it was"))
}
