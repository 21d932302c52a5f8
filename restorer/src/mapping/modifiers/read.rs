//! The text of resource modifiers, field by field.

use hindcast_journal::{
    Result,
    exact::{self, Number, Value},
};
use regex::{Regex, RegexBuilder};

use super::{
    Patches, Rule,
    condition::{Condition, Requirement, glob},
    patch::{Op, Operation},
};
use crate::mapping::yaml::{Place, Source};

/// How large an expression may become.
const EXPRESSION: usize = 1 << 20;

pub(super) fn rules(file: &str, text: &str) -> Result<Vec<Rule>> {
    let source = Source::read(file, text)?;
    let root = source.root();
    let fields = root.fields(&["version", "resourceModifierRules"])?;
    match fields.get("version") {
        None => return Err(root.wrong("it says no version", "write `version: v1` at its top")),
        Some(version) if !version.text()?.eq_ignore_ascii_case("v1") => {
            return Err(version.wrong(format!("version {:?} is not known", version.text()?), "write `version: v1`"));
        }
        Some(_) => {}
    }
    let rules = fields.get("resourceModifierRules").map_or(Ok(Vec::new()), Place::items)?;
    if rules.is_empty() {
        return Err(root.wrong("it has no rules", "write them below `resourceModifierRules`, each behind a dash"));
    }
    rules.iter().map(|place| rule(file, place)).collect()
}

fn rule(file: &str, place: &Place<'_>) -> Result<Rule> {
    const PATCHES: [&str; 3] = ["patches", "mergePatches", "strategicPatches"];
    let fields = place.fields(&["conditions", "patches", "mergePatches", "strategicPatches"])?;
    let conditions = fields.get("conditions");
    let conditions =
        conditions.ok_or_else(|| place.wrong("it has no conditions", "write `conditions` with a groupResource"))?;
    let mut given = PATCHES.iter().filter_map(|name| fields.get(name).map(|list| (*name, list)));
    let (Some((sort, list)), more) = (given.next(), given.next()) else {
        return Err(place.wrong("it has no patches", format!("write one of {}", PATCHES.join(", "))));
    };
    if let Some((_, more)) = more {
        return Err(
            more.wrong("a rule has patches of one sort", "make a rule of its own of it, with the same conditions")
        );
    }
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.wrong("it has no patches", "write them below it, each behind a dash"));
    }
    let data = || items.iter().map(|item| patch_data(file, item)).collect::<Result<Vec<_>>>();
    let patches = match sort {
        "patches" => Patches::Json(items.iter().map(operation).collect::<Result<_>>()?),
        "mergePatches" => Patches::Merge(data()?),
        _ => Patches::Strategic(data()?),
    };
    Ok(Rule { line: place.line, condition: condition(conditions)?, patches })
}

fn condition(place: &Place<'_>) -> Result<Condition> {
    let fields = place.fields(&["namespaces", "groupResource", "resourceNameRegex", "labelSelector", "matches"])?;
    let kinds = fields.get("groupResource");
    let kinds = kinds
        .ok_or_else(|| place.wrong("it has no groupResource", "write one: `deployments.apps`, or `**` for any"))?;
    let pattern = |place: &Place<'_>, text: &str, separator| {
        glob(text, separator)
            .map_err(|reason| place.wrong(format!("{text:?}: {reason}"), "as in `deployments.apps`, `*.apps`"))
    };
    let namespaces = match fields.get("namespaces") {
        Some(list) => list.items()?.iter().map(|one| pattern(one, &one.text()?, None)).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    if kinds.text()?.is_empty() {
        return Err(kinds.wrong("it is empty", "write a kind: `deployments.apps`, or `**` for any"));
    }
    Ok(Condition {
        kinds: pattern(kinds, &kinds.text()?, Some('.'))?,
        namespaces,
        name: fields.get("resourceNameRegex").map(expression).transpose()?.flatten(),
        labels: fields.get("labelSelector").map_or(Ok(Vec::new()), labels)?,
        matches: match fields.get("matches") {
            Some(list) => list.items()?.iter().map(matches).collect::<Result<_>>()?,
            None => Vec::new(),
        },
    })
}

