//! What holds for every value, against oracles of other makers: `serde_json` for what is JSON, `json-patch`
//! for what a patch does. Numbers are kept to small integers where those would not survive the oracle.
//!
//! Words: *noise* is a spelling of a value that is not the canonical one, made of the choices in a list of
//! numbers; an *edit* walks into a value by such choices and changes what it finds there.

use std::fmt::Write;

use proptest::{collection::vec, prelude::*, sample::select};

use crate::exact::{
    Number, Object, ParseReason, Value, apply, diff, diff_bytes, diff_state, diff_state_bytes, ingest, parse,
    parse_canonical, set_resource_version, split_managed_fields, to_canonical,
};

const KEYS: [&str; 16] = [
    "a",
    "b",
    "ab",
    "name",
    "type",
    "uid",
    "metadata",
    "resourceVersion",
    "managedFields",
    "a/b",
    "~1",
    "",
    "é",
    "\n",
    "\u{10000}",
    "\u{ff5e}",
];

const EXACT: [&str; 9] = ["0", "-0", "1.10", "1.1", "1E5", "1e400", "18446744073709551617", "-7", "12"];

const PLAIN: [&str; 4] = ["0", "7", "-3", "120"];

fn number(tokens: &'static [&'static str]) -> impl Strategy<Value = Value> {
    select(tokens).prop_map(|token| Value::Number(Number::parse(token).unwrap()))
}

/// Any value; in one list of three the elements are maps with a name each.
fn any_value(tokens: &'static [&'static str]) -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(tokens),
        select(&KEYS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ab\"\\\\\n\t\u{0}\u{1f}/é😀]{0,12}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(5, 60, 6, |inner| {
        let key = select(&KEYS[..]);
        let members = vec((key, inner.clone()), 0..6);
        let named = vec((select(&["a", "b", "c", "d", "e"][..]), members.clone()), 0..6);
        prop_oneof![
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
            vec(inner, 0..6).prop_map(Value::Array),
            named.prop_map(|list| {
                let element = |(name, members): (&str, Vec<(&str, Value)>)| {
                    let mut object: Object = members.into_iter().collect();
                    object.insert("name", name.into());
                    Value::Object(object)
                };
                Value::Array(list.into_iter().map(element).collect())
            }),
        ]
    });
    value.boxed()
}

/// A value with the shape of a Kubernetes object around arbitrary ones.
fn object() -> impl Strategy<Value = Value> {
    let part = || any_value(&EXACT);
    (part(), part(), part(), proptest::option::of(part()), 0..100_u64).prop_map(
        |(labels, spec, status, managed, version)| {
            let mut metadata: Object = [("labels", labels), ("name", "x".into())].into_iter().collect();
            metadata.insert("resourceVersion", Value::from(version.to_string()));
            if let Some(managed) = managed {
                metadata.insert("managedFields", managed);
            }
            let parts = [("metadata", metadata.into()), ("spec", spec), ("status", status)];
            Value::Object(parts.into_iter().collect())
        },
    )
}

type Edit = (Vec<usize>, u8, &'static str, Value);

fn edits(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (vec(0..8_usize, 0..5), 0..5_u8, select(&KEYS[..]), any_value(tokens));
    vec(edit, 0..5)
}

fn edited(value: &Value, edits: &[Edit]) -> Value {
    let mut value = value.clone();
    for (way, kind, key, payload) in edits {
        edit(&mut value, way, *kind, key, payload);
    }
    value
}

fn edit(value: &mut Value, way: &[usize], kind: u8, key: &str, payload: &Value) {
    let (pick, rest) = way.split_first().map_or((0, None), |(pick, rest)| (*pick, Some(rest)));
    match value {
        Value::Object(object) if !object.is_empty() => {
            let chosen = object.keys().nth(pick % object.len()).unwrap().to_owned();
            match (rest, kind) {
                (Some(rest), _) => edit(object.get_mut(&chosen).unwrap(), rest, kind, key, payload),
                (None, 0) => drop(object.remove(&chosen)),
                (None, 1) => drop(object.insert(chosen, payload.clone())),
                (None, _) => drop(object.insert(key, payload.clone())),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = pick % list.len();
            match (rest, kind) {
                (Some(rest), _) => edit(&mut list[at], rest, kind, key, payload),
                (None, 0) => drop(list.remove(at)),
                (None, 1) => list.insert(at, payload.clone()),
                (None, 2) => list.rotate_left(at),
                (None, 3) => list.swap(0, at),
                (None, _) => list.push(list[at].clone()),
            }
        }
        _ => *value = payload.clone(),
    }
}

/// A pair that has something in common, or nothing.
fn pair(tokens: &'static [&'static str]) -> impl Strategy<Value = (Value, Value)> {
    let value = any_value(tokens);
    prop_oneof![
        4 => (value.clone(), edits(tokens)).prop_map(|(old, edits)| {
            let new = edited(&old, &edits);
            (old, new)
        }),
        1 => (value.clone(), value),
    ]
}

/// Spells a value with keys rotated, whitespace and needless escapes, as the choices say.
fn noisy(value: &Value, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    space(noise, out);
    match value {
        Value::Array(list) => {
            out.push('[');
            for (at, element) in list.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                noisy(element, noise, out);
            }
            space(noise, out);
            out.push(']');
        }
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            let turn = usize::from(noise.next().unwrap());
            if !members.is_empty() {
                let by = turn % members.len();
                members.rotate_left(by);
            }
            out.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                space(noise, out);
                noisy_string(key, noise, out);
                space(noise, out);
                out.push(':');
                noisy(value, noise, out);
            }
            space(noise, out);
            out.push('}');
        }
        Value::String(text) => noisy_string(text, noise, out),
        other => out.push_str(&other.to_string()),
    }
    space(noise, out);
}

