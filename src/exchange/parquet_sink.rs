//! Parquet out: zstd, row groups of a million rows or of 128 MiB, nothing in the file that is not a function of the rows.
//!
//! Of zstd's levels the first: on four million rows of a string key, a time and four floats it wrote
//! and read as fast as snappy or faster, in 66 MB against 95; level 3 was slower and no smaller.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType as ArrowType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::leaves::{cast_batch, with_leaves};
use super::sink::{Sink, SinkReport, add_rows};
use super::temporary::TemporaryFile;
use crate::error::{Error, Result};
use crate::format::columns::array_bytes;

/// Rows of a row group: enough to compress well, few enough to hold in memory while it is written.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Bytes of a row group of wide rows, as they are encoded: it is in memory until it is written.
const ROW_GROUP_BYTES: usize = 128 << 20;
/// A row group of which a batch alone makes more than one is encoded in so many parts, or more.
const PARTS: usize = 4;

/// Writes a Parquet file.
pub(super) struct ParquetSink {
    writer: ArrowWriter<TemporaryFile>,
    schema: SchemaRef,
    row_group_bytes: usize,
    rows: u64,
}

impl ParquetSink {
    pub fn new(file: TemporaryFile, schema: &SchemaRef, metadata: Vec<(String, String)>) -> Result<ParquetSink> {
        ParquetSink::with_row_groups(file, schema, metadata, ROW_GROUP_BYTES)
    }

    fn with_row_groups(
        file: TemporaryFile,
        schema: &SchemaRef,
        metadata: Vec<(String, String)>,
        row_group_bytes: usize,
    ) -> Result<ParquetSink> {
        let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let properties = WriterProperties::builder()
            .set_created_by(format!("asof version {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(row_group_bytes))
            .set_key_value_metadata(Some(metadata))
            .build();
        let target = file.target().to_path_buf();
        let fields: Vec<FieldRef> =
            schema.fields().iter().map(|field| with_leaves(field, &mut stored_leaf)).collect::<Result<_>>()?;
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|error| parquet_error(&target, error))?;
        Ok(ParquetSink { writer, schema, row_group_bytes, rows: 0 })
    }
}

impl Sink for ParquetSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let stored = cast_batch(batch, &self.schema)
            .map_err(|error| error.remedy("write an Arrow file, which keeps every type"))?;
        // The writer takes the first batch of a row group as it is: one that is too long goes in by parts.
        let bytes: usize = stored.columns().iter().map(array_bytes).sum();
        let part_rows = if bytes <= self.row_group_bytes {
            stored.num_rows()
        } else {
            self.row_group_bytes / PARTS / bytes.div_ceil(stored.num_rows().max(1))
        };
        let part_rows = part_rows.max(1);
        for first in (0..stored.num_rows()).step_by(part_rows) {
            let rows = stored.slice(first, part_rows.min(stored.num_rows() - first));
            self.writer.write(&rows).map_err(|error| parquet_error(self.writer.inner().target(), error))?;
        }
        add_rows(&mut self.rows, batch);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<SinkReport> {
        let target = self.writer.inner().target().to_path_buf();
        let file = self.writer.into_inner().map_err(|error| parquet_error(&target, error))?;
        Ok(SinkReport { rows: self.rows, bytes: file.publish()? })
    }
}

/// A leaf as Parquet can say what it is: times in seconds and dates in milliseconds would be bare integers to whoever reads them.
fn stored_leaf(leaf: &Field) -> Result<ArrowType> {
    Ok(match leaf.data_type() {
        ArrowType::Date64 => ArrowType::Date32,
        ArrowType::Time32(TimeUnit::Second) => ArrowType::Time32(TimeUnit::Millisecond),
        ArrowType::Timestamp(TimeUnit::Second, zone) => ArrowType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        // The writer panics.
        ArrowType::Union(..) => {
            return Err(Error::invalid(format!("column {} is a union, for which Parquet has no form", leaf.name()))
                .remedy("leave it out, or write an Arrow file"));
        }
        other => other.clone(),
    })
}

fn parquet_error(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write", path, *error),
            Err(other) => Error::invalid(other.to_string()).at(path.display()),
        },
        other => Error::invalid(other.to_string()).at(path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatchReader, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::disk::Random;
    use crate::exchange::tests::Folder;

    /// 40,000 rows: their number, 64 bytes that do not compress, a text or null.
    fn rows() -> RecordBatch {
        let mut random = Random::new(1);
        let noise: Vec<[u8; 64]> =
            (0..40_000).map(|_| std::array::from_fn(|_| random.bits().to_le_bytes()[0])).collect();
        let noise: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(noise.iter()).unwrap());
        let numbers: ArrayRef = Arc::new((0..40_000).collect::<Int64Array>());
        let texts: ArrayRef =
            Arc::new((0..40_000).map(|n| (n % 7 > 0).then(|| format!("text {n}"))).collect::<StringArray>());
        let columns = [("n", numbers, true), ("noise", noise, false), ("text", texts, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn written(folder: &Folder, name: &str, row_group_bytes: usize) -> Vec<u8> {
        let (path, rows) = (folder.path(name), rows());
        let file = TemporaryFile::create(&path).unwrap();
        let mut sink = ParquetSink::with_row_groups(file, &rows.schema(), Vec::new(), row_group_bytes).unwrap();
        sink.write(&rows).unwrap();
        Box::new(sink).finish().unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_row_group_of_wide_rows_ends_at_its_bytes() {
        // It had a million rows whatever they took, all of them in memory, and a batch went into one whole.
        let folder = Folder::new();
        let bytes = written(&folder, "a.parquet", 1 << 20);
        assert!(bytes == written(&folder, "b.parquet", 1 << 20), "equal rows give equal bytes");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(folder.path("a.parquet")).unwrap()).unwrap();
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.compressed_size()).collect();
        assert!(groups.len() > 2 && groups.iter().all(|bytes| *bytes < 5 << 18), "{groups:?}");
        let reader = reader.build().unwrap();
        assert_eq!(reader.schema().fields().len(), 3);
        let numbers = reader.flat_map(|rows| rows.unwrap()["n"].as_primitive::<Int64Type>().values().to_vec());
        assert!(numbers.eq(0..40_000), "all rows, in order");
    }

    #[test]
    fn rows_that_fit_one_row_group_are_written_as_if_they_came_at_once() {
        let folder = Folder::new();
        let (bytes, rows) = (written(&folder, "a.parquet", ROW_GROUP_BYTES), rows());
        let file = TemporaryFile::create(&folder.path("whole.parquet")).unwrap();
        let mut whole = ParquetSink::new(file, &rows.schema(), Vec::new()).unwrap();
        whole.writer.write(&rows).unwrap();
        Box::new(whole).finish().unwrap();
        assert!(bytes == std::fs::read(folder.path("whole.parquet")).unwrap(), "pages begin elsewhere");
    }
}
