//! What the text of one kubeconfig file says.
//!
//! **Invariants**, as kubectl has them. (1) `null` and an empty text say nothing; of a key that stands twice the last one counts;
//! what is unknown is passed over. (2) Only what is used has to be whole: a context without a cluster hinders no other one.
//! (3) Paths are relative to the file they stand in. And as it has them not: (4) an error names the line or the entry, and
//! quotes nothing of the file, for a token may stand there [`without_quotes`].

use std::{
    borrow::Cow,
    path::{MAIN_SEPARATOR, Path},
};

use kube::config::{Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

#[cfg(test)]
mod tests;

/// Reads the text of a file that stands in `dir`. The reason why it is no kubeconfig follows the file's name.
pub(super) fn kubeconfig(bytes: &[u8], dir: &Path) -> Result<Kubeconfig, String> {
    let text = decoded(bytes)?;
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        // A snippet would show the lines around, and with them a token.
        with_snippet: false,
        emit_comments: false,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options).map_err(|e| {
        let line = e.location().map_or_else(String::new, |at| format!("line {}: ", at.line()));
        let said = without_quotes(&e.to_string());
        format!("{line}is no YAML: {said}")
    })?;
    let mut whole = Kubeconfig::default();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        whole = whole.merge(of_document(document)?).map_err(|e| e.to_string())?;
    }
    make_absolute(&mut whole, dir);
    Ok(whole)
}

fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    // What PowerShell redirects to a file is UTF-16.
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| "is no UTF-8")?;
            return Ok(Cow::Borrowed(text.trim_start_matches('\u{feff}')));
        }
    };
    let (units, _) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&units.iter().skip(1).copied().map(unit).collect::<Vec<_>>());
    text.map(Cow::Owned).map_err(|_| "is no UTF-16".to_owned())
}

fn of_document(mut document: Value) -> Result<Kubeconfig, String> {
    say_nothing_with_nothing(&mut document);
    let Value::Object(mut fields) = document else { return Err("is no kubeconfig: it holds no mapping".to_owned()) };
    if fields.get("kind").is_some_and(|kind| kind != "Config") {
        return Err("is no kubeconfig: its kind is not Config".to_owned());
    }
    let current_context = match fields.remove("current-context") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err("current-context is no text".to_owned()),
    };
    Ok(Kubeconfig {
        clusters: named::<NamedCluster>(&mut fields, "clusters", "cluster", |cluster| {
            if let Some(Value::Array(extensions)) = cluster.get_mut("extensions") {
                extensions.retain(|named| named.get("name").is_some() && named.get("extension").is_some());
            }
            unfold(cluster);
        })?,
        auth_infos: named::<NamedAuthInfo>(&mut fields, "users", "user", |user| {
            user.remove("extensions");
            unfold(user);
            if let Some(Value::Object(exec)) = user.get_mut("exec")
                && exec
                    .get("interactiveMode")
                    .is_some_and(|mode| !["Never", "IfAvailable", "Always"].iter().any(|known| mode == known))
            {
                exec.remove("interactiveMode");
            }
            if let Some(Value::Object(provider)) = user.get_mut("auth-provider") {
                provider.entry("name").or_insert_with(|| "".into());
            }
        })?,
        contexts: named::<NamedContext>(&mut fields, "contexts", "context", |context| {
            context.remove("extensions");
            context.entry("cluster").or_insert_with(|| "".into());
        })?,
        current_context,
        ..Kubeconfig::default()
    })
}

/// The entries of a list that have a name, each made ready for its type.
fn named<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    list: &str,
    of: &str,
    ready: impl Fn(&mut Map<String, Value>),
) -> Result<Vec<T>, String> {
    let entries = match fields.remove(list) {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(format!("{list} is no list")),
    };
    let mut read = Vec::new();
    for mut entry in entries {
        let Some(name) = entry.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
        match entry.get_mut(of) {
            Some(Value::Object(inner)) => ready(inner),
            Some(_) => return Err(format!("{of} \"{name}\" is no mapping")),
            None => {}
        }
        let entry = serde_json::from_value(entry);
        read.push(entry.map_err(|e| format!("{of} \"{name}\": {}", without_quotes(&e.to_string())))?);
    }
    Ok(read)
}

/// Takes out what says nothing. What a plugin is given (`extensions`) is its own affair.
fn say_nothing_with_nothing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null() && value != "");
            fields
                .iter_mut()
                .filter(|(name, _)| *name != "extensions")
                .for_each(|(_, value)| say_nothing_with_nothing(value));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| match item {
            Value::Null => *item = "".into(),
            item => say_nothing_with_nothing(item),
        }),
        _ => {}
    }
}

/// Puts on one line what base64 has on several.
fn unfold(fields: &mut Map<String, Value>) {
    for (_, value) in fields.iter_mut().filter(|(name, _)| name.ends_with("-data")) {
        if let Value::String(data) = value {
            data.retain(|c| !c.is_ascii_whitespace());
        }
    }
}

fn make_absolute(config: &mut Kubeconfig, dir: &Path) {
    let within = |path: &mut Option<String>| {
        if let Some(path) = path
            && let Some(whole) = dir.join(&*path).to_str()
        {
            whole.clone_into(path);
        }
    };
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        within(&mut cluster.certificate_authority);
    }
    for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        within(&mut user.client_certificate);
        within(&mut user.client_key);
        within(&mut user.token_file);
        // A mere name is looked for on PATH.
        if let Some(exec) =
            user.exec.as_mut().filter(|exec| exec.command.as_ref().is_some_and(|c| c.contains(MAIN_SEPARATOR)))
        {
            within(&mut exec.command);
        }
    }
}

/// What a parser says, without what it quotes of the text.
fn without_quotes(said: &str) -> String {
    let mut out = String::new();
    let mut rest = said.lines().next().unwrap_or_default();
    while let Some(at) = rest.find(['"', '`', '\'']) {
        let (before, quoted) = rest.split_at(at);
        let quote = quoted.get(..1).unwrap_or_default();
        // To its last one: what is quoted may hold the quote itself.
        let after = quoted.rfind(quote).and_then(|end| quoted.get(end + 1..)).unwrap_or_default();
        out.push_str(before);
        out.push('…');
        rest = after;
    }
    out + rest
}
