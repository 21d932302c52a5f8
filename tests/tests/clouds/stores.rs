//! The stores that a journal may be in: the one suite over all of them, and in the files beside this one quirks, options and
//! credentials.

use std::{collections::BTreeMap, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    real::{Azurite, FakeGcs, Minio, process::Workdir},
    stores::{AzureFront, GcsFront, Identities, World, suite},
    until::ends,
};

mod credentials;
mod folder;
mod options;
mod quirks;

/// What a process may take.
const SOON: Duration = Duration::from_mins(1);

/// An answer of the binary.
struct Said {
    code: i32,
    text: String,
}

impl Said {
    /// The exit code, and phrases that it has.
    fn is(&self, code: i32, phrases: &[&str]) -> Result<()> {
        ensure!(self.code == code, "exit {}, not {code}:\n{}", self.code, self.text);
        for phrase in phrases {
            ensure!(self.text.contains(phrase), "no {phrase:?} in:\n{}", self.text);
        }
        Ok(())
    }
}

/// `hindcast status` of a world, by the binary, with nothing else in its environment.
async fn status(world: &World, home: &Workdir) -> Result<Said> {
    status_with(world, home, &[]).await
}

/// The same with variables that are no business of the store's.
async fn status_with(world: &World, home: &Workdir, more: &[(String, String)]) -> Result<Said> {
    let env: BTreeMap<_, _> = world.env.iter().chain(more).cloned().collect();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hindcast-under-test"));
    command.args(["status", "--journal", &world.url]).env_clear().envs(env);
    command.env("TZ", "UTC").env("HOME", home.path()).env("KUBECONFIG", home.path().join("none"));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = ends("hindcast status ends", SOON, output).await?.context("hindcast could not be started")?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(Said { code: output.status.code().unwrap_or(-1), text })
}

/// Phrases that a refusal has.
fn has(said: &str, phrases: &[&str]) -> Result<()> {
    for phrase in phrases {
        ensure!(said.contains(phrase), "no {phrase:?} in:\n{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_in_memory() -> Result<()> {
    suite::all(&World::new("memory://", Vec::<(String, String)>::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_in_a_folder() -> Result<()> {
    let dir = Workdir::new()?;
    suite::all(&World::new(format!("file://{}", dir.path().join("a folder").display()), Vec::<(String, String)>::new()))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_on_minio() -> Result<()> {
    let minio = Minio::start().await?;
    // Its prefix has a space in it, and a sign that some signatures escape twice.
    suite::all(&World::new(minio.url("team%20a/of=us"), minio.env())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_on_azurite() -> Result<()> {
    let azurite = Arc::new(Azurite::start().await?);
    let front = AzureFront::start(azurite.clone(), Arc::new(Identities::start().await?)).await?;
    let world = World::new(azurite.url("team%20a/of=us"), azurite.place(front.port()));
    suite::all(&world.with("AZURE_STORAGE_ACCOUNT_KEY", &azurite.key())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_on_fake_gcs_server() -> Result<()> {
    let gcs = FakeGcs::start().await?;
    let identities = Arc::new(Identities::start().await?);
    let front = GcsFront::start(&gcs, identities.clone()).await?;
    let env = [("GOOGLE_BASE_URL", front.url()), ("GOOGLE_ALLOW_HTTP", "true".to_owned())];
    let world = World::new(gcs.url("team%20a/of=us"), env);
    suite::all(&world.with("GOOGLE_BEARER_TOKEN", &identities.token())).await
}
