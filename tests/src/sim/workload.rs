//! What people and controllers do to a cluster, drawn from the seed.
//!
//! **Words.** A *write* is one acknowledged call; it may turn out a no-op. The mix has what is hard: arrays that
//! grow at the head, numbers that floats would change, keys with `/` and `~`, control characters, status beside spec,
//! delete and re-create under one name. Not here: when to write, and what breaks meanwhile ([`super::harness`]).

use super::{
    api::Server,
    json::{Json, obj},
    rng::Rng,
};

/// The custom kinds: group, resource, kind, served versions.
pub const CUSTOM: [(&str, &str, &str, &[&str]); 2] = [
    ("demo.example.com", "widgets", "Widget", &["v1", "v1beta1"]),
    ("demo.example.com", "gizmos", "Gizmo", &["v1alpha1"]),
];

/// Kinds that are written to, with a weight.
const KINDS: [(&str, u64); 5] = [
    ("/configmaps", 4),
    ("/pods", 5),
    ("apps/deployments", 3),
    ("demo.example.com/widgets", 4),
    ("demo.example.com/gizmos", 1),
];

/// Does one write.
pub fn write(server: &Server, rng: &mut Rng) {
    if rng.permille(20) {
        let name = format!("team-{}", rng.below(3));
        if rng.permille(500) || server.delete("/namespaces", "", &name).is_err() {
            let _ = server.create("/namespaces", "", &name, obj([("spec", obj([]))]));
        }
        return;
    }
    let mut at = rng.below(KINDS.iter().map(|(_, weight)| weight).sum());
    let mut kind = "/configmaps";
    for (name, weight) in KINDS {
        kind = name;
        if at < weight {
            break;
        }
        at -= weight;
    }
    let namespace = *rng.pick(&["shop", "bank", "default"]).unwrap_or(&"default");
    let name = format!("{}-{}", ["web", "db", "job"][rng.below(3) as usize], rng.below(3));
    let done = match rng.below(100) {
        0..12 => server.delete(kind, namespace, &name).map(|_| ()),
        12..40 if kind != "/configmaps" => {
            let status = status(rng);
            server.update(kind, namespace, &name, ("kubelet", "status"), |o| o.set("status", status)).map(|_| ())
        }
        40..46 => server.update(kind, namespace, &name, ("noop", ""), |_| ()).map(|_| ()),
        46..60 => {
            let (field, value) = (label(rng), label(rng));
            let change = |o: &mut Json| o.at("metadata").at("labels").set(&field, value);
            server.update(kind, namespace, &name, ("kubectl", ""), change).map(|_| ())
        }
        _ => {
            let mut draw = rng.fork();
            server.update(kind, namespace, &name, ("kubectl", ""), |o| edit(kind, o, &mut draw)).map(|_| ())
        }
    };
    if done.is_err() {
        let _ = server.create(kind, namespace, &name, content(kind, rng));
    }
}

/// A new object's content.
fn content(kind: &str, rng: &mut Rng) -> Json {
    let mut object = obj([]);
    if rng.permille(600) {
        object.at("metadata").at("labels").set("app", label(rng));
    }
    if rng.permille(200) {
        object.at("metadata").at("annotations").set("example.com/no~te", text(rng));
    }
    for _ in 0..=rng.below(3) {
        edit(kind, &mut object, rng);
    }
    object
}

/// Changes one thing of an object.
fn edit(kind: &str, object: &mut Json, rng: &mut Rng) {
    match kind {
        "/configmaps" => {
            let data = object.at("data");
            let key = format!("k{}", rng.below(6));
            if rng.permille(250) {
                data.remove(&key);
            } else {
                data.set(&key, text(rng));
            }
        }
        "/pods" | "apps/deployments" => {
            let spec = object.at("spec");
            spec.set("replicas", rng.below(9));
            containers(spec, rng);
        }
        _ => {
            let field = ["size", "mode", "color", "old", "a/b", "c~d", "tree"][rng.below(7) as usize];
            let spec = object.at("spec");
            if rng.permille(200) {
                spec.remove(field);
            } else {
                spec.set(field, value(rng, 3));
            }
        }
    }
}

/// Changes a list of containers: at the head, in the middle, at the end.
fn containers(spec: &mut Json, rng: &mut Rng) {
    let mut list = match spec.remove("containers") {
        Some(Json::Arr(list)) => list,
        _ => Vec::new(),
    };
    let made = obj([("name", format!("c{}", rng.below(8)).into()), ("image", format!("x:{}", rng.below(50)).into())]);
    let at = rng.below(list.len() as u64 + 1) as usize;
    match rng.below(3) {
        0 if at < list.len() => list[at] = made,
        1 if at < list.len() => drop(list.remove(at)),
        _ => list.insert(at, made),
    }
    spec.set("containers", Json::Arr(list));
}

fn status(rng: &mut Rng) -> Json {
    let condition = |kind: &str, rng: &mut Rng| {
        obj([
            ("type", kind.into()),
            ("status", (*rng.pick(&["True", "False", "Unknown"]).unwrap_or(&"True")).into()),
            ("message", text(rng).into()),
        ])
    };
    let conditions = vec![condition("Ready", rng), condition("Available", rng)];
    obj([
        ("observedGeneration", rng.below(5).into()),
        ("restarts", rng.below(3).into()),
        ("conditions", Json::Arr(conditions)),
    ])
}

fn label(rng: &mut Rng) -> String {
    format!("v{}", rng.below(5))
}

fn text(rng: &mut Rng) -> String {
    let pieces = ["plain", "line\nbreak", "\u{1b}[31mred", "quo\"te\\", "<&>", "é😀", "\u{7f}\u{1}", "/~", ""];
    let mut out = String::new();
    for _ in 0..=rng.below(3) {
        out.push_str(rng.pick(&pieces).unwrap_or(&""));
        out.push_str(&rng.below(100).to_string());
    }
    out
}

/// Any value; numbers that a float would change among them.
fn value(rng: &mut Rng, depth: u64) -> Json {
    match rng.below(if depth == 0 { 5 } else { 8 }) {
        0 => Json::Null,
        1 => Json::Bool(rng.permille(500)),
        2 => {
            let tokens = ["1.10", "0", "-0", "18446744073709551617", "1e400", "1E+2", "0.1000000000000000055511", "-7"];
            Json::Num((*rng.pick(&tokens).unwrap_or(&"0")).to_owned())
        }
        3 | 4 => text(rng).into(),
        5 | 6 => Json::Arr((0..rng.below(4)).map(|_| value(rng, depth - 1)).collect()),
        _ => {
            let fields = (0..rng.below(4)).map(|i| (format!("f{i}"), value(rng, depth - 1)));
            Json::Obj(fields.collect())
        }
    }
}
