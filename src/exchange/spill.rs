//! Rows sorted by day without holding them all: buffered per day, spilled to Arrow files, and read
//! back day by day.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;

use super::sink::arrow_error;
use crate::error::{Error, Result};

/// Rows by day. Within a day they keep the order in which they were added.
pub(super) struct DayBuffers {
    folder: PathBuf,
    schema: SchemaRef,
    bytes_max: usize,
    bytes: usize,
    days: BTreeMap<i32, Vec<RecordBatch>>,
    spills: Vec<Spill>,
}

/// A file of buffered rows, one batch a day.
struct Spill {
    path: PathBuf,
    /// Day -> index of its batch.
    index: BTreeMap<i32, usize>,
}

impl DayBuffers {
    /// Buffers of at most about `bytes_max`, spilled into `folder`, which exists.
    pub fn new(folder: &Path, schema: SchemaRef, bytes_max: usize) -> DayBuffers {
        let folder = folder.to_path_buf();
        DayBuffers { folder, schema, bytes_max, bytes: 0, days: BTreeMap::new(), spills: Vec::new() }
    }

    /// Adds rows of one day. They must own their memory: a slice would hold its whole batch.
    pub fn add(&mut self, day: i32, rows: RecordBatch) -> Result<()> {
        self.bytes += rows.get_array_memory_size();
        self.days.entry(day).or_default().push(rows);
        if self.bytes > self.bytes_max { self.spill() } else { Ok(()) }
    }

    /// Every day there is, in order.
    pub fn days(&self) -> Vec<i32> {
        let spilled = self.spills.iter().flat_map(|spill| spill.index.keys());
        let mut days: Vec<i32> = spilled.chain(self.days.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The rows of a day, handed to `take` in the order they were added.
    pub fn read(&self, day: i32, mut take: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        for spill in &self.spills {
            let Some(&batch) = spill.index.get(&day) else { continue };
            let trouble = |error| arrow_error(&spill.path, error);
            // Opened for each day anew: there may be more spills than a process may have files open.
            let file = File::open(&spill.path).map_err(|error| Error::io("open", &spill.path, error))?;
            let mut reader = FileReader::try_new(BufReader::new(file), None).map_err(trouble)?;
            reader.set_index(batch).map_err(trouble)?;
            if let Some(rows) = reader.next() {
                take(&rows.map_err(trouble)?)?;
            }
        }
        self.days.get(&day).into_iter().flatten().try_for_each(take)
    }

    /// Forgets every row and removes what was spilled.
    pub fn clear(&mut self) -> Result<()> {
        self.days.clear();
        self.bytes = 0;
        for spill in self.spills.drain(..) {
            fs::remove_file(&spill.path).map_err(|error| Error::io("remove", &spill.path, error))?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let path = self.folder.join(format!("spill-{:05}", self.spills.len()));
        let trouble = |error| arrow_error(&path, error);
        let file = File::create(&path).map_err(|error| Error::io("create", &path, error))?;
        let mut writer = FileWriter::try_new(BufWriter::new(file), &self.schema).map_err(trouble)?;
        let mut index = BTreeMap::new();
        for (day, rows) in std::mem::take(&mut self.days) {
            index.insert(day, index.len());
            let rows = arrow_select::concat::concat_batches(&self.schema, &rows).map_err(trouble)?;
            writer.write(&rows).map_err(trouble)?;
        }
        writer.finish().map_err(trouble)?;
        self.bytes = 0;
        self.spills.push(Spill { path, index });
        Ok(())
    }
}
