//! A file's rows into the log, as one commit.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::{Array as _, RecordBatch};
use arrow_data::ArrayData;

use super::source::open_source;
use super::source_options::{SourceOptions, WHOLE_WAY_OUT};
use super::view_source::ViewSource;
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::format::columns::value_bytes;
use crate::format::log::FRAME_BYTES_MAX;
use crate::request::WriteOptions;
use crate::store::{Store, WriteReport};

/// No commit has more.
const FILE_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64;

/// What a row takes on its way into the log beside its values, about: its key, encoded, and its record's head.
const ROW_BYTES: u64 = 64;

impl Store {
    /// Writes the rows of a file to a view as [`Store::write_with`] does: into the log, all of them as one commit, or none. Columns are found
    /// as [`Store::import_files`] finds them. For what takes up to a gigabyte of memory: much at once is better imported.
    ///
    /// ```
    /// use asof::definition::{Definitions, FeatureView};
    /// use asof::value::DataType;
    /// use asof::{ApplyOptions, Store, WriteOptions};
    ///
    /// let store = Store::temporary()?;
    /// let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    /// let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    /// store.apply(&definitions, ApplyOptions::default())?;
    /// let file = store.path().with_file_name("weather.jsonl");
    /// std::fs::write(&file, "{\"origin\": \"JFK\", \"event_timestamp\": \"2024-03-01T13:00:00Z\", \"temp\": 39.0}\n")?;
    /// // Sent again, as after an answer that was lost, it is written once.
    /// let options = WriteOptions { idempotency_key: Some("hour 13".to_owned()), ..WriteOptions::default() };
    /// let first = store.write_file("weather", &file, &options)?;
    /// let again = store.write_file("weather", &file, &options)?;
    /// assert_eq!((first.rows, first.first_seq), (again.rows, again.first_seq));
    /// assert!(again.was_written_before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such view or file; a row cannot be read or stored: the error names file, row and column. As [`Store::write_with`].
    pub fn write_file(&self, view: &str, path: &Path, options: &WriteOptions) -> Result<WriteReport> {
        self.write_file_within(view, path, options, FILE_BYTES_MAX, |_| ())
    }

    /// [`Store::write_file`] of what takes so many bytes of memory at most; `read` is told how many it takes, about, until it is written.
    ///
    /// # Errors
    /// It takes more. As there.
    pub(crate) fn write_file_within(
        &self,
        view: &str,
        path: &Path,
        options: &WriteOptions,
        bytes_max: u64,
        read: impl FnOnce(u64),
    ) -> Result<WriteReport> {
        let definition = self.view_definition(view)?;
        let within =
            SourceOptions { decoded_bytes_max: Some(bytes_max), is_read_whole: true, ..SourceOptions::default() };
        let found = ViewSource::find(&definition, path, within)?;
        let mut source = open_source(path, &found.options)?;
        let batch = source.read_all()?;
        found.check_met(&definition, path, source.met_columns())?;
        let met = source.met_columns().clone();
        // With it go the dictionaries of the file.
        drop(source);
        let bytes = bytes_of(&definition, &batch);
        if bytes > bytes_max {
            let error = Error::invalid(format!("its rows take more than {bytes_max} bytes together"));
            return Err(error.at(path.display()).remedy(WHOLE_WAY_OUT));
        }
        read(bytes.saturating_add(kept_bytes(&batch)).saturating_add(ROW_BYTES * batch.num_rows() as u64));
        let mut report = self.write_with(view, &batch, options).map_err(|error| error.at(path.display()))?;
        let mut ignored = found.ignored.clone();
        ignored.extend(found.unused(&met).into_iter().chain(met.late.iter().cloned()));
        ignored.retain(|name| !report.ignored.contains(name));
        report.ignored.append(&mut ignored);
        Ok(report)
    }
}

/// What a batch's values take, each by itself; at least what its vectors do, where they are null too.
fn bytes_of(view: &FeatureView, batch: &RecordBatch) -> u64 {
    let vectors: usize = view.features.iter().map(|feature| feature.dtype.vector_bytes()).sum();
    let vectors = vectors.saturating_mul(batch.num_rows()) as u64;
    batch.columns().iter().map(|column| value_bytes(column)).fold(0, u64::saturating_add).max(vectors)
}

/// The memory that a batch keeps, whatever it shows of it. Columns may be parts of the same.
fn kept_bytes(batch: &RecordBatch) -> u64 {
    let mut kept = HashMap::new();
    let mut waiting: Vec<ArrayData> = batch.columns().iter().map(|column| column.to_data()).collect();
    while let Some(data) = waiting.pop() {
        let nulls = data.nulls().map(|nulls| nulls.inner().inner());
        kept.extend(data.buffers().iter().chain(nulls).map(|buffer| (buffer.data_ptr(), buffer.capacity() as u64)));
        waiting.extend_from_slice(data.child_data());
    }
    kept.into_values().sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, FixedSizeListArray, Float32Array, Int64Array, NullArray, StringViewArray, TimestampMicrosecondArray,
    };
    use arrow_ipc::writer::StreamWriter;

    use super::*;
    use crate::definition::Definitions;
    use crate::request::ApplyOptions;
    use crate::value::DataType;

    /// A row of a short text was told as short, whatever its column kept.
    #[test]
    fn what_a_file_keeps_until_it_is_written_is_told() {
        let store = Store::temporary().unwrap();
        let view = |name: &str| FeatureView::new(name).entity("e").feature("note", DataType::String);
        let long = view("long").feature("v", DataType::Vector(1_000));
        let definitions = Definitions::new("p").entity("e", [("id", DataType::Int64)]).view(view("short")).view(long);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let path = store.path().with_file_name("rows.arrows");
        let vectors = |rows: usize| -> ArrayRef {
            let field = Arc::new(arrow_schema::Field::new("item", arrow_schema::DataType::Float32, false));
            let floats = Float32Array::from(vec![0.5; 1_000 * rows]);
            Arc::new(FixedSizeListArray::new(field, 1_000, Arc::new(floats), None))
        };
        let nothing = |rows: usize| -> ArrayRef { Arc::new(NullArray::new(rows)) };
        let told = |view: &str, buffer: usize, v: ArrayRef, bytes_max: u64| {
            let rows = v.len();
            let note = StringViewArray::new(vec![0; rows].into(), vec![vec![b'x'; buffer].into()], None);
            let batch = RecordBatch::try_from_iter([
                ("id", Arc::new(Int64Array::from(vec![1; rows])) as ArrayRef),
                ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0; rows]))),
                ("note", Arc::new(note)),
                ("v", v),
            ])
            .unwrap();
            let mut writer = StreamWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema_ref()).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
            let mut told = 0;
            let options = WriteOptions::default();
            store.write_file_within(view, &path, &options, bytes_max, |bytes| told = bytes).map(|_| told)
        };
        assert!(told("short", 0, nothing(1), 1 << 30).unwrap() < 8_000);
        assert!((1 << 20..3 << 20).contains(&told("short", 1 << 20, nothing(1), 1 << 30).unwrap()));
        assert!((4_000_000..5_000_000).contains(&told("long", 0, nothing(1_000), 1 << 30).unwrap()));
        assert!((8_000_000..9_000_000).contains(&told("long", 0, vectors(1_000), 4_200_000).unwrap()));
        for vectors in [nothing(1_000), vectors(1_000)] {
            let error = told("long", 0, vectors, 3_900_000).unwrap_err().to_string();
            assert!(error.contains("more than 3900000 bytes"), "{error}");
        }
    }
}
