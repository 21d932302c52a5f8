//! `hindcast show`: one object as it was.

use hindcast_restorer::View;

use crate::{
    args::{Output, Show},
    context::Context,
    failure::{Exit, Result},
    moment, past,
    question::One,
    redact, render,
};

/// Answers `show`.
pub(super) async fn run(context: &Context<'_>, args: &Show) -> Result<Exit> {
    let t = moment::parse(&args.at, &context.wall)?;
    One::check(&args.kind, &args.place)?;
    let mut past = past::open(context).await?;
    let then = past.at(&t, args.open).await?;
    let named = (args.kind.as_str(), args.name.as_deref());
    let One { question, kind, name } = One::new(context, ("show", &mut past, &then), named, &args.place).await?;
    let view = View::of(&then, &question.scope()).await?;
    let protected = past.protected(&view, &[kind])?;
    past.reserve_view(&view, &protected);
    past.reserve_uncertain(|key| question.wants(key));
    let Some(object) = view.objects.first() else {
        past.finish();
        return Err(question.not_found(context, &name, &view));
    };
    past.reserve_later([&object.row]);
    if let Some(reason) = &object.unreadable {
        context.printer.warning(format!(
            "this version was not JSON that can be kept exactly ({reason}); its bytes follow in base64"
        ));
    }
    past.reserve_values([object], args.show_secrets);
    let value = past.value(object, args.show_secrets).await?;
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
