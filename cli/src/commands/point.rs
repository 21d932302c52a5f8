//! `hindcast point create|list|show|delete|gc`.

use std::collections::BTreeMap;

use hindcast_compactor as compactor;
use hindcast_journal::{
    Error,
    point::{Point, PointScope, PointState, Points, Volumes},
};
use hindcast_mover::Report;
use hindcast_snapshotter::{Left, Limits, Maker, Request, Told, driver::Copied, policy::ResourcePolicies};

use crate::{
    args::{Output, Plugins, PointCreate, PointVerb, VolumesArg},
    context::Context,
    failure::{Exit, Failure, Result},
    past, points, render, rollback,
    view::{PointPlan, RecoveryPoint, RecoveryPoints},
};

/// Answers `point`.
pub(super) async fn run(context: &Context<'_>, verb: &PointVerb) -> Result<Exit> {
    match verb {
        PointVerb::Create(args) => create(context, args).await,
        PointVerb::List => list(context).await,
        PointVerb::Show { name } => {
            let past = past::open_quietly(context).await?;
            let points = Points::new(past.journal.store());
            let point = match points.read(name).await {
                Ok(Some(point)) => point,
                _ => points.named(name).await?,
            };
            print(context, &point)?;
            Ok(Exit::Done)
        }
        PointVerb::Delete { names, yes, plugins } => delete(context, names, *yes, plugins).await,
        PointVerb::Gc { plan, plugins } => gc(context, *plan, plugins).await,
    }
}

fn print(context: &Context<'_>, point: &Point) -> Result<()> {
    match context.common.output {
        Output::Json | Output::Yaml => {
            render::document(context.printer, context.common.output, &RecoveryPoint::new(point))
        }
        _ => {
            render::point::show(context, point);
            Ok(())
        }
    }
}

async fn list(context: &Context<'_>) -> Result<Exit> {
    let past = past::open_quietly(context).await?;
    let points = Points::new(past.journal.store());
    let (made, errors) = points.made().await?;
    let errors: Vec<String> = errors.iter().map(|error| Error::causes(error)).collect();
    let view = RecoveryPoints::new(past.journal.cluster(), &made, &points.list().await?, errors);
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &view)?,
        _ => render::point::list(context, &made, &view),
    }
    for error in &view.errors {
        context.printer.warning(error);
    }
    Ok(if view.errors.is_empty() { Exit::Done } else { Exit::Reserved })
}

async fn create(context: &Context<'_>, args: &PointCreate) -> Result<Exit> {
    let request = request(context, args)?;
    let past = rollback::open(context).await?;
    let limits = Limits { ready: args.snapshot_timeout, ..Limits::default() };
    let maker = points::maker(context, &past, &args.plugins, limits, false).await?;
    if args.plan {
        maker.now.close().await?;
        let plan = PointPlan::new(&request.name, &maker.plan(&request, "").await?);
        match context.common.output {
            Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &plan)?,
            _ => render::point::plan(context, &plan),
        }
        return Ok(Exit::Done);
    }
    let told = |told: Told| tell(context, &told);
    let making = async {
        tokio::select! {
            point = maker.take(&request, &told) => Some(point),
            _ = tokio::signal::ctrl_c() => None,
        }
    };
    let Some(point) = making.await else {
        context.printer.note(format!(
            "interrupted: point {} is not made; `hindcast point gc` finishes what was begun, two minutes from now",
            request.name
        ));
        return Ok(Exit::Interrupted);
    };
    let point = point?;
    // A restore works without it, only slower.
    if let Err(error) = compactor::align(&past.journal, &point, &maker.by).await {
        context.printer.note(format!("note: no checkpoint was written at its cut: {}", Error::causes(&error)));
    }
    print(context, &point)?;
    Ok(match point.state {
        PointState::Complete => Exit::Done,
        PointState::Partial => Exit::Partly,
        PointState::Failed => Exit::Failed,
    })
}

/// What is asked for.
fn request(context: &Context<'_>, args: &PointCreate) -> Result<Request> {
    if args.namespace.is_empty() && !args.all_namespaces {
        return Err(Failure::new("the scope", "was not given")
            .hint("-n NAMESPACE (also several, and with *), or -A for all namespaces"));
    }
    let mut labels = BTreeMap::new();
    for label in &args.label {
        let Some((key, value)) = label.split_once('=') else {
            return Err(Failure::new(format!("--label {label}"), "is not KEY=VALUE"));
        };
        labels.insert(key.to_owned(), value.to_owned());
    }
    let policies = match &args.volume_policies {
        None => None,
        Some(path) => {
            let what = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| Failure::new(&what, e.to_string()))?;
            Some(ResourcePolicies::parse(&what, &text)?)
        }
    };
    let name = args.name.clone().unwrap_or_else(|| context.wall.now.strftime("manual-%Y%m%d%H%M%S").to_string());
    Ok(Request {
        name,
        scope: PointScope {
            namespaces: args.namespace.clone(),
            excluded_namespaces: args.exclude_namespace.clone(),
            selector: args.selector.clone().unwrap_or_default(),
        },
        volumes: match args.volumes {
            VolumesArg::Auto => Volumes::Auto,
            VolumesArg::None => Volumes::None,
            VolumesArg::Snapshot => Volumes::Snapshot,
            VolumesArg::Files => Volumes::Files,
        },
        moves: args.moves,
        ttl: args.ttl.map(|ttl| ttl.as_micros() as i64),
        labels,
        policies,
        ..Request::default()
    })
}

