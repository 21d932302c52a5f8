//! The table itself: its document, its ids, and a test for each of them.

#[expect(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
mod changes;
#[expect(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
mod objects;

use std::{collections::BTreeSet, fs, path::Path};

use super::*;

/// Where the tests of a rule may be: the rules' own, the planner's and the applier's beside it.
fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_rule_has_a_test_by_its_name() {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let tests: Vec<&str> =
        text.split("#[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next()).collect();
    // A test of `node-state` is none of `node`.
    let about = |test: &str| {
        all().iter().map(|rule| rule.id).filter(|id| test.contains(&id.replace('-', "_"))).max_by_key(|id| id.len())
    };
    let named: BTreeSet<&str> = tests.iter().filter_map(|test| about(test)).collect();
    let missing: Vec<&str> = all().iter().map(|rule| rule.id).filter(|id| !named.contains(id)).collect();
    assert!(missing.is_empty(), "no test is named by these rules: {missing:?}");
}

#[test]
fn ids_are_unique_and_each_stands_in_one_chapter() {
    let ids: Vec<&str> = all().iter().map(|rule| rule.id).collect();
    let listed: Vec<&str> = chapters::CHAPTERS.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    assert_eq!(ids, listed);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn every_row_is_a_sentence_about_kinds_that_have_a_key() {
    for rule in all() {
        assert!(rule.what.ends_with(['.', '!']) && rule.why.ends_with('.'), "{}", rule.id);
        assert!(rule.kinds.iter().all(|kind| kind.contains('/') && **kind == kind.to_lowercase()), "{}", rule.id);
    }
}

#[test]
fn rules_about_a_kind_are_those_that_name_it_and_those_about_all() {
    let ids: Vec<&str> = about("/services").map(|rule| rule.id).collect();
    assert!(ids.contains(&"service-cluster-ip") && ids.contains(&"status") && !ids.contains(&"pvc-size"), "{ids:?}");
}

#[test]
fn what_stands_in_braces_can_be_spelled() {
    for rule in all() {
        for named in rule.what.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            assert!(spelled(named, &crate::message::Plain).is_some(), "{}: {named}", rule.id);
        }
        assert!(!rule.why.contains('{'), "{}", rule.id);
    }
}
