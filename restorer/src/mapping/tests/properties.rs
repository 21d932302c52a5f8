//! Properties over objects at random: those of the rows with noise in them.

use std::{collections::HashSet, sync::LazyLock};

use proptest::prelude::*;

use super::{
    rows::{Case, called, cases, kinds, put},
    *,
};

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

/// Texts of every form, and of none.
const TEXTS: &[&str] = &[
    "",
    "shop",
    "shopping",
    "front",
    "Shop",
    "!shop",
    "shop,front",
    "shop/web",
    "web/shop",
    "system:serviceaccount:shop:web",
    "system:serviceaccounts:shop",
    "shop:web",
    "https://u@db.shop.svc:8443/shop?shop#shop",
    "db.shop.svc.cluster.local",
    "shop.svc.cluster.local",
    "svc.svc.svc",
    "://@:/",
    "a.shop",
    "cluster.local/ns/shop/sa/shop",
    "/ns/",
    "web.shop.serviceaccount.identity.linkerd.cluster.local",
    "c2hvcA==",
    "{\"metadata\":{\"namespace\":\"shop\"}}",
    "{",
    "projectcalico.org/name in {'shop'",
    "kubernetes.io/metadata.name == 'shop'",
    "Host(`shop.example.com`) && Host(`",
    "fast",
    "nginx",
    "ghcr.io/acme/web@sha256:00",
    "@",
    "ünïcödé.shop.svc",
    "kubernetes.io/metadata.name",
];

/// Keys that mean something somewhere, and some that do not.
const KEYS: &[&str] = &[
    "namespace",
    "name",
    "spec",
    "metadata",
    "subjects",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "values",
    "key",
    "kubernetes.io/metadata.name",
    "annotations",
    "template",
    "a/b",
    "x~y",
    "kind",
    "clientConfig",
    "hosts",
    "ports",
    "nodePort",
];

fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        proptest::sample::select(TEXTS).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(exact::parse(b"1.10").unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(KEYS), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object of a case, in a kind of its row, with some of its texts replaced by noise and noise beside.
fn objects() -> impl Strategy<Value = (ObjectKey, Value)> {
    let replaced = proptest::collection::vec((any::<prop::sample::Index>(), noise()), 0..4);
    let parts = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), replaced, noise(), noise());
    parts.prop_map(|(case, kind, replaced, beside, status)| {
        let case = case.get(&CASES);
        let kinds = kinds(case.row);
        let (kind, template) = kind.get(&kinds);
        let (mut object, namespace, name) = called(&put(template, &case.before));
        for (at, new) in replaced {
            let leaves = leaves(&object);
            let path = at.get(&leaves).0.clone();
            // What an object is called is what it is called.
            if !["/metadata/name", "/metadata/namespace", "/apiVersion"].contains(&path.as_str()) {
                *object.pointer_mut(&path).unwrap() = new;
            }
        }
        let members = object.as_object_mut().unwrap();
        members.insert("beside", beside);
        members.insert("status", status);
        (key(kind, &namespace, &name), object)
    })
}

/// Every scalar of a value, with its pointer.
fn leaves(value: &Value) -> Vec<(String, Value)> {
    fn walk(value: &Value, at: &str, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(members) => {
                for (name, child) in members.iter() {
                    walk(child, &format!("{at}/{}", hindcast_journal::seal::escape_pointer(name)), out);
                }
            }
            Value::Array(list) => {
                for (n, child) in list.iter().enumerate() {
                    walk(child, &format!("{at}/{n}"), out);
                }
            }
            _ => out.push((at.to_owned(), value.clone())),
        }
    }
    let mut out = Vec::new();
    walk(value, "", &mut out);
    out
}

/// Whether a pointer begins with a place of the table, read without the table's own reader. Conditions are passed over.
fn is_at(tokens: &[String], words: &[&str]) -> bool {
    let Some((word, rest)) = words.split_first() else { return true };
    if word.starts_with('{') {
        return is_at(tokens, rest);
    }
    if *word == "**" {
        return (0..=tokens.len()).any(|skip| is_at(&tokens[skip..], rest));
    }
    let Some((token, more)) = tokens.split_first() else { return false };
    let fits = match word.starts_with('[') {
        true => token.parse::<usize>().is_ok(),
        false => {
            word.split('|').any(|one| one.strip_suffix('*').map_or(token == one, |begin| token.starts_with(begin)))
        }
    };
    fits && is_at(more, rest)
}

