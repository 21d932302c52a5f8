//! A checkpoint of the table's log: the actions of many commits as one Parquet file.
//!
//! A column stands for each member of an action that readers need, nested as in JSON. So actions are taken apart by the file's own
//! schema ([`shred`]), and put together again by it.
//!
//! **Invariant.** The file carries its own digest, as files of rows do, which is checked before it is parsed [`read`]. Other readers
//! do not know of it.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        reader::FileReader as _,
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    record::{Field, Row},
    schema::{
        parser::parse_message_type,
        types::{Type, TypePtr},
    },
};
use serde_json::{Map, Value};

use crate::{Error, Result, segment};

const SCHEMA: &str = "message checkpoint {
    optional group txn {
        optional binary appId (UTF8);
        optional int64 version;
        optional int64 lastUpdated;
    }
    optional group add {
        optional binary path (UTF8);
        optional group partitionValues (MAP) {
            repeated group key_value {
                required binary key (UTF8);
                optional binary value (UTF8);
            }
        }
        optional int64 size;
        optional int64 modificationTime;
        optional boolean dataChange;
        optional binary stats (UTF8);
    }
    optional group remove {
        optional binary path (UTF8);
        optional int64 deletionTimestamp;
        optional boolean dataChange;
    }
    optional group metaData {
        optional binary id (UTF8);
        optional binary name (UTF8);
        optional group format {
            optional binary provider (UTF8);
            optional group options (MAP) {
                repeated group key_value {
                    required binary key (UTF8);
                    optional binary value (UTF8);
                }
            }
        }
        optional binary schemaString (UTF8);
        optional group partitionColumns (LIST) {
            repeated group list {
                optional binary element (UTF8);
            }
        }
        optional group configuration (MAP) {
            repeated group key_value {
                required binary key (UTF8);
                optional binary value (UTF8);
            }
        }
        optional int64 createdTime;
    }
    optional group protocol {
        optional int32 minReaderVersion;
        optional int32 minWriterVersion;
        optional group writerFeatures (LIST) {
            repeated group list {
                optional binary element (UTF8);
            }
        }
    }
}";

static PARSED: LazyLock<TypePtr> =
    LazyLock::new(|| Arc::new(parse_message_type(SCHEMA).expect("the schema above is well-formed")));

/// How well it is compressed: once, for many readers.
const LEVEL: i32 = 9;

/// What a column holds, and at which levels.
#[derive(Debug, Default)]
struct Leaf {
    values: Vec<Value>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

/// Where a value stands: how many of what may be missing above it is there, whether it goes on with a list, and how many lists it is in.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    definition: i16,
    repetition: i16,
    depth: i16,
}

/// The file with these actions.
pub(super) fn write(actions: &[Value]) -> Result<Bytes> {
    let mut leaves: Vec<(Physical, Leaf)> = Vec::new();
    collect(&PARSED, &mut leaves);
    for action in actions {
        let mut at = 0;
        for field in PARSED.get_fields() {
            shred(field, action.get(field.name()), Level::default(), &mut leaves, &mut at);
        }
    }
    let failed = |e| Error::internal("a checkpoint of the Delta table", "cannot be written").with_source(e);
    encode(&leaves).map_err(failed).and_then(segment::set_digest)
}

/// The columns below a node, each with nothing in it.
fn collect(node: &Type, leaves: &mut Vec<(Physical, Leaf)>) {
    match node.is_primitive() {
        true => leaves.push((node.get_physical_type(), Leaf::default())),
        false => node.get_fields().iter().for_each(|field| collect(field, leaves)),
    }
}

