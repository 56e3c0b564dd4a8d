//! Writing a data set to one file, which bears its name only once it is complete and synced.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::csv::write_record;
use super::source::source_error;
use crate::error::{Error, Result};
use crate::format::accept::accept_column;
use crate::format::columns::value_at;
use crate::text::format_value;
use crate::value::{DECIMAL_PRECISION_MAX, DataType, VECTOR_LEN_MAX};

/// The formats that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// An Arrow IPC file.
    Arrow,
    /// CSV with a header. Metadata has no place in it.
    Csv,
}

impl OutputFormat {
    /// The format that a file name's extension asks for.
    ///
    /// # Errors
    /// The extension says nothing.
    pub fn of_path(path: &Path) -> Result<OutputFormat> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        match extension.as_str() {
            "parquet" | "pq" => Ok(OutputFormat::Parquet),
            "arrow" | "feather" | "ipc" => Ok(OutputFormat::Arrow),
            "csv" => Ok(OutputFormat::Csv),
            _ => Err(Error::invalid("no format is known by this extension")
                .at(path.display())
                .remedy("name the file .parquet, .arrow or .csv")),
        }
    }
}

/// How Parquet pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Fast, and understood everywhere.
    #[default]
    Snappy,
    /// Smaller.
    Zstd,
}

/// How a data set is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The format.
    pub format: OutputFormat,
    /// Parquet only.
    pub compression: Compression,
    /// Goes into the schema's metadata, and Parquet's own: `asof.known_at` and its like.
    pub metadata: BTreeMap<String, String>,
}

enum Sink {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Arrow(Box<arrow_ipc::writer::FileWriter<BufWriter<File>>>),
    Csv(BufWriter<File>),
}

/// Writes batches of one schema. Dropped before [`DatasetWriter::finish`] it leaves nothing.
pub struct DatasetWriter {
    path: PathBuf,
    temporary: PathBuf,
    schema: SchemaRef,
    sink: Option<Sink>,
    rows: u64,
}

impl DatasetWriter {
    /// Begins the file that will be `path`; the folder must be there.
    ///
    /// # Errors
    /// The file cannot be made, or the format cannot hold the schema.
    pub fn create(path: &Path, schema: &Schema, options: &WriteOptions) -> Result<DatasetWriter> {
        let temporary = temporary_path(path);
        let file = File::create_new(&temporary).map_err(|error| Error::io("create", &temporary, error))?;
        let mut metadata = schema.metadata().clone();
        metadata.extend(options.metadata.clone());
        let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
        // From here on dropping the writer removes the file.
        let mut writer = DatasetWriter { path: path.to_owned(), temporary, schema, sink: None, rows: 0 };
        let mut file = BufWriter::with_capacity(1 << 18, file);
        writer.sink = Some(match options.format {
            OutputFormat::Parquet => {
                let compression = match options.compression {
                    Compression::Snappy => ParquetCompression::SNAPPY,
                    Compression::Zstd => ParquetCompression::ZSTD(ZstdLevel::default()),
                };
                let properties = WriterProperties::builder().set_compression(compression).build();
                let sink = ArrowWriter::try_new(file, writer.schema.clone(), Some(properties));
                let mut sink = sink.map_err(|error| failed(path, error))?;
                for (key, value) in &options.metadata {
                    sink.append_key_value_metadata(parquet::file::metadata::KeyValue::new(key.clone(), value.clone()));
                }
                Sink::Parquet(Box::new(sink))
            }
            OutputFormat::Arrow => Sink::Arrow(Box::new(
                arrow_ipc::writer::FileWriter::try_new(file, &writer.schema)
                    .map_err(|error| source_error(path, error))?,
            )),
            OutputFormat::Csv => {
                let names = writer.schema.fields().iter().map(|field| Some(field.name().as_str()));
                write_record(&mut file, names).map_err(|error| Error::io("write", path, error))?;
                Sink::Csv(file)
            }
        });
        Ok(writer)
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// The disk refuses, or the batch is not of the schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| Error::invalid(error.to_string()).at(self.path.display()))?;
        match &mut self.sink {
            Some(Sink::Parquet(sink)) => sink.write(&batch).map_err(|error| failed(&self.path, error))?,
            Some(Sink::Arrow(sink)) => sink.write(&batch).map_err(|error| source_error(&self.path, error))?,
            Some(Sink::Csv(sink)) => write_csv(sink, &batch, &self.path)?,
            None => return Err(Error::invalid("the writer failed before").at(self.path.display())),
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Completes the file, syncs it, and gives it its name. Returns the rows written.
    ///
    /// # Errors
    /// The disk refuses; nothing bears the name then.
    pub fn finish(mut self) -> Result<u64> {
        let file = match self.sink.take() {
            Some(Sink::Parquet(sink)) => sink.into_inner().map_err(|error| failed(&self.path, error))?,
            Some(Sink::Arrow(sink)) => sink.into_inner().map_err(|error| source_error(&self.path, error))?,
            Some(Sink::Csv(sink)) => sink,
            None => return Err(Error::invalid("the writer failed before").at(self.path.display())),
        };
        let file = file.into_inner().map_err(|error| Error::io("write", &self.path, error.into_error()))?;
        publish(&file, &self.temporary, &self.path)?;
        Ok(self.rows)
    }
}

impl Drop for DatasetWriter {
    fn drop(&mut self) {
        // After `finish` nothing bears this name any more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Another name in the same folder, which no other writer of this or another process takes.
pub(super) fn temporary_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Syncs the file before it gets its name, and the folder after: who sees the name sees all of it.
pub(super) fn publish(file: &File, temporary: &Path, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| Error::io("sync", temporary, error))?;
    std::fs::rename(temporary, path).map_err(|error| Error::io("rename", path, error))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let sync = File::open(folder).and_then(|folder| folder.sync_all());
    sync.map_err(|error| Error::io("sync", folder, error))
}

fn failed(path: &Path, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write", path, *error),
            Err(inner) => Error::invalid(inner.to_string()).at(path.display()),
        },
        other => Error::invalid(other.to_string()).at(path.display()),
    }
}

fn write_csv(out: &mut impl Write, batch: &RecordBatch, path: &Path) -> Result<()> {
    let columns: Vec<(DataType, ArrayRef)> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| text_column(field, column))
        .collect::<Result<_>>()?;
    for row in 0..batch.num_rows() {
        let cells: Vec<Option<String>> = columns
            .iter()
            .map(|(dtype, column)| {
                use arrow_array::Array as _;
                column.is_valid(row).then(|| format_value(dtype, &value_at(column, dtype, row)))
            })
            .collect();
        write_record(out, cells.iter().map(Option::as_deref)).map_err(|error| Error::io("write", path, error))?;
    }
    Ok(())
}

