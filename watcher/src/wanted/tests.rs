use super::*;

fn kind(group: &str, version: &str, resource: &str, kind: &str, short: &str) -> Discovery {
    Discovery {
        group: group.into(),
        version: version.into(),
        resource: resource.into(),
        singular: kind.to_lowercase(),
        kind: kind.into(),
        short_names: vec![short.into()],
        ..Discovery::default()
    }
}

#[test]
fn filters_take_the_names_people_use() {
    let pods = kind("", "v1", "pods", "Pod", "po");
    let events = kind("", "v1", "events", "Event", "ev");
    let hpa = kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa");
    let settings = |exclude: &[&str], include: &[&str], only: &[&str]| {
        let own = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Settings { exclude: own(exclude), include: own(include), only: own(only), ..Settings::default() }
    };
    let all = settings(&[], &[], &[]);
    assert!(wanted(&pods, &all) && !wanted(&events, &all));
    assert!(wanted(&events, &settings(&[], &["ev"], &[])));
    for word in ["po", "Pod", "pods", "/pods"] {
        assert!(!wanted(&pods, &settings(&[word], &[], &[])), "{word}");
    }
    for word in ["hpa", "hpa.autoscaling", "horizontalpodautoscalers.v2.autoscaling", "autoscaling/hpa"] {
        let only = settings(&[], &[], &[word]);
        assert!(wanted(&hpa, &only) && !wanted(&pods, &only), "{word}");
    }
    assert!(wanted(&hpa, &settings(&["hpa.other.io"], &[], &[])));
}
