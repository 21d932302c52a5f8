//! `hindcast diff`: what differs between two moments.

use hindcast_journal::{Past, facts::Discovery};
use hindcast_restorer::{View, diff::Detail};

use crate::{
    args::{self, Output},
    compare::Compared,
    context::Context,
    failure::{Exit, Result},
    moment,
    past::{self, Reading},
    question::Question,
    render,
    selector::Selector,
    view::{self, Cut, Gap},
};

/// Answers `diff`.
pub(super) async fn run(context: &Context<'_>, args: &args::Diff) -> Result<Exit> {
    let wall = &context.wall;
    let (from, to) = (moment::parse(&args.from, wall)?, moment::parse(&args.to, wall)?);
    let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
    let mut past = past::open(context).await?;
    let then = past.at(&from, false).await?;
    let question = asked(context, args, selector, &mut past, &then).await?;
    let before = View::of(&then, &question.scope()).await?;
    let after = View::of(&past.at(&to, false).await?, &question.scope()).await?;
    let detail = if args.all { Detail::All } else { Detail::Wanted };
    let compared = Compared::new(context, &mut past, (&question, detail), (before, after)).await?;
    let (shown, folded) = compared.select();
    let name = question.asked.as_ref().and_then(|asked| asked.name.as_deref());
    if let Some(name) = name.filter(|_| compared.is_empty()) {
        return Err(question.not_found(context, name, &compared.after));
    }
    let objects = compared.show(&mut past, &shown, args.show_secrets).await?;
    let (before, after) = (&compared.before, &compared.after);
    let mut diff = view::Diff::new(Cut::of(before), Cut::of(after), objects, folded.values().sum());
    let exit = if diff.objects.is_empty() { Exit::Done } else { Exit::Differences };
    match context.common.output {
        Output::Json | Output::Yaml => {
            diff.gaps = Gap::of(&[before, after], compared.kinds.iter().map(Discovery::kind_key));
            diff.warnings.clone_from(&past.reservations);
            render::document(context.printer, context.common.output, &diff)?;
        }
        _ => {
            let times = [before, after].map(|view| wall.show_millis(view.moment.time));
            render::diff::print(context, &diff, (&times[0], &times[1]));
            if diff.objects.is_empty() {
                context.printer.note("no differences");
            }
        }
    }
    if let Some(text) = render::diff::folded(&folded) {
        context.printer.note(text);
    }
    Ok(past.finish_with(exit))
}

async fn asked(
    context: &Context<'_>,
    args: &args::Diff,
    selector: Selector,
    past: &mut Reading<'_>,
    then: &Past,
) -> Result<Question> {
    let asked = match &args.kind {
        Some(kind) => Some(past.asked(then, kind, args.name.as_deref()).await?),
        None => None,
    };
    Question::new(context, asked, &args.place, selector)
}
