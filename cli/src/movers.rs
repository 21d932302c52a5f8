//! What copies volumes into the bucket: the template of its Pods, and the keys of the repository.

use std::sync::Arc;

use hindcast_journal::{Journal, seal::KeyFile};
use hindcast_mover::{
    Key, Repository,
    pod::{Place, Template},
};
use hindcast_restorer::Movers;
use hindcast_snapshotter::{Csi, Files, Moved, driver::VolumeDriver};

use crate::{
    context::Context,
    failure::{Failure, Result},
    keyfile, past, store,
};

/// The keys of a cluster's repository, from the journal's key file.
pub(crate) fn keys(context: &Context<'_>, cluster: &str) -> Result<Vec<Key>> {
    let of = |file: &KeyFile| file.keys.iter().map(|key| Key::of(key, cluster)).collect();
    if let Some(file) = context.held.keys()? {
        return Ok(of(&file));
    }
    let path = keyfile::path(context.common.key_file.as_deref(), context.common.journal.as_deref())?;
    let path = path.ok_or_else(|| {
        Failure::new("the key file", "is not named")
            .hint("--key-file FILE, or HINDCAST_KEY_FILE: the repository of files derives its key from it")
    })?;
    Ok(of(&keyfile::read_existing(&path)?))
}

/// The template that was given, and where movers find the journal.
fn template(context: &Context<'_>, cluster: &str) -> Result<Option<(Template, Place)>> {
    let Some(path) = &context.common.mover else { return Ok(None) };
    let what = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::new(&what, e.to_string()).hint("--mover names a template of Pods; deploy/mover.yaml is one")
    })?;
    let journal = store::shown(&past::named(context)?)?;
    let place = Place { journal, cluster: cluster.to_owned() };
    let template = Template::parse(&what, &text)?;
    template.reaches(&place)?;
    Ok(Some((template, place)))
}

/// What puts files back in a restore, if a template was given.
pub(crate) fn at_hand(context: &Context<'_>, cluster: &str) -> Result<Option<Arc<Movers>>> {
    let movers = template(context, cluster)?;
    Ok(movers.map(|(template, place)| Arc::new(Movers { template, place })))
}

/// The drivers of volumes that keep files, and move snapshots, if a template was given.
pub(crate) fn drivers(
    context: &Context<'_>,
    client: &kube::Client,
    journal: &Journal,
) -> Result<Vec<Arc<dyn VolumeDriver>>> {
    let Some((template, place)) = template(context, journal.cluster())? else { return Ok(Vec::new()) };
    let repository = Repository::new(journal.store(), keys(context, journal.cluster())?);
    let files = Arc::new(Files::new(client.clone(), context.parts.clone(), repository, template, place));
    let moved = Moved::new(Csi::new(client.clone(), context.parts.clone()), files.clone());
    Ok(vec![files, Arc::new(moved)])
}