fn space(noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push_str(["", "", "", " ", "\n\t", "\r"][usize::from(noise.next().unwrap() % 6)]);
}

fn noisy_string(text: &str, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        let choice = noise.next().unwrap() % 4;
        if choice < 2 && char >= ' ' && char != '"' && char != '\\' {
            out.push(char);
        } else if char == '/' {
            out.push_str("\\/");
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                if choice == 2 {
                    write!(out, "\\u{unit:04x}").unwrap();
                } else {
                    write!(out, "\\u{unit:04X}").unwrap();
                }
            }
        }
    }
    out.push('"');
}

fn patched(base: &Value, patch: &Value) -> Value {
    let mut base = base.clone();
    apply(&mut base, patch).unwrap();
    base
}

/// The numbers taken out, which the oracle reads otherwise.
fn numberless(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(_) => serde_json::Value::Null,
        serde_json::Value::Array(list) => list.into_iter().map(numberless).collect(),
        serde_json::Value::Object(map) => map.into_iter().map(|(key, value)| (key, numberless(value))).collect(),
        other => other,
    }
}

/// Some bytes of a text struck, doubled or exchanged.
fn damaged(text: &[u8], damages: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut out = text.to_vec();
    for (at, kind, byte) in damages {
        if out.is_empty() {
            break;
        }
        let at = at % out.len();
        match kind {
            0 => drop(out.remove(at)),
            1 => out.insert(at, *byte),
            2 => out[at] = *byte,
            _ => out.truncate(at),
        }
    }
    out
}

