//! A run file as it is opened: what its index says of it, and whether its columns are those of its view.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_buffer::ScalarBuffer;

use super::RunFile;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, RESTORE_FILE, Result};
use crate::format::run_index::{IndexFault, decode_index};
use crate::history::columns::{Stride, read_layout};
use crate::history::output::{index_path, run_path};
use crate::history::schema::{
    ABSENT, CREATED_TIMESTAMP, EVENT_TIMESTAMP, KIND, META_FORMAT, META_KIND, RUN_FORMAT, RunSchema, SEQ,
};
use crate::history::verify::{Blocks, to_buffer};
use crate::value::DataType;

impl RunFile {
    /// Opens the file pair numbered `id` in `dir`. Only metadata is read, and the validity of created timestamps.
    ///
    /// `seq_base` is added to the file's sequence numbers: the registry knows it. `index_checksum`, where given, is what the registry
    /// says the files hold.
    ///
    /// # Errors
    /// A file is missing, damaged, of a later format, or not of this view.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        id: u64,
        schema: &RunSchema,
        seq_base: u64,
        index_checksum: Option<u32>,
    ) -> Result<RunFile> {
        let path = index_path(dir, id);
        let index_bytes = to_buffer(disk.map(&path)?);
        let index = decode_index(&index_bytes).map_err(|fault| match fault {
            IndexFault::Damaged(what) => Error::damaged(&path, what).remedy(RESTORE_FILE),
            IndexFault::Newer(version) => newer(&path, version),
        })?;
        if let Some(expected) = index_checksum.filter(|expected| *expected != index.checksum) {
            let what = format!("checksum {:#x}, the registry says {expected:#x}", index.checksum);
            return Err(Error::damaged(&path, what).remedy(RESTORE_FILE));
        }
        // decode_index checked that the slots fill the rest of the file.
        let slots_start = usize::try_from(index.head.slots_start).unwrap_or(index_bytes.len());
        let slot_bytes = index_bytes.slice(slots_start);
        let slot_words = ScalarBuffer::new(slot_bytes.clone(), 0, slot_bytes.len() / 8);
        let slots = Blocks::new(&path, slots_start, slot_bytes, index.slot_checksums);

        let path = run_path(dir, id);
        let file = to_buffer(disk.map(&path)?);
        if file.len() as u64 != index.head.run_bytes {
            let what = format!("is {} bytes long, its index says {}", file.len(), index.head.run_bytes);
            return Err(Error::damaged(&path, what).remedy(RESTORE_FILE));
        }
        let blocks = Blocks::new(&path, 0, file, index.run_checksums);
        let layout = read_layout(&blocks)?;
        let mut run = RunFile {
            id,
            seq_base,
            head: index.head,
            features: index.features,
            slots,
            slot_words,
            arrays: layout.columns.iter().map(|_| OnceLock::new()).collect(),
            blocks,
            layout,
            key_types: schema.keys().columns().iter().map(|(_, data_type)| data_type.clone()).collect(),
            first_feature: 0,
            event_ts: ScalarBuffer::from(Vec::new()),
            seq: ScalarBuffer::from(Vec::new()),
            created: None,
            kind: None,
            absent: None,
        };
        run.bind(schema, &path)?;
        Ok(run)
    }

    /// Finds the columns, and refuses a file that is not what the schema says.
    fn bind(&mut self, schema: &RunSchema, path: &Path) -> Result<()> {
        let columns = self.layout.schema.clone();
        let wrong = |what: String| Error::damaged(path, what).remedy(RESTORE_FILE);
        let format = columns.metadata().get(META_FORMAT).and_then(|text| text.parse::<u32>().ok());
        match format {
            Some(RUN_FORMAT) if columns.metadata().get(META_KIND).is_some_and(|kind| kind == "run") => {}
            Some(version) if version > RUN_FORMAT => return Err(newer(path, version)),
            _ => return Err(wrong("is no run".to_owned())),
        }
        if self.layout.row_count as u64 != self.head.row_count {
            return Err(wrong(format!("has {} rows, its index says {}", self.layout.row_count, self.head.row_count)));
        }
        let position = |name: &str| columns.fields().iter().position(|field| field.name() == name);
        let key_count = self.key_types.len();
        let is_key = |(field, (name, data_type)): (&Arc<arrow_schema::Field>, &(String, DataType))| {
            matches!(field.data_type(), arrow_schema::DataType::Dictionary(_, values) if **values == data_type.to_arrow())
                && field.name() == name
        };
        if columns.fields().len() <= key_count
            || self.layout.dictionaries.len() != key_count
            || !columns.fields().iter().zip(schema.keys().columns()).all(is_key)
        {
            return Err(wrong(format!("its keys are not those of {}", schema.view())));
        }
        let is_own = |field: &Arc<arrow_schema::Field>| field.name().starts_with('_');
        self.first_feature =
            key_count + columns.fields().iter().skip(key_count).take_while(|field| is_own(field)).count();
        for (field, (name, data_type)) in columns.fields().iter().skip(self.first_feature).zip(schema.fields()) {
            if *field.data_type() != data_type.to_arrow() {
                return Err(wrong(format!(
                    "column {name} is {}, {} says {data_type}",
                    field.data_type(),
                    schema.view()
                )));
            }
        }
        self.event_ts =
            self.typed(position(EVENT_TIMESTAMP)).ok_or_else(|| wrong("has no event timestamps".to_owned()))?;
        self.seq = self.typed(position(SEQ)).ok_or_else(|| wrong("has no sequence numbers".to_owned()))?;
        (self.kind, self.absent) = (position(KIND), position(ABSENT));
        if let Some(at) = position(CREATED_TIMESTAMP) {
            self.created = Some(self.decode(at)?.clone());
        }
        Ok(())
    }

    /// The values of a column of 8 bytes a row.
    fn typed<T: arrow_buffer::ArrowNativeType>(&self, column: Option<usize>) -> Option<ScalarBuffer<T>> {
        let part = self.layout.columns.get(column?)?.get(1)?;
        let bytes = self.layout.row_count.checked_mul(8)?;
        let fits = part.stride == Stride::Bytes(8) && part.range.len() >= bytes;
        let file = self.blocks.unverified();
        // Buffers of a run start at multiples of 64 bytes, and so does the map.
        (fits && part.range.start.is_multiple_of(8))
            .then(|| ScalarBuffer::new(file.slice_with_length(part.range.start, bytes), 0, self.layout.row_count))
    }
}

fn newer(path: &Path, version: u32) -> Error {
    Error::new(ErrorKind::NewerFormat, format!("is of format {version}, this release reads up to {RUN_FORMAT}"))
        .at(path.display())
        .remedy("open the store with the release that wrote it, or a later one")
}
