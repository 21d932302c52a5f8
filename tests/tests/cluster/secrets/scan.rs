//! The scan: every spelling of the planted values, in bytes and in decoded files.
//!
//! **Words**: a *spelling* is one way in which the value could stand in bytes; a *trace* is a place where one does.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use bytes::Bytes;
use hindcast_journal::row::Body;
use hindcast_tests::oracle::subject::Hindcast;
use parquet::{
    column::page::Page,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
};
use serde_json::json;

use crate::scene::Said;

/// With characters that JSON escapes, and bytes beyond ASCII.
pub(super) const FIRST: &str = r#"first-"value"\of/the?secret<&>žluťoučký-7c1f0e9a"#;
pub(super) const SECOND: &str = r#"second-"value"\of/the?secret<&>žluťoučký-b2d84e63"#;
pub(super) const HELM: &str = "release-payload-with-a-password-in-it-5e0d9c7b1a";

/// Every spelling of a value: as it is, as JSON (once and twice, with and without `\u`), hex, and base64 in both
/// alphabets at all three alignments; each also of the value's own base64, which is what a Secret's `data` holds.
fn spellings(value: &str) -> Vec<(String, Vec<u8>)> {
    let encoded = BASE64_STANDARD.encode(value);
    let mut out = Vec::new();
    for (of, text) in [("the value", value), ("its base64", encoded.as_str())] {
        let mut add = |how: &str, text: String| out.push((format!("{of} {how}"), text.into_bytes()));
        add("as it is", text.to_owned());
        let mut escaped = text.to_owned();
        for times in ["once", "twice"] {
            escaped = json_escaped(&escaped);
            add(&format!("as JSON {times}"), escaped.clone());
            add(&format!("as ASCII JSON {times}"), ascii(&escaped));
        }
        add("as JSON with escaped slashes", json_escaped(text).replace('/', "\\/"));
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        add("in capital hex", hex.to_uppercase());
        add("in hex", hex);
        for before in 0..3 {
            let padded = [&vec![0; before][..], text.as_bytes()].concat();
            // The characters that hold bits of the value alone.
            let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            add(&format!("in base64 at alignment {before}"), BASE64_STANDARD.encode(&padded)[from..to].to_owned());
            add(&format!("in URL base64 at alignment {before}"), BASE64_URL_SAFE.encode(&padded)[from..to].to_owned());
        }
    }
    out
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Looks for traces, and remembers where.
pub(super) struct Scan {
    pub(super) spellings: Vec<(String, Vec<u8>)>,
    pub(super) traces: BTreeSet<String>,
    pub(super) bytes: usize,
}

impl Scan {
    pub(super) fn new() -> Self {
        let spellings = [FIRST, SECOND, HELM].into_iter().flat_map(spellings).collect();
        Self { spellings, traces: BTreeSet::new(), bytes: 0 }
    }

    pub(super) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        for (name, spelling) in &self.spellings {
            if holds(bytes, spelling) {
                self.traces.insert(format!("{place}: {name}"));
            }
        }
    }

    pub(super) fn answer(&mut self, said: &Said) {
        self.look(&said.to_string(), said.out.as_bytes());
        self.look(&said.to_string(), said.err.as_bytes());
    }

    /// A file, as it is and decoded: metadata, statistics, pages with their dictionaries, and every value.
    fn file(&mut self, place: &str, bytes: Vec<u8>) -> Result<()> {
        self.look(place, &bytes);
        if !bytes.starts_with(b"PAR1") {
            return Ok(());
        }
        let reader = SerializedFileReader::new(Bytes::from(bytes))?;
        for pair in reader.metadata().file_metadata().key_value_metadata().into_iter().flatten() {
            self.look(&format!("{place}, metadata {}", pair.key), pair.key.as_bytes());
            self.look(&format!("{place}, metadata {}", pair.key), pair.value.as_deref().unwrap_or_default().as_bytes());
        }
        for at in 0..reader.num_row_groups() {
            let group = reader.get_row_group(at)?;
            for (column, chunk) in group.metadata().columns().iter().enumerate() {
                let place = format!("{place}, column {}", chunk.column_path());
                if let Some(statistics) = chunk.statistics() {
                    self.look(&format!("{place}, statistics"), statistics.min_bytes_opt().unwrap_or_default());
                    self.look(&format!("{place}, statistics"), statistics.max_bytes_opt().unwrap_or_default());
                }
                let mut pages = group.get_column_page_reader(column)?;
                while let Some(page) = pages.get_next_page()? {
                    let kind = if matches!(page, Page::DictionaryPage { .. }) { "dictionary" } else { "page" };
                    self.look(&format!("{place}, {kind}"), page.buffer());
                    self.look(&format!("{place}, statistics of a page"), format!("{:?}", page.statistics()).as_bytes());
                }
            }
        }
        for row in reader.get_row_iter(None)? {
            for (name, field) in row?.get_column_iter() {
                let place = format!("{place}, values of {name}");
                match field {
                    Field::Str(text) => self.look(&place, text.as_bytes()),
                    Field::Bytes(bytes) => self.look(&place, bytes.data()),
                    other => self.look(&place, other.to_string().as_bytes()),
                }
            }
        }
        Ok(())
    }

    /// Every file of a folder, decoded by the Parquet library and by the journal's own reader.
    pub(super) async fn bucket(&mut self, hindcast: &Hindcast, folder: &Path) -> Result<usize> {
        let files = files(folder)?;
        for file in &files {
            let name = file.strip_prefix(folder)?.display().to_string();
            self.look(&name, name.as_bytes());
            self.file(&name, fs::read(file)?)?;
        }
        let journal = hindcast.place.journal().await?;
        for number in journal.segments_after(0).await? {
            for row in journal.segment(number).await?.rows.iter() {
                let place = format!("segment {number}, position {}", row.pos);
                self.look(&place, format!("{row:?}").as_bytes());
                if let Body::Object(bytes) | Body::Patch(bytes) = &row.body {
                    self.look(&place, bytes);
                }
                row.managed_fields.iter().for_each(|bytes| self.look(&place, bytes));
                row.cells.iter().for_each(|cell| self.look(&place, &cell.secret));
            }
        }
        Ok(files.len())
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { out.extend(files(&path)?) } else { out.push(path) }
    }
    Ok(out)
}

#[test]
fn every_spelling_is_found_where_it_stands_and_nowhere_else() {
    let mut scan = Scan::new();
    let encoded = BASE64_STANDARD.encode(SECOND);
    let yes: [Vec<u8>; 6] = [
        format!("x{FIRST}y").into_bytes(),
        json!({"a": json!({"b": SECOND}).to_string()}).to_string().into_bytes(),
        BASE64_STANDARD.encode(format!("a{{{HELM}}}b")).into_bytes(),
        BASE64_STANDARD.encode(json!({"data": {"k": encoded}}).to_string()).into_bytes(),
        HELM.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes(),
        BASE64_URL_SAFE.encode(format!("ab{FIRST}")).into_bytes(),
    ];
    for bytes in &yes {
        let before = scan.traces.len();
        scan.look(&format!("{before}"), bytes);
        assert!(scan.traces.len() > before, "{}", String::from_utf8_lossy(bytes));
    }
    let mut scan = Scan::new();
    scan.look("the names of what holds it", br#"{"data":{"password":"<redacted 49 bytes hmac:ab12cd34>"}}"#);
    assert!(scan.traces.is_empty(), "{:?}", scan.traces);
}
