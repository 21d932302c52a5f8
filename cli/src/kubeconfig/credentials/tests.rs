use std::{
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicU64, Ordering},
};

use hindcast_journal::parts::Clock;

use super::*;

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl Still {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Micros {
        // 2026-11-01T00:00:00Z at its start.
        1_793_491_200_000_000 + self.0.load(Ordering::Relaxed) as Micros
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn credentials(source: Source) -> (Arc<Still>, Arc<Credentials>) {
    let clock = Arc::new(Still::default());
    let parts = Parts { clock: clock.clone(), ..Parts::system() };
    (clock, Arc::new(Credentials::new(source, parts)))
}

fn token(issued: &Issued) -> &str {
    issued.header.as_ref().unwrap().to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

#[tokio::test]
async fn a_token_file_wins_over_a_token_and_follows_its_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let (clock, credentials) = credentials(Source::TokenFile(file.clone(), bearer("inline")));
    let inline = credentials.current().await.unwrap();
    assert_eq!(token(&inline), "inline", "while the file is not there");
    std::fs::write(&file, "first\n").unwrap();
    clock.pass(31);
    let first = credentials.current().await.unwrap();
    assert_eq!(token(&first), "first");

    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(token(&credentials.current().await.unwrap()), "first", "not read for each request");
    let second = credentials.renew(&first).await.unwrap().expect("the one before is refused");
    assert_eq!(token(&second), "second");
    assert_eq!(token(&credentials.current().await.unwrap()), "second");
    assert!(credentials.renew(&second).await.unwrap().is_none(), "there is nothing newer");
    let late = credentials.renew(&first).await.unwrap().unwrap();
    assert_eq!(late.number, second.number, "who was refused late gets what is there");

    std::fs::write(&file, "").unwrap();
    clock.pass(31);
    assert_eq!(token(&credentials.current().await.unwrap()), "second", "an empty file is one being written");
}

#[tokio::test]
async fn a_token_file_that_cannot_be_read_is_named() {
    let (_, credentials) = credentials(Source::TokenFile("/nowhere/token".into(), None));
    let failure = credentials.current().await.unwrap_err();
    assert!(failure.what.contains("/nowhere/token"), "{failure}");
}

/// A plugin that counts its runs, and fails while there is a file `broken`.
fn counting(dir: &Path, expires: &str) -> Source {
    let path = dir.join("plugin");
    let script = format!(
        r#"#!/bin/sh
cd "${{0%/*}}"; echo run >> runs
test -e broken && exit 1
printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"t%s"{expires}}}}}' "$(cat session)""#
    );
    std::fs::write(dir.join("session"), "1").unwrap();
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let exec = ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".to_owned()),
        command: Some(path.display().to_string()),
        ..ExecConfig::default()
    };
    Source::Plugin(Box::new(exec), Interaction::None)
}

fn runs(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("runs")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_plugin_is_run_once_for_all_and_not_in_a_storm_when_it_fails_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (clock, credentials) = credentials(counting(dir, ""));
    let all = futures::future::join_all((0..20).map(|_| credentials.current())).await;
    let first = all.into_iter().next().unwrap().unwrap();
    assert_eq!((token(&first), runs(dir)), ("t1", 1));

    // Revoked on the server, and the plugin still gives the same.
    clock.pass(10);
    for _ in 0..20 {
        assert!(credentials.renew(&first).await.unwrap().is_none());
    }
    assert_eq!(runs(dir), 2);
    std::fs::write(dir.join("session"), "2").unwrap();
    clock.pass(6);
    let second = credentials.renew(&first).await.unwrap().unwrap();
    assert_eq!((token(&second), runs(dir)), ("t2", 3));

    std::fs::write(dir.join("broken"), "").unwrap();
    clock.pass(6);
    for _ in 0..20 {
        assert!(credentials.renew(&second).await.is_err());
    }
    assert_eq!(runs(dir), 4);
    std::fs::remove_file(dir.join("broken")).unwrap();
    std::fs::write(dir.join("session"), "3").unwrap();
    clock.pass(6);
    assert_eq!(token(&credentials.renew(&second).await.unwrap().unwrap()), "t3");
}

#[tokio::test]
async fn what_is_about_to_expire_is_replaced_and_serves_on_while_the_plugin_fails() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (clock, credentials) = credentials(counting(dir, r#","expirationTimestamp":"2026-11-01T00:02:00Z""#));
    assert_eq!(token(&credentials.current().await.unwrap()), "t1");
    clock.pass(80);
    credentials.current().await.unwrap();
    assert_eq!(runs(dir), 1, "it is good for longer than that");
    std::fs::write(dir.join("broken"), "").unwrap();
    clock.pass(20);
    assert_eq!(token(&credentials.current().await.unwrap()), "t1");
    clock.pass(30);
    assert!(credentials.current().await.is_err(), "what has expired is not used");
}

#[tokio::test]
async fn a_plugin_that_takes_longer_than_who_asked_has_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let source = counting(dir, "");
    let script = std::fs::read_to_string(dir.join("plugin")).unwrap();
    // It waits for somebody to open the other end.
    let fifo = dir.join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::write(dir.join("plugin"), script.replace("echo run", "cat gate; echo run")).unwrap();
    let (_, credentials) = credentials(source);
    {
        let mut asking = Box::pin(credentials.current());
        assert!(futures::poll!(&mut asking).is_pending());
    }
    tokio::task::spawn_blocking(move || std::fs::write(&fifo, "")).await.unwrap().unwrap();
    assert_eq!(token(&credentials.current().await.unwrap()), "t1");
    assert_eq!(runs(dir), 1);
}

#[tokio::test]
async fn a_certificate_whose_files_changed_is_newer() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["crt", "key"].map(|name| dir.path().join(name));
    std::fs::write(&files[0], "old").unwrap();
    std::fs::write(&files[1], "old").unwrap();
    let (_, credentials) = credentials(Source::CertificateFiles(files.to_vec()));
    let old = credentials.current().await.unwrap();
    assert!(old.has_certificate());
    assert!(credentials.renew(&old).await.unwrap().is_none());
    std::fs::write(&files[0], "new").unwrap();
    let new = credentials.renew(&old).await.unwrap().unwrap();
    assert!(new.number > old.number);
}
