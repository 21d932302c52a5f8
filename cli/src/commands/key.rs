//! `hindcast key init|list`: the keys that seal Secret values.

use crate::{
    args::{KeyVerb, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    keyfile, render, view,
};

/// Makes or lists keys.
pub(super) fn run(context: &Context<'_>, verb: &KeyVerb) -> Result<Exit> {
    let common = context.common;
    let path = keyfile::path(common.key_file.as_deref(), common.journal.as_deref())?
        .ok_or_else(|| Failure::new("the key file", "is not named").hint("--key-file FILE, or HINDCAST_KEY_FILE"))?;
    if let KeyVerb::Init { name } = verb {
        let key = keyfile::add(&path, name.as_deref(), &context.parts)?;
        context.printer.note(format!(
            "made key {} in {}; keep a copy in a safe place: without it the Secret values of the journal cannot be read",
            key.name,
            path.display()
        ));
    }
    let keys = view::Keys::new(&path, &keyfile::read_existing(&path)?);
    match common.output {
        Output::Json | Output::Yaml => render::document(context.printer, common.output, &keys)?,
        _ => render::keys(context.printer, &keys),
    }
    Ok(Exit::Done)
}
