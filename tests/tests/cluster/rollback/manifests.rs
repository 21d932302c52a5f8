//! After a rollback the original manager's next apply works as if nothing had happened.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{APPLY, send_as},
    manifests::{self, config_map, service},
    real::{Program, process::Workdir},
    until::{SOON, ends, until},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::Stage;

async fn apply(stage: &Stage, path: &str, manager: &str, force: bool, manifest: &Value) -> Result<Value> {
    let path = format!("{path}?fieldManager={manager}&force={force}");
    let applied = send_as(&stage.client, "PATCH", &path, APPLY, Some(manifest)).await;
    applied.with_context(|| format!("apply by {manager}"))
}

fn deployment(image: &str, release: &str) -> Value {
    let mut deployment = manifests::deployment("web", image);
    deployment["metadata"]["labels"] = json!({ "release": release });
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{ "name": "RELEASE", "value": release }]);
    deployment
}

fn app(data: Value) -> Value {
    config_map("app", data)
}

fn web(port: u64) -> Value {
    service("web", port)
}

pub(super) async fn server_side(stage: &Stage) -> Result<()> {
    let ns = "server-side";
    stage.namespace(ns).await?;
    let deployed = format!("/apis/apps/v1/namespaces/{ns}/deployments/web");
    let (settings, svc) =
        (format!("/api/v1/namespaces/{ns}/configmaps/app"), format!("/api/v1/namespaces/{ns}/services/web"));
    let good = [
        (&deployed, deployment("registry.local/good:1", "one")),
        (&settings, app(json!({ "mode": "good", "shared": "x" }))),
        (&svc, web(80)),
    ];
    for (path, manifest) in &good {
        apply(stage, path, "ci", false, manifest).await?;
    }
    // A second manager owns another field.
    apply(stage, &settings, "tuner", false, &app(json!({ "tuned": "1" }))).await?;
    let at = stage.moment(ns).await?;

    // One is edited by hand, one applied anew, one taken over by force, one deleted.
    apply(stage, &deployed, "ci", false, &deployment("registry.local/bad:2", "two")).await?;
    let mut by_hand = manifests::image("registry.local/hand:3");
    by_hand["spec"]["minReadySeconds"] = json!(7);
    stage.patch(&format!("{deployed}?fieldManager=kubectl-edit"), by_hand).await?;
    apply(stage, &settings, "thief", true, &app(json!({ "mode": "stolen", "tuned": "9" }))).await?;
    stage.delete(&svc).await?;
    stage.restore(&["-n", ns, "--at", &at]).await?;

    // The next deploy, without force; and again what is there, which must change nothing.
    for (path, manifest) in &good {
        let before = stage.get(path).await?;
        let after = apply(stage, path, "ci", false, manifest).await?;
        ensure!(applied(&before) == applied(&after), "an apply of what is there changed something: {before}\n{after}");
    }
    let next = apply(stage, &deployed, "ci", false, &deployment("registry.local/good:4", "four")).await?;
    let container = &next["spec"]["template"]["spec"]["containers"][0];
    ensure!(
        container["image"] == "registry.local/good:4"
            && container["env"] == json!([{ "name": "RELEASE", "value": "four" }]),
        "{next}"
    );
    // What `ci` no longer names goes, which shows that it is `ci`'s alone.
    let next = apply(stage, &settings, "ci", false, &app(json!({ "mode": "better" }))).await?;
    ensure!(next["data"] == json!({ "mode": "better", "tuned": "1" }), "{next}");
    let next = apply(stage, &settings, "tuner", false, &app(json!({ "tuned": "2" }))).await?;
    ensure!(next["data"] == json!({ "mode": "better", "tuned": "2" }), "{next}");
    apply(stage, &svc, "ci", false, &web(81)).await?;
    Ok(())
}

/// What an object has of `ci`, with the moment it wrote it; controllers may write beside.
fn applied(object: &Value) -> [Value; 5] {
    let managed = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let own = managed.filter(|m| m["manager"] == "ci").cloned().collect();
    let of = |part: &str| object[part].clone();
    [own, object["metadata"]["labels"].clone(), of("spec"), of("data"), of("binaryData")]
}

