//! Canonical bytes: the one spelling of a value.
//!
//! Invariants: keys ascend by their UTF-8 bytes, no whitespace, tokens verbatim, strings in the shortest
//! JSON escape (`\n \t \b \f \r \" \\`, other control characters as `\u00xx` in lower case, all else raw,
//! so no escape of `/`, `<` or U+2028). What is written parses back to the same value.

use super::{
    document::{Kind, Node},
    scan,
    value::Value,
};

/// Appends the canonical bytes of a value.
pub fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(token) => out.extend_from_slice(token.as_bytes()),
        Value::String(value) => scan::write_string(value, out),
        Value::Array(list) => {
            out.push(b'[');
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(element, out);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (at, (key, value)) in object.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                scan::write_string(key, out);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
    }
}

/// The canonical bytes of a value.
pub fn to_canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

/// Appends the canonical bytes of a node; a subtree that came in canonical spelling is copied as it is.
pub(super) fn write_node(node: Node<'_>, out: &mut Vec<u8>) {
    if node.is_canonical() {
        out.extend_from_slice(node.raw());
        return;
    }
    match node.kind() {
        Kind::Object => {
            out.push(b'{');
            for (at, (key, value)) in node.members().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_node(key, out);
                out.push(b':');
                write_node(value, out);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (at, element) in node.elements().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_node(element, out);
            }
            out.push(b']');
        }
        Kind::String => scan::write_string(&node.text(), out),
        Kind::Null | Kind::Bool | Kind::Number => out.extend_from_slice(node.raw()),
    }
}

/// Appends an object without the member at a path of keys; where the path leads nowhere, all of it.
pub(super) fn write_without(node: Node<'_>, path: &[&str], out: &mut Vec<u8>) {
    let Some((first, rest)) = path.split_first().filter(|_| node.kind() == Kind::Object) else {
        write_node(node, out);
        return;
    };
    out.push(b'{');
    let mut comma = false;
    for (key, value) in node.members() {
        let on_path = key.is_text(first);
        if on_path && rest.is_empty() {
            continue;
        }
        if comma {
            out.push(b',');
        }
        comma = true;
        write_node(key, out);
        out.push(b':');
        if on_path {
            write_without(value, rest, out);
        } else {
            write_node(value, out);
        }
    }
    out.push(b'}');
}
