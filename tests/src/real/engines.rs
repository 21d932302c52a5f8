//! SQL engines as people use them: `duckdb`, `pyarrow` and `datafusion` from the package index, each a process that answers once.
//!
//! Not here: what is asked. `tests/servers/engines/ask.py` says how each engine is told of a journal.

use super::Minio;
use super::process::{Workdir, tied_to_us};
use super::python;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;

/// What is installed, each in one version.
const REQUIREMENTS: &str = include_str!("../../servers/engines/requirements.txt");

/// How each engine is asked.
const ASK: &str = include_str!("../../servers/engines/ask.py");

/// The answer to a question: rows of texts.
pub type Rows = Vec<Vec<Option<String>>>;

/// A journal, as engines reach it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The cluster's folder.
    pub root: String,
    /// Whether it is read as a table, or as files alone.
    pub table: bool,
    /// How a store is reached.
    s3: Option<Value>,
}

impl Source {
    /// A journal in a folder.
    pub fn folder(root: &str, table: bool) -> Self {
        Self { root: root.to_owned(), table, s3: None }
    }

    /// A journal in `MinIO`.
    pub fn minio(minio: &Minio, root: &str, table: bool) -> Self {
        let keys = minio.keys();
        let s3 = json!({
            "endpoint": format!("http://127.0.0.1:{}", minio.port()),
            "region": minio.region(),
            "key": keys.key_id,
            "secret": keys.secret_key,
        });
        Self { root: minio.url(root), table, s3: Some(s3) }
    }
}

/// What an engine answers: for each source, to each question.
pub fn ask(engine: &str, sources: &[Source], questions: &[String]) -> Result<Vec<Vec<Rows>>> {
    let python = environment(engine)?;
    let dir = Workdir::new()?;
    let said = |source: &Source| {
        let kind = if source.table { "table" } else { "bucket" };
        json!({ "root": source.root, "kind": kind, "s3": source.s3 })
    };
    let asked = json!({ "sources": sources.iter().map(said).collect::<Vec<_>>(), "questions": questions });
    let [script, input] = ["ask.py", "asked.json"].map(|name| dir.path().join(name));
    fs::write(&script, ASK)?;
    fs::write(&input, asked.to_string())?;
    let mut command = tied_to_us(&python);
    command.arg(&script).arg(engine).current_dir(dir.path()).env("HOME", dir.path()).env("TZ", "UTC");
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(File::open(&input)?);
    let out = command.output().with_context(|| format!("starting {}", python.display()))?;
    ensure!(out.status.success(), "{engine}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).with_context(|| format!("the answer of {engine}"))
}

/// The `python` that has an engine. Spark is not installed from here: `HINDCAST_SPARK` names one that has it, and `JARS` its libraries.
fn environment(engine: &str) -> Result<PathBuf> {
    match engine {
        "spark" => Ok(std::env::var("HINDCAST_SPARK").context("HINDCAST_SPARK names a python with pyspark")?.into()),
        _ => python::environment("engines", REQUIREMENTS, "2 min"),
    }
}
