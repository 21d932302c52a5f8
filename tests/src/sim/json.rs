//! JSON as the simulated server stores it and as the oracle compares it.
//!
//! Independent of the journal's own parser on purpose: the two meet only in bytes. [`Json::wire`] writes an object
//! the way a server might (any key order, longer escapes), [`Json::exact`] the way the contract says the exact form
//! looks. Numbers are tokens.

/// A JSON value whose numbers are tokens and whose objects keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as its token.
    Num(String),
    /// A string, decoded.
    Str(String),
    /// An array.
    Arr(Vec<Json>),
    /// An object.
    Obj(Vec<(String, Json)>),
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Num(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Self::Arr(items.into_iter().map(Into::into).collect())
    }
}

/// An object from its fields.
pub fn obj<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Obj(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

impl Json {
    /// Reads a value; `None` if the text is none.
    pub fn parse(text: &str) -> Option<Json> {
        let mut reader = Reader(text);
        let value = reader.value()?;
        reader.space();
        reader.0.is_empty().then_some(value)
    }

    /// The field of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Obj(fields) => fields.iter().find(|(k, _)| k == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The field of an object, made an empty object when absent.
    pub fn at(&mut self, name: &str) -> &mut Json {
        if !matches!(self, Self::Obj(_)) {
            *self = Self::Obj(Vec::new());
        }
        let Self::Obj(fields) = self else { unreachable!("made an object just above") };
        let index = fields.iter().position(|(k, _)| k == name).unwrap_or_else(|| {
            fields.push((name.to_owned(), Self::Obj(Vec::new())));
            fields.len() - 1
        });
        &mut fields[index].1
    }

    /// Sets a field of an object.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        *self.at(name) = value.into();
    }

    /// Takes a field out of an object.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let Self::Obj(fields) = self else { return None };
        let index = fields.iter().position(|(k, _)| k == name)?;
        Some(fields.remove(index).1)
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes as a server may write them: key order and escapes vary with `salt`.
    pub fn wire(&self, salt: u64, out: &mut String) {
        match self {
            Self::Obj(fields) => {
                out.push('{');
                let start = if fields.is_empty() { 0 } else { salt as usize % fields.len() };
                for i in 0..fields.len() {
                    let (name, value) = &fields[(start + i) % fields.len()];
                    if i > 0 {
                        out.push(',');
                    }
                    quote(name, false, out);
                    out.push(':');
                    value.wire(salt.rotate_left(7), out);
                }
                out.push('}');
            }
            Self::Arr(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.wire(salt.rotate_left(3), out);
                }
                out.push(']');
            }
            Self::Str(text) => quote(text, salt.is_multiple_of(2), out),
            _ => self.scalar(out),
        }
    }

    /// The exact form's canonical bytes: keys sorted, shortest escapes. The caller has taken managedFields out.
    pub fn exact(&self, out: &mut String) {
        match self {
            Self::Obj(fields) => {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
                out.push('{');
                for (i, (name, value)) in sorted.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    quote(name, false, out);
                    out.push(':');
                    value.exact(out);
                }
                out.push('}');
            }
            Self::Arr(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.exact(out);
                }
                out.push(']');
            }
            Self::Str(text) => quote(text, false, out),
            _ => self.scalar(out),
        }
    }

    fn scalar(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Num(token) => out.push_str(token),
            _ => {}
        }
    }
}

/// Writes a JSON string; `long` writes `<`, `>`, `&` and all beyond ASCII as `\u` escapes, as Go's encoder may.
fn quote(text: &str, long: bool, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (long && (matches!(c, '<' | '>' | '&') || !c.is_ascii())) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The rest of a text that is read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Whether this comes next; it is taken then.
    fn takes(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.0.chars().next()? {
            '{' => self
                .items("{", "}", |reader| {
                    let name = reader.string()?;
                    reader.takes(":").then(|| reader.value())?.map(|value| (name, value))
                })
                .map(Json::Obj),
            '[' => self.items("[", "]", Self::value).map(Json::Arr),
            '"' => self.string().map(Json::Str),
            _ => {
                for (token, value) in [("null", Json::Null), ("true", true.into()), ("false", false.into())] {
                    if self.takes(token) {
                        return Some(value);
                    }
                }
                let end = self.0.find(|c: char| !"+-.0123456789eE".contains(c)).unwrap_or(self.0.len());
                let (number, rest) = self.0.split_at(end);
                self.0 = rest;
                (!number.is_empty()).then(|| Json::Num(number.to_owned()))
            }
        }
    }

    fn items<T>(&mut self, open: &str, close: &str, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut out = Vec::new();
        self.takes(open).then_some(())?;
        if self.takes(close) {
            return Some(out);
        }
        loop {
            out.push(item(self)?);
            if self.takes(close) {
                return Some(out);
            }
            self.takes(",").then_some(())?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.takes("\"").then_some(())?;
        let mut out = String::new();
        let mut units = Vec::new();
        loop {
            let c = self.next()?;
            let escaped = if c == '\\' { Some(self.next()?) } else { None };
            if escaped == Some('u') {
                let (unit, rest) = self.0.split_at_checked(4)?;
                self.0 = rest;
                units.push(u16::from_str_radix(unit, 16).ok()?);
                continue;
            }
            out.push_str(&String::from_utf16(&std::mem::take(&mut units)).ok()?);
            match escaped {
                None if c == '"' => return Some(out),
                None => out.push(c),
                Some(c) => out.push(match c {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    other => other,
                }),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.0.chars().next()?;
        self.0 = &self.0[c.len_utf8()..];
        Some(c)
    }
}
