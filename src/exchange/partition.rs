//! The folder that `export` writes: `DIR/VIEW/v1/part-00000.parquet`, or one folder a day of event
//! time, `DIR/VIEW/v1/date=2026-03-01/part-00000.parquet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{DataType as ArrowType, Schema, SchemaRef, TimeUnit};

use super::source::source_error;
use super::write::{DatasetWriter, WriteOptions};
use crate::error::{Error, Result};
use crate::text::format_value;
use crate::time::MICROS_PER_DAY;
use crate::value::{DataType, Value};

/// Files open at once; beyond it the fullest day's file is completed and the day begins another.
const OPEN_FILES_MAX: usize = 128;

/// How an export is split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// One file.
    None,
    /// One folder a day, by this timestamp column.
    Date(String),
}

/// Writes an export of one view version.
pub struct PartitionedWriter {
    folder: PathBuf,
    schema: SchemaRef,
    options: WriteOptions,
    partitioning: Partitioning,
    open: BTreeMap<Option<i64>, (DatasetWriter, u64)>,
    parts: BTreeMap<Option<i64>, u32>,
    rows: u64,
}

impl PartitionedWriter {
    /// Begins an export below `dir`.
    ///
    /// # Errors
    /// There is an export of this view version already, or the folders cannot be made.
    pub fn create(
        dir: &Path,
        view: &str,
        version: u32,
        schema: &Schema,
        partitioning: Partitioning,
        options: WriteOptions,
    ) -> Result<PartitionedWriter> {
        let folder = dir.join(view).join(format!("v{version}"));
        if let Partitioning::Date(column) = &partitioning {
            match schema.field_with_name(column).map(arrow_schema::Field::data_type) {
                Ok(ArrowType::Timestamp(TimeUnit::Microsecond, _)) => {}
                _ => return Err(Error::invalid(format!("no timestamp column {column} to partition by"))),
            }
        }
        fs::create_dir_all(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
        let mut entries = fs::read_dir(&folder).map_err(|error| Error::io("list", &folder, error))?;
        if entries.next().is_some() {
            return Err(Error::refused("there is an export here already")
                .at(folder.display())
                .remedy("remove it, or export to another folder"));
        }
        Ok(PartitionedWriter {
            folder,
            schema: schema.clone().into(),
            options,
            partitioning,
            open: BTreeMap::new(),
            parts: BTreeMap::new(),
            rows: 0,
        })
    }

    /// Appends a batch, each row to its partition, in order.
    ///
    /// # Errors
    /// The disk refuses, or the batch is not of the schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let Partitioning::Date(column) = &self.partitioning else {
            return self.append(None, batch);
        };
        let times = batch
            .column_by_name(column)
            .and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::invalid(format!("the batch has no timestamp column {column}")))?;
        let mut days: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, time) in (0_u32..).zip(times.values()) {
            days.entry(time.div_euclid(MICROS_PER_DAY)).or_default().push(row);
        }
        for (day, rows) in days {
            let part = arrow_select::take::take_record_batch(batch, &UInt32Array::from(rows));
            self.append(Some(day), &part.map_err(|error| source_error(&self.folder, error))?)?;
        }
        Ok(())
    }

    /// Completes all files; gives rows and files written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        if self.parts.is_empty() && self.partitioning == Partitioning::None {
            self.append(None, &RecordBatch::new_empty(self.schema.clone()))?;
        }
        for (_, (writer, _)) in std::mem::take(&mut self.open) {
            writer.finish()?;
        }
        Ok((self.rows, self.parts.values().map(|count| u64::from(*count)).sum()))
    }

    fn append(&mut self, day: Option<i64>, batch: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(&day) {
            if self.open.len() >= OPEN_FILES_MAX {
                let fullest = self.open.iter().max_by_key(|(_, (_, rows))| *rows).map(|(day, _)| *day);
                if let Some((writer, _)) = fullest.and_then(|day| self.open.remove(&day)) {
                    writer.finish()?;
                }
            }
            let folder = match day {
                None => self.folder.clone(),
                Some(day) => {
                    // A timestamp's day is always within i32.
                    let date = Value::Date(i32::try_from(day).unwrap_or(i32::MAX));
                    self.folder.join(format!("date={}", format_value(&DataType::Date, &date)))
                }
            };
            fs::create_dir_all(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
            let part = self.parts.entry(day).or_default();
            let path = folder.join(format!("part-{part:05}.parquet"));
            *part += 1;
            self.open.insert(day, (DatasetWriter::create(&path, &self.schema, &self.options)?, 0));
        }
        if let Some((writer, rows)) = self.open.get_mut(&day) {
            writer.write(batch)?;
            *rows += batch.num_rows() as u64;
        }
        Ok(())
    }
}
