//! The Parquet columns: one schema, written and read column by column.
//!
//! Encodings are the measured ones: delta for numbers, delta-length for payloads, dictionaries for words, hashes
//! plain. One data page per column chunk, no page index, no bloom filter, no embedded arrow schema.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    column::reader::{ColumnReader, get_typed_column_reader},
    data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        reader::{ChunkReader, FileReader as _, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{
        parser::parse_message_type,
        types::{ColumnPath, TypePtr},
    },
};
use serde::{Deserialize, Serialize};

use super::{Meta, unreadable};
use crate::{
    Error, Result, Row,
    row::{Body, Cell, Change, Op, Source, StateHash},
};

const SCHEMA: &str = "message hindcast {
    required int64 pos;
    required binary key (UTF8);
    required binary domain (UTF8);
    required int32 incarnation;
    required int64 rv;
    optional int64 base_rv;
    required int64 time_lo (TIMESTAMP(MICROS, true));
    required int64 time_hi (TIMESTAMP(MICROS, true));
    required binary op (UTF8);
    required binary source (UTF8);
    required binary group (UTF8);
    required binary version (UTF8);
    required binary resource (UTF8);
    required binary subresource (UTF8);
    required binary kind (UTF8);
    required binary namespace (UTF8);
    required binary name (UTF8);
    required binary uid (UTF8);
    optional binary patch (UTF8);
    optional binary object (UTF8);
    optional fixed_len_byte_array(8) state_hash;
    optional fixed_len_byte_array(8) base_hash;
    required binary manager (UTF8);
    required binary manager_op (UTF8);
    optional binary managed_fields (UTF8);
    optional binary sealed (UTF8);
    optional binary hash_key (UTF8);
}";

/// How many columns the first files of format 1 have. Later columns read as empty where a file lacks them.
const FIRST: usize = 26;

static PARSED: LazyLock<TypePtr> =
    LazyLock::new(|| Arc::new(parse_message_type(SCHEMA).expect("the schema above is well-formed")));

/// The columns, for whoever describes them to others.
pub(crate) fn schema() -> &'static TypePtr {
    &PARSED
}

const NUMBERS: [&str; 5] = ["pos", "rv", "base_rv", "time_lo", "time_hi"];
const PAYLOADS: [&str; 4] = ["patch", "object", "managed_fields", "sealed"];
const HASHES: [&str; 2] = ["state_hash", "base_hash"];
/// The columns that compress well. In a raw segment the others take a few dozen bytes each, and setting up a compressor
/// for each of them, in every file, would cost readers and writers more than everything else in the file.
const COMPRESSED: [&str; 7] = ["key", "name", "uid", "patch", "object", "managed_fields", "sealed"];
/// The compression level of raw segments, which are many and small.
pub(crate) const RAW: i32 = 3;
/// Chunk-level statistics stand on these alone: never on a column that could hold a user's value.
const STATISTICS: [&str; 5] = ["pos", "key", "rv", "time_lo", "time_hi"];

