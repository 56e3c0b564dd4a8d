//! How much memory a batch of a Parquet file may take, whatever the file makes of it: a long text that is written once, and meant by a million
//! rows, is a few bytes in the file.
//!
//! Texts and bytes, in lists too, are decoded as views, which do not repeat what they show. Of these as many rows at a time are made what the schema says as
//! stay within the bound. Of other types the rows of a batch are so few that their columns do.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array as _, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;

use crate::format::columns::Parts;

/// So much of a batch is decoded at a time, about, and so much of what views show.
const BATCH_BYTES_MAX: usize = 128 << 20;
/// A view, or a value of any type but fixed bytes.
const VALUE_BYTES: usize = 16;

/// The metadata with texts and bytes as views; `None` where there are none, or none that can be.
pub(super) fn as_views(metadata: &ArrowReaderMetadata, path: &Path) -> Option<ArrowReaderMetadata> {
    let schema = metadata.schema();
    let fields: Vec<FieldRef> =
        schema.fields().iter().map(|field| viewed(field).unwrap_or_else(|| field.clone())).collect();
    if fields.iter().zip(schema.fields()).all(|(viewed, field)| viewed == field) {
        return None;
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    match ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options) {
        Ok(metadata) => Some(metadata),
        Err(error) => {
            let file = path.display();
            tracing::warn!(%file, %error, "texts are not read as views: what repeats takes memory each time");
            None
        }
    }
}

fn viewed(field: &Field) -> Option<FieldRef> {
    let dtype = match field.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 => ArrowType::Utf8View,
        ArrowType::Binary | ArrowType::LargeBinary => ArrowType::BinaryView,
        ArrowType::Dictionary(_, values) if matches!(**values, ArrowType::Utf8 | ArrowType::LargeUtf8) => {
            ArrowType::Utf8View
        }
        ArrowType::Dictionary(_, values) if matches!(**values, ArrowType::Binary | ArrowType::LargeBinary) => {
            ArrowType::BinaryView
        }
        ArrowType::List(element) => ArrowType::List(viewed(element)?),
        ArrowType::LargeList(element) => ArrowType::LargeList(viewed(element)?),
        ArrowType::FixedSizeList(element, count) => ArrowType::FixedSizeList(viewed(element)?, *count),
        _ => return None,
    };
    Some(Arc::new(field.clone().with_data_type(dtype)))
}

/// How many rows a batch has at most, by what the file says of itself: elements of lists and bytes of fixed length count.
pub(super) fn batch_rows(metadata: &ArrowReaderMetadata, wanted: &[usize], rows_max: usize) -> usize {
    let (file, leaves) = (metadata.metadata(), metadata.parquet_schema());
    let mut row_bytes = 1;
    for leaf in (0..leaves.num_columns()).filter(|leaf| wanted.contains(&leaves.get_column_root_idx(*leaf))) {
        let width = match leaves.column(leaf).physical_type() {
            PhysicalType::FIXED_LEN_BYTE_ARRAY => usize::try_from(leaves.column(leaf).type_length()).unwrap_or(0),
            _ => 0,
        };
        let values = file.row_groups().iter().map(|group| {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0).max(1);
            usize::try_from(group.column(leaf).num_values()).unwrap_or(usize::MAX).div_ceil(rows)
        });
        row_bytes = values.max().unwrap_or(1).saturating_mul(width.max(VALUE_BYTES)).saturating_add(row_bytes);
    }
    rows_max.min(BATCH_BYTES_MAX / row_bytes).max(1)
}

/// Batches with views on their way to be what the schema says.
#[derive(Debug, Default)]
pub(super) struct Shown(Option<Parts>);

impl Shown {
    /// Takes a batch, when the one before is done with.
    pub(super) fn put(&mut self, batch: RecordBatch) {
        self.0 = Some(Parts::new(batch, BATCH_BYTES_MAX as u64, usize::MAX));
    }

