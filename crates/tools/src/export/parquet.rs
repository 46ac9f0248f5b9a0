//! Rows as a file of Parquet. Its schema is the table's; what the table and its columns mean stands in the file's metadata.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use ::parquet::errors::Result;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{ColumnPath, Type, TypePtr};
use bytes::Bytes;

use super::rows::{Cells, Rows, Values};
use super::table::{Column, Form, Table};

/// Much is made of hashes, which no level makes smaller.
const LEVEL: i32 = 3;
/// Values that are handed to the encoder at once: they are taken apart only then.
const PIECE: usize = 4096;

/// What the files of a table have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    schema: TypePtr,
    properties: WriterPropertiesPtr,
}

impl Shape {
    /// Of a table.
    ///
    /// # Errors
    ///
    /// A table that Parquet cannot have; a test makes sure that there is none.
    pub fn of(table: &Table) -> Result<Self> {
        Ok(Self { schema: Arc::new(schema(table)?), properties: Arc::new(properties(table)?) })
    }

    /// Begins a file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn begin<W: Write + Send>(&self, out: W) -> Result<SerializedFileWriter<W>> {
        SerializedFileWriter::new(out, Arc::clone(&self.schema), Arc::clone(&self.properties))
    }
}

/// Writes rows as a row group, and forgets them.
///
/// # Errors
///
/// The file cannot be written.
pub fn write<W: Write + Send>(file: &mut SerializedFileWriter<W>, table: &Table, rows: &mut Rows) -> Result<()> {
    let mut group = file.next_row_group()?;
    for (column, cells) in table.columns.iter().zip(&mut rows.cells) {
        let Some(mut writer) = group.next_column()? else { break };
        fill(&mut writer, column, cells)?;
        writer.close()?;
    }
    group.close()?;
    rows.clear();
    Ok(())
}

fn fill(writer: &mut SerializedColumnWriter<'_>, column: &Column, cells: &mut Cells) -> Result<()> {
    let definitions = (column.full() > 0).then_some(&cells.definitions[..]);
    let repetitions = (!column.lists.is_empty()).then_some(&cells.repetitions[..]);
    match &mut cells.values {
        Values::Bool(values) => writer.typed::<BoolType>().write_batch(values, definitions, repetitions).map(drop),
        Values::I32(values) => writer.typed::<Int32Type>().write_batch(values, definitions, repetitions).map(drop),
        Values::I64(values) => writer.typed::<Int64Type>().write_batch(values, definitions, repetitions).map(drop),
        Values::Double(values) => writer.typed::<DoubleType>().write_batch(values, definitions, repetitions).map(drop),
        Values::Word(numbers) => {
            let words = Words::of(column.form);
            let value = |at: usize| words.get(numbers[at]);
            pieces(numbers.len(), column, definitions, repetitions, |range, definitions, repetitions| {
                let values: Vec<ByteArray> = range.map(value).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, definitions, repetitions).map(drop)
            })
        }
        Values::Bytes(bytes, ends) => {
            let bytes = Bytes::from(std::mem::take(bytes));
            let value = |at: usize| {
                let start = at.checked_sub(1).map_or(0, |before| ends[before]);
                ByteArray::from(bytes.slice(start as usize..ends[at] as usize))
            };
            pieces(ends.len(), column, definitions, repetitions, |range, definitions, repetitions| {
                let values: Vec<ByteArray> = range.map(value).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, definitions, repetitions).map(drop)
            })
        }
        Values::Hash(bytes) => {
            let bytes = Bytes::from(std::mem::take(bytes));
            let value = |at: usize| FixedLenByteArray::from(ByteArray::from(bytes.slice(32 * at..32 * (at + 1))));
            pieces(bytes.len() / 32, column, definitions, repetitions, |range, definitions, repetitions| {
                let values: Vec<FixedLenByteArray> = range.map(value).collect();
                writer.typed::<FixedLenByteArrayType>().write_batch(&values, definitions, repetitions).map(drop)
            })
        }
    }
}

/// Hands values over piece by piece, each of whole rows.
fn pieces(
    values: usize,
    column: &Column,
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
    mut write: impl FnMut(std::ops::Range<usize>, Option<&[i16]>, Option<&[i16]>) -> Result<()>,
) -> Result<()> {
    let levels = definitions.map_or(values, <[i16]>::len);
    let (mut level, mut value) = (0, 0);
    while level < levels {
        let mut end = (level + PIECE).min(levels);
        if let Some(repetitions) = repetitions {
            end += repetitions[end..].iter().position(|repetition| *repetition == 0).unwrap_or(levels - end);
        }
        let there = |definitions: &[i16]| definitions.iter().filter(|definition| **definition == column.full()).count();
        let count = definitions.map_or(end - level, |definitions| there(&definitions[level..end]));
        let (definitions, repetitions) = (definitions.map(|all| &all[level..end]), repetitions.map(|all| &all[level..end]));
        write(value..value + count, definitions, repetitions)?;
        (level, value) = (end, value + count);
    }
    Ok(())
}