/// The real `kubectl apply`, on the client's side or on the server's: what it applied before the moment it finds as it
/// left it, and its next deploy goes through without force.
pub(super) async fn kubectl(stage: &Stage, ns: &str, flags: &[&str]) -> Result<()> {
    stage.namespace(ns).await?;
    let kubectl = Kubectl::new(stage, ns)?;
    let good =
        list(&[deployment("registry.local/good:1", "one"), app(json!({ "kept": "1", "dropped-later": "1" })), web(80)]);
    let bad = list(&[deployment("registry.local/bad:2", "two"), app(json!({ "kept": "2", "bad": "1" }))]);
    let apply = [&["apply", "-f", "-"], flags].concat();
    let diff = [&["diff", "-f", "-"], flags].concat();
    kubectl.call(&apply, &good).await?;
    let at = stage.moment(ns).await?;
    kubectl.call(&apply, &bad).await?;
    // By hand, after the deploy; a second writer of what the first one applied.
    kubectl.call(&["set", "image", "deployment/web", "c=registry.local/hand:3"], "").await?;
    kubectl.call(&["label", "configmap/app", "touched=by-hand"], "").await?;
    kubectl.call(&["delete", "service", "web"], "").await?;
    let (code, differs) = kubectl.ask(&diff, &good).await?;
    // 1 is a difference; on the server's side it is a conflict with the hand.
    ensure!(code != 0, "the bad deploy is no difference: {differs}");

    stage.restore(&["-n", ns, "--at", &at]).await?;
    // What a controller writes between its two looks is a difference, too, and passes.
    let mut differs = String::new();
    let same = until("kubectl sees no difference to what it applied", SOON, async || {
        let (code, said) = kubectl.ask(&diff, &good).await?;
        differs = format!("{code} {said}");
        Ok(code == 0)
    });
    same.await.with_context(|| differs)?;
    let said = kubectl.call(&apply, &good).await?;
    let changes = said.lines().find(|line| line.ends_with("configured") || line.ends_with("created"));
    ensure!(changes.is_none(), "an apply of what is there changed something: {said}");
    // The next deploy drops a key and an annotation of the template, which works only if what was applied last, and by
    // whom, is remembered as it was then.
    let next = list(&[deployment("registry.local/good:4", "four"), app(json!({ "kept": "3" })), web(81)]);
    kubectl.call(&apply, &next).await?;
    let app = stage.get(&format!("/api/v1/namespaces/{ns}/configmaps/app")).await?;
    ensure!(app["data"] == json!({ "kept": "3" }) && app["metadata"]["labels"].is_null(), "{app}");
    let web = stage.get(&format!("/apis/apps/v1/namespaces/{ns}/deployments/web")).await?;
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    ensure!(container["image"] == "registry.local/good:4", "{web}");
    let svc = stage.get(&format!("/api/v1/namespaces/{ns}/services/web")).await?;
    ensure!(svc["spec"]["ports"].as_array().is_some_and(|ports| ports.len() == 1 && ports[0]["port"] == 81), "{svc}");
    Ok(())
}

fn list(items: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// The real one, in a namespace.
struct Kubectl<'a> {
    stage: &'a Stage,
    ns: &'a str,
    program: PathBuf,
    home: Workdir,
}

impl<'a> Kubectl<'a> {
    fn new(stage: &'a Stage, ns: &'a str) -> Result<Self> {
        Ok(Self { stage, ns, program: Program::Kubectl.ensure()?, home: Workdir::new()? })
    }

    /// Exit code, and both streams.
    async fn ask(&self, args: &[&str], stdin: &str) -> Result<(i32, String)> {
        let mut command = Command::new(&self.program);
        command.args(args).args(["-n", self.ns, "--kubeconfig"]).arg(&self.stage.hindcast.kubeconfig);
        command.env("HOME", self.home.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let mut input = child.stdin.take().context("kubectl has an input")?;
        input.write_all(stdin.as_bytes()).await?;
        drop(input);
        let output = ends(format!("kubectl {} ends", args.join(" ")), SOON * 2, child.wait_with_output()).await??;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned()))
    }

    /// A call that has to succeed; what it said.
    async fn call(&self, args: &[&str], stdin: &str) -> Result<String> {
        let (code, said) = self.ask(args, stdin).await?;
        ensure!(code == 0, "kubectl {}: {code} {said}", args.join(" "));
        Ok(said)
    }
}
