use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Message → its fields: number, name, type. Of a nested message the last word is its name.
type Messages = BTreeMap<String, BTreeSet<(u32, String, String)>>;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The type of a field, in prost's words.
fn prost_type(label: &str, proto: &str, enums: &BTreeSet<String>) -> String {
    let one = |proto: &str| match proto {
        "bytes" => "bytes = \"vec\"".to_owned(),
        "string" | "bool" | "uint32" | "uint64" | "int64" => proto.to_owned(),
        name if enums.contains(name) => format!("enumeration = \"{name}\""),
        _ => "message".to_owned(),
    };
    if let Some(map) = proto.strip_prefix("map<").and_then(|map| map.strip_suffix('>')) {
        let (key, value) = map.split_once(',').unwrap();
        return format!("btree_map = \"{}, {}\"", one(key.trim()), one(value.trim()));
    }
    let one = one(proto);
    match label {
        "repeated" => format!("{one}, repeated"),
        "oneof" => one,
        "optional" => format!("{one}, optional"),
        _ if one == "message" => format!("{one}, optional"),
        _ => one,
    }
}

/// What a definition says.
fn defined(proto: &str) -> Messages {
    let lines = || proto.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    let enums =
        lines().filter_map(|line| Some(line.strip_prefix("enum ")?.trim_end_matches(" {").to_owned())).collect();
    let mut messages = Messages::new();
    // What is open: `None` of what has no fields of its own.
    let mut open: Vec<(&str, String)> = Vec::new();
    for line in lines().filter(|line| !line.is_empty()) {
        if let Some(empty) = line.strip_prefix("message ").and_then(|line| line.strip_suffix(" {}")) {
            messages.entry(empty.to_owned()).or_default();
        } else if let Some(head) = line.strip_suffix(" {") {
            let (word, name) = head.split_once(' ').unwrap();
            if word == "message" {
                messages.entry(name.to_owned()).or_default();
            }
            open.push((if matches!(word, "message" | "oneof") { word } else { "" }, name.to_owned()));
        } else if line == "}" {
            open.pop();
        } else if let Some((kind, _)) = open.last()
            && !kind.is_empty()
        {
            let (_, message) = open.iter().rev().find(|(word, _)| *word == "message").unwrap();
            let (field, number) = line.trim_end_matches(';').split_once(" = ").unwrap();
            let (of_type, name) = field.rsplit_once(' ').unwrap();
            let (label, of_type) = match of_type.split_once(' ') {
                Some((label @ ("repeated" | "optional"), of_type)) => (label, of_type),
                _ if *kind == "oneof" => ("oneof", of_type),
                _ => ("", of_type),
            };
            let field = (number.parse().unwrap(), name.to_owned(), prost_type(label, of_type, &enums));
            messages.get_mut(message).unwrap().insert(field);
        }
    }
    messages
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// What the messages here say.
fn written(source: &str) -> Messages {
    let mut blocks = Messages::new();
    let mut oneofs: Vec<(String, String)> = Vec::new();
    let (mut block, mut attribute) = (String::new(), None);
    for line in source.lines().map(str::trim) {
        let head = line.strip_prefix("pub(crate) struct ").or_else(|| line.strip_prefix("pub(crate) enum "));
        if let Some(head) = head {
            block = head.split([' ', '(']).next().unwrap().to_owned();
            blocks.entry(block.clone()).or_default();
        } else if let Some(inner) = line.strip_prefix("#[prost(oneof = \"") {
            oneofs.push((block.clone(), inner.split('"').next().unwrap().to_owned()));
        } else if let Some(inner) = line.strip_prefix("#[prost(") {
            let (of_type, tag) = inner.trim_end_matches(")]").rsplit_once(", tag = ").unwrap();
            attribute = Some((tag.trim_matches('"').parse().unwrap(), of_type.to_owned()));
        } else if let Some((tag, of_type)) = attribute.take() {
            let name = line.trim_start_matches("pub(crate) ").split([':', '(']).next().unwrap();
            blocks.get_mut(&block).unwrap().insert((tag, snake(name), of_type));
        }
    }
    for (message, oneof) in oneofs {
        let fields = blocks.remove(&oneof).unwrap();
        blocks.get_mut(&message).unwrap().extend(fields);
    }
    blocks.remove("Method");
    blocks.remove("ServingStatus");
    blocks
}

#[test]
fn the_messages_are_those_of_the_definition() {
    let mut defined = defined(&text("proto/hindcast/plugin/v1/plugin.proto"));
    defined.extend(self::defined(&text("proto/grpc/health/v1/health.proto")));
    assert!(defined.len() > 30, "they are found: {}", defined.len());
    let written = written(&text("src/wire.rs"));
    for (name, fields) in &defined {
        assert_eq!(Some(fields), written.get(name), "{name}");
    }
    assert_eq!(written.len(), defined.len(), "{:?}", written.keys());
}

#[test]
fn the_sample_plugin_has_the_fields_of_the_definition() {
    let definition = text("proto/hindcast/plugin/v1/plugin.proto");
    let generated = text("../tests/servers/plugin-sample/pluginv1/plugin.pb.go");
    for (message, fields) in defined(&definition) {
        for (number, name, _) in fields {
            let tag = |line: &str| line.contains(&format!(",{number},")) && line.contains(&format!(",name={name},"));
            let fields = generated.lines().filter(|line| line.contains("`protobuf:\""));
            assert!(fields.into_iter().any(tag), "{message}.{name} = {number}: generate the Go code again");
        }
        assert!(generated.contains(&format!("{message} struct {{")), "{message}: generate the Go code again");
    }
}

#[test]
fn the_calls_are_those_of_the_definition() {
    let both = text("proto/hindcast/plugin/v1/plugin.proto") + &text("proto/grpc/health/v1/health.proto");
    let mut defined = BTreeSet::new();
    let (mut package, mut service) = (String::new(), String::new());
    for line in both.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("package ") {
            package = name.trim_end_matches(';').to_owned();
        } else if let Some(name) = line.strip_prefix("service ") {
            service = name.trim_end_matches(" {").to_owned();
        } else if let Some(call) = line.strip_prefix("rpc ") {
            defined.insert(format!("/{package}.{service}/{}", call.split('(').next().unwrap()));
        }
    }
    let source = text("src/wire.rs");
    let written = source.lines().filter_map(|line| line.split_once("Self = Self(\"")?.1.strip_suffix("\");"));
    assert_eq!(defined, written.map(str::to_owned).collect());
}
