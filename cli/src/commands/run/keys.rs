//! The keys that `run` seals with, proven before the journal is claimed.

use std::sync::Arc;

use hindcast_journal::{
    Journal,
    seal::{self, DataKeys, Key, Secrets},
};

use super::start::Start;
use crate::{
    args::Run,
    context::Context,
    failure::{Failure, Result},
    keyfile,
};

/// How Secret values are stored, and the keys for it.
pub(super) fn secrets(context: &Context<'_>, args: &Run) -> Result<(Secrets, Vec<Arc<Key>>)> {
    let common = context.common;
    let held = context.held.keys()?;
    let file = match keyfile::path(common.key_file.as_deref(), common.journal.as_deref())? {
        _ if held.is_some() => held,
        Some(path) if common.key_file.is_some() => Some(keyfile::read_existing(&path)?),
        Some(path) => match keyfile::read(&path)? {
            Some(file) => Some(file),
            None if args.plaintext_secrets => None,
            None => {
                keyfile::add(&path, None, &context.parts)?;
                context.printer.note(format!(
                    "made the key file {}: keep a copy in a safe place, without it the Secret values of the journal \
                     cannot be read",
                    path.display()
                ));
                Some(keyfile::read_existing(&path)?)
            }
        },
        None => None,
    };
    let keys: Vec<Arc<Key>> = file.into_iter().flat_map(|file| file.keys).map(Arc::new).collect();
    let first = keys.first().cloned();
    if args.plaintext_secrets {
        context.printer.warning("Secret values are stored in clear: whoever reads the journal reads them");
        return Ok((Secrets::Plaintext(first), keys));
    }
    let Some(key) = first else {
        context.printer.warning("Secrets not restorable: no key. Their values are not stored; give --key-file FILE");
        return Ok((Secrets::Dropped, keys));
    };
    Ok((Secrets::Sealed(key), keys))
}

/// Proves the keys against what the journal holds. With another file nothing older could be read, and every change of a
/// Secret would look like one of all its values.
pub(super) async fn prove(
    context: &Context<'_>,
    args: &Run,
    start: &mut Start,
    journal: &Journal,
    keys: Option<&DataKeys>,
) -> Result<()> {
    let Some(keys) = keys else { return Ok(()) };
    let proof = start.ride("trying out the key", async || keys.prove(journal.store()).await).await?;
    opens(&proof, args.new_key)?;
    let missing = proof.missing;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    context.printer.warning(format!(
        "values sealed with {names} cannot be read or restored with this key file: it does not hold {}",
        if missing.len() == 1 { "that key" } else { "those keys" }
    ));
    Ok(())
}

/// Whether any of the journal's values can be opened, if there are any; `new_key` says that it does not matter.
pub(super) fn opens(proof: &seal::Proof, new_key: bool) -> Result<()> {
    let seal::Proof { opened, missing } = proof;
    if missing.is_empty() || !opened.is_empty() || new_key {
        return Ok(());
    }
    let names = missing.join(", ");
    Err(Failure::new(
        "the key file",
        format!("holds none of the keys that this journal's values are sealed with ({names})"),
    )
    .hint("give the journal's own key file; `hindcast key init --key-file FILE` adds a new key to it")
    .hint("if it is lost, --new-key goes on with this one: what is sealed so far stays unreadable"))
}
