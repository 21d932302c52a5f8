//! What holds for any two objects: what is sent has the wanted intent and the live rest.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Tokens whose spelling a number type would lose.
fn token() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["1.10", "1e5", "0", "-0", "18446744073709551617", "3", "1.1", "7"])
        .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "yes", "", "10Gi", "10.0.0.1", "None", "x"])
        .prop_map(|text| format!("{text:?}"))
}

fn maybe(part: impl Strategy<Value = String>) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.6, part)
}

fn object(members: Vec<(&'static str, Option<String>)>) -> String {
    let members: Vec<String> =
        members.into_iter().filter_map(|(name, value)| Some(format!("{name:?}:{}", value?))).collect();
    format!("{{{}}}", members.join(","))
}

/// A list with elements of distinct names, in any order, or with a name twice.
fn list(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let names = prop::sample::subsequence(vec!["a", "kube-api-access-x", "web-token-y", "c"], 0..=4);
    (names.prop_shuffle(), prop::collection::vec(element, 4), prop::bool::weighted(0.1)).prop_map(
        |(names, bodies, twice)| {
            let mut items: Vec<String> = names
                .iter()
                .zip(&bodies)
                .map(|(name, body)| format!(r#"{{"name":{name:?},"kind":"K","rest":{body}}}"#))
                .collect();
            if let (true, Some(item)) = (twice, items.first().cloned()) {
                items.push(item);
            }
            format!("[{}]", items.join(","))
        },
    )
}

fn annotations() -> impl Strategy<Value = String> {
    let names = [
        "deployment.kubernetes.io/revision",
        "pv.kubernetes.io/bind-completed",
        "control-plane.alpha.kubernetes.io/leader",
        "team",
    ];
    prop_oneof![
        Just("null".to_owned()),
        prop::collection::vec(maybe(text()), names.len())
            .prop_map(move |values| object(names.iter().copied().zip(values).collect())),
    ]
}

fn spec() -> impl Strategy<Value = String> {
    let mounts = list(token());
    let container = (maybe(mounts), maybe(token())).prop_map(|(mounts, requests)| {
        object(vec![
            ("volumeMounts", mounts),
            ("resources", requests.map(|n| format!(r#"{{"requests":{{"cpu":{n}}}}}"#))),
        ])
    });
    let ports = prop::collection::vec(maybe(token()), 0..3).prop_map(|nodes| {
        let port = |(n, node): (usize, &Option<String>)| {
            object(vec![
                ("port", Some(n.to_string())),
                ("protocol", Some("\"TCP\"".to_owned())),
                ("nodePort", node.clone()),
            ])
        };
        format!("[{}]", nodes.iter().enumerate().map(port).collect::<Vec<_>>().join(","))
    });
    let labels = maybe(prop_oneof![Just("{}".to_owned()), Just(r#"{"controller-uid":"u","app":"a"}"#.to_owned())]);
    let template = (labels, maybe(list(container))).prop_map(|(labels, containers)| {
        object(vec![
            ("metadata", labels.map(|labels| format!(r#"{{"labels":{labels}}}"#))),
            ("spec", containers.map(|list| format!(r#"{{"containers":{list}}}"#))),
        ])
    });
    let claim = maybe(text()).prop_map(|uid| object(vec![("name", Some("\"c\"".to_owned())), ("uid", uid)]));
    let size = text().prop_map(|size| format!(r#"{{"requests":{{"storage":{size}}}}}"#));
    (
        (maybe(token()), maybe(text()), maybe(text()), maybe(ports)),
        (maybe(template), maybe(claim), maybe(size), maybe(list(token()))),
    )
        .prop_map(|((replicas, node, ip, ports), (template, claim, size, volumes))| {
            object(vec![
                ("replicas", replicas),
                ("nodeName", node.clone()),
                ("volumeName", node),
                ("clusterIP", ip),
                ("ports", ports),
                ("template", template),
                ("claimRef", claim),
                ("resources", size),
                ("volumes", volumes),
            ])
        })
}

/// A book of fields in which machines own some of what there is.
fn book() -> impl Strategy<Value = String> {
    let fields = prop::sample::subsequence(
        vec![
            r#""f:metadata":{"f:annotations":{".":{},"f:team":{}},"f:finalizers":{"v:\"x\"":{}}}"#,
            r#""f:spec":{"f:replicas":{},"f:volumes":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:rest":{}}}}"#,
            r#""f:status":{"f:phase":{}}"#,
        ],
        0..=3,
    );
    let manager = prop::sample::select(vec!["ci", "kubelet", "kube-controller-manager"]);
    let subresource = prop::sample::select(vec!["", "scale", "status"]);
    let entry = (manager, subresource, fields).prop_map(|(manager, subresource, fields)| {
        format!(r#"{{"manager":{manager:?},"subresource":{subresource:?},"fieldsV1":{{{}}}}}"#, fields.join(","))
    });
    prop::collection::vec(entry, 0..3).prop_map(|entries| format!("[{}]", entries.join(",")))
}

fn any_full() -> impl Strategy<Value = Full> {
    let metadata = (maybe(annotations()), maybe(text()), maybe(list(token())), maybe(book())).prop_map(
        |(annotations, uid, owners, book)| {
            object(vec![
                ("name", Some("\"web\"".to_owned())),
                ("annotations", annotations),
                ("uid", uid),
                ("ownerReferences", owners),
                ("finalizers", Some(r#"["x"]"#.to_owned())),
                ("managedFields", book),
            ])
        },
    );
    (metadata, maybe(spec()), maybe(token()), maybe(token())).prop_map(|(metadata, spec, data, status)| {
        let text = object(vec![("metadata", Some(metadata)), ("spec", spec), ("data", data), ("status", status)]);
        let mut value = hindcast_journal::exact::parse(text.as_bytes()).expect("the generator writes JSON");
        let managed = hindcast_journal::exact::split_managed_fields(&mut value);
        Full { value, managed }
    })
}

fn any_kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "apps/deployments",
        "apps/statefulsets",
        "batch/jobs",
        "/pods",
        "/services",
        "/persistentvolumeclaims",
        "/persistentvolumes",
        "/serviceaccounts",
        "/secrets",
        "/configmaps",
        "/namespaces",
        "shop.example/carts",
    ])
}

fn any_around() -> impl Strategy<Value = Surroundings> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(scaled, resized, asked)| {
        let by = |on: bool, words: &str| {
            let entry = (key("apps/deployments", "web"), BTreeSet::from([scaler(words)]));
            on.then_some(entry).into_iter().collect()
        };
        Surroundings {
            scaled: by(scaled, "HorizontalPodAutoscaler web"),
            resized: by(resized, "VerticalPodAutoscaler web"),
            asked: asked.then(|| "/spec/replicas".to_owned()),
            ..Surroundings::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_has_the_wanted_intent(kind in any_kind(), wanted in any_full(), live in any_full(), around in any_around()) {
        let kept = kept(&key(kind, "web"), Some(&wanted), Some(&live), &around);
        let sent = target(&wanted.value, Some(&live.value), &kept);
        prop_assert_eq!(form(&sent, &kept), form(&wanted.value, &kept));
    }

    #[test]
    fn what_is_kept_is_as_it_is_live(kind in any_kind(), wanted in any_full(), live in any_full(), around in any_around()) {
        let kept = kept(&key(kind, "web"), Some(&wanted), Some(&live), &around);
        let sent = target(&wanted.value, Some(&live.value), &kept);
        for kept in &kept {
            let container = Place::within(kept.place.steps.get(..kept.place.fixed).unwrap_or_default().to_vec());
            // What has no place in the wanted object is not put there.
            if container.get(&wanted.value).is_some() || kept.place.fixed == 0 {
                prop_assert_eq!(kept.place.get(&sent), kept.place.get(&live.value), "{}", kept.path);
            }
        }
    }

    #[test]
    fn an_object_put_back_over_itself_is_itself(kind in any_kind(), live in any_full(), around in any_around()) {
        let kept = kept(&key(kind, "web"), Some(&live), Some(&live), &around);
        prop_assert_eq!(target(&live.value, Some(&live.value), &kept), live.value);
    }

    #[test]
    fn sending_twice_changes_nothing(kind in any_kind(), wanted in any_full(), live in any_full(), around in any_around()) {
        let key = key(kind, "web");
        let first = kept(&key, Some(&wanted), Some(&live), &around);
        let sent = Full { value: target(&wanted.value, Some(&live.value), &first), managed: live.managed.clone() };
        let second = kept(&key, Some(&wanted), Some(&sent), &around);
        prop_assert_eq!(form(&sent.value, &second), form(&wanted.value, &second));
    }

    #[test]
    fn a_new_object_has_nothing_but_what_was_wanted(kind in any_kind(), wanted in any_full(), around in any_around()) {
        let kept = kept(&key(kind, "web"), Some(&wanted), None, &around);
        let sent = target(&wanted.value, None, &kept);
        prop_assert_eq!(form(&sent, &kept), form(&wanted.value, &kept));
        for kept in &kept {
            let expected = if kept.fresh == Fresh::Absent { None } else { kept.place.get(&wanted.value) };
            prop_assert_eq!(kept.place.get(&sent), expected, "{}", kept.path);
        }
    }
}

#[test]
fn the_generator_reaches_the_rules() {
    let object = json!({"metadata": {"annotations": null}, "spec": {"replicas": 1}});
    let (wanted, live) = (full(object.clone()), full(object));
    let around = scaled_by("HorizontalPodAutoscaler web");
    let kept = kept(&key("apps/deployments", "web"), Some(&wanted), Some(&live), &around);
    assert_eq!(kept.iter().filter(|kept| kept.rule == "hpa-replicas").count(), 1);
}
