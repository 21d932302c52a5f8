//! Bad input, each with its message (the thing, the reason, the remedy) and exit code; odd but legal input, exactly.
//!
//! One cluster serves all steps.

mod damage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, DEFINITIONS, config_map, custom, definition, empty_config_map, secret},
    oracle::subject::{Hindcast, Place},
    real::{
        Cluster, Fault, HttpProxy, Minio,
        process::{Port, Workdir},
    },
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{
    BINARY, SOON, Said, ask, ask_with_cluster, create, create_when_served, exact, on_folder, run_to_its_end, rv, send,
    until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_with_its_reason_and_remedy() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    for group in ["a.example.com", "b.example.com"] {
        create(&client, DEFINITIONS, definition(group, "gizmos", "Gizmo")).await?;
    }
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let mut versions = big_objects(&client).await?;
    versions.extend(odd_objects(&client).await?);
    let secret = create(&client, "/api/v1/namespaces/default/secrets", secret("s", json!({"k": "v"}))).await?;
    let at = format!("rev:{}", rv(&secret));
    running.close().await?;

    every_version_is_exact(&hindcast, &versions).await?;
    nothing_odd_reaches_the_terminal(&hindcast, &at).await?;
    kinds_and_names(&hindcast, &at).await?;
    times(&hindcast).await?;
    keys(&hindcast, &dir, &at).await?;
    running.stop().await?;
    kubeconfigs(&cluster, &hindcast, &at).await?;
    damage::damages(&dir, &hindcast, &at).await?;
    damage::journals_of_others(&dir, &hindcast).await?;
    stores(&cluster, &dir).await
}

/// The same with something else.
fn with(hindcast: &Hindcast, change: impl FnOnce(&mut Hindcast)) -> Hindcast {
    let mut other = hindcast.clone();
    change(&mut other);
    other
}

/// Standard error without what varies: the cluster's uid.
fn normal(hindcast: &Hindcast, said: &Said) -> Result<String> {
    Ok(said.err.replace(&uid(hindcast)?, "<uid>"))
}

fn root(hindcast: &Hindcast) -> PathBuf {
    PathBuf::from(hindcast.place.url.trim_start_matches("file://"))
}