/// Takes a value apart into the columns below a node, from the column `at` on.
fn shred(node: &Type, value: Option<&Value>, level: Level, leaves: &mut [(Physical, Leaf)], at: &mut usize) {
    let basic = node.get_basic_info();
    let value = value.filter(|value| !value.is_null());
    let definition = level.definition + i16::from(value.is_some() && basic.repetition() == Repetition::OPTIONAL);
    let level = Level { definition, ..level };
    if node.is_primitive() {
        if let Some((_, leaf)) = leaves.get_mut(*at) {
            leaf.definitions.push(level.definition);
            leaf.repetitions.push(level.repetition);
            leaf.values.extend(value.cloned());
        }
        *at += 1;
        return;
    }
    let repeated = node.get_fields().first().filter(|_| basic.converted_type() != ConvertedType::NONE);
    let Some(repeated) = repeated else {
        for field in node.get_fields() {
            shred(field, value.and_then(|value| value.get(field.name())), level, leaves, at);
        }
        return;
    };
    // Each element of a list, or entry of a map, as what its columns hold.
    let elements: Vec<Vec<Value>> = match value {
        Some(Value::Object(map)) => map.iter().map(|(k, v)| vec![Value::String(k.clone()), v.clone()]).collect(),
        Some(Value::Array(list)) => list.iter().map(|element| vec![element.clone()]).collect(),
        _ => Vec::new(),
    };
    let begin = *at;
    if elements.is_empty() {
        for field in repeated.get_fields() {
            shred(field, None, level, leaves, at);
        }
    }
    for (index, element) in elements.iter().enumerate() {
        *at = begin;
        let repetition = if index == 0 { level.repetition } else { level.depth + 1 };
        let inner = Level { definition: level.definition + 1, repetition, depth: level.depth + 1 };
        for (field, value) in repeated.get_fields().iter().zip(element) {
            shred(field, Some(value), inner, leaves, at);
        }
    }
}

fn encode(leaves: &[(Physical, Leaf)]) -> parquet::errors::Result<Vec<u8>> {
    let zstd = ZstdLevel::try_new(LEVEL)?;
    let properties = WriterProperties::builder()
        .set_created_by("hindcast".to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    let mut writer = SerializedFileWriter::new(Vec::new(), PARSED.clone(), Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    for (physical, leaf) in leaves {
        match physical {
            Physical::BOOLEAN => put::<BoolType>(&mut group, leaf, |v| v.as_bool().unwrap_or_default())?,
            Physical::INT32 => put::<Int32Type>(&mut group, leaf, |v| v.as_i64().unwrap_or_default() as i32)?,
            Physical::INT64 => put::<Int64Type>(&mut group, leaf, |v| v.as_i64().unwrap_or_default())?,
            _ => put::<ByteArrayType>(&mut group, leaf, |v| ByteArray::from(v.as_str().unwrap_or_default()))?,
        }
    }
    group.close()?;
    writer.append_key_value_metadata(KeyValue::new(segment::DIGEST.to_owned(), "0".repeat(64)));
    writer.into_inner()
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    leaf: &Leaf,
    value: impl Fn(&Value) -> T::T,
) -> parquet::errors::Result<()> {
    let mut column = group.next_column()?.expect("the schema has as many columns as were collected from it");
    let values: Vec<T::T> = leaf.values.iter().map(value).collect();
    column.typed::<T>().write_batch(&values, Some(&leaf.definitions), Some(&leaf.repetitions))?;
    column.close()
}

/// The actions in a file.
pub(super) fn read(what: &str, bytes: Bytes) -> Result<Vec<Value>> {
    segment::check_digest(what, &bytes)?;
    let bad = |e: parquet::errors::ParquetError| segment::unreadable(what, &e);
    let reader = SerializedFileReader::new(bytes).map_err(bad)?;
    reader.get_row_iter(None).map_err(bad)?.map(|row| row.map(|row| object(&row)).map_err(bad)).collect()
}

fn object(row: &Row) -> Value {
    let members = row.get_column_iter().map(|(name, field)| (name.clone(), json(field)));
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn json(field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::Bool(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::Str(value) => Value::String(value.clone()),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(json).collect()),
        Field::MapInternal(map) => {
            let entry = |(key, value): &(Field, Field)| match key {
                Field::Str(key) => Some((key.clone(), json(value))),
                _ => None,
            };
            Value::Object(map.entries().iter().filter_map(entry).collect())
        }
        _ => Value::Null,
    }
}
