//! Every format, out and in again; and what each says of files that are not sound.

mod export;
mod int96;
mod layouts;
mod leftovers;
mod round_trip;
mod unsound;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};

use super::columns::ColumnBuilder;
use super::*;
use crate::error::Result;
use crate::value::{DataType, Value};

/// A folder of its own for each test, gone with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("asof-exchange-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The names in it, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// An error's text without the folder.
    fn text_of(&self, error: &crate::Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn dtype(text: &str) -> DataType {
    text.parse().unwrap()
}

fn column(dtype: &DataType, values: &[Value]) -> ArrayRef {
    let mut builder = ColumnBuilder::new(dtype);
    values.iter().for_each(|value| builder.push(value.clone()).unwrap());
    builder.finish()
}

fn batch(columns: &[(&str, &str, Vec<Value>)]) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (name, type_name, values) in columns {
        let dtype = dtype(type_name);
        fields.push(typed_field(name, &dtype));
        arrays.push(column(&dtype, values));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn write(path: &Path, batches: &[RecordBatch]) -> SinkReport {
    let mut sink = create_sink(path, batches[0].schema_ref(), Vec::new()).unwrap();
    batches.iter().for_each(|batch| sink.write(batch).unwrap());
    sink.finish().unwrap()
}

fn read(path: &Path, options: &SourceOptions) -> Result<RecordBatch> {
    let mut source = open_source(path, options)?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch()? {
        batches.push(batch);
    }
    let schema = arrow_array::RecordBatchReader::schema(source.as_ref());
    Ok(arrow_select::concat::concat_batches(&schema, &batches).unwrap())
}

fn typed(types: &[(&str, &str)]) -> SourceOptions {
    let types = types.iter().map(|(name, text)| ((*name).to_owned(), dtype(text))).collect();
    SourceOptions { column_types: Some(types), ..SourceOptions::default() }
}
