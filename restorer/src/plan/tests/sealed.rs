//! No sealed value is told, wherever it stands: in a plan, in its record, in an outcome.

use std::sync::Arc;

use futures::TryStreamExt as _;
use hindcast_journal::{Parts, exact::Value, layout::Layout, seal::Rules, store::Store};
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::prelude::*;

use super::scene::{Scene, key, only, target, value};
use crate::{
    Prepared, Records,
    desired::Full,
    intent::{self, Form, Surroundings},
    message::Message,
    plan::{fields, quoted::Quoted, side::Side},
};

const PLACES: [&str; 6] = [
    "widgets.example.com:/spec/users/*/token",
    "widgets.example.com:/spec/users/*/uid",
    "widgets.example.com:/spec/groups/*/members/*/key",
    "widgets.example.com:/spec/pins/*",
    "widgets.example.com:/spec/named/*/name",
    "widgets.example.com:/spec/third/2/token",
];

fn rules(places: &[&str]) -> Rules {
    let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
    Rules::parse(&places).expect("places")
}

/// What every sealed text has in it, and every sealed number.
const MARKS: [&str; 2] = ["S3CRET", "77770"];

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4_u8).prop_map(|n| format!("\"S3CRET{n}\"")),
        (0..4_u8).prop_map(|n| format!("77770{n}")),
        (0..4_u8).prop_map(|n| format!("{{\"name\":\"S3CRET{n}\"}}")),
        (0..4_u8).prop_map(|n| format!("[{{\"name\":\"S3CRET{n}\"}},\"S3CRET\"]")),
    ]
}

fn list(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(",")))
}

/// An object of members that may be there or not.
fn object(members: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.8, value.prop_map(move |v| format!("\"{name}\":{v}"))))
        .collect();
    members.prop_map(|members| format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))).boxed()
}

fn open() -> BoxedStrategy<String> {
    (0..3_u8).prop_map(|n| format!("\"n{n}\"")).boxed()
}

fn widget() -> impl Strategy<Value = String> {
    let token = || secret().boxed();
    let user = object(vec![("name", open()), ("uid", token()), ("token", token()), ("v", open())]);
    let member = object(vec![("name", open()), ("key", token())]);
    let group = object(vec![("name", open()), ("members", list(member).boxed()), ("v", open())]);
    let named = object(vec![("name", token()), ("v", open())]);
    let third = (open(), open(), token()).prop_map(|(a, b, token)| {
        format!("[{{\"name\":{a},\"token\":1}},{{\"name\":{b}}},{{\"name\":\"last\",\"token\":{token}}}]")
    });
    let spec = object(vec![
        ("users", list(user).boxed()),
        ("groups", list(group).boxed()),
        ("pins", list(secret()).boxed()),
        ("named", list(named).boxed()),
        ("third", third.boxed()),
        ("v", open()),
    ]);
    spec.prop_map(|spec| format!("{{\"spec\":{spec}}}"))
}

fn tells(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}

