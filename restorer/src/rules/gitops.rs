//! Who else declares an object: a program that will put its own version back after the restore.

use hindcast_journal::exact::Value;

use crate::kinds::secrets::mark;

/// The program that declares an object and what it will do, with the command that stops it; none if nobody does.
pub fn gitops(object: &Value) -> Option<String> {
    argo_cd(object).or_else(|| flux(object)).or_else(|| helm(object))
}

fn argo_cd(object: &Value) -> Option<String> {
    let tracked = mark(object, "argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let application = tracked.or_else(|| mark(object, "argocd.argoproj.io/instance"))?;
    // With applications in any namespace the id begins with the application's.
    let (namespace, name) = application.split_once('_').unwrap_or(("", application));
    let option = if namespace.is_empty() { String::new() } else { format!(" --app-namespace {namespace}") };
    Some(format!(
        "Argo CD application {name} declares it and sets it back at its next sync (within minutes if it heals itself); \
         to stop that: argocd app set {name}{option} --sync-policy none"
    ))
}

fn flux(object: &Value) -> Option<String> {
    let (sort, group) = [("kustomization", "kustomize"), ("helmrelease", "helm")]
        .into_iter()
        .find(|(_, group)| mark(object, &format!("{group}.toolkit.fluxcd.io/name")).is_some())?;
    let name = mark(object, &format!("{group}.toolkit.fluxcd.io/name"))?;
    let namespace = mark(object, &format!("{group}.toolkit.fluxcd.io/namespace")).unwrap_or("flux-system");
    let then = if sort == "kustomization" {
        "sets it back at its next reconciliation"
    } else {
        "sets it back at its next upgrade, or sooner if it corrects drift"
    };
    Some(format!(
        "Flux {sort} {namespace}/{name} declares it and {then}; to stop that: flux suspend {sort} {name} -n {namespace}"
    ))
}

fn helm(object: &Value) -> Option<String> {
    let release = mark(object, "meta.helm.sh/release-name")?;
    let namespace = mark(object, "meta.helm.sh/release-namespace").unwrap_or("default");
    Some(format!(
        "Helm release {namespace}/{release} declares it; the next helm upgrade sets it as the chart says, so roll the \
         release back too: helm rollback {release} -n {namespace}"
    ))
}
