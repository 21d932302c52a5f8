//! `hindcast get`: objects as they were, as kubectl would have shown them.

use hindcast_restorer::View;

use crate::{
    args::{Get, Output},
    context::Context,
    failure::{Exit, Result},
    kubeconfig::Namespaces,
    moment, past,
    question::Question,
    redact, render,
    selector::Selector,
};

/// Answers `get`.
pub(super) async fn run(context: &Context<'_>, args: &Get) -> Result<Exit> {
    let t = moment::parse(&args.at, &context.wall)?;
    let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
    let mut past = past::open(context).await?;
    let then = past.at(&t, args.open).await?;
    let asked = past.asked(&then, &args.kind, args.name.as_deref()).await?;
    let (kinds, name) = (asked.kinds.clone(), asked.name.clone());
    let question = Question::new(context, Some(asked), &args.place, selector)?;
    let mut view = View::of(&then, &question.scope()).await?;
    let protected = past.protected(&view, &kinds)?;
    past.reserve_view(&view, &protected);
    past.reserve_uncertain(|key| question.wants(key));
    if !matches!(context.common.output, Output::Json | Output::Yaml) {
        // A column of a table may be of a field that is sealed.
        let rules = past.timeline.rules();
        for object in view.objects.iter_mut().filter(|o| rules.is_named(&o.row.group, &o.row.resource)) {
            object.value = redact::hidden(object, past.hide());
        }
    }
    let objects = question.select(&view, &protected);
    if let (Some(name), true) = (&name, objects.is_empty()) {
        past.finish();
        return Err(question.not_found(context, name, &view));
    }
    past.reserve_values(objects.iter().copied(), args.show_secrets);
    past.reserve_later(objects.iter().map(|object| &object.row));
    let all = question.namespaces == Namespaces::All;
    let columns = render::get::Shape { context, kinds: &protected, all };
    match context.common.output {
        Output::Json | Output::Yaml => {
            let mut values = Vec::with_capacity(objects.len());
            for object in objects {
                values.push(past.value(object, args.show_secrets).await?);
            }
            render::get::list(&columns, values);
        }
        Output::Name => render::get::names(&columns, &objects),
        Output::Text | Output::Wide => render::get::table(&columns, &objects, &view, &question.namespaces),
    }
    Ok(past.finish())
}