fn properties(level: i32) -> WriterProperties {
    let zstd = ZstdLevel::try_new(level).expect("levels are constants between 1 and 22");
    let column = |name: &str| ColumnPath::from(name);
    let mut props = WriterProperties::builder()
        .set_created_by("hindcast".to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_write_page_header_statistics(false)
        .set_data_page_row_count_limit(usize::MAX)
        .set_data_page_size_limit(usize::MAX)
        .set_dictionary_page_size_limit(4 << 20)
        .set_write_batch_size(64 << 10);
    if level == RAW {
        for field in PARSED.get_fields().iter().filter(|field| !COMPRESSED.contains(&field.name())) {
            props = props.set_column_compression(column(field.name()), Compression::UNCOMPRESSED);
        }
    }
    for name in STATISTICS {
        props = props.set_column_statistics_enabled(column(name), EnabledStatistics::Chunk);
    }
    for name in NUMBERS {
        props = props
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in PAYLOADS {
        props = props
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    for name in HASHES {
        props = props
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::PLAIN)
            .set_column_compression(column(name), Compression::UNCOMPRESSED);
    }
    props.build()
}

/// Writes a file group by group, so that a large checkpoint is never in memory as rows.
pub(crate) struct FileBuilder {
    writer: SerializedFileWriter<Vec<u8>>,
    ends: Vec<usize>,
}

/// A row group's place in the file and the SHA-256 of its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GroupBytes {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) sha256: String,
}

impl FileBuilder {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let writer =
            SerializedFileWriter::new(Vec::new(), PARSED.clone(), Arc::new(properties(level))).map_err(write_failed)?;
        Ok(Self { writer, ends: Vec::new() })
    }

    /// Adds a row group; none for no rows.
    pub(crate) fn group(&mut self, rows: &[Row]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(write_failed)?;
        write_group(&mut group, rows).map_err(write_failed)?;
        group.close().map_err(write_failed)?;
        self.ends.push(self.writer.bytes_written());
        Ok(())
    }

    /// Where each row group stands, for a reader that fetches only some of them.
    pub(crate) fn groups(&mut self) -> Result<Vec<GroupBytes>> {
        self.writer.flush().map_err(|e| write_failed(e.into()))?;
        let file = self.writer.inner();
        let mut start = 4;
        let mut groups = Vec::with_capacity(self.ends.len());
        for &end in &self.ends {
            let bytes = file.get(start..end).unwrap_or_default();
            let sha256 = super::sha256(bytes);
            groups.push(GroupBytes { start: start as u64, end: end as u64, sha256 });
            start = end;
        }
        Ok(groups)
    }

    /// The finished file.
    pub(crate) fn finish(mut self, meta: &Meta) -> Result<Bytes> {
        for pair in meta.write() {
            self.writer.append_key_value_metadata(pair);
        }
        super::set_digest(self.writer.into_inner().map_err(write_failed)?)
    }
}

fn write_failed(error: parquet::errors::ParquetError) -> Error {
    Error::internal("a file of rows", "cannot be written").with_source(error)
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;
type Written = parquet::errors::Result<()>;

fn put<T: DataType>(group: &mut Group<'_>, values: &[T::T], levels: Option<&[i16]>) -> Written {
    let mut column = group.next_column()?.expect("the schema has as many columns as are written");
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn numbers(group: &mut Group<'_>, rows: &[Row], f: impl Fn(&Row) -> i64) -> Written {
    put::<Int64Type>(group, &rows.iter().map(f).collect::<Vec<_>>(), None)
}

fn words<'r>(group: &mut Group<'_>, rows: &'r [Row], f: impl Fn(&'r Row) -> &'r str) -> Written {
    let values: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(f(r).as_bytes().to_vec())).collect();
    put::<ByteArrayType>(group, &values, None)
}

fn optional<T: DataType>(group: &mut Group<'_>, values: Vec<Option<T::T>>) -> Written {
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    put::<T>(group, &present, Some(&levels))
}

fn payload(group: &mut Group<'_>, rows: &[Row], f: impl Fn(&Row) -> Option<Bytes>) -> Written {
    optional::<ByteArrayType>(group, rows.iter().map(|r| f(r).map(ByteArray::from)).collect())
}

fn hashes(group: &mut Group<'_>, rows: &[Row], f: impl Fn(&Row) -> Option<StateHash>) -> Written {
    let fixed = |h: StateHash| FixedLenByteArray::from(h.to_vec());
    optional::<FixedLenByteArrayType>(group, rows.iter().map(|r| f(r).map(fixed)).collect())
}

