//! Putting it back, through the binary and against a real API server.
//!
//! The words and the library are those of [`hindcast_tests::rollback`]; here are the forms that run in CI.

mod adoption;
mod authors;
mod bad_input;
mod evidence;
mod holders;
mod manifests;
mod owners;
mod refusals;
mod rights;
mod shop;
mod stateful;
mod terminal;
mod told;
mod writers;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http,
    manifests::{NAMESPACES, namespace},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
    rollback::{
        answer::{Action, Left, Plan, Restore},
        killed::{Killed, killed},
        moved::moved,
        trial::{Size, property},
    },
};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    oracle::BINARY,
    scene::{Said, ask_with_cluster, create, on_folder, rv, send},
};

/// The longest test of all: tests start in the order of their names, and this one should not be the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_history_is_rolled_back_as_predicted() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let size = Size { first: 1000, histories: 50, at_once: 32, per_cluster: 50 };
    let tally = property(BINARY, size).await?;
    println!("rollback: {tally}");
    Ok(())
}

/// What was recorded in a version of a definition that moved on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_in_another_version_is_put_back() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    println!("moved: {} actions", moved(BINARY, 15).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_is_resumed_or_taken_back() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let size = Killed { objects: 200, kills: 5, apiserver_kills: 1, seed: 6 };
    println!("killed: {}", killed(BINARY, size).await?);
    Ok(())
}

/// Realistic applications, each in a namespace of its own, with the real controllers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_are_rolled_back_under_their_controllers() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let stage = Stage { client: cluster.client(), hindcast };
    let done = tokio::join!(
        shop::a_web_shop(&stage),
        shop::jobs(&stage),
        stateful::claims_and_pods_stay(&stage),
        owners::children_stay_with_their_owner(&stage),
        owners::data_is_not_collected(&stage),
        owners::children_follow_an_owner_that_is_made_again(&stage),
        adoption::a_child_born_since_the_plan_keeps_its_owner(&stage, &dir),
        adoption::what_was_taken_over_is_let_go_by_an_undo(&stage),
        adoption::an_undo_goes_around_a_label(&stage),
        told::what_is_equal(&stage),
        manifests::server_side(&stage),
        manifests::kubectl(&stage, "kubectl-client", &[]),
        manifests::kubectl(&stage, "kubectl-server", &["--server-side"]),
        authors::who_did_what(&stage),
    );
    // By itself: while a kind comes or goes, everybody's moments have a reservation.
    let operator = owners::an_operator(&stage, &cluster).await;
    let added = holders::an_added_namespace(&stage).await;
    let made = holders::a_namespace_that_a_restore_made(&stage).await;
    let defined = holders::an_added_definition(&stage).await;
    let custom = told::custom_objects(&stage).await;
    let system = told::of_the_system(&stage).await;
    let results = [
        ("web shop", done.0),
        ("jobs", done.1),
        ("stateful set", done.2),
        ("owners", done.3),
        ("owned data", done.4),
        ("owners made again", done.5),
        ("child born since the plan", done.6),
        ("what was taken over", done.7),
        ("a label since", done.8),
        ("what is equal", done.9),
        ("server-side", done.10),
        ("kubectl apply", done.11),
        ("kubectl apply --server-side", done.12),
        ("authors", done.13),
        ("operator", operator),
        ("added namespace", added),
        ("namespace made by a restore", made),
        ("added definition", defined),
        ("custom objects", custom),
        ("of the system", system),
    ];
    let failed: Vec<String> =
        results.into_iter().filter_map(|(name, result)| Some(format!("{name}: {:#}", result.err()?))).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    running.stop().await
}

/// What every scene here needs.
struct Stage {
    client: Client,
    hindcast: Hindcast,
}

impl Stage {
    /// A cluster under protection, with a journal in a folder of `dir`.
    async fn open(cluster: &Cluster, dir: &Workdir) -> Result<(Self, Running)> {
        let hindcast = on_folder(dir, "main", cluster.kubeconfig())?;
        let running = hindcast.run(&[]).await?;
        running.close().await?;
        Ok((Self { client: cluster.client(), hindcast }, running))
    }

    async fn namespace(&self, name: &str) -> Result<()> {
        create(&self.client, NAMESPACES, namespace(name)).await?;
        Ok(())
    }

    async fn post(&self, path: &str, object: Value) -> Result<Value> {
        create(&self.client, path, object).await
    }

    async fn patch(&self, path: &str, patch: Value) -> Result<Value> {
        send(&self.client, "PATCH", path, Some(patch)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        send(&self.client, "DELETE", &format!("{path}?propagationPolicy=Background"), None).await?;
        Ok(())
    }

    /// An object, if it is there.
    async fn find(&self, path: &str) -> Result<Option<Value>> {
        http::find(&self.client, path).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.find(path).await?.with_context(|| format!("{path} is not there"))
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>> {
        Ok(self.get(path).await?["items"].as_array().cloned().unwrap_or_default())
    }

    /// A moment of now, as `rev:N`: a write that nobody minds.
    async fn moment(&self, namespace: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let made = self.post(&path, json!({ "metadata": { "generateName": "moment-" } })).await?;
        Ok(format!("rev:{}", rv(&made)))
    }

    async fn plan(&self, args: &[&str]) -> Result<(Said, Plan)> {
        let said = ask_with_cluster(&self.hindcast, &[&["plan", "-o", "json"], args].concat()).await?;
        let plan = serde_json::from_str(&said.out).with_context(|| format!("no plan: {said}"))?;
        Ok((said, plan))
    }

    /// A restore that must do all that it planned: it ends with 0, or with 1 where it left something alone that it could do.
    async fn restore(&self, args: &[&str]) -> Result<Restore> {
        let (said, restore) = self.try_restore(args).await?;
        said.is(i32::from(restore.is_open()), &[])?;
        for action in &restore.actions {
            ensure!(action.result.as_deref() == Some("done"), "{}: {action:?}\n{said}", action.id());
        }
        Ok(restore)
    }

    async fn try_restore(&self, args: &[&str]) -> Result<(Said, Restore)> {
        let said = ask_with_cluster(&self.hindcast, &[&["restore", "--yes", "-o", "json"], args].concat()).await?;
        let restore = serde_json::from_str(&said.out).with_context(|| format!("no restore: {said}"))?;
        Ok((said, restore))
    }

    async fn undo(&self, restore: &Restore) -> Result<Restore> {
        let id = restore.id.as_deref().context("a restore has an id")?;
        let said = ask_with_cluster(&self.hindcast, &["undo", id, "--yes", "-o", "json"]).await?;
        let undone: Restore = serde_json::from_str(&said.out).with_context(|| format!("no restore: {said}"))?;
        said.is(i32::from(undone.is_open()), &[])?;
        Ok(undone)
    }
}

/// What is planned, as `verb Kind/name`, sorted; moments left out.
fn verbs(actions: &[Action]) -> Vec<String> {
    let mut verbs: Vec<String> =
        actions.iter().filter(|a| !a.name.starts_with("moment-")).map(|a| format!("{} {}", a.verb, a.id())).collect();
    verbs.sort();
    verbs
}

/// What is left alone, as `Kind/name code`, sorted.
fn codes(left: &[Left]) -> Vec<String> {
    let mut codes: Vec<String> = left.iter().map(|l| format!("{} {}", l.id(), l.code)).collect();
    codes.sort();
    codes
}
