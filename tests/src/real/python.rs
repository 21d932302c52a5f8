//! Python packages, each list of them in an environment of its own.
//!
//! An environment lies in the cache of built servers, named by the hash of its pinned requirements; it is made beside its
//! place and renamed, under a lock, as the Go servers are ([`super::build`]). It is run by its own `python`, since scripts
//! in it would name the folder that it was made in.

use super::build::{kept, sha256};
use super::process::tied_to_us;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The path of the `python` of an environment with these packages, each in one version; how long it takes to make it the first time.
pub(super) fn environment(name: &str, requirements: &str, time: &str) -> Result<PathBuf> {
    kept(name, &sha256(requirements), "bin/python", |into| install(name, requirements, time, into))
}

fn install(name: &str, requirements: &str, time: &str, into: &Path) -> Result<()> {
    eprintln!("installing {name}, the first time about {time}");
    let remedy = "Python 3.10 or newer with its venv module is needed: install python3 and python3-venv";
    run(Path::new("python3"), &["-m", "venv", &into.display().to_string()]).context(remedy)?;
    let list = into.join("requirements.txt");
    fs::write(&list, requirements)?;
    let list = list.display().to_string();
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", &list];
    run(&into.join("bin/python"), &install)
        .with_context(|| format!("installing the packages of {name} from the package index (PyPI)"))
}

fn run(program: &Path, args: &[&str]) -> Result<()> {
    let mut command = tied_to_us(program);
    let out = command
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} is missing", program.display()))?;
    if !out.status.success() {
        bail!("{} {}: {}\n{}", program.display(), args.join(" "), out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}