fn write_group(group: &mut Group<'_>, rows: &[Row]) -> Written {
    numbers(group, rows, |r| r.pos as i64)?;
    let keys: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(r.key().into_bytes())).collect();
    put::<ByteArrayType>(group, &keys, None)?;
    words(group, rows, |r| &r.domain)?;
    put::<Int32Type>(group, &rows.iter().map(|r| r.incarnation as i32).collect::<Vec<_>>(), None)?;
    numbers(group, rows, |r| r.rv as i64)?;
    optional::<Int64Type>(group, rows.iter().map(|r| r.base_rv.map(|n| n as i64)).collect())?;
    numbers(group, rows, |r| r.time_lo)?;
    numbers(group, rows, |r| r.time_hi)?;
    words(group, rows, |r| r.op.as_str())?;
    words(group, rows, |r| r.source.as_str())?;
    words(group, rows, |r| &r.group)?;
    words(group, rows, |r| &r.version)?;
    words(group, rows, |r| &r.resource)?;
    words(group, rows, |r| &r.subresource)?;
    words(group, rows, |r| &r.kind)?;
    words(group, rows, |r| &r.namespace)?;
    words(group, rows, |r| &r.name)?;
    words(group, rows, |r| &r.uid)?;
    payload(group, rows, |r| if let Body::Patch(b) = &r.body { Some(b.clone()) } else { None })?;
    payload(group, rows, |r| if let Body::Object(b) = &r.body { Some(b.clone()) } else { None })?;
    hashes(group, rows, |r| r.state_hash)?;
    hashes(group, rows, |r| r.base_hash)?;
    words(group, rows, |r| &r.manager)?;
    words(group, rows, |r| &r.manager_op)?;
    payload(group, rows, |r| r.managed_fields.clone())?;
    payload(group, rows, |r| cells_text(&r.cells))?;
    payload(group, rows, |r| (!r.hash_key.is_empty()).then(|| Bytes::from(r.hash_key.clone().into_bytes())))
}

#[derive(Serialize, Deserialize)]
struct StoredCell {
    path: String,
    key: String,
    pos: u64,
    rv: u64,
    secret: String,
}

fn cells_text(cells: &[Cell]) -> Option<Bytes> {
    use base64::Engine as _;
    if cells.is_empty() {
        return None;
    }
    let stored: Vec<StoredCell> = cells
        .iter()
        .map(|c| StoredCell {
            path: c.path.clone(),
            key: c.key_id.clone(),
            pos: c.pos,
            rv: c.rv,
            secret: base64::engine::general_purpose::STANDARD.encode(&c.secret),
        })
        .collect();
    Some(Bytes::from(serde_json::to_vec(&stored).expect("strings and numbers serialise")))
}

fn read_cells(what: &str, text: &[u8]) -> Result<Vec<Cell>> {
    use base64::Engine as _;
    let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("its sealed column: {e}"));
    let stored: Vec<StoredCell> = serde_json::from_slice(text).map_err(|e| bad(&e))?;
    stored
        .into_iter()
        .map(|c| {
            let secret = base64::engine::general_purpose::STANDARD.decode(&c.secret).map_err(|e| bad(&e))?;
            Ok(Cell { path: c.path, key_id: c.key, pos: c.pos, rv: c.rv, secret: secret.into() })
        })
        .collect()
}

/// Reads the columns of one row group in schema order.
pub(super) struct Columns<'a> {
    what: &'a str,
    group: Box<dyn RowGroupReader + 'a>,
    rows: usize,
    next: usize,
}