/// Says how far a point is.
fn tell(context: &Context<'_>, told: &Told) {
    let text = match told {
        Told::Planned { orders, left, hooks } => {
            format!("{orders} snapshots to take, {left} volumes left, {hooks} hooks")
        }
        Told::Hook(ran) => match &ran.failed {
            None => return,
            Some(why) => {
                let hook = &ran.hook;
                context.printer.warning(format!("hook in {}/{} failed: {why}", hook.namespace, hook.pod));
                return;
            }
        },
        Told::Frozen(revision) => format!("volumes are asked for, from revision {revision} on"),
        Told::Cut(done, of) if *of > 0 => format!("{done} of {of} snapshots have their moment"),
        Told::Ready(done, of) if *of > 0 => format!("{done} of {of} snapshots are ready"),
        Told::Copied(Copied { done, total, left }) => {
            let report = Report { done: *done, total: *total, left: *left, ..Report::default() };
            format!("files: {report}")
        }
        Told::Cut(..) | Told::Ready(..) => return,
    };
    context.printer.progress(&text);
}

async fn delete(context: &Context<'_>, names: &[String], yes: bool, plugins: &Plugins) -> Result<Exit> {
    let past = rollback::open(context).await?;
    let maker = points::maker(context, &past, plugins, Limits::default(), true).await?;
    let points = Points::new(past.journal.store());
    for name in names {
        // A point that cannot be read, or was never made, can be deleted all the same.
        if let Ok(Some(point)) = points.read(name).await {
            let snapshots = point.snapshots();
            context.printer.note(format!("{name}: {snapshots} snapshots, of {}", context.wall.show(point.time)));
        }
    }
    if !yes {
        if !context.printer.can_ask() {
            return Err(Failure::new("nothing was deleted", "there is no terminal to confirm on")
                .hint("--yes deletes without asking"));
        }
        let word = names.first().map_or("", String::as_str);
        let question = format!("this deletes {} recovery points for good; type `{word}` to go on: ", names.len());
        if context.printer.ask(&question).await.as_deref().unwrap_or_default().trim() != word {
            return Err(Failure::new("declined", "nothing was deleted"));
        }
    }
    let mut exit = Exit::Done;
    for name in names {
        match maker.delete(name, "by hand").await {
            Ok(()) => context.printer.note(format!("deleted {name}")),
            Err(error) => {
                context.printer.failure(&Failure::from(error));
                exit = if names.len() == 1 { Exit::Failed } else { Exit::Partly };
            }
        }
    }
    Ok(exit)
}

async fn gc(context: &Context<'_>, plan: bool, plugins: &Plugins) -> Result<Exit> {
    let past = rollback::open(context).await?;
    let maker: Maker = points::maker(context, &past, plugins, Limits::default(), true).await?;
    if plan {
        let left = maker.look_for_left().await?;
        for one in &left {
            context.printer.data(&format!("{}\n", say(one)));
        }
        if left.is_empty() {
            context.printer.note("nothing was left behind");
        }
        return Ok(if left.is_empty() { Exit::Done } else { Exit::Differences });
    }
    let mut exit = Exit::Done;
    let mended = maker.reconcile().await?;
    for one in &mended {
        match &one.failed {
            None => context.printer.note(format!("{}: done", say(&one.left))),
            Some(why) => {
                context.printer.warning(format!("{}: {why}", say(&one.left)));
                exit = Exit::Partly;
            }
        }
    }
    if mended.is_empty() {
        context.printer.note("nothing was left behind");
    }
    Ok(exit)
}

fn say(left: &Left) -> String {
    match left {
        Left::Unmade(name) => format!("point {name} was begun and not made"),
        Left::Undeleted(name) => format!("point {name} is to be deleted"),
        Left::Remains(name) => format!("point {name} was deleted, and has objects in the bucket"),
        Left::Leaked(taken) => {
            let place = taken.details.get("namespace").map_or("", String::as_str);
            format!("snapshot {} {place} is of no point", taken.tag)
        }
        Left::Helper(_, helper) => format!("{} filled a claim in a restore, and is not needed any more", helper.title),
        Left::Unasked(driver, why) => format!("driver {driver} could not be asked: {why}"),
    }
}
