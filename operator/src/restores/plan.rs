//! From what a `Restore` says to a plan.

use hindcast_journal::{Error, Past, Result, error::ErrorKind, fold::ObjectKey};
use hindcast_restorer::{
    Session, Timeline,
    ask::{
        moment::{T, Wall, parse, rfc3339},
        paths,
        scope::Wanted,
    },
    plan::Nowhere,
    selection::{Selection, Volumes, What, Widen},
    session::Compared,
};

use crate::api::{Allow, FromPoints, RestoreSpec, Target};

/// A plan, with the moment as it can be asked for again.
pub(super) struct Plan {
    pub(super) at: String,
    pub(super) compared: Compared,
}

/// Where a restore stands, and whether it is confined to its namespace.
pub(super) struct Home<'a> {
    pub(super) namespace: &'a str,
    pub(super) confined: bool,
}

impl Home<'_> {
    /// Whether an object may be told of there.
    pub(super) fn shows(&self, key: &ObjectKey) -> bool {
        !self.confined || key.namespace == self.namespace
    }
}

/// Plans. `at` is the moment as it was settled before, if it was.
pub(super) async fn plan(
    session: &Session,
    timeline: &mut Timeline,
    spec: &RestoreSpec,
    at: Option<&str>,
    home: &Home<'_>,
) -> Result<Plan> {
    let wall = Wall::new(timeline.parts().clock.now(), Some("UTC"))?;
    let t = parse(at.unwrap_or(&spec.at), &wall)?;
    let (settled, _) = t.settled(timeline.store()).await?;
    let then = past(session, timeline, &settled, &spec.at).await?;
    let again = settled.again(then.moment());
    let selection = selection(timeline, &then, spec, home).await?;
    let compared = session.plan(timeline, &then, &selection).await?;
    refuse_nothing(&compared)?;
    Ok(Plan { at: again, compared })
}

/// The past at a moment, which is known exactly.
async fn past(session: &Session, timeline: &mut Timeline, t: &T, said: &str) -> Result<Past> {
    let question = t.question(false)?;
    let mut then = timeline.at(&question).await?;
    if *t == T::Now || (!then.moment().closed && then.moment().ended.is_empty()) {
        then = session.close(timeline, &question).await?;
    }
    let moment = then.moment();
    if moment.cut.domains.is_empty() || moment.before_start {
        return Err(Error::invalid(format!("at {said}"), "is before the journal begins"));
    }
    if let Some(known) = moment.beyond {
        let reason = format!("is later than the journal knows: it is closed up to {}", rfc3339(known));
        return Err(Error::new(ErrorKind::Unavailable, format!("at {said}"), reason)
            .with_hint("it is tried again; an earlier moment can be had at once"));
    }
    if let Some(thinned) = &moment.thinned {
        return Err(thinned.refused(format!("at {said}")));
    }
    Ok(then)
}

/// What is meant, as far as it may be meant from there.
async fn selection(timeline: &mut Timeline, then: &Past, spec: &RestoreSpec, home: &Home<'_>) -> Result<Selection> {
    let Target { namespace, all_namespaces, object, only, selector, path } = &spec.target;
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let Allow { cluster_scoped, system, delete, recreate, restart, gap, rerun_jobs, empty_volumes, bypass_webhooks } =
        &spec.allow;
    if namespace.is_empty() && object.is_empty() && !all_namespaces {
        return Err(Error::invalid("target", "names nothing: what is put back is never guessed")
            .with_hint("namespace, object or allNamespaces"));
    }
    let wanted = Wanted {
        object: some(object).map(|object| (object, None)),
        namespace: some(namespace),
        only: only.clone(),
        labels: selector.clone(),
        path: some(path),
        volumes: match spec.volumes {
            FromPoints::Missing => Volumes::Missing,
            FromPoints::None => Volumes::None,
            FromPoints::All => Volumes::All,
        },
        allow_delete: delete.clone(),
        widen: Widen {
            with_cluster_scoped: *cluster_scoped,
            include_system: *system,
            allow_delete: Vec::new(),
            allow_recreate: *recreate,
            restart: *restart,
            accept_gap: *gap,
            rerun_jobs: *rerun_jobs,
            allow_empty_volumes: *empty_volumes,
            bypass_webhooks: *bypass_webhooks,
        },
    };
    let selection = wanted.selection(timeline, then, || home.namespace.to_owned()).await?;
    selection.selector()?;
    let inside = match &selection.what {
        What::Object { namespace, .. } | What::Namespace(namespace) => namespace == home.namespace,
        What::All => false,
    };
    if home.confined && !inside {
        return Err(Error::new(
            ErrorKind::Denied,
            "target",
            format!("is not of the namespace {} alone", home.namespace),
        )
        .with_hint("a Restore elsewhere than in Hindcast's own namespace puts back what is in its own"));
    }
    Ok(selection)
}

/// Refuses a scope that names nothing, then or now: it is misspelt rather than meant.
fn refuse_nothing(compared: &Compared) -> Result<()> {
    if compared.is_of_nothing {
        return Err(Error::not_found("target", "was not there then, and is not now")
            .with_hint("`hindcast get` and `hindcast log` show what there was; check the name and the namespace"));
    }
    if let Some(Nowhere { path, nearest }) = &compared.nowhere {
        let error =
            Error::not_found(format!("path {}", paths::spell(path)), "is in no object of the target, then or now");
        return Err(match nearest {
            Some(nearest) => error.with_hint(format!("did you mean {}?", paths::spell(nearest))),
            None => error,
        });
    }
    Ok(())
}
