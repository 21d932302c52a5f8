//! `hindcast doctor`: what damage of the journal means.

use hindcast_journal::{Journal, doctor};

use super::verify;
use crate::{
    args::{Doctor, Output},
    context::Context,
    ending,
    failure::{Exit, Result},
    past, progress, render,
    store::Access,
    view::Diagnosis,
};

/// Answers `doctor`. The journal is not opened for reading, which damage would refuse.
pub(super) async fn run(context: &Context<'_>, args: &Doctor) -> Result<Exit> {
    let asked = verify::asked(context, &args.public_key, args.known.as_deref())?;
    let (location, cluster) = past::place(context, Access::Prove).await?;
    let journal = Journal::open(location.store.clone(), &location.prefix, &cluster, context.parts.clone());
    let line = progress::Line::new(context.printer, &context.parts);
    let found = doctor::diagnose(&journal, &asked, &|progress| line.tell(|| progress::looked_at(&progress))).await?;
    let diagnosis = Diagnosis::new(&found, !asked.trust.is_empty());
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &diagnosis)?,
        _ => render::doctor::print(context, &found, &diagnosis),
    }
    for warning in &diagnosis.warnings {
        context.printer.warning(&warning.message);
    }
    Ok(ending::doctor(&diagnosis))
}