impl<'a> Columns<'a> {
    /// Those of a row group, from the first on.
    pub(super) fn open<R: ChunkReader + 'static>(
        what: &'a str,
        reader: &'a SerializedFileReader<R>,
        index: usize,
    ) -> Result<Self> {
        let schema = reader.metadata().file_metadata().schema_descr();
        if !(FIRST..=PARSED.get_fields().len()).contains(&schema.num_columns())
            || schema.columns().iter().zip(PARSED.get_fields()).any(|(c, f)| c.name() != f.name())
        {
            return Err(Error::corrupt(what, "does not have the columns of format 1"));
        }
        let group = reader.get_row_group(index).map_err(|e| unreadable(what, &e))?;
        let rows = group.metadata().num_rows() as usize;
        Ok(Self { what, group, rows, next: 0 })
    }

    /// Goes to a column.
    pub(super) fn at(&mut self, column: usize) -> &mut Self {
        self.next = column;
        self
    }

    pub(super) fn take<T: DataType + 'static>(&mut self, optional: bool) -> Result<(Vec<T::T>, Vec<i16>)> {
        let what = self.what;
        let reader: ColumnReader = self.group.get_column_reader(self.next).map_err(|e| unreadable(what, &e))?;
        self.next += 1;
        let mut values = Vec::with_capacity(self.rows);
        let mut levels = Vec::new();
        let mut typed = get_typed_column_reader::<T>(reader);
        let mut read = 0;
        while read < self.rows {
            let wanted = if optional { Some(&mut levels) } else { None };
            let (records, ..) =
                typed.read_records(self.rows - read, wanted, None, &mut values).map_err(|e| unreadable(what, &e))?;
            if records == 0 {
                return Err(Error::corrupt(what, "a column ends before its row group does"));
            }
            read += records;
        }
        Ok((values, levels))
    }

    pub(super) fn numbers(&mut self) -> Result<std::vec::IntoIter<i64>> {
        Ok(self.take::<Int64Type>(false)?.0.into_iter())
    }

    pub(super) fn words(&mut self) -> Result<std::vec::IntoIter<ByteArray>> {
        Ok(self.take::<ByteArrayType>(false)?.0.into_iter())
    }

    fn optional<T: DataType + 'static>(&mut self) -> Result<std::vec::IntoIter<Option<T::T>>> {
        let (values, levels) = self.take::<T>(true)?;
        let mut values = values.into_iter();
        let spread: Vec<Option<T::T>> = levels.into_iter().map(|l| if l > 0 { values.next() } else { None }).collect();
        Ok(spread.into_iter())
    }

    fn payload(&mut self) -> Result<std::vec::IntoIter<Option<ByteArray>>> {
        self.optional::<ByteArrayType>()
    }

    fn hashes(&mut self) -> Result<std::vec::IntoIter<Option<StateHash>>> {
        let all = self.optional::<FixedLenByteArrayType>()?;
        let all: Vec<_> = all.map(|v| v.and_then(|v| v.data().try_into().ok())).collect();
        Ok(all.into_iter())
    }
}

/// A word of a row.
pub(super) fn word<'b>(what: &str, bytes: &'b ByteArray) -> Result<&'b str> {
    std::str::from_utf8(bytes.data()).map_err(|e| unreadable(what, &e))
}

fn copied(bytes: ByteArray) -> Bytes {
    Bytes::copy_from_slice(bytes.data())
}

/// The rows of one row group.
pub(crate) fn read_group<R: ChunkReader + 'static>(
    what: &str,
    reader: &SerializedFileReader<R>,
    index: usize,
) -> Result<Vec<Row>> {
    read_some(what, reader, index, |_| true)
}

