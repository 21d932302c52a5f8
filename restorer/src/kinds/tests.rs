//! What descriptors say, and what the table says of them.

use std::collections::BTreeSet;

use super::*;
use crate::rules;

/// The kinds that a row of the table names.
fn named_by(rule: &str) -> BTreeSet<String> {
    let rule = rules::find(rule).expect("a row of the table");
    rule.kinds.iter().map(|&kind| kind.to_owned()).collect()
}

fn such_as(test: impl Fn(&Kind) -> bool) -> BTreeSet<String> {
    such(test).collect()
}

#[test]
fn a_kind_has_one_descriptor() {
    let mut seen = BTreeSet::new();
    for kind in all() {
        assert!(seen.insert(kind.key()), "{} has two", kind.key());
        assert!(kind.key() == kind.key().to_lowercase() && !kind.resource.contains('/'), "{}", kind.key());
    }
    assert_eq!(find(crds::DEFINITIONS).key(), crds::DEFINITIONS);
    assert_eq!(find(volumes::CLAIMS).key(), volumes::CLAIMS);
    assert_eq!(find(secrets::CONFIG_MAPS).config, Some("ConfigMap"));
    assert_eq!(find(secrets::SECRETS).config, Some("Secret"));
}

#[test]
fn an_unknown_kind_is_like_any_other_or_like_its_group() {
    for key in ["shop.example/carts", "carts", "", "apps/carts"] {
        let kind = find(key);
        assert!(kind.key() == "/" && kind.turn == Turn::Others && kind.goes == Turn::Deletes, "{key}");
    }
    let policies = find("admissionregistration.k8s.io/validatingadmissionpolicies");
    assert!(policies.turn == Turn::Admission && policies.ca_bundle.is_none());
    assert!(find("rbac.authorization.k8s.io/roles").turn == Turn::Configuration);
}

#[test]
fn turns_stand_in_their_order() {
    assert!(Turn::ALL.is_sorted());
    assert!(Turn::ALL.iter().enumerate().all(|(at, turn)| usize::from(*turn as u8) == at));
}

#[test]
fn kinds_that_are_never_touched_are_those_that_the_table_names() {
    let rules: BTreeSet<&str> = all().filter_map(|kind| kind.never).map(Ruled::id).collect();
    for rule in rules {
        assert_eq!(such_as(|kind| kind.never.is_some_and(|never| never.id() == rule)), named_by(rule), "{rule}");
    }
}

#[test]
fn what_descriptors_carry_out_the_table_names() {
    assert_eq!(such_as(|kind| kind.made != Made::No && kind.never.is_none()), named_by("owned"));
    assert_eq!(such_as(|kind| kind.stands.is_some()), named_by("callers-rights"));
    assert_eq!(such_as(|kind| kind.destroys.is_some()), named_by("destroys-data"));
    assert_eq!(such_as(|kind| kind.runs_once), named_by("run-once"));
    assert_eq!(such_as(|kind| kind.pause.is_some()), named_by("cronjob-suspended"));
    assert_eq!(such_as(|kind| kind.ca_bundle.is_some()), named_by("ca-bundle"));
    assert_eq!(such_as(|kind| kind.create.is_some()), named_by("pvc-empty"));
    assert_eq!(such_as(|kind| kind.orphans), named_by("statefulset-orphan"));
    assert_eq!(such_as(|kind| kind.makes_room), named_by("quota-order"));
    assert_eq!(such_as(|kind| kind.without_taken.is_some()), named_by("service-node-port"));
    for kind in all().filter(|kind| kind.config.is_some() || kind.keeps_pods || kind.rollout.is_some()) {
        assert!(named_by("config-at-start").contains(&kind.key()), "{}", kind.key());
    }
}

#[test]
fn rows_of_a_kind_are_of_rules_that_name_it() {
    for kind in all() {
        for row in kind.rows.iter().filter(|row| row.rule != "server-metadata") {
            assert!(named_by(row.rule).contains(&kind.key()), "{}: {}", kind.key(), row.rule);
        }
    }
}