    /// The next batch, as the schema says.
    ///
    /// # Errors
    /// A text is longer than one of its type can be.
    pub(super) fn next(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>, ArrowError> {
        let Some(batch) = self.0.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => arrow_cast::cast(column, field.data_type()),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_, _>>()?, &options).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::cast::AsArray as _;
    use arrow_array::{Array as _, ArrayRef, Int64Array, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn what_views_show_is_cut_into_parts_that_stay_within_the_bound() {
        // A text of a megabyte that three hundred rows mean, and one that is as long as nothing.
        let long = "x".repeat(1 << 20);
        let texts: StringViewArray = (0..300).map(|row| if row == 7 { None } else { Some(long.as_str()) }).collect();
        let numbers: Int64Array = (0..300).collect();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts))]).unwrap();
        let schema: SchemaRef =
            Schema::new(vec![Field::new("n", ArrowType::Int64, true), Field::new("t", ArrowType::Utf8, true)]).into();
        let mut shown = Shown::default();
        shown.put(batch);
        let mut rows = Vec::new();
        while let Some(part) = shown.next(&schema).unwrap() {
            let texts = part.column(1).as_any().downcast_ref::<StringArray>().unwrap();
            assert!(texts.value_data().len() <= BATCH_BYTES_MAX);
            assert_eq!(texts.is_null(7), rows.is_empty());
            rows.push(part.num_rows());
        }
        assert_eq!(rows, [128, 127, 45]);
    }

    /// So does one of lists of texts.
    #[test]
    fn texts_in_lists_are_not_there_many_times_either() {
        let path = std::env::temp_dir().join(format!("asof-one-list-{}.parquet", std::process::id()));
        let text = "x".repeat(512 << 10);
        let rows = 5_000;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..40 {
            lists.append_value([Some(text.as_str()), (row % 2 == 0).then_some("y")]);
        }
        let some: ArrayRef = Arc::new(lists.finish());
        let schema = Arc::new(Schema::new(vec![Field::new("t", some.data_type().clone(), true)]));
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, Arc::clone(&schema), None).unwrap();
        for _ in 0..rows / 40 {
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&some)]).unwrap()).unwrap();
        }
        writer.close().unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        let mut source = crate::exchange::open_source(&path, &crate::exchange::SourceOptions::default()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (mut batches, mut read) = (0, 0);
        while let Some(batch) = source.next_batch().unwrap() {
            assert_eq!(batch.schema_ref(), &schema, "as the file says");
            assert!(batch.num_rows() <= 256, "{} rows", batch.num_rows());
            let first = batch.column(0).as_list::<i32>().value(0);
            assert_eq!(&first, &some.as_list::<i32>().value(read % 40), "row {read}");
            (batches, read) = (batches + 1, read + batch.num_rows());
            if batches == 3 {
                break;
            }
        }
        assert!(bytes < 4 << 20 && batches == 3, "{bytes} bytes, {batches} batches");
    }

    /// A file of some kilobytes took as much memory as its rows would have if each had a text of its own.
    #[test]
    fn a_text_that_many_rows_mean_is_not_there_many_times_at_once() {
        let path = std::env::temp_dir().join(format!("asof-one-text-{}.parquet", std::process::id()));
        let text = "x".repeat(512 << 10);
        let texts: StringViewArray = (0..20_000).map(|_| Some(text.as_str())).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("t", ArrowType::Utf8View, true)]));
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, Arc::clone(&schema), None).unwrap();
        writer.write(&RecordBatch::try_new(schema, vec![Arc::new(texts)]).unwrap()).unwrap();
        writer.close().unwrap();
        let (bytes, mut source) = (
            std::fs::metadata(&path).unwrap().len(),
            crate::exchange::open_source(&path, &crate::exchange::SourceOptions::default()).unwrap(),
        );
        let first = source.next_batch().unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(bytes < 4 << 20, "{bytes}");
        assert_eq!(first.num_rows(), 256);
        assert_eq!(source.next_batch().unwrap().unwrap().num_rows(), 256);
    }
}
