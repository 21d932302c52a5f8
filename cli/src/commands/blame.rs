//! `hindcast blame`: since when each field of an object is as it is.

use hindcast_journal::parts::Micros;
use hindcast_restorer::{Object, Range, View, blame, diff::Detail};

use crate::{
    args::{self, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    moment, names, past,
    question::One,
    redact, render,
    view::{self, Blamed, Cut, Gap},
};

/// How far the clocks of the cluster and the journal may be apart.
const SLACK: Micros = 600_000_000;

/// Answers `blame`.
pub(super) async fn run(context: &Context<'_>, args: &args::Blame) -> Result<Exit> {
    let t = moment::parse(&args.at, &context.wall)?;
    One::check(&args.kind, &args.place)?;
    let mut past = past::open(context).await?;
    let then = past.at(&t, false).await?;
    let named = (args.kind.as_str(), args.name.as_deref());
    let One { question, kind, name } = One::new(context, ("blame", &mut past, &then), named, &args.place).await?;
    let scope = question.scope();
    let view = View::of(&then, &scope).await?;
    let protected = past.protected(&view, std::slice::from_ref(&kind))?;
    past.reserve_view(&view, &protected);
    past.reserve_uncertain(|key| question.wants(key));
    let Some(object) = view.objects.first() else {
        past.finish();
        return Err(question.not_found(context, &name, &view));
    };
    if let Some(reason) = &object.unreadable {
        return Err(Failure::new(
            format!("{} at position {}", object.row.key(), object.row.pos),
            format!("this version was not JSON that can be kept exactly ({reason})"),
        )
        .hint("blame an earlier or later moment with --at"));
    }
    past.reserve_expired(created(object));
    let range = Range { since: created(object).map(|time| time - SLACK), ..Range::default() };
    let history = past.timeline.history(&range, &scope).await?;
    for (key, gap) in history.gaps.iter().filter(|(key, _)| *key == kind.kind_key()) {
        if gap.from < object.row.rv {
            past.gap(&names::kind_name(key), gap);
        }
    }
    if let Some(hole) = history.holes.first() {
        return Err(Failure::from(hole.refused(format!("the history of {}", object.row.key()))).hint(
            "`hindcast log` shows the changes on either side, `hindcast diff` what differs between two moments",
        ));
    }
    past.reserve_later(history.events.iter().map(|event| &event.row).filter(|row| row.rv <= object.row.rv));
    let mut events = history.events;
    if let Some(first) = blame::before_log(&mut past.timeline, object, &view.moment).await? {
        events.retain(|event| event.row.rv > first.row.rv || event.row.uid != first.row.uid);
        events.insert(0, first);
    }
    let blame = blame::of(&events, &view.moment.cut, object)?;
    let mut shown = blame.value.clone();
    redact::version(&object.row, &mut shown, past.hide());
    let detail = if args.all { Detail::All } else { Detail::Wanted };
    let shown = detail.of(shown);
    match context.common.output {
        Output::Json | Output::Yaml => {
            let leaves = blame.leaves().into_iter();
            let fields = leaves
                .filter_map(|(path, _, origin)| {
                    let value = shown.pointer(&path)?;
                    Some(Blamed::new(path, value, &origin))
                })
                .collect();
            let mut answer = view::Blame::new(Cut::of(&view), object, fields);
            answer.gaps = Gap::of(&[&view], [kind.kind_key()]);
            answer.warnings.clone_from(&past.reservations);
            render::document(context.printer, context.common.output, &answer)?;
        }
        _ => render::blame::print(context, &blame, &shown),
    }
    Ok(past.finish())
}

/// When the object was made, by its own word.
fn created(object: &Object) -> Option<Micros> {
    let time = object.value.pointer("/metadata/creationTimestamp")?.as_str()?;
    Some(time.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}
