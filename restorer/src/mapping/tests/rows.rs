//! Every row of the table on an object with all its places, against what a person wrote down.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::mapping::{
    pods,
    table::{self, Form},
    yaml::Source,
};

const CASES: [(&str, &str); 3] = [
    ("core.yaml", include_str!("rows/core.yaml")),
    ("network.yaml", include_str!("rows/network.yaml")),
    ("projects.yaml", include_str!("rows/projects.yaml")),
];

/// What stands between before and after.
const BECOMES: &str = " => ";

pub(super) struct Case {
    pub(super) row: &'static Row,
    pub(super) before: Value,
    after: Value,
}

pub(super) fn cases() -> Vec<Case> {
    let mut out = Vec::new();
    for (file, text) in CASES {
        let source = Source::read(file, text).unwrap();
        for place in source.root().items().unwrap() {
            let fields = place.fields(&["row", "object"]).unwrap();
            let id = fields["row"].text().unwrap();
            let row = references().find(|row| row.id == id).unwrap_or_else(|| panic!("{file}: there is no row {id}"));
            let both = fields["object"].value().unwrap();
            out.push(Case { row, before: side(&both, 0), after: side(&both, 1) });
        }
    }
    out
}

/// What a case has on one side.
fn side(both: &Value, at: usize) -> Value {
    let text = |text: &str| text.split(BECOMES).nth(at).unwrap_or(text).to_owned();
    match both {
        Value::String(one) => Value::from(text(one)),
        Value::Array(list) => Value::Array(list.iter().map(|one| side(one, at)).collect()),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, one)| (text(name), side(one, at))).collect())
        }
        other => other.clone(),
    }
}

/// The kinds of a row, each with what it is in the object.
pub(super) fn kinds(row: &Row) -> Vec<(String, &'static str)> {
    let example = |kind: &str| match kind.split_once('/') {
        Some(("*", resource)) => format!("example.com/{resource}"),
        Some((group, "*")) => format!("{group}/examples"),
        _ => kind.to_owned(),
    };
    match row.kinds {
        Kinds::Any => vec![("example.com/things".to_owned(), "")],
        Kinds::These(kinds) => kinds.iter().map(|kind| (example(kind), "")).collect(),
        Kinds::Pods => pods::templates().map(|(kind, template)| (kind.to_owned(), template)).collect(),
    }
}

/// An object with another one at a place in it.
pub(super) fn put(template: &str, inner: &Value) -> Value {
    let mut out = inner.clone();
    for word in template.split(' ').filter(|word| !word.is_empty()).rev() {
        out = match word {
            "[]" => Value::Array(vec![out]),
            names => Value::Object(names.split('|').map(|name| (name, out.clone())).collect()),
        };
    }
    out
}

/// The object itself, which is called something.
pub(super) fn called(object: &Value) -> (Value, String, String) {
    let mut object = object.clone();
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(&object, "/metadata/name").is_empty() {
        let members = object.as_object_mut().unwrap();
        if !members.contains_key("metadata") {
            members.insert("metadata", Value::Object(exact::Object::new()));
        }
        members.get_mut("metadata").and_then(Value::as_object_mut).unwrap().insert("name", "it".into());
    }
    let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
    (object, namespace, name)
}

#[test]
fn every_row_changes_what_a_person_wrote_down() {
    for Case { row, before, after } in cases() {
        for (kind, template) in kinds(row) {
            let (mut object, namespace, name) = called(&put(template, &before));
            let (wanted, new_namespace, new_name) = called(&put(template, &after));
            let mapped = everything().apply(&key(&kind, &namespace, &name), &mut object).unwrap();
            assert_eq!(object, wanted, "{} of {kind}:\n{object}\n{wanted}", row.id);
            assert_eq!(mapped.key, key(&kind, &new_namespace, &new_name), "{} of {kind}", row.id);
            for change in &mapped.changed {
                let of_row = change.why == Why::Reference(row.id) || change.path == "/metadata/namespace";
                assert!(of_row, "{} of {kind}: {change:?}", row.id);
            }
        }
    }
}

