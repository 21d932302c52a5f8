//! A Secret's value is nowhere but where it was asked for.
//!
//! **Words**: a *spelling* is one way in which the value could stand in bytes; a *trace* is a place where one does.
//!
//! **Invariants.** The scan that finds nothing in a sealed journal finds the value in one that holds it in clear, and
//! in the answer to `--show-secrets`: it is no blind scan.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use bytes::Bytes;
use hindcast_journal::{
    Parts, row::Body,
    seal::{Key, KeyFile},
};
use hindcast_tests::{
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use parquet::{
    column::page::Page,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
};
use serde_json::json;

use crate::scene::{Said, ask, ask_with_cluster, create, on_folder, rv, send};

/// With characters that JSON escapes, and bytes beyond ASCII.
const FIRST: &str = r#"first-"value"\of/the?secret<&>žluťoučký-7c1f0e9a"#;
const SECOND: &str = r#"second-"value"\of/the?secret<&>žluťoučký-b2d84e63"#;
const HELM: &str = "release-payload-with-a-password-in-it-5e0d9c7b1a";

/// Every spelling of a value: as it is, as JSON (once and twice, with and without `\u`), hex, and base64 in both
/// alphabets at all three alignments; each also of the value's own base64, which is what a Secret's `data` holds.
fn spellings(value: &str) -> Vec<(String, Vec<u8>)> {
    let encoded = BASE64_STANDARD.encode(value);
    let mut out = Vec::new();
    for (of, text) in [("the value", value), ("its base64", encoded.as_str())] {
        let mut add = |how: &str, text: String| out.push((format!("{of} {how}"), text.into_bytes()));
        add("as it is", text.to_owned());
        let mut escaped = text.to_owned();
        for times in ["once", "twice"] {
            escaped = json_escaped(&escaped);
            add(&format!("as JSON {times}"), escaped.clone());
            add(&format!("as ASCII JSON {times}"), ascii(&escaped));
        }
        add("as JSON with escaped slashes", json_escaped(text).replace('/', "\\/"));
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        add("in capital hex", hex.to_uppercase());
        add("in hex", hex);
        for before in 0..3 {
            let padded = [&vec![0; before][..], text.as_bytes()].concat();
            // The characters that hold bits of the value alone.
            let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            add(&format!("in base64 at alignment {before}"), BASE64_STANDARD.encode(&padded)[from..to].to_owned());
            add(&format!("in URL base64 at alignment {before}"), BASE64_URL_SAFE.encode(&padded)[from..to].to_owned());
        }
    }
    out
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Looks for traces, and remembers where.
struct Scan {
    spellings: Vec<(String, Vec<u8>)>,
    traces: BTreeSet<String>,
    bytes: usize,
}

impl Scan {
    fn new() -> Self {
        let spellings = [FIRST, SECOND, HELM].into_iter().flat_map(spellings).collect();
        Self { spellings, traces: BTreeSet::new(), bytes: 0 }
    }

    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        for (name, spelling) in &self.spellings {
            if holds(bytes, spelling) {
                self.traces.insert(format!("{place}: {name}"));
            }
        }
    }

    fn answer(&mut self, said: &Said) {
        self.look(&said.to_string(), said.out.as_bytes());
        self.look(&said.to_string(), said.err.as_bytes());
    }

    /// A file, as it is and decoded: metadata, statistics, pages with their dictionaries, and every value.
    fn file(&mut self, place: &str, bytes: Vec<u8>) -> Result<()> {
        self.look(place, &bytes);
        if !bytes.starts_with(b"PAR1") {
            return Ok(());
        }
        let reader = SerializedFileReader::new(Bytes::from(bytes))?;
        for pair in reader.metadata().file_metadata().key_value_metadata().into_iter().flatten() {
            self.look(&format!("{place}, metadata {}", pair.key), pair.key.as_bytes());
            self.look(&format!("{place}, metadata {}", pair.key), pair.value.as_deref().unwrap_or_default().as_bytes());
        }
        for at in 0..reader.num_row_groups() {
            let group = reader.get_row_group(at)?;
            for (column, chunk) in group.metadata().columns().iter().enumerate() {
                let place = format!("{place}, column {}", chunk.column_path());
                if let Some(statistics) = chunk.statistics() {
                    self.look(&format!("{place}, statistics"), statistics.min_bytes_opt().unwrap_or_default());
                    self.look(&format!("{place}, statistics"), statistics.max_bytes_opt().unwrap_or_default());
                }
                let mut pages = group.get_column_page_reader(column)?;
                while let Some(page) = pages.get_next_page()? {
                    let kind = if matches!(page, Page::DictionaryPage { .. }) { "dictionary" } else { "page" };
                    self.look(&format!("{place}, {kind}"), page.buffer());
                    self.look(&format!("{place}, statistics of a page"), format!("{:?}", page.statistics()).as_bytes());
                }
            }
        }
        for row in reader.get_row_iter(None)? {
            for (name, field) in row?.get_column_iter() {
                let place = format!("{place}, values of {name}");
                match field {
                    Field::Str(text) => self.look(&place, text.as_bytes()),
                    Field::Bytes(bytes) => self.look(&place, bytes.data()),
                    other => self.look(&place, other.to_string().as_bytes()),
                }
            }
        }
        Ok(())
    }

    /// Every file of a folder, decoded by the Parquet library and by the journal's own reader.
    async fn bucket(&mut self, hindcast: &Hindcast, folder: &Path) -> Result<usize> {
        let files = files(folder)?;
        for file in &files {
            let name = file.strip_prefix(folder)?.display().to_string();
            self.look(&name, name.as_bytes());
            self.file(&name, fs::read(file)?)?;
        }
        let journal = hindcast.place.journal().await?;
        for number in journal.segments_after(0).await? {
            for row in journal.segment(number).await?.rows.iter() {
                let place = format!("segment {number}, position {}", row.pos);
                self.look(&place, format!("{row:?}").as_bytes());
                if let Body::Object(bytes) | Body::Patch(bytes) = &row.body {
                    self.look(&place, bytes);
                }
                row.managed_fields.iter().for_each(|bytes| self.look(&place, bytes));
                row.cells.iter().for_each(|cell| self.look(&place, &cell.secret));
            }
        }
        Ok(files.len())
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { out.extend(files(&path)?) } else { out.push(path) }
    }
    Ok(out)
}

#[test]
fn every_spelling_is_found_where_it_stands_and_nowhere_else() {
    let mut scan = Scan::new();
    let encoded = BASE64_STANDARD.encode(SECOND);
    let yes: [Vec<u8>; 6] = [
        format!("x{FIRST}y").into_bytes(),
        json!({"a": json!({"b": SECOND}).to_string()}).to_string().into_bytes(),
        BASE64_STANDARD.encode(format!("a{{{HELM}}}b")).into_bytes(),
        BASE64_STANDARD.encode(json!({"data": {"k": encoded}}).to_string()).into_bytes(),
        HELM.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes(),
        BASE64_URL_SAFE.encode(format!("ab{FIRST}")).into_bytes(),
    ];
    for bytes in &yes {
        let before = scan.traces.len();
        scan.look(&format!("{before}"), bytes);
        assert!(scan.traces.len() > before, "{}", String::from_utf8_lossy(bytes));
    }
    let mut scan = Scan::new();
    scan.look("the names of what holds it", br#"{"data":{"password":"<redacted 49 bytes hmac:ab12cd34>"}}"#);
    assert!(scan.traces.is_empty(), "{:?}", scan.traces);
}

/// A Secret whose value also stands in the annotation of `kubectl apply`.
fn secret(name: &str, value: &str) -> serde_json::Value {
    let data = json!({"password": BASE64_STANDARD.encode(value), "other": "b3RoZXI="});
    let applied = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": value}, "data": data});
    json!({
        "metadata": {
            "name": name,
            "labels": {"planted": "yes"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()},
        },
        "data": data,
    })
}

/// Values planted before and after the start, changed, deleted, and in the payloads of Helm.
async fn plant(client: &Client, prefix: &str) -> Result<()> {
    let core = "/api/v1/namespaces/default";
    let path = |name: &str| format!("{core}/secrets/{prefix}-{name}");
    create(client, &format!("{core}/secrets"), secret(&format!("{prefix}-new"), FIRST)).await?;
    let changed = secret("", SECOND);
    let change = json!({
        "metadata": {"annotations": changed["metadata"]["annotations"]},
        "data": {"password": changed["data"]["password"]},
    });
    for name in ["old", "new"] {
        send(client, "PATCH", &path(name), Some(json!({"metadata": {"labels": {"round": "two"}}}))).await?;
        send(client, "PATCH", &path(name), Some(change.clone())).await?;
        send(client, "PATCH", &path(name), Some(json!({"stringData": {"token": FIRST}}))).await?;
    }
    let helm = json!({
        "metadata": {"name": format!("{prefix}.v1"), "labels": {"owner": "helm", "name": "shop"}},
        "data": {"release": BASE64_STANDARD.encode(HELM)},
    });
    create(client, &format!("{core}/configmaps"), helm).await?;
    create(client, &format!("{core}/secrets"), secret(&format!("{prefix}-gone"), SECOND)).await?;
    send(client, "DELETE", &path("gone"), None).await?;
    Ok(())
}

/// Every way to ask, each with what it says on both streams.
async fn everything(hindcast: &Hindcast, prefix: &str, at: &str, cluster: bool) -> Result<Vec<Said>> {
    let (new, helm) = (format!("secret/{prefix}-new"), format!("cm/{prefix}.v1"));
    let mut questions: Vec<Vec<&str>> = vec![
        vec!["status"], vec!["status", "-v"], vec!["journal", "ls"], vec!["journal", "cat", "1-100000"],
        vec!["log", "-A", "--all"], vec!["log", "-A", "-l", "planted"], vec!["log", &new, "-n", "default", "--all"],
        vec!["get", "secrets,cm", "-A", "--at", at], vec!["get", "secrets", "-A", "-o", "wide", "--at", at],
        vec!["get", "secrets", "-A", "-o", "name", "--at", at], vec!["get", "secrets,cm", "-A"],
        vec!["show", &new, "-n", "default", "--at", at], vec!["show", &helm, "-n", "default", "--at", at],
        vec!["show", &new, "-n", "default"], vec!["show", "secret/none", "-n", "default", "-vv"],
    ];
    for format in ["json", "yaml"] {
        questions.extend([
            vec!["status", "-o", format], vec!["journal", "ls", "-o", format],
            vec!["journal", "cat", "1-100000", "-o", format], vec!["log", "-A", "--all", "-o", format],
            vec!["get", "secrets,cm", "-A", "--at", at, "-o", format],
            vec!["show", &new, "-n", "default", "--at", at, "-o", format],
            vec!["show", &helm, "-n", "default", "--at", at, "-o", format],
        ]);
    }
    let mut said = Vec::new();
    for args in questions {
        let answer = if cluster { ask_with_cluster(hindcast, &args).await? } else { ask(hindcast, &args).await? };
        ensure!(answer.code == 0 || answer.code == 3 || args.contains(&"secret/none"), "{answer}");
        said.push(answer);
    }
    let all: String = said.iter().map(|said| said.out.as_str()).collect();
    ensure!(all.contains(&format!("{prefix}-new")) && all.contains("password"), "the names are shown");
    Ok(said)
}

/// A key file of another key by the same name.
fn another_key(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("another.key");
    let key = Key::generate("test", "2026-01-01T00:00:00Z", &Parts::system());
    fs::write(&path, KeyFile { keys: vec![key] }.to_text())?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(path)
}

struct Protected {
    hindcast: Hindcast,
    folder: PathBuf,
    running: Running,
    at: String,
}

/// Protects the cluster, plants, and closes the moment after.
async fn protect(cluster: &Cluster, dir: &Workdir, prefix: &str, args: &[&str]) -> Result<Protected> {
    let client = cluster.client();
    let old = secret(&format!("{prefix}-old"), FIRST);
    create(&client, "/api/v1/namespaces/default/secrets", old).await?;
    let hindcast = on_folder(dir, prefix, cluster.kubeconfig())?;
    let args = [&["-vv", "--log-format", "json"], args].concat();
    let running = hindcast.run(&args).await?;
    plant(&client, prefix).await?;
    let at = format!("rev:{}", crate::oracle::newest_revision(&client).await?);
    running.close().await?;
    Ok(Protected { hindcast, folder: dir.path().join(prefix).join("journal"), running, at })
}

impl Protected {
    /// What the process itself says.
    async fn process(&self, scan: &mut Scan) -> Result<()> {
        for (method, path) in [("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/healthz"), ("POST", "/close")] {
            let (_, body) = self.running.http(method, path).await?;
            ensure!(!body.is_empty(), "{path} says something");
            scan.look(path, body.as_bytes());
        }
        let log = fs::read(self.running.process.log())?;
        ensure!(!log.is_empty(), "the process logs");
        scan.look("the process's log", &log);
        Ok(())
    }

    /// Writes a checkpoint, so that the values stand in one.
    async fn checkpoint(&self) -> Result<()> {
        let journal = self.hindcast.place.journal().await?;
        let report = hindcast_compactor::execute(&journal, "test", 0).await?;
        report.checkpoint.context("something is closed, so there is a checkpoint")?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_value_is_nowhere_but_where_it_was_asked_for() -> Result<()> {
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    sealed(&cluster, &dir).await?;
    in_clear(&cluster, &dir).await?;
    not_stored(&cluster, &dir).await
}

async fn sealed(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let it = protect(cluster, dir, "sealed", &[]).await?;
    let mut scan = Scan::new();
    let asked = [everything(&it.hindcast, "sealed", &it.at, false).await?, everything(&it.hindcast, "sealed", &it.at, true).await?];
    asked.iter().flatten().for_each(|said| scan.answer(said));
    it.checkpoint().await?;
    everything(&it.hindcast, "sealed", "now", false).await?.iter().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;

    let show = ["show", "secret/sealed-new", "-n", "default", "--at", &it.at, "--show-secrets"];
    let mut wrong = it.hindcast.clone();
    wrong.key_file = another_key(dir.path())?;
    let refused = ask(&wrong, &show).await?;
    scan.answer(refused.is(2, &["error: keys/", "does not open with key \"test\"", "hint: "])?);
    everything(&wrong, "sealed", &it.at, true).await?.iter().for_each(|said| scan.answer(said));
    // A store under a writer holds files for a moment that are gone when they are read.
    it.running.stop().await?;
    let count = scan.bucket(&it.hindcast, &it.folder).await?;
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    println!("secrets: {count} files and all answers scanned, {} bytes, {} spellings, no trace", scan.bytes, scan.spellings.len());

    // Asked for, with the key, it is there; the scan would have seen it.
    let shown = ask(&it.hindcast, &[&show[..], &["-o", "json"]].concat()).await?;
    let live = send(&cluster.client(), "GET", "/api/v1/namespaces/default/secrets/sealed-new", None).await?;
    ensure!(shown.is(0, &[])?.json()? == crate::scene::exact(live.clone()), "{shown}");
    let at = format!("rev:{}", rv(&live));
    ask(&it.hindcast, &["get", "secrets", "-n", "default", "--at", &at, "-o", "yaml", "--show-secrets"]).await?.is(0, &[&BASE64_STANDARD.encode(SECOND)])?;
    scan.answer(&shown);
    ensure!(!scan.traces.is_empty(), "the scan is blind");
    Ok(())
}

async fn in_clear(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let it = protect(cluster, dir, "clear", &["--plaintext-secrets"]).await?;
    let mut scan = Scan::new();
    let asked = [everything(&it.hindcast, "clear", &it.at, false).await?, everything(&it.hindcast, "clear", &it.at, true).await?];
    asked.iter().flatten().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;
    ensure!(scan.traces.is_empty(), "a value in clear is shown only when asked for: {:#?}", scan.traces);
    it.checkpoint().await?;
    it.running.stop().await?;
    scan.bucket(&it.hindcast, &it.folder).await?;
    for (place, column) in [("wal/", "values of object"), ("wal/", "values of patch"), ("checkpoints/", "values of object")] {
        ensure!(scan.traces.iter().any(|trace| trace.contains(place) && trace.contains(column)), "no trace in {place} {column}: {:#?}", scan.traces);
    }
    Ok(())
}

/// Without a key values are dropped; the names stay.
async fn not_stored(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let client = cluster.client();
    create(&client, "/api/v1/namespaces/default/secrets", secret("dropped-old", FIRST)).await?;
    let mut hindcast = on_folder(dir, "dropped", cluster.kubeconfig())?;
    hindcast.key_file = PathBuf::new();
    let running = hindcast.run(&[]).await?;
    plant(&client, "dropped").await?;
    let at = format!("rev:{}", crate::oracle::newest_revision(&client).await?);
    running.close().await?;
    let it = Protected { hindcast, folder: dir.path().join("dropped/journal"), running, at };
    let mut scan = Scan::new();
    it.checkpoint().await?;
    everything(&it.hindcast, "dropped", &it.at, true).await?.iter().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;
    it.running.stop().await?;
    scan.bucket(&it.hindcast, &it.folder).await?;
    let show = ["show", "secret/dropped-new", "-n", "default", "--at", &it.at, "--show-secrets"];
    scan.answer(&ask(&it.hindcast, &show).await?);
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    ask(&it.hindcast, &["status"]).await?.is(0, &["Secrets not restorable: no key"])?;
    Ok(())
}