/// Words of an enumeration by number. One that only a later release has a word for stands as its number.
struct Words(Vec<(i32, ByteArray)>);

impl Words {
    fn of(form: Form) -> Self {
        let Form::Word(words) = form else { return Self(Vec::new()) };
        let word = |(word, number, _): &(&'static str, i32, &str)| (*number, ByteArray::from(Bytes::from_static(word.as_bytes())));
        Self(words.words.iter().map(word).collect())
    }

    fn get(&self, number: i32) -> ByteArray {
        // most are numbered without gaps
        let dense = usize::try_from(number).ok().and_then(|at| self.0.get(at)).filter(|(known, _)| *known == number);
        let found = dense.or_else(|| self.0.iter().find(|(known, _)| *known == number));
        found.map_or_else(|| ByteArray::from(number.to_string().into_bytes()), |(_, word)| word.clone())
    }
}

fn properties(table: &Table) -> Result<WriterProperties> {
    let pair = |key: &str, value: String| KeyValue::new(format!("peer_observer.{key}"), value);
    let columns: serde_json::Map<_, _> = table.columns.iter().map(|column| (column.path(), column.doc.into())).collect();
    let about = vec![
        pair("kind", table.id.name().to_owned()),
        pair("meaning", table.doc.to_owned()),
        pair("columns", serde_json::Value::Object(columns).to_string()),
        pair("release", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("peer-observer ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(about));
    for column in &table.columns {
        let path = || ColumnPath::new(path(column));
        properties = match column.form {
            // rises steadily: differences are small
            Form::Nanos => steady(properties, path()),
            Form::U64 if column.name == "sequence" => steady(properties, path()),
            // the least and the greatest of random numbers tell nothing
            Form::Hash => properties.set_column_statistics_enabled(path(), EnabledStatistics::None),
            _ => properties,
        };
    }
    Ok(properties.build())
}

fn steady(
    properties: ::parquet::file::properties::WriterPropertiesBuilder,
    path: ColumnPath,
) -> ::parquet::file::properties::WriterPropertiesBuilder {
    properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
}

/// The names from the root to a leaf.
fn path(column: &Column) -> Vec<String> {
    let mut parts = Vec::new();
    for list in &column.lists {
        parts.extend([list.clone(), "list".to_owned(), "element".to_owned()]);
    }
    parts.extend(if column.lists.is_empty() { Some(column.name.clone()) } else { column.element.clone() });
    parts
}

fn schema(table: &Table) -> Result<Type> {
    let fields = table.tops().map(|columns| field(columns, 0)).collect::<Result<Vec<_>>>()?;
    Type::group_type_builder(&table.name).with_fields(fields).build()
}

/// A column as a reader sees it, from its leaves, inside so many lists.
fn field(columns: &[Column], depth: usize) -> Result<TypePtr> {
    let first = &columns[0];
    let Some(list) = first.lists.get(depth) else {
        return Ok(Arc::new(leaf(first, first.element.as_ref().unwrap_or(&first.name))?));
    };
    let element = if first.lists.len() == depth + 1 && first.element.is_none() {
        Arc::new(leaf(first, "element")?)
    } else {
        let inner = columns.chunk_by(|one, other| {
            let list = |column: &Column| column.lists.get(depth + 1).cloned();
            list(one).is_some() && list(one) == list(other)
        });
        let fields = inner.map(|columns| field(columns, depth + 1)).collect::<Result<Vec<_>>>()?;
        Arc::new(Type::group_type_builder("element").with_repetition(Repetition::REQUIRED).with_fields(fields).build()?)
    };
    let elements = Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]).build()?;
    let whole = Type::group_type_builder(list)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(elements)])
        .build()?;
    Ok(Arc::new(whole))
}

fn leaf(column: &Column, name: &str) -> Result<Type> {
    let (physical, logical) = match column.form {
        Form::Bool => (Physical::BOOLEAN, None),
        Form::I32 => (Physical::INT32, None),
        Form::U32 => (Physical::INT32, Some(LogicalType::integer(32, false))),
        Form::I64 => (Physical::INT64, None),
        Form::U64 => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Form::Double => (Physical::DOUBLE, None),
        Form::Text | Form::Address(_) | Form::Word(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Form::Bytes => (Physical::BYTE_ARRAY, None),
        Form::Hash => (Physical::FIXED_LEN_BYTE_ARRAY, None),
        Form::Nanos | Form::Seconds => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
    };
    let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let length = if physical == Physical::FIXED_LEN_BYTE_ARRAY { 32 } else { -1 };
    Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical).with_length(length).build()
}
