//! Which elements are the same one, and what they are called.

use hindcast_journal::exact;

use super::*;

fn list(text: &str) -> Vec<Value> {
    exact::parse(text.as_bytes()).expect("JSON").as_array().expect("a list").to_vec()
}

/// The labels of a list beside another one.
fn labels(one: &str, other: &str) -> Vec<String> {
    let (one, other) = (list(one), list(other));
    let fields = pair(&one, &other).labels;
    one.iter().filter_map(|element| Some(called(fields?, element))).collect()
}

#[test]
fn an_element_is_called_by_its_name_or_by_as_few_fields_as_tell_it_apart() {
    let ports = r#"[{"port":53,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]"#;
    let named = r#"[{"name":"a","port":53,"protocol":"TCP"},{"name":"b","port":53,"protocol":"UDP"}]"#;
    let bound = r#"[{"kind":"User","name":"ann"},{"kind":"Group","name":"dev"}]"#;
    let other = r#"[{"kind":"Group","name":"ann"},{"kind":"Group","name":"dev"}]"#;
    let mounts = r#"[{"mountPath":"/a","name":"v"},{"mountPath":"/b","name":"v"}]"#;
    for (one, beside, expected) in [
        (ports, ports, vec!["[port=53,protocol=TCP]", "[port=53,protocol=UDP]"]),
        (named, named, vec!["[name=a]", "[name=b]"]),
        (r#"[{"port":80,"protocol":"TCP"}]"#, r#"[{"port":81,"protocol":"TCP"}]"#, vec!["[port=80]"]),
        (bound, bound, vec!["[name=ann]", "[name=dev]"]),
        // Another kind is another subject, and must not be called the same.
        (bound, other, vec!["[kind=User,name=ann]", "[kind=Group,name=dev]"]),
        (mounts, "[]", vec!["[mountPath=~1a]", "[mountPath=~1b]"]),
        (r#"[{"verbs":["get"]}]"#, "[]", vec![]),
        (r#"["a"]"#, r#"["a"]"#, vec![]),
        (r#"[{"name":null}]"#, "[]", vec![]),
    ] {
        assert_eq!(labels(one, beside), expected, "{one} beside {beside}");
    }
}

#[test]
fn a_label_means_the_element_that_it_was_made_of() {
    for text in [
        r#"[{"port":53,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]"#,
        r#"[{"name":"a"},{"name":"b,name=a"},{"name":"c=d"},{"name":"e]"}]"#,
        r#"[{"containerPort":80},{"containerPort":81}]"#,
        // One lacks a field that the other has.
        r#"[{"port":53,"protocol":"UDP"},{"port":53},{"port":54}]"#,
    ] {
        let list = list(text);
        for at in 0..list.len() {
            let label = label(&list, at, &|_| false).expect("a label");
            let inner = label.strip_prefix('[').and_then(|label| label.strip_suffix(']')).expect("brackets");
            assert_eq!(labelled(&list, inner), Some(at), "{label}");
        }
    }
}

#[test]
fn every_element_stands_in_one_pair() {
    for (old, new) in [
        (r#"["a","b","c"]"#, r#"["c","b","d"]"#),
        (r#"[{"name":"a"},{"name":"b"}]"#, r#"[{"name":"c"},{"name":"a"}]"#),
        (r#"[{"v":1},{"v":2}]"#, "[]"),
    ] {
        let (old, new) = (list(old), list(new));
        let pairs = pair(&old, &new).pairs;
        let mut olds: Vec<usize> = pairs.iter().filter_map(|(old, _)| *old).collect();
        let mut news: Vec<usize> = pairs.iter().filter_map(|(_, new)| *new).collect();
        olds.sort_unstable();
        news.sort_unstable();
        assert_eq!((olds, news), ((0..old.len()).collect(), (0..new.len()).collect()));
    }
}