/// Field metadata key under which a column says its asof type: Arrow has one type for string and
/// json, which inside a list are written differently.
pub const TYPE_KEY: &str = "asof.type";

/// The nullable field of a canonical column of `dtype`, which says so in its metadata.
pub fn typed_field(name: &str, dtype: &DataType) -> Field {
    let metadata = HashMap::from([(TYPE_KEY.to_owned(), dtype.to_string())]);
    Field::new(name, dtype.to_arrow(), true).with_metadata(metadata)
}

/// A column as one that has a text form: its own type, or what Arrow prints of it.
pub(super) fn text_column(field: &Field, column: &ArrayRef) -> Result<(DataType, ArrayRef)> {
    let declared = field.metadata().get(TYPE_KEY).and_then(|dtype| dtype.parse::<DataType>().ok());
    if let Some(dtype) = declared.or_else(|| data_type_of(column.data_type()))
        && let Ok(column) = accept_column(&dtype, column)
    {
        return Ok((dtype, column));
    }
    use arrow_array::Array as _;
    let shown = |row| match column.is_valid(row) {
        true => arrow_cast::display::array_value_to_string(column, row).map(Some),
        false => Ok(None),
    };
    let texts: std::result::Result<arrow_array::StringArray, _> = (0..column.len()).map(shown).collect();
    let texts = texts.map_err(|error| Error::invalid(format!("{} has no text form: {error}", column.data_type())))?;
    Ok((DataType::String, Arc::new(texts)))
}

/// The type whose columns take this Arrow type without loss.
fn data_type_of(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int8 | ArrowType::Int16 | ArrowType::Int32 | ArrowType::UInt8 | ArrowType::UInt16 => DataType::Int32,
        ArrowType::Int64 | ArrowType::UInt32 | ArrowType::UInt64 => DataType::Int64,
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Null | ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
        ArrowType::FixedSizeBinary(16) => DataType::Uuid,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => {
            DataType::Bytes
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => return None,
        ArrowType::Timestamp(_, _) => DataType::Timestamp,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Decimal128(precision, scale) | ArrowType::Decimal256(precision, scale) => {
            DataType::Decimal { precision: (*precision).min(DECIMAL_PRECISION_MAX), scale: u8::try_from(*scale).ok()? }
        }
        ArrowType::Dictionary(_, values) => return data_type_of(values),
        ArrowType::List(field) | ArrowType::LargeList(field) => match data_type_of(field.data_type())? {
            DataType::List(_) | DataType::Vector(_) => return None,
            element => DataType::List(Box::new(element)),
        },
        ArrowType::FixedSizeList(field, len) if *field.data_type() == ArrowType::Float32 => {
            DataType::Vector(u32::try_from(*len).ok().filter(|len| (1..=VECTOR_LEN_MAX).contains(len))?)
        }
        _ => return None,
    })
}