fn expression(place: &Place<'_>) -> Result<Option<Regex>> {
    let text = place.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let read = RegexBuilder::new(&text).size_limit(EXPRESSION).build();
    read.map(Some).map_err(|e| {
        let reason = match e {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // Only the last line says what is wrong; those before show where.
            e => e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        place.wrong(format!("{text:?} is no regular expression: {reason}"), "write it as RE2 has it: `^mysql-.*$`")
    })
}

fn labels(place: &Place<'_>) -> Result<Vec<Requirement>> {
    let fields = place.fields(&["matchLabels", "matchExpressions"])?;
    let mut out = Vec::new();
    if let Some(labels) = fields.get("matchLabels") {
        for (name, value) in labels.entries()? {
            out.push(Requirement::In(name.to_owned(), vec![value.text()?]));
        }
    }
    for place in fields.get("matchExpressions").map_or(Ok(Vec::new()), Place::items)? {
        let fields = place.fields(&["key", "operator", "values"])?;
        let key =
            fields.get("key").ok_or_else(|| place.wrong("it has no key", "write `key:` and the label"))?.text()?;
        let operator = fields.get("operator");
        let operator =
            operator.ok_or_else(|| place.wrong("it has no operator", "write In, NotIn, Exists or DoesNotExist"))?;
        let values = fields.get("values").map_or(Ok(Vec::new()), Place::texts)?;
        let some = |values: Vec<String>| match values.is_empty() {
            true => Err(place.wrong("it has no values", "write the values of the label below `values`")),
            false => Ok(values),
        };
        out.push(match operator.text()?.as_str() {
            "In" => Requirement::In(key, some(values)?),
            "NotIn" => Requirement::NotIn(key, some(values)?),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::Absent(key),
            other => {
                let reason = format!("there is no operator {other:?}");
                return Err(operator.wrong(reason, "it is one of In, NotIn, Exists, DoesNotExist"));
            }
        });
    }
    Ok(out)
}

fn matches(place: &Place<'_>) -> Result<(String, Value)> {
    let fields = place.fields(&["path", "value"])?;
    let path = fields.get("path").ok_or_else(|| place.wrong("it has no path", "write `path: /spec/…`"))?;
    Ok((pointer(path)?, fields.get("value").map_or(Ok(Value::from("")), value)?))
}

fn operation(place: &Place<'_>) -> Result<Operation> {
    let fields = place.fields(&["operation", "path", "from", "value"])?;
    let names = Op::ALL.map(|(name, _)| name).join(", ");
    let operation = fields.get("operation");
    let operation = operation.ok_or_else(|| place.wrong("it has no operation", format!("write one of {names}")))?;
    let text = operation.text()?;
    let op = Op::ALL.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, op)| *op);
    let op =
        op.ok_or_else(|| operation.wrong(format!("there is no operation {text:?}"), format!("it is one of {names}")))?;
    let path = fields.get("path").ok_or_else(|| place.wrong("it has no path", "write `path: /spec/…`"))?;
    let from = fields.get("from").map(pointer).transpose()?;
    if matches!(op, Op::Move | Op::Copy) && from.is_none() {
        return Err(place.wrong("it has no from", "write `from:` and the place that is moved or copied"));
    }
    let value = fields.get("value").map_or(Ok(Value::from("")), value)?;
    Ok(Operation { op, path: pointer(path)?, from: from.unwrap_or_default(), value })
}

/// A JSON pointer to a place in the object.
fn pointer(place: &Place<'_>) -> Result<String> {
    let text = place.text()?;
    let escaped = |token: &str| token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let is = text.len() > 1 && text.starts_with('/') && text.split('/').all(escaped);
    match is {
        true => Ok(text),
        false => Err(place.wrong(
            format!("{text:?} is no JSON pointer"),
            "write it as in /spec/template/spec/containers/0/image; ~1 stands for a slash, ~0 for a tilde",
        )),
    }
}

/// A value of a JSON patch, which Velero has as text: what looks like JSON is JSON, unless it is in quotes of its own.
fn value(place: &Place<'_>) -> Result<Value> {
    let text = place.text().map_err(|_| {
        place.wrong(
            "a value of a JSON patch is a text",
            "put its JSON in quotes, as in '{\"name\": \"web\"}', or use mergePatches",
        )
    })?;
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let json = |text: &str| exact::parse(text.as_bytes());
    if let Some(inner) = quoted {
        return Ok(unescaped(inner));
    }
    match text.to_ascii_lowercase().as_str() {
        "null" if text == "null" => return Ok(Value::Null),
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if text.starts_with(['{', '[']) {
        return json(&text).map_err(|e| {
            place.wrong(format!("it begins like JSON and is none: {e}"), "correct it, or put it in quotes twice")
        });
    }
    Ok(Number::parse(&text).map_or_else(|| unescaped(&text), Value::Number))
}

/// A text with the escapes of JSON, which Velero reads it with.
fn unescaped(text: &str) -> Value {
    exact::parse(format!("\"{text}\"").as_bytes()).unwrap_or_else(|_| Value::from(text))
}

/// What a merge patch or a strategic one says, in YAML or JSON.
fn patch_data(file: &str, place: &Place<'_>) -> Result<Value> {
    let fields = place.fields(&["patchData"])?;
    let data = fields.get("patchData");
    let data = data.ok_or_else(|| place.wrong("it has no patchData", "write `patchData: |` and the patch below it"))?;
    let text = data.text()?;
    // The text of a block begins on the next line.
    let first = if text.contains('\n') { data.line + 1 } else { data.line };
    let source = Source::within(file, &text, first)?;
    let patch = source.root();
    let value = patch.value()?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(data.wrong("the patch is no mapping", "write the fields that change, as they stand in the object")),
    }
}
