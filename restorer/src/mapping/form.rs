//! The places of the table in one object, and how each form of a name is read and written.
//!
//! **Invariants.** (1) A text that does not have the form of its place is left as it is. (2) A place that was changed is not
//! changed by another row. (3) What surrounds a name (a scheme, a port, blanks between commas) stays to the byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hindcast_journal::{
    exact::{self, Object, Value},
    fold::ObjectKey,
    seal::escape_pointer,
};

use super::{
    Change, Mapping, Why,
    hosts::Hosts,
    images, pattern,
    table::{self, Form, Read},
};

/// Labels whose value is the name of a namespace: of namespaces, and of what plugins know of Pods.
const LABELS: &[&str] = &[
    "kubernetes.io/metadata.name",
    "projectcalico.org/name",
    "io.kubernetes.pod.namespace",
    "k8s:io.kubernetes.pod.namespace",
    "any:io.kubernetes.pod.namespace",
    "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
];

/// The manifest in an annotation is the object once more; what it holds in its own annotation nobody reads.
const MANIFESTS: usize = 1;

/// Changes every reference of an object.
pub(super) fn apply(mapping: &Mapping, key: &ObjectKey, value: &mut Value, changed: &mut Vec<Change>) {
    Forms { mapping, hosts: Hosts::of(mapping), key, manifests: MANIFESTS }.all(value, changed);
}

struct Forms<'m> {
    mapping: &'m Mapping,
    hosts: Hosts<'m>,
    key: &'m ObjectKey,
    /// How deep manifests may be in one another.
    manifests: usize,
}

