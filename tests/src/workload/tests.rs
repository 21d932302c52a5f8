//! The workload is what its description says.

use std::collections::BTreeMap;

use super::{Class, Sort, Step, Verb, Workload};

fn run(seed: u64, objects: u64, steps: usize) -> (Vec<Step>, Vec<Step>) {
    let mut workload = Workload::new(seed, objects);
    let initial = workload.initial();
    (initial, (0..steps).map(|_| workload.next_step()).collect())
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let lines = |seed| -> Vec<Vec<u8>> { run(seed, 500, 500).1.iter().map(Step::line).collect() };
    assert_eq!(lines(1), lines(1));
    assert_ne!(lines(1), lines(2));
}

#[test]
fn the_mix_is_kept_and_its_shares_are_whole() {
    assert_eq!(Class::MIX.iter().map(|(_, share)| share).sum::<u64>(), 10_000);
    assert_eq!(Sort::ALL.iter().map(|s| s.share()).sum::<u64>(), 1000);
    let (_, steps) = run(3, 2000, 20_000);
    let mut counts: BTreeMap<Class, u64> = BTreeMap::new();
    for step in &steps {
        *counts.entry(step.class).or_default() += 1;
    }
    for (class, share) in Class::MIX {
        let count = counts.get(&class).copied().unwrap_or(0);
        let wanted = share * 2;
        assert!(count.abs_diff(wanted) <= wanted / 10 + 12, "{}: {count}, wanted {wanted}", class.as_str());
    }
}

#[test]
fn every_write_is_an_object_as_a_server_sends_it() {
    let (initial, steps) = run(7, 1000, 5000);
    let mut alive: BTreeMap<(Sort, String, String), u64> = BTreeMap::new();
    let (mut newest, mut bytes) = (0, 0);
    for step in initial.iter().chain(&steps) {
        let object: serde_json::Value = serde_json::from_str(&step.object)
            .unwrap_or_else(|e| panic!("{} {}: {e}\n{}", step.class.as_str(), step.name, step.object));
        assert!(!step.object.contains("@{"), "a word was not filled in: {}", step.object);
        let metadata = &object["metadata"];
        assert_eq!(metadata["resourceVersion"], step.rv.to_string());
        assert_eq!(metadata["name"], step.name.as_str());
        assert!(metadata["managedFields"].is_array(), "{}", step.object);
        assert!(step.rv > newest, "revisions grow");
        newest = step.rv;
        bytes += step.object.len();
        let key = (step.sort, step.namespace.clone(), step.name.clone());
        let before = match step.verb {
            Verb::Deleted => alive.remove(&key),
            _ => alive.insert(key, step.rv),
        };
        assert_eq!(before.is_none(), step.verb == Verb::Added, "{} {}", step.verb.as_str(), step.name);
    }
    let mean = bytes / (initial.len() + steps.len());
    assert!((4_000..8_000).contains(&mean), "objects have {mean} bytes on average");
}