/// Everything that the record of a plan is made of, as text.
async fn recorded(prepared: &Prepared, key: Arc<hindcast_journal::seal::Key>) -> String {
    let inner = Arc::new(InMemory::new());
    let layout = Layout::new(&Path::from("journal"), "c");
    let store = Store::new(inner.clone(), layout, Parts::system());
    let records = Records::new(store, vec![key], false).with_rules(rules(&PLACES));
    records.begin(prepared, &|_| {}).await.expect("the store takes it");
    let mut out = String::new();
    for meta in inner.list(None).try_collect::<Vec<_>>().await.expect("it lists") {
        let bytes = inner.get(&meta.location).await.expect("it is there").bytes().await.expect("its bytes");
        let bytes = zstd::bulk::decompress(&bytes, 1 << 20).unwrap_or_else(|_| bytes.to_vec());
        out.push_str(&String::from_utf8_lossy(&bytes));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_told_holds_a_sealed_value(
        (then, now) in (widget(), widget()),
        part in prop::option::weighted(0.3, prop::sample::select(vec!["/spec", "/spec/users", "/spec/users/[name=n1]", "/spec/users/0/token", "/spec/pins/0"])),
        (hashed, verb) in (any::<bool>(), 0..3_u8),
    ) {
        let mut scene = Scene::shop();
        scene.desired.rules = rules(&PLACES);
        scene.selection.path = part.filter(|_| verb == 0).map(str::to_owned);
        if verb != 1 {
            scene = scene.now("Widget w", &now);
        }
        if verb != 2 {
            scene = scene.then("Widget w", &then);
        }
        scene = scene.hashed();
        let key = scene.desired.key.clone().expect("a key");
        scene.desired.key = scene.desired.key.filter(|_| hashed);
        let prepared = scene.plan();
        let text = serde_json::to_string(&prepared.plan).expect("it serialises");
        prop_assert!(!tells(&text), "{text}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(recorded(&prepared, key));
        prop_assert!(!tells(&text), "{text}");
        let around = Surroundings { rules: rules(&PLACES), ..Surroundings::default() };
        for bodies in prepared.bodies.values() {
            let of = self::key("Widget w");
            for side in bodies.before.iter().map(|before| &before.value).chain(&bodies.target) {
                // What a server may say of any of it.
                let said = Message::from(format!("Invalid value: {side}: no"));
                let text = Quoted::of(&of, bodies, &around.rules).out_of(said).to_string();
                prop_assert!(!tells(&text), "{text}");
            }
        }
    }
}

#[test]
fn an_element_is_hidden_at_its_own_index_of_either_side() {
    let user = |name: &str, token: &str| format!(r#"{{"name":"{name}","token":"{token}"}}"#);
    let spec = |users: &[String]| format!(r#"{{"spec":{{"users":[{}]}}}}"#, users.join(","));
    let mut scene = Scene::shop()
        .then("Widget w", &spec(&[user("b", "S3CRET1"), user("a", "S3CRET2")]))
        .now("Widget w", &spec(&[user("a", "S3CRET3"), user("c", "S3CRET4")]));
    scene.desired.rules = rules(&["widgets.example.com:/spec/users/*/token"]);
    let prepared = scene.plan();
    let text = serde_json::to_string(&prepared.plan).expect("it serialises");
    assert!(!tells(&text) && text.contains("/spec/users/[name=a]/token"), "{text}");
    assert!(target(&prepared).to_string().contains("S3CRET1"), "the body has the value itself");
}

#[test]
fn what_was_sealed_when_it_was_kept_stays_hidden() {
    let spec = |token: &str| format!(r#"{{"spec":{{"users":[{{"name":"a","token":"{token}"}}]}}}}"#);
    let mut scene = Scene::shop().then("Widget w", &spec("S3CRET1")).now("Widget w", &spec("S3CRET2"));
    scene.desired.objects.get_mut(&key("Widget w")).expect("an object").redact = vec!["/spec/users/0/token".into()];
    let text = serde_json::to_string(&only(&scene.plan())).expect("it serialises");
    assert!(!tells(&text) && text.contains("<redacted "), "{text}");
}

#[test]
fn what_is_cut_out_of_a_list_moves_what_is_sealed_behind_it() {
    let list = value(r#"{"metadata":{"finalizers":["foregroundDeletion","S3CRET"]}}"#);
    let full = Full { value: list.clone(), managed: None };
    let kept = intent::kept(&key("Widget w"), Some(&full), None, &Surroundings::default());
    let sealed = ["/metadata/finalizers/0".to_owned(), "/metadata/finalizers/1".to_owned()];
    let form = Form::new(&list, &kept, &sealed);
    assert_eq!(form.value.to_string(), r#"{"metadata":{"finalizers":["S3CRET"]}}"#);
    assert_eq!(form.sealed, ["/metadata/finalizers/0"]);
}

#[test]
fn what_is_left_to_its_owner_is_hidden_on_both_sides() {
    let hooks = |hooks: &[(&str, &str)]| {
        let hook =
            |(name, bundle): &(&str, &str)| format!(r#"{{"name":"{name}","clientConfig":{{"caBundle":"{bundle}"}}}}"#);
        value(&format!(r#"{{"webhooks":[{}]}}"#, hooks.iter().map(hook).collect::<Vec<_>>().join(",")))
    };
    let (then, now) = (hooks(&[("a", "S3CRET1")]), hooks(&[("b", "S3CRET2"), ("a", "S3CRET3")]));
    let of = hindcast_journal::fold::ObjectKey {
        namespace: String::new(),
        group: "admissionregistration.k8s.io".into(),
        resource: "validatingwebhookconfigurations".into(),
        name: "w".into(),
    };
    let rules =
        rules(&["validatingwebhookconfigurations.admissionregistration.k8s.io:/webhooks/*/clientConfig/caBundle"]);
    let full = |value: &Value| Full { value: value.clone(), managed: None };
    let kept = intent::kept(&of, Some(&full(&then)), Some(&full(&now)), &Surroundings::default());
    // Each side's own places alone: nothing is hidden by chance.
    let paths = [&now, &then].map(|side| rules.sealed_paths(&of.group, &of.resource, side));
    let out = fields::kept(&Side::new(&now, &paths[0]), &Side::new(&then, &paths[1]), &kept, None);
    let text = format!("{out:?}");
    assert!(!tells(&text) && text.contains("/webhooks/[name=a]/clientConfig/caBundle"), "{text}");
}