impl Forms<'_> {
    fn all(&self, value: &mut Value, changed: &mut Vec<Change>) {
        let first = changed.len();
        for read in table::places(&self.key.kind_key()) {
            let mut found = Vec::new();
            pattern::visit(value, &read.words, &mut |path, value| {
                let done = |path: &str| changed.iter().skip(first).any(|change| change.path == path);
                self.place(read, path, value, &mut |path, value, to| {
                    if !done(&path) {
                        let from = std::mem::replace(value, to.clone());
                        found.push(Change { why: Why::Reference(read.row), path, from: Some(from), to: Some(to) });
                    }
                });
            });
            changed.append(&mut found);
        }
    }

    /// Changes what stands at a place.
    fn place(&self, read: &Read, path: &str, value: &mut Value, set: &mut dyn FnMut(String, &mut Value, Value)) {
        match read.place.form {
            Form::Selector => self.selector(path, value, set),
            Form::Quota => self.quota(path, value, set),
            form => {
                if let Some(to) = value.as_str().and_then(|text| self.text(form, text)) {
                    set(path.to_owned(), value, Value::from(to));
                }
            }
        }
    }

    /// What becomes of a text; nothing where it stays.
    fn text(&self, form: Form, text: &str) -> Option<String> {
        match form {
            Form::Namespace => self.namespace(text),
            Form::Namespaces => several(text, &|one| self.namespace(one)),
            Form::Object => several(text, &|one| self.before(one, '/')),
            Form::Colon => self.before(text, ':'),
            Form::Account => self.account(text),
            Form::Host => several(text, &|one| self.hosts.address(one)),
            Form::ScopedHost => self.scoped(text),
            Form::Search => self.hosts.search(text),
            Form::Principal => self.principal(text).or_else(|| self.hosts.address(text)),
            Form::Identity => self.identity(text),
            Form::Packed => self.packed(text),
            Form::Manifest => self.manifest(text),
            Form::Expression => self.expression(text),
            Form::Rule => self.rule(text),
            Form::Class => other(&self.mapping.storage_classes, text),
            Form::Image => images::map(&self.mapping.images, text),
            Form::Selector | Form::Quota => None,
        }
    }

    fn namespace(&self, text: &str) -> Option<String> {
        let (not, name) = text.strip_prefix('!').map_or(("", text), |name| ("!", name));
        Some(format!("{not}{}", self.mapping.namespace(name)?))
    }

    /// `namespace/name`
    fn before(&self, text: &str, sign: char) -> Option<String> {
        let (namespace, name) = text.split_once(sign)?;
        Some(format!("{}{sign}{name}", self.namespace(namespace)?))
    }

    fn account(&self, text: &str) -> Option<String> {
        if let Some(rest) = text.strip_prefix("system:serviceaccount:") {
            return Some(format!("system:serviceaccount:{}", self.before(rest, ':')?));
        }
        let group = text.strip_prefix("system:serviceaccounts:")?;
        Some(format!("system:serviceaccounts:{}", self.mapping.namespace(group)?))
    }

    fn scoped(&self, text: &str) -> Option<String> {
        let Some((namespace, host)) = text.split_once('/') else { return self.hosts.address(text) };
        let (to, at) = (self.namespace(namespace), self.hosts.address(host));
        if to.is_none() && at.is_none() {
            return None;
        }
        Some(format!("{}/{}", to.as_deref().unwrap_or(namespace), at.as_deref().unwrap_or(host)))
    }

    fn principal(&self, text: &str) -> Option<String> {
        let parts: Vec<&str> = text.split('/').collect();
        let at = parts.iter().position(|part| *part == "ns")? + 1;
        let to = self.mapping.namespace(parts.get(at)?)?;
        let part = |(n, part): (usize, &&str)| if n == at { to.to_owned() } else { (*part).to_owned() };
        Some(parts.iter().enumerate().map(part).collect::<Vec<_>>().join("/"))
    }

    fn identity(&self, text: &str) -> Option<String> {
        let (name, rest) = text.split_once('.')?;
        let (namespace, rest) = rest.split_once('.')?;
        let to = self.mapping.namespace(namespace).filter(|_| rest.starts_with("serviceaccount."))?;
        Some(format!("{name}.{to}.{rest}"))
    }

    fn packed(&self, text: &str) -> Option<String> {
        let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        Some(STANDARD.encode(several(&plain, &|one| self.namespace(one))?))
    }

    fn manifest(&self, text: &str) -> Option<String> {
        let manifests = self.manifests.checked_sub(1)?;
        let mut value = exact::parse(text.as_bytes()).ok()?;
        let mut changed = Vec::new();
        Forms { mapping: self.mapping, hosts: Hosts::of(self.mapping), key: self.key, manifests }
            .all(&mut value, &mut changed);
        // As kubectl writes it: on a line of its own.
        let end = if text.ends_with('\n') { "\n" } else { "" };
        (!changed.is_empty()).then(|| format!("{value}{end}"))
    }

    /// `kubernetes.io/metadata.name in {'a', 'b'} && …`
    fn expression(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        // A label says of the quoted texts behind it what they are, up to the next part.
        let mut names = false;
        while let Some(at) = rest.find(['\'', '"', '&', '|']) {
            let (before, after) = rest.split_at_checked(at)?;
            names |=
                ["kubernetes.io/metadata.name", "projectcalico.org/name"].iter().any(|label| before.contains(label));
            out.push_str(before);
            let sign = after.chars().next()?;
            out.push(sign);
            rest = after.get(1..)?;
            if matches!(sign, '&' | '|') {
                names = false;
                continue;
            }
            let (quoted, after) = rest.split_once(sign)?;
            let to = if names { self.mapping.namespace(quoted) } else { None };
            out.push_str(to.unwrap_or(quoted));
            out.push(sign);
            rest = after;
        }
        out.push_str(rest);
        (out != text).then_some(out)
    }

    /// ``Host(`shop.example.com`) && PathPrefix(`/`)``
    fn rule(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("Host(`").or_else(|| rest.find("HostSNI(`")) {
            let open = at + rest.get(at..)?.find('`')? + 1;
            let (before, after) = rest.split_at_checked(open)?;
            let (inner, behind) = after.split_once(')')?;
            out.push_str(before);
            let quoted = inner.split('`').map(|part| self.hosts.address(part).unwrap_or_else(|| part.to_owned()));
            out.push_str(&quoted.collect::<Vec<_>>().join("`"));
            out.push(')');
            rest = behind;
        }
        out.push_str(rest);
        (out != text).then_some(out)
    }

    fn selector(&self, path: &str, selector: &mut Value, set: &mut dyn FnMut(String, &mut Value, Value)) {
        let mut name = |path: String, value: &mut Value| {
            if let Some(to) = value.as_str().and_then(|text| self.mapping.namespace(text)).map(Value::from) {
                set(path, value, to);
            }
        };
        if let Some(labels) = selector.get_mut("matchLabels").and_then(Value::as_object_mut) {
            for (label, value) in labels.iter_mut().filter(|(label, _)| LABELS.contains(label)) {
                name(format!("{path}/matchLabels/{}", escape_pointer(label)), value);
            }
        }
        let expressions = selector.get_mut("matchExpressions").and_then(Value::as_array_mut);
        for (at, expression) in expressions.into_iter().flatten().enumerate() {
            if !expression.get("key").and_then(Value::as_str).is_some_and(|key| LABELS.contains(&key)) {
                continue;
            }
            let values = expression.get_mut("values").and_then(Value::as_array_mut);
            for (n, value) in values.into_iter().flatten().enumerate() {
                name(format!("{path}/matchExpressions/{at}/values/{n}"), value);
            }
        }
    }

    /// `fast.storageclass.storage.k8s.io/requests.storage`
    fn quota(&self, path: &str, hard: &mut Value, set: &mut dyn FnMut(String, &mut Value, Value)) {
        const MARK: &str = ".storageclass.storage.k8s.io/";
        let Some(members) = hard.as_object() else { return };
        let renamed = |name: &str| {
            let (class, rest) = name.split_once(MARK)?;
            Some(format!("{}{MARK}{rest}", other(&self.mapping.storage_classes, class)?))
        };
        if members.keys().any(|name| renamed(name).is_some()) {
            let member =
                |(name, value): (&str, &Value)| (renamed(name).unwrap_or_else(|| name.to_owned()), value.clone());
            let to: Object = members.iter().map(member).collect();
            set(path.to_owned(), hard, Value::Object(to));
        }
    }
}

/// What a name becomes, where it becomes another.
fn other(names: &std::collections::BTreeMap<String, String>, name: &str) -> Option<String> {
    names.get(name).filter(|to| *to != name).cloned()
}

/// What becomes of parts between commas, with the blanks around them.
fn several(text: &str, one: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut changed = false;
    let part = |part: &str| {
        let name = part.trim();
        let Some(to) = one(name) else { return part.to_owned() };
        changed = true;
        let begin = part.len() - part.trim_start().len();
        let (before, rest) = part.split_at_checked(begin).unwrap_or(("", part));
        format!("{before}{to}{}", rest.strip_prefix(name).unwrap_or_default())
    };
    let out = text.split(',').map(part).collect::<Vec<_>>().join(",");
    changed.then_some(out)
}
