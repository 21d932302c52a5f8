//! `hindcast show`: one object as it was.

use hindcast_restorer::View;

use super::get;
use crate::{
    args::{Output, Show},
    context::Context,
    failure::{Exit, Failure, Result},
    moment, past, redact, render,
};

/// Answers `show`.
pub(super) async fn run(context: &Context<'_>, args: &Show) -> Result<Exit> {
    let t = moment::parse(&args.at, &context.wall)?;
    if args.place.all_namespaces {
        return Err(Failure::new(format!("{} -A", args.kind), "an object is of one namespace")
            .hint("give the namespace with -n"));
    }
    let mut past = past::open(context).await?;
    let then = past.at(&t, args.open).await?;
    let asked = past.asked(&then, &args.kind, args.name.as_deref()).await?;
    let (Some(name), [kind]) = (asked.name.clone(), asked.kinds.as_slice()) else {
        return Err(Failure::new(format!("`{}`", args.kind), "show takes one object")
            .hint("KIND/NAME, as deploy/web; hindcast get lists objects"));
    };
    let namespaces = get::places(context, std::slice::from_ref(kind), &args.place);
    let view = View::of(&then, &get::scope(&asked, &namespaces)).await?;
    let protected = past.protected(&view, &asked.kinds)?;
    past.reserve_view(&view, &protected);
    let Some(object) = view.objects.first() else {
        past.finish();
        return Err(get::not_found(context, &asked, &name, &namespaces, &view));
    };
    past.reserve_later([&object.row]);
    if let Some(reason) = &object.unreadable {
        context.printer.warning(format!(
            "this version was not JSON that can be kept exactly ({reason}); its bytes follow in base64"
        ));
    }
    past.reserve_values([object], args.show_secrets);
    let value = get::value(&past, object, args.show_secrets).await?;
    let hidden = !args.show_secrets && redact::hides(&object.row.group, &object.row.resource, &value, past.hide());
    let output = if context.common.output == Output::Json { Output::Json } else { Output::Yaml };
    render::object(context.printer, output, &value);
    if hidden {
        context
            .printer
            .note("note: values are redacted, so this cannot be applied; --show-secrets with the key file shows them");
    }
    Ok(past.finish())
}