#[test]
fn every_place_of_every_row_has_a_case() {
    let mut met: BTreeSet<(&str, &str)> = BTreeSet::new();
    for Case { row, before, .. } in cases() {
        let (kind, template) = kinds(row).remove(0);
        let (mut object, namespace, name) = called(&put(template, &before));
        let mut places = object.clone();
        let mapped = everything().apply(&key(&kind, &namespace, &name), &mut object).unwrap();
        for read in table::places(&kind).filter(|read| read.row == row.id) {
            pattern::visit(&mut places, &read.words, &mut |path, _| {
                if mapped.changed.iter().any(|change| is_within(&change.path, path)) {
                    met.insert((read.row, read.place.at));
                }
            });
        }
    }
    let all: BTreeSet<(&str, &str)> =
        references().flat_map(|row| row.places.iter().map(|place| (row.id, place.at))).collect();
    let missing: Vec<_> = all.difference(&met).collect();
    assert!(missing.is_empty(), "no case changes these places: {missing:#?}");
}

/// What stands in a place of each form, before and after.
fn leaf(form: Form) -> (serde_json::Value, serde_json::Value) {
    let (before, after) = match form {
        Form::Namespace => ("shop", "store"),
        Form::Namespaces => ("a,shop", "a,store"),
        Form::Object => ("shop/x", "store/x"),
        Form::Account => ("system:serviceaccount:shop:x", "system:serviceaccount:store:x"),
        Form::Colon => ("shop:x", "store:x"),
        Form::Host => ("x.shop.svc", "x.store.svc"),
        Form::ScopedHost => ("shop/x.shop.svc", "store/x.store.svc"),
        Form::Search => ("shop.svc.cluster.local", "store.svc.cluster.local"),
        Form::Principal => ("x/ns/shop/sa/y", "x/ns/store/sa/y"),
        Form::Identity => ("x.shop.serviceaccount.identity.y", "x.store.serviceaccount.identity.y"),
        Form::Packed => ("c2hvcA==", "c3RvcmU="),
        Form::Manifest => (r#"{"metadata":{"namespace":"shop"}}"#, r#"{"metadata":{"namespace":"store"}}"#),
        Form::Expression => ("projectcalico.org/name == 'shop'", "projectcalico.org/name == 'store'"),
        Form::Rule => ("Host(`shop.example.com`)", "Host(`store.example.org`)"),
        Form::Class => ("fast", "slow"),
        Form::Image => ("ghcr.io/acme/x", "registry.example.com/acme/x"),
        Form::Selector => {
            let selector = |name: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
            return (selector("shop"), selector("store"));
        }
        Form::Quota => {
            let quota = |class: &str| json!({format!("{class}.storageclass.storage.k8s.io/requests.storage"): "1"});
            return (quota("fast"), quota("slow"));
        }
    };
    (before.into(), after.into())
}

/// An object with nothing but one place, for each of the names that a word of it stands for.
fn alone(words: &[&str], leaf: &serde_json::Value) -> Vec<serde_json::Value> {
    let Some((word, rest)) = words.split_first() else { return vec![leaf.clone()] };
    let inner = alone(rest, leaf);
    let with = |mut object: serde_json::Value, key: &str, value: &str| {
        object[key] = value.into();
        object
    };
    let bracket = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
    let brace = word.strip_prefix('{').and_then(|word| word.strip_suffix('}'));
    let of = |inner: &serde_json::Value| match (bracket, brace, *word) {
        (Some(such), ..) => vec![match such.split_once('=') {
            Some((key, value)) => json!([{"not": "it"}, with(inner.clone(), key, value)]),
            None => json!([inner]),
        }],
        (_, Some(has), _) => vec![match has.split_once('=') {
            Some((key, value)) => with(inner.clone(), key, value),
            None if has.starts_with('!') => inner.clone(),
            None => with(inner.clone(), has, "there"),
        }],
        (_, _, "**") => vec![inner.clone(), json!({"deep": [inner]})],
        (_, _, keys) => keys.split('|').map(|key| json!({key.replace('*', "any"): inner})).collect(),
    };
    inner.iter().flat_map(of).collect()
}

#[test]
fn every_name_that_a_place_stands_for_is_changed() {
    let mut tried = 0;
    for row in references() {
        for (kind, template) in kinds(row) {
            for place in row.places {
                let words: Vec<&str> =
                    template.split(' ').chain(place.at.split(' ')).filter(|word| !word.is_empty()).collect();
                let (before, after) = leaf(place.form);
                for (before, after) in alone(&words, &before).iter().zip(alone(&words, &after)) {
                    let (mut object, namespace, name) = called(&value(before));
                    let mapped = everything().apply(&key(&kind, &namespace, &name), &mut object).unwrap();
                    let (wanted, ..) = called(&value(&after));
                    assert_eq!(object, wanted, "{} of {kind}: {}", row.id, place.at);
                    assert_eq!(mapped.changed.len(), 1, "{} of {kind}: {}", row.id, place.at);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn what_was_mapped_goes_back_but_for_images() {
    let turned = |names: &BTreeMap<String, String>| names.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
    let there = Mapping { images: BTreeMap::new(), ..everything() };
    let back = Mapping {
        namespaces: turned(&there.namespaces),
        storage_classes: turned(&there.storage_classes),
        hosts: turned(&there.hosts),
        domains: turned(&there.domains),
        ..Mapping::default()
    };
    for Case { row, before, .. } in cases() {
        for (kind, template) in kinds(row) {
            let (object, namespace, name) = called(&put(template, &before));
            let mut mapped = object.clone();
            let became = there.apply(&key(&kind, &namespace, &name), &mut mapped).unwrap();
            let came_back = back.apply(&became.key, &mut mapped).unwrap();
            assert_eq!((mapped, came_back.key), (object, became.origin), "{} of {kind}", row.id);
        }
    }
}

#[test]
fn ids_are_unique_and_places_are_written_once() {
    let ids: Vec<&str> = references().map(|row| row.id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    for row in references() {
        let places: BTreeSet<&str> = row.places.iter().map(|place| place.at).collect();
        assert_eq!(places.len(), row.places.len(), "{}", row.id);
        assert!(places.iter().all(|place| place.matches("**").count() < 2), "{}", row.id);
        if let Kinds::These(kinds) = row.kinds {
            assert!(kinds.iter().all(|kind| kind.contains('/') && **kind == kind.to_lowercase()), "{}", row.id);
        }
    }
}

#[test]
fn every_form_is_used() {
    let used: BTreeSet<Form> = references().flat_map(|row| row.places.iter().map(|place| place.form)).collect();
    assert_eq!(used.len(), 18, "{used:?}");
}

#[test]
fn the_built_in_templates_are_those_of_the_descriptors() {
    for (kind, template) in
        pods::templates().filter(|(kind, _)| crate::kinds::is_built_in(kind.split('/').next().unwrap()))
    {
        let way: String = template.split(' ').filter(|word| !word.is_empty()).map(|word| format!("/{word}")).collect();
        assert_eq!(crate::kinds::find(kind).pods, format!("{way}/spec"), "{kind}");
    }
}

fn document() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("REFERENCES.md")
}

#[test]
fn the_document_is_the_table() {
    let written = fs::read_to_string(document()).unwrap_or_default();
    assert!(
        written == markdown(),
        "restorer/REFERENCES.md differs from the table; `cargo test -p hindcast-restorer -- --ignored write_the_references` writes it"
    );
}

#[test]
#[ignore = "writes the document that the_document_is_the_table compares with"]
fn write_the_references() {
    fs::write(document(), markdown()).unwrap();
}