/// The places that a row says a kind has.
fn places(row: &Row, kind: &str) -> Vec<String> {
    let template = kinds(row).into_iter().find(|(with, _)| with == kind).map_or("", |(_, template)| template);
    row.places.iter().map(|place| format!("{template} {}", place.at)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_mapping_that_maps_nothing_changes_nothing((key, object) in objects()) {
        let same = to(&[("shop", "shop"), ("front", "front"), ("other", "other")]);
        let same = Mapping {
            storage_classes: names(&[("fast", "fast")]),
            images: names(&[("docker.io", "docker.io"), ("ghcr.io/acme", "ghcr.io/acme")]),
            hosts: names(&[("shop.example.com", "shop.example.com")]),
            domains: names(&[("acme.io", "acme.io")]),
            ..same
        };
        for mapping in [Mapping::default(), same] {
            let mut after = object.clone();
            let mapped = mapping.apply(&key, &mut after).unwrap();
            prop_assert_eq!(exact::to_canonical(&after), exact::to_canonical(&object));
            prop_assert!(!mapped.is_changed() && mapped.told.is_empty(), "{:?}", mapped);
        }
    }

    #[test]
    fn there_and_back_is_nothing_where_no_such_name_was((key, object) in objects()) {
        let there = Mapping { addresses: Addresses::Kept, ..to(&[("shop", "zz-there"), ("front", "zz-other")]) };
        let back = Mapping { addresses: Addresses::Kept, ..to(&[("zz-there", "shop"), ("zz-other", "front")]) };
        let mut after = object.clone();
        let mapped = there.apply(&key, &mut after).unwrap();
        let again = back.apply(&mapped.key, &mut after).unwrap();
        prop_assert_eq!(again.key, key);
        prop_assert_eq!(after, object);
    }

    #[test]
    fn only_places_of_the_table_change((key, object) in objects()) {
        let mut after = object.clone();
        let mapped = everything().apply(&key, &mut after).unwrap();
        let (before, now): (HashSet<_>, HashSet<_>) = (leaves(&object).into_iter().collect(), leaves(&after).into_iter().collect());
        let rows: BTreeMap<&str, &Row> = references().map(|row| (row.id, row)).collect();
        for (path, _) in before.symmetric_difference(&now) {
            let change = mapped.changed.iter().find(|change| is_within(path, &change.path));
            prop_assert!(change.is_some(), "{path} was changed and not said");
            let Why::Reference(id) = &change.unwrap().why else {
                prop_assert_eq!(&change.unwrap().why, &Why::Allocated);
                continue;
            };
            let tokens = hindcast_journal::seal::pointer_tokens(path);
            let places = places(rows[id], &key.kind_key());
            let is = places.iter().any(|place| is_at(&tokens, &place.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>()));
            prop_assert!(is, "{path} is no place of {id}");
        }
        for change in &mapped.changed {
            prop_assert!(change.from != change.to, "{:?}", change);
        }
    }

    #[test]
    fn a_second_time_changes_nothing((key, object) in objects()) {
        let mapping = Mapping { images: BTreeMap::new(), ..everything() };
        let mut once = object;
        let first = mapping.apply(&key, &mut once).unwrap();
        let mut twice = once.clone();
        let second = mapping.apply(&first.key, &mut twice).unwrap();
        prop_assert_eq!(twice, once);
        prop_assert!(!second.is_changed());
    }

    #[test]
    fn kinds_that_no_row_is_about_keep_their_texts(noise in noise()) {
        let mut object = value(&json!({"metadata": {"name": "it", "namespace": "shop"}}));
        object.as_object_mut().unwrap().insert("data", noise.clone());
        let mapped = everything().apply(&key("unheard.example.com/of", "shop", "it"), &mut object).unwrap();
        prop_assert_eq!(object.get("data"), Some(&noise));
        prop_assert_eq!(mapped.changed.len(), 1);
    }
}