/// The rows of one row group whose group, resource, namespace and name are `wanted`.
pub(crate) fn read_some<R: ChunkReader + 'static>(
    what: &str,
    reader: &SerializedFileReader<R>,
    index: usize,
    wanted: impl Fn([&str; 4]) -> bool,
) -> Result<Vec<Row>> {
    let mut c = Columns::open(what, reader, index)?;
    let count = c.rows;
    let mut pos = c.numbers()?;
    let mut key = c.words()?;
    let mut domain = c.words()?;
    let mut incarnation = c.take::<Int32Type>(false)?.0.into_iter();
    let mut rv = c.numbers()?;
    let mut base_rv = c.optional::<Int64Type>()?;
    let mut time_lo = c.numbers()?;
    let mut time_hi = c.numbers()?;
    let mut op = c.words()?;
    let mut source = c.words()?;
    let mut group = c.words()?;
    let mut version = c.words()?;
    let mut resource = c.words()?;
    let mut subresource = c.words()?;
    let mut kind = c.words()?;
    let mut namespace = c.words()?;
    let mut name = c.words()?;
    let mut uid = c.words()?;
    let mut patch = c.payload()?;
    let mut object = c.payload()?;
    let mut state_hash = c.hashes()?;
    let mut base_hash = c.hashes()?;
    let mut manager = c.words()?;
    let mut manager_op = c.words()?;
    let mut managed_fields = c.payload()?;
    let mut sealed = c.payload()?;
    let keyed = reader.metadata().file_metadata().schema_descr().num_columns() > FIRST;
    let mut hash_key = if keyed { c.payload()? } else { vec![None; count].into_iter() };

    let mut rows = Vec::new();
    let short = || Error::corrupt(what, "a column is shorter than the others");
    let text = |bytes: ByteArray| word(what, &bytes).map(str::to_owned);
    for _ in 0..count {
        let body = (patch.next().ok_or_else(short)?, object.next().ok_or_else(short)?);
        let names = [&mut group, &mut resource, &mut namespace, &mut name].map(Iterator::next);
        let [Some(group), Some(resource), Some(namespace), Some(name)] = names else { return Err(short()) };
        let (pos, key) = (pos.next().ok_or_else(short)? as u64, key.next().ok_or_else(short)?);
        let (op, source) = (op.next().ok_or_else(short)?, source.next().ok_or_else(short)?);
        let (domain, uid) = (domain.next().ok_or_else(short)?, uid.next().ok_or_else(short)?);
        let (version, subresource) = (version.next().ok_or_else(short)?, subresource.next().ok_or_else(short)?);
        let kind = kind.next().ok_or_else(short)?;
        let (incarnation, rv) = (incarnation.next().ok_or_else(short)?, rv.next().ok_or_else(short)?);
        let (base_rv, base_hash) = (base_rv.next().ok_or_else(short)?, base_hash.next().ok_or_else(short)?);
        let (time_lo, time_hi) = (time_lo.next().ok_or_else(short)?, time_hi.next().ok_or_else(short)?);
        let (state_hash, hash_key) = (state_hash.next().ok_or_else(short)?, hash_key.next().ok_or_else(short)?);
        let (manager, manager_op) = (manager.next().ok_or_else(short)?, manager_op.next().ok_or_else(short)?);
        let (managed_fields, sealed) = (managed_fields.next().ok_or_else(short)?, sealed.next().ok_or_else(short)?);
        let named = [word(what, &group)?, word(what, &resource)?, word(what, &namespace)?, word(what, &name)?];
        if !wanted(named) {
            continue;
        }
        let [group, resource, namespace, name] = named.map(str::to_owned);
        let body = match body {
            (None, None) => Body::None,
            (Some(patch), None) => Body::Patch(copied(patch)),
            (None, Some(object)) => Body::Object(copied(object)),
            (Some(_), Some(_)) => return Err(Error::corrupt(what, "a row has both patch and object")),
        };
        let (op, source) = (word(what, &op)?, word(what, &source)?);
        let change = Change {
            domain: text(domain)?,
            incarnation: incarnation as u32,
            rv: rv as u64,
            base_rv: base_rv.map(|n| n as u64),
            time_lo,
            time_hi,
            op: Op::from_word(op)
                .ok_or_else(|| Error::corrupt(what, format!("a row has the unknown op \"{}\"", op.escape_debug())))?,
            source: Source::from_word(source).ok_or_else(|| {
                Error::corrupt(what, format!("a row has the unknown source \"{}\"", source.escape_debug()))
            })?,
            group,
            version: text(version)?,
            resource,
            subresource: text(subresource)?,
            kind: text(kind)?,
            namespace,
            name,
            uid: text(uid)?,
            body,
            state_hash,
            base_hash,
            hash_key: hash_key.map(text).transpose()?.unwrap_or_default(),
            manager: text(manager)?,
            manager_op: text(manager_op)?,
            managed_fields: managed_fields.map(copied),
            cells: match sealed {
                None => Vec::new(),
                Some(cells) => read_cells(what, cells.data())?,
            },
        };
        if key.data() != change.key().as_bytes() {
            return Err(Error::corrupt(what, format!("the key of row {pos} is not of its columns")));
        }
        rows.push(Row { pos, change });
    }
    Ok(rows)
}
