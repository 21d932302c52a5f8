//! Owner graphs at random, against a model of the garbage collector.
//!
//! The collector is the API server's in a few lines: what names owners, none of which is there by uid, is gone, and so is what
//! it owned. It runs after every single write. A restore is carried out as [`crate::apply`] does it: waves in their order, an
//! owner's references taken out of what has an action before the owner is deleted to be created again, new uids handed on.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::scene::{Scene, key};
use crate::{
    desired::{Source, Wanted},
    intent::{self, Surroundings},
    plan::{Plan, Prepared, Propagation, Verb},
    references::references,
};

/// How many graphs.
const GRAPHS: u64 = 3000;

/// How many objects one has at most.
const OBJECTS: u64 = 7;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // Xorshift: any spread will do.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// An object: its uid, whether its content is another than at the moment, the names of its owners.
#[derive(Clone, Debug, PartialEq)]
struct Node {
    uid: String,
    changed: bool,
    owners: Vec<(String, String)>,
}

type Graph = BTreeMap<String, Node>;

/// What is at a name: immutable ones have to be deleted and created again to be changed.
fn what(name: &str) -> String {
    format!("ConfigMap {name}")
}

fn body(name: &str, node: &Node, random: u64) -> String {
    let flags = [r#","controller":true"#, r#","blockOwnerDeletion":true"#, "", ""];
    let owners: Vec<String> = node
        .owners
        .iter()
        .enumerate()
        .map(|(at, (name, uid))| {
            let flag = if at == 0 { flags[usize::try_from(random % 4).expect("small")] } else { "" };
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","name":"{name}","uid":"{uid}"{flag}}}"#)
        })
        .collect();
    let immutable = name.starts_with('i');
    format!(
        r#"{{"metadata":{{"ownerReferences":[{}]}},"immutable":{immutable},"data":{{"v":"{}"}}}}"#,
        owners.join(","),
        node.changed
    )
}

/// A graph at the moment, and what became of it: changed, made again, added, gone.
fn graphs(random: &mut Random) -> (Graph, Graph) {
    let (mut then, mut now) = (Graph::new(), Graph::new());
    let names: Vec<String> = (0..2 + random.below(OBJECTS - 1))
        .map(|n| format!("{}{n}", if random.one_in(2) { 'i' } else { 'm' }))
        .collect();
    for (at, name) in names.iter().enumerate() {
        let owners = |graph: &Graph, random: &mut Random| {
            let mut owners = Vec::new();
            for owner in names.iter().take(at) {
                if let Some(node) = graph.get(owner).filter(|_| random.one_in(2)) {
                    owners.push((owner.clone(), node.uid.clone()));
                }
            }
            owners
        };
        let was = !random.one_in(4);
        if was {
            let node = Node { uid: format!("then-{name}"), changed: false, owners: owners(&then, random) };
            then.insert(name.clone(), node);
        }
        if random.one_in(4) {
            continue;
        }
        let same = was && !random.one_in(3);
        let uid = if same { format!("then-{name}") } else { format!("now-{name}") };
        let node = Node { uid, changed: random.one_in(2), owners: owners(&now, random) };
        now.insert(name.clone(), node);
    }
    (then, now)
}

/// What the collector leaves.
fn collect(graph: &mut Graph) {
    loop {
        let alive: BTreeSet<String> = graph.values().map(|node| node.uid.clone()).collect();
        let before = graph.len();
        graph.retain(|_, node| node.owners.is_empty() || node.owners.iter().any(|(_, uid)| alive.contains(uid)));
        if graph.len() == before {
            return;
        }
    }
}

/// Carries a plan out. Gives the uids of what was created.
fn apply(prepared: &Prepared, graph: &mut Graph, run: &str) -> BTreeMap<ObjectKey, String> {
    let mut created = BTreeMap::new();
    for action in &prepared.plan.actions {
        let (key, bodies) = (&action.key, prepared.bodies.get(&action.key).expect("bodies"));
        let name = key.name.clone();
        let live = action.live.as_ref().map(|live| live.uid.clone()).unwrap_or_default();
        assert_eq!(action.propagation, Propagation::Background, "{action:?}");
        if action.verb == Verb::Recreate {
            for place in &bodies.held {
                assert!(prepared.bodies.contains_key(&place.key()), "what is let go of has an action: {place:?}");
                if let Some(child) = graph.get_mut(&place.name) {
                    child.owners.retain(|(_, uid)| *uid != live);
                }
                collect(graph);
            }
        }
        if matches!(action.verb, Verb::Delete | Verb::Recreate) {
            for place in &bodies.held {
                let named =
                    graph.get(&place.name).is_some_and(|child| child.owners.iter().any(|(_, uid)| *uid == live));
                assert!(!named, "{place:?} would go with {name}");
            }
            graph.remove(&name);
            collect(graph);
        }
        if action.verb == Verb::Delete {
            continue;
        }
        let target = bodies.target.as_ref().expect("a target");
        let mut owners: Vec<(String, String)> =
            references(target).into_iter().map(|reference| (reference.name, reference.uid)).collect();
        for owner in &bodies.owners {
            let uid = created.get(&owner.owner).expect("an owner comes before what it owns");
            owners[owner.at].1.clone_from(uid);
        }
        let changed = target.pointer("/data/v").and_then(Value::as_str) == Some("true");
        let uid = if action.verb == Verb::Update { live } else { format!("{run}-{name}") };
        if action.verb == Verb::Update {
            assert!(graph.contains_key(&name), "{name} was collected before its turn");
        }
        created.insert(key.clone(), uid.clone());
        graph.insert(name, Node { uid, changed, owners });
        collect(graph);
    }
    created
}

fn scene(then: &Graph, now: &Graph, random: u64) -> Scene {
    let mut scene = Scene::shop();
    for (name, node) in then {
        scene = scene.then_as(&what(name), &node.uid, &body(name, node, random));
    }
    for (name, node) in now {
        scene = scene.now_as(&what(name), &node.uid, &body(name, node, random));
    }
    scene
}

/// The scene of taking a restore back.
fn undo(plan: &Plan, before: &Scene, after: &Graph, created: &BTreeMap<ObjectKey, String>, random: u64) -> Scene {
    let mut scene = scene(&Graph::new(), after, random);
    scene.desired.source = Source::Undo("r".into());
    for action in &plan.actions {
        let left = scene.live.objects.get(&action.key);
        let hash = left.map(|left| intent::fingerprint(&action.key, &left.object, &Surroundings::default(), None));
        scene.desired.touched.insert(action.key.clone(), hash.unwrap_or_default());
        match before.live.objects.get(&action.key).filter(|_| action.verb != Verb::Create) {
            Some(was) => {
                let wanted = Wanted {
                    pos: 0,
                    uid: was.uid.clone(),
                    rv: "140".into(),
                    object: Ok(was.object.clone()),
                    redact: Vec::new(),
                };
                scene.desired.objects.insert(action.key.clone(), wanted);
            }
            None => {
                scene.desired.created.insert(action.key.clone(), created[&action.key].clone());
            }
        }
    }
    scene
}

/// Names and contents, and names of owners.
fn shape(graph: &Graph) -> BTreeMap<String, (bool, BTreeSet<String>)> {
    let owners = |node: &Node| node.owners.iter().map(|(name, _)| name.clone()).collect();
    graph.iter().map(|(name, node)| (name.clone(), (node.changed, owners(node)))).collect()
}

#[test]
fn no_owner_graph_loses_what_is_there_or_comes() {
    let (mut recreated, mut followed) = (0, 0);
    for seed in 1..=GRAPHS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (then, mut now) = graphs(&mut random);
        collect(&mut now);
        let flags = random.below(4);
        let before = scene(&then, &now, flags);
        let prepared = before.plan();
        let mut live = now.clone();
        let created = apply(&prepared, &mut live, "restored");
        let plan = &prepared.plan;
        let left: BTreeSet<&str> = plan.left.iter().map(|left| left.key.name.as_str()).collect();
        for name in then.keys().filter(|name| !left.contains(name.as_str())) {
            assert!(live.contains_key(name), "seed {seed}: {name} is lost: {then:?} {now:?} {:?}", plan.actions);
            assert!(!live[name].changed, "seed {seed}: {name} is not as it was");
        }
        let deleted = |name: &str| plan.actions.iter().any(|a| a.verb == Verb::Delete && a.key.name == name);
        for name in now.keys().filter(|name| !deleted(name)) {
            assert!(live.contains_key(name), "seed {seed}: {name} went unasked: {now:?} {:?}", plan.actions);
        }
        recreated += plan.actions.iter().filter(|action| action.verb == Verb::Recreate).count();
        let follows = |a: &&crate::plan::Action| a.verb == Verb::Update && a.changes.is_empty();
        followed += plan.actions.iter().filter(follows).count();

        let back = undo(plan, &before, &live, &created, flags);
        let undone = back.plan();
        let mut end = live.clone();
        apply(&undone, &mut end, "undone");
        if undone.plan.left.is_empty() {
            assert_eq!(shape(&end), shape(&now), "seed {seed}: {then:?} {live:?} {:?}", undone.plan.actions);
        }
        for name in live.keys().filter(|name| !created.contains_key(&key(&what(name)))) {
            assert!(end.contains_key(name), "seed {seed}: the undo takes {name}");
        }
    }
    assert!(recreated > 300 && followed > 50, "{recreated} owners made again, {followed} followed");
}