fn damages() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    let byte = prop_oneof![4 => select(&b"{}[],:\"\\0123-.eEu/ \ntfn"[..]), 1 => any::<u8>()];
    // Truncation is one in seven, since it hides the other damages.
    let kind = (0..7_u8).prop_map(|kind| if kind == 6 { 3 } else { kind % 3 });
    vec((any::<usize>(), kind, byte), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..Default::default() })]

    #[test]
    fn canonical_bytes_stand_for_the_value(value in any_value(&EXACT)) {
        let bytes = to_canonical(&value);
        prop_assert_eq!(&parse(&bytes).unwrap(), &value);
        prop_assert_eq!(&parse_canonical(&bytes).unwrap(), &value);
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok());
    }

    #[test]
    fn every_spelling_has_the_same_canonical_bytes(
        value in any_value(&EXACT),
        noise in vec(any::<u8>(), 1..60),
    ) {
        let mut text = String::new();
        noisy(&value, &mut noise.iter().copied().cycle(), &mut text);
        let read = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &value);
        let mut direct = Vec::new();
        let document = crate::exact::Document::parse(text.as_bytes()).unwrap();
        document.root().write_canonical(&mut direct);
        prop_assert_eq!(direct, to_canonical(&value));
    }

    #[test]
    fn ingest_is_parse_and_split(object in object(), noise in vec(any::<u8>(), 1..60)) {
        let mut text = String::new();
        noisy(&object, &mut noise.iter().copied().cycle(), &mut text);
        let taken = ingest(text.as_bytes()).unwrap();
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        prop_assert_eq!(taken.header.resource_version.as_deref(), version);
        let mut rest = object;
        let managed = split_managed_fields(&mut rest);
        prop_assert_eq!(taken.exact, to_canonical(&rest));
        prop_assert_eq!(taken.managed_fields, managed.as_ref().map(to_canonical));
    }

    #[test]
    fn a_diff_leads_from_old_to_new((old, new) in pair(&EXACT)) {
        let patch = diff(&old, &new);
        prop_assert_eq!(&patched(&old, &patch), &new);
        prop_assert_eq!(patch.as_array().unwrap().is_empty(), old == new);
        // As bytes it is the same patch, unless the new document is shorter.
        let (from, to) = (to_canonical(&old), to_canonical(&new));
        let expected = Some(to_canonical(&patch)).filter(|patch| patch.len() <= to.len());
        prop_assert_eq!(diff_bytes(&from, &to), expected);
    }

    #[test]
    fn a_state_diff_and_the_version_lead_from_old_to_new(old in object(), edits in edits(&EXACT)) {
        let mut new = edited(&old, &edits);
        // An object without metadata is none; the edits sometimes make one.
        if new.get("metadata").and_then(Value::as_object).is_none() {
            new = old.clone();
        }
        set_resource_version(&mut new, "next");
        let patch = diff_state(&old, &new);
        let mut state = patched(&old, &patch);
        set_resource_version(&mut state, "next");
        prop_assert_eq!(&state, &new);
        for operation in patch.as_array().unwrap() {
            let path = operation.get("path").unwrap().as_str().unwrap();
            prop_assert!(!path.starts_with("/metadata/resourceVersion"));
        }
        let (from, to) = (to_canonical(&old), to_canonical(&new));
        let expected = Some(to_canonical(&patch)).filter(|patch| patch.len() <= to.len());
        prop_assert_eq!(diff_state_bytes(&from, &to), expected);
    }

    #[test]
    fn another_library_applies_our_patches((old, new) in pair(&PLAIN)) {
        let patch: json_patch::Patch =
            serde_json::from_slice(&to_canonical(&diff(&old, &new))).unwrap();
        let mut state = old.to_serde();
        json_patch::patch(&mut state, &patch).unwrap();
        prop_assert_eq!(state, new.to_serde());
    }

    #[test]
    fn we_apply_the_patches_of_another_library((old, new) in pair(&PLAIN)) {
        let patch = json_patch::diff(&old.to_serde(), &new.to_serde());
        let patch = parse(&serde_json::to_vec(&patch).unwrap()).unwrap();
        prop_assert_eq!(patched(&old, &patch), new);
    }

    #[test]
    fn operations_do_what_they_do_elsewhere(
        base in any_value(&PLAIN),
        operation in select(&["add", "remove", "replace", "move", "copy", "test"][..]),
        path in "(/(a|b|ab|name|metadata|a~1b|~01|0|1|2|-|00)){0,3}",
        from in "(/(a|b|ab|name|metadata|a~1b|~01|0|1|2)){0,3}",
        value in any_value(&PLAIN),
    ) {
        let members: Object =
            [("op", operation.into()), ("path", path.into()), ("from", from.into()), ("value", value)]
                .into_iter()
                .collect::<Object>();
        let patch = Value::Array(vec![Value::Object(members)]);
        let theirs: json_patch::Patch = serde_json::from_slice(&to_canonical(&patch)).unwrap();
        let mut expected = base.to_serde();
        let (mut state, result) = (base, json_patch::patch(&mut expected, &theirs));
        prop_assert_eq!(apply(&mut state, &patch).is_ok(), result.is_ok(), "{:?}", result);
        if result.is_ok() {
            prop_assert_eq!(state.to_serde(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_json_is_what_others_take_for_it(
        value in any_value(&PLAIN),
        noise in vec(any::<u8>(), 1..60),
        damages in damages(),
    ) {
        let mut text = String::new();
        noisy(&value, &mut noise.iter().copied().cycle(), &mut text);
        let text = damaged(text.as_bytes(), &damages);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        match (parse(&text), theirs) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(numberless(ours.to_serde()), numberless(theirs));
            }
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{error}"),
            (Err(error), Ok(_)) => prop_assert_eq!(error.reason, ParseReason::DuplicateKey),
            (Err(error), Err(_)) => prop_assert!(error.offset <= text.len()),
        }
    }

    #[test]
    fn damaged_states_never_panic((old, new) in pair(&EXACT), damages in damages()) {
        let (old, to) = (damaged(&to_canonical(&old), &damages), to_canonical(&new));
        for (from, to) in [(&old, &to), (&to, &old)] {
            let Some(patch) = diff_bytes(from, to) else { continue };
            // Where there is a patch although the bytes are damaged, it is still the right one.
            if let (Ok(from), Ok(to)) = (parse_canonical(from), parse_canonical(to)) {
                prop_assert_eq!(patched(&from, &parse(&patch).unwrap()), to);
            }
            let _ = diff_state_bytes(from, to);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..64), other in any::<Vec<u8>>()) {
        let _ = (parse(&bytes), ingest(&bytes), parse_canonical(&bytes), diff_bytes(&bytes, &other));
        let mut quoted = vec![b'"'];
        quoted.extend(&bytes);
        quoted.push(b'"');
        let ours = parse(&quoted).ok();
        let theirs = serde_json::from_slice::<String>(&quoted).ok();
prop_assert_eq!(ours.as_ref().and_then(Value::as_str), theirs.as_deref());
    }
}