/// The only folder in a journal's folder.
fn uid(hindcast: &Hindcast) -> Result<String> {
    let entry = fs::read_dir(root(hindcast))?.next().context("a cluster")??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

type Version = (String, Value);

/// A `ConfigMap` and a custom resource of about 1.5 MiB of JSON, each with a second version.
async fn big_objects(client: &Client) -> Result<Vec<Version>> {
    let text = "\"x".repeat(510_000);
    let map = create(client, DEFAULT_CONFIG_MAPS, config_map("big", json!({"blob": text}))).await?;
    let path = "/apis/a.example.com/v1/namespaces/default/gizmos";
    let blob = json!({"blob": "0123456789".repeat(155_000)});
    let gizmo = custom("a.example.com/v1", "Gizmo", "big", blob);
    let gizmo = create_when_served(client, path, &gizmo).await?;
    for object in [&map, &gizmo] {
        ensure!(object.to_string().len() > 1_500_000, "{} bytes", object.to_string().len());
    }
    let label = Some(json!({"metadata": {"labels": {"round": "two"}}}));
    let map2 = send(client, "PATCH", "/api/v1/namespaces/default/configmaps/big", label.clone()).await?;
    let gizmo2 = send(client, "PATCH", &format!("{path}/big"), label).await?;
    let (maps, gizmos) = ("cm/big".to_owned(), "gizmos.a.example.com/big".to_owned());
    Ok(vec![(maps.clone(), map), (gizmos.clone(), gizmo), (maps, map2), (gizmos, gizmo2)])
}

/// Every control code, direction marks, and text that looks like JSON, YAML, escapes or a placeholder.
fn odd_text() -> String {
    let controls: String = (0..=0x9f_u8).filter(|c| *c < 0x20 || *c >= 0x7f).map(char::from).collect();
    format!(
        "{controls}\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{2028}\u{feff}\u{1f980}\u{10ffff} \"quoted\" \\u001b ---\n- {{a: 'b'}}\r\n# <redacted 5 bytes hmac:00000000>"
    )
}

/// Names with what is legal in them: a cluster role may have all but `/` and `%`.
async fn odd_objects(client: &Client) -> Result<Vec<Version>> {
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let odd = "odd:\u{1b}[31mred\u{1b}[0m \"q\" 'q' \\ \u{202e}ünï\u{1f980}\r\n~!@#$^&*()=+[]{};,<>?|`";
    let role = json!({"metadata": {"name": odd, "annotations": {"note": odd_text()}}, "rules": []});
    let role = create(client, roles, role).await?;
    let name = format!("0.{}-9.z", "a-1".repeat(80));
    let key = format!("{}.example.com/A_b-c.{}", "x".repeat(50), "9".repeat(50));
    let map = json!({
        "metadata": {"name": name, "annotations": {key: odd_text(), "empty": ""}, "labels": {"A_b.c-9": "Z_y.x-0", "none": ""}},
        "data": {"-._A9": odd_text(), ".data": "", "yes": "no", "1e3": "0x10"},
        "binaryData": {"all": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gf4D/"},
    });
    let map = create(client, DEFAULT_CONFIG_MAPS, map).await?;
    Ok(vec![(format!("clusterrole/{odd}"), role), (format!("cm/{name}"), map)])
}

async fn every_version_is_exact(hindcast: &Hindcast, versions: &[Version]) -> Result<()> {
    for (name, object) in versions {
        let at = format!("rev:{}", rv(object));
        let said = ask(hindcast, &["show", name, "-n", "default", "--at", &at, "-o", "json"]).await?;
        ensure!(said.is(0, &[])?.json()? == exact(object.clone()), "{name} at {at} is not what was answered");
    }
    Ok(())
}

/// No answer in any form has a character that a terminal would act on.
async fn nothing_odd_reaches_the_terminal(hindcast: &Hindcast, at: &str) -> Result<()> {
    let mut shown = String::new();
    for args in [
        &["get", "clusterroles,cm", "-A", "--at", at][..],
        &["get", "clusterroles,cm", "-A", "--at", at, "-o", "wide"],
        &["get", "clusterroles,cm", "-A", "--at", at, "-o", "name"],
        &["get", "clusterroles,cm", "-A", "--at", at, "-o", "yaml"],
        &["get", "clusterroles,cm", "-A", "--at", at, "-o", "json"],
        &["log", "clusterroles,cm", "-A", "--all"],
        &["log", "clusterroles,cm", "-A", "--all", "-o", "json"],
        &["journal", "cat", "1-100000"],
        &["status"],
    ] {
        let said = ask(hindcast, args).await?;
        ensure!(said.code == 0, "{said}");
        let bad = said.out.chars().chain(said.err.chars()).find(|c| is_terminal_code(*c));
        ensure!(bad.is_none(), "{args:?} prints {bad:?}");
        shown.push_str(&said.out);
    }
    ensure!(shown.contains("odd:\\u001b[31mred"), "the odd name is shown, escaped");
    // What was asked is repeated in an error, as odd as it was.
    let said = ask(hindcast, &["show", "cm/\u{1b}[31mred\u{202e}", "-n", "default", "--at", at]).await?;
    said.is(2, &["error: configmaps \"\\u001b[31mred\\u202e\": was not there in namespace default at "])?;
    ensure!(!said.err.chars().any(is_terminal_code), "{said}");
    Ok(())
}

fn is_terminal_code(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

async fn kinds_and_names(hindcast: &Hindcast, at: &str) -> Result<()> {
    let get = async |args: &[&str]| ask(hindcast, &[&["get"], args, &["-n", "default", "--at", at]].concat()).await;
    get(&["deploymnts"]).await?.is(
        2,
        &["error: kind `deploymnts`: not known to the journal at that moment\nhint: did you mean deployments.apps?\n"],
    )?;
    get(&["zzzzzzzzzz"])
        .await?
        .is(2, &["error: kind `zzzzzzzzzz`: not known", "hint: hindcast status -o json lists every kind"])?;
    get(&["deployments.batch"])
        .await?
        .is(2, &["error: kind `deployments.batch`: not known", "hint: there is deployments.apps"])?;
    get(&["gizmos"]).await?.is(
        2,
        &[
            "error: kind `gizmos`: ambiguous: gizmos.a.example.com, gizmos.b.example.com\n",
            "hint: write one of them in full, such as gizmos.a.example.com\n",
        ],
    )?;
    get(&["gizmos.a.example.com"]).await?.is(0, &["big"])?;
    get(&["all"]).await?.is(2, &["error: KIND `all`: not a kind", "hint: name the kinds"])?;
    get(&["cm/a/b"]).await?.is(2, &["error: `cm/a/b`: not KIND/NAME", "hint: "])?;
    get(&["cm,secrets", "name"]).await?.is(2, &["a name needs a single kind"])?;
    get(&["cm", "none"]).await?.is(
        2,
        &[
            "error: configmaps \"none\": was not there in namespace default at ",
            "hint: hindcast log configmaps/none -n default shows when it was",
        ],
    )?;
    ask(hindcast, &["show", "cm/big", "-A"])
        .await?
        .is(2, &["error: cm/big -A: an object is of one namespace", "hint: give the namespace with -n"])?;
    ask(hindcast, &["get", "cm", "-l", "a=(", "-A"]).await?.is(2, &["error: ", "hint: "])?;
    ask(hindcast, &["journal", "cat", "nonsense"])
        .await?
        .is(2, &["error: `nonsense`: not a file with rows, a position or a range of positions", "hint: "])?;
    ask(hindcast, &["status", "--cluster", "nonsense"])
        .await?
        .is(2, &["has no cluster `nonsense`", "hint: choose with --cluster: "])?;
    Ok(())
}

async fn times(hindcast: &Hindcast) -> Result<()> {
    let at = async |args: &[&str]| {
        ask(hindcast, &[&["get", "cm", "-n", "default", "--wait", "100ms", "--at"], args].concat()).await
    };
    let forms = "hint: T is 14:01, 14:01:30.250, \"yesterday 22:00\", \"2026-11-01 14:01\", 2026-11-01T14:01:00Z, 5m, \
                 \"2h30m ago\", now, rev:N[@I], pos:N, point:NAME, or before:T\n";
    for (text, reason) in [
        ("nonsense", "not a time"),
        ("25:00", "not a time"),
        ("2026-02-30", "no such day in the calendar"),
        ("2026-02-28T24:01", "the clock time is HH:MM, HH:MM:SS or HH:MM:SS.fff, up to 23:59:59"),
        ("yesterday", "`yesterday` needs a clock time, as in \"yesterday 22:00\""),
        ("rev:-1", "a revision is a whole number"),
        ("pos:99999999999999999999", "a position is too large a number"),
        ("before:", "behind `before:` stands one of the other forms"),
    ] {
        let said = at(&[text]).await?;
        said.is(2, &[])?;
        ensure!(said.err == format!("error: time `{text}`: {reason}\n{forms}"), "{said}");
    }
    let hole = at(&["2026-03-29T02:30", "--tz", "Europe/Berlin"]).await?;
    ensure!(
        hole.code == 2
            && hole.err
                == "error: time 2026-03-29 02:30:00: does not happen in Europe/Berlin, where the clocks go forward over it\n\
        hint: write 2026-03-29T01:30:00+01:00 (before the change) or 2026-03-29T03:30:00+02:00 (after it)\n",
        "{hole}"
    );
    let fold = at(&["2026-10-25 02:30", "--tz", "Europe/Berlin"]).await?;
    ensure!(
        fold.code == 2
            && fold.err
                == "error: time 2026-10-25 02:30:00: happens twice in Europe/Berlin, where the clocks go back\n\
        hint: write 2026-10-25T02:30:00+02:00 (the first) or 2026-10-25T02:30:00+01:00 (the second)\n",
        "{fold}"
    );
    at(&["now", "--tz", "Mars/Olympus"])
        .await?
        .is(2, &["error: time zone Mars/Olympus: not a zone this machine knows", "hint: --tz or HINDCAST_TZ"])?;

    at(&["2020-01-01"])
        .await?
        .is(2, &["error: 2020-01-01 00:00:00.000+00:00: is before the journal begins\nhint: it begins at 20"])?;
    at(&["2099-01-01"]).await?.is(
        2,
        &[
            "error: 2099-01-01 00:00:00.000+00:00: is later than the journal knows: it is closed up to 20",
            "hint: --allow-stale",
        ],
    )?;
    at(&["2099-01-01", "--allow-stale"])
        .await?
        .is(3, &["big", "(stale)", "warning: the journal is closed only up to 20"])?;
    at(&["rev:99999999"]).await?.is(2, &["error: rev:99999999: is later than the journal knows", "hint: "])?;
    at(&["rev:1"]).await?.is(2, &["not protected at", "not yet at that moment"])?;
    at(&["pos:99999999"]).await?.is(2, &["error: position 99999999: is not in the journal; its last is "])?;
    Ok(())
}

fn write_key_file(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?)
}

async fn keys(hindcast: &Hindcast, dir: &Workdir, at: &str) -> Result<()> {
    let show = ["show", "secret/s", "-n", "default", "--at", at, "--show-secrets"];
    ask(hindcast, &show).await?.is(0, &["k: dg=="])?;
    let by = |key_file: PathBuf| with(hindcast, |other| other.key_file = key_file);
    let with = async |key_file: PathBuf| ask(&by(key_file), &show).await;
    let good = fs::read_to_string(&hindcast.key_file)?;

    with(PathBuf::new()).await?.is(2, &["error: the values of /secrets/default/s: are sealed, and there is no key\nhint: give the key file that `run` used"])?;
    with("/nowhere/key".into())
        .await?
        .is(2, &["error: key file /nowhere/key: there is no such file\nhint: make one with `hindcast key init"])?;
    let path = dir.path().join("open.key");
    write_key_file(&path, &good, 0o644)?;
    with(path.clone()).await?.is(2, &["open.key: everybody may read it (mode 0644)\nhint: chmod 600 "])?;
    let path = dir.path().join("broken.key");
    write_key_file(&path, &good[..good.len() / 2], 0o600)?;
    with(path).await?.is(2, &["broken.key: is not a key file (line ", "hint: make one with `hindcast key init"])?;
    let other: Value = serde_json::from_str(&good)?;
    let other = other.to_string().replace("\"name\":\"test\"", "\"name\":\"other\"");
    let path = dir.path().join("other.key");
    write_key_file(&path, &other, 0o600)?;
    with(path.clone()).await?.is(
        2,
        &[
            "is checked with key \"test-",
            "which the key file does not hold\nhint: give the key file that `run` uses now",
        ],
    )?;
    // Without asking for values, no key is needed, and any will do.
    ask(&by(path), &show[..show.len() - 1]).await?.is(0, &["<redacted 1 bytes"])?;
    Ok(())
}

async fn kubeconfigs(cluster: &Cluster, hindcast: &Hindcast, at: &str) -> Result<()> {
    let by = |kubeconfig: PathBuf| with(hindcast, |other| other.kubeconfig = kubeconfig);
    let missing = by("/nowhere/config".into());
    run_to_its_end(&missing, &[])
        .await?
        .is(2, &["error: kubeconfig: ", "/nowhere/config", "hint: --kubeconfig FILE, or KUBECONFIG"])?;
    ask(hindcast, &["run", "--listen", "127.0.0.1:0"]).await?.is(2, &["error: kubeconfig: there is none, and this is not a Pod of a cluster\nhint: --kubeconfig FILE, or KUBECONFIG"])?;
    run_to_its_end(hindcast, &["--context", "nowhere"])
        .await?
        .is(2, &["error: kubeconfig: ", "nowhere", "hint: --kubeconfig FILE and --context NAME choose another"])?;
    let closed = Port::lease()?;
    let unreachable = by(cluster.kubeconfig_via(closed.number())?);
    run_to_its_end(&unreachable, &[])
        .await?
        .is(2, &["error: the cluster: namespace kube-system cannot be read", "hint: the API server has to answer"])?;
    run_to_its_end(hindcast, &["--cluster", "nonsense"]).await?.is(
        2,
        &["error: --cluster nonsense: the context's cluster is ", "hint: --context NAME chooses another cluster"],
    )?;

    // A reader needs none of it.
    for other in [missing, unreachable] {
        ask_with_cluster(&other, &["get", "cm", "-A", "--at", at]).await?.is(0, &["big"])?;
    }
    Ok(())
}

async fn stores(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let at = |place: Place, name: &str| Hindcast::new(BINARY, &on(dir, name)?, place, cluster.kubeconfig());
    let fine = at(Place::minio(&minio, "gate", proxy.port()), "minio")?;

    let closed = Port::lease()?;
    let unreachable = at(Place::minio(&minio, "gate", closed.number()), "unreachable")?;
    for said in [run_to_its_end(&unreachable, &[]).await?, ask(&unreachable, &["status"]).await?] {
        said.is(
            2,
            &[
                "error: ",
                "onnection refused",
                "hint: check that the store is up, and that the journal's URL and endpoint name it",
            ],
        )?;
    }
    let mut place = Place::minio(&minio, "gate", proxy.port());
    for (name, value) in &mut place.env {
        if name == "AWS_SECRET_ACCESS_KEY" {
            "wrong".clone_into(value);
        }
    }
    let stranger = at(place, "stranger")?;
    for said in [run_to_its_end(&stranger, &[]).await?, ask(&stranger, &["status"]).await?] {
        said.is(2, &["error: ", "the store does not know these credentials", "hint: "])?;
    }
    let twice = proxy.inject("PUT", "/meta/probe/", 2, Fault::Status(200));
    run_to_its_end(&fine, &[]).await?.is(
        2,
        &[
            "error: the store: let gate/",
            "/meta/probe/",
            " be created twice\nhint: Hindcast needs working create-if-absent",
        ],
    )?;
    ensure!(twice.struck() == 2, "both creates were answered with success");

    let full = proxy.inject("PUT", "/wal/", u64::MAX, Fault::Status(507));
    run_to_its_end(&fine, &[])
        .await?
        .is(2, &["error: gate/", "/wal/", ": the store is full: ", "hint: make room in the store"])?;
    full.withdraw();
    full_while_running(&fine, &cluster.client(), &proxy).await
}

fn on(dir: &Workdir, name: &str) -> Result<PathBuf> {
    let folder = dir.path().join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A store that fills up while it is written to: told, and made good when there is room again.
async fn full_while_running(hindcast: &Hindcast, client: &Client, proxy: &HttpProxy) -> Result<()> {
    let running = hindcast.run(&[]).await?;
    let full = proxy.inject("PUT", "/wal/", u64::MAX, Fault::Status(507));
    let object = create(client, DEFAULT_CONFIG_MAPS, empty_config_map("while-full")).await?;
    let told = async || {
        let (status, body) = running.http("GET", "/readyz").await?;
        Ok(status == 503 && body.contains("the store does not take segments"))
    };
    until("/readyz tells that the store is full", SOON, told).await?;
    ensure!(running.process.log_tail().contains("507"), "the log tells why: {}", running.process.log_tail());
    full.withdraw();
    running.wait_ready(SOON).await?;
    running.close().await?;
    let at = format!("rev:{}", rv(&object));
    let said = ask(hindcast, &["get", "cm", "while-full", "-n", "default", "--at", &at, "-o", "json"]).await?;
    ensure!(said.is(0, &[])?.json()?["items"][0] == exact(object), "{said}");
    running.stop().await
}
