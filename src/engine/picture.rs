//! What can be read at one generation of the registry: an immutable picture of runs and tail.
//!
//! A writer swaps pictures, readers keep the one they took. So a read sees one state of the files from its
//! first step to its last, whatever is sealed or merged meanwhile; and since a file leaves the disk only
//! after no picture of the published MANIFEST names it, an open one stays readable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::truncates::mark_of_truncate;
use crate::disk::Disk;
use crate::error::{Error, RESTORE_FILE, Result};
use crate::format::row::RowLayout;
use crate::history::{RunFile, RunSchema, run_path};
use crate::identity::Identity;
use crate::join::pick::Mark;
use crate::key::KeySchema;
use crate::latest::{TableReader, TableShape};
use crate::registry::RegistryState;
use crate::registry::records::{RunRecord, ViewRecord};
use crate::tail::TailSegment;

/// Everything a read needs, at one generation.
#[derive(Debug)]
pub struct Picture {
    /// The registry.
    pub state: Arc<RegistryState>,
    /// View versions by id: all that were ever registered, so that an older `known_at` finds its own.
    pub views: BTreeMap<u32, Arc<ViewPicture>>,
    /// The unsealed log, oldest segment first.
    pub tail: Vec<Arc<TailSegment>>,
}

/// One view version.
#[derive(Clone, Debug)]
pub struct ViewPicture {
    /// Its newest revision.
    pub record: Arc<ViewRecord>,
    /// Where fields lie in a row.
    pub layout: Arc<RowLayout>,
    /// What keys are made of.
    pub key_schema: Arc<KeySchema>,
    /// Its run files, newest rows first.
    pub runs: Vec<Arc<Run>>,
    /// Truncates that were sealed, in row order; those of the log are in the tail.
    pub truncates: Arc<[Mark]>,
    /// Its latest table, where there is one to ask.
    pub table: Option<TableReader>,
}

impl ViewPicture {
    /// The run files in charge of a hash.
    pub fn runs_over(&self, hash: u64) -> impl Iterator<Item = &Arc<Run>> {
        self.runs.iter().filter(move |run| (run.record.hash_lo..=run.record.hash_hi).contains(&hash))
    }
}

/// A run file, opened at first use.
#[derive(Debug)]
pub struct Run {
    /// What the registry says of it.
    pub record: Arc<RunRecord>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    schema: Arc<RunSchema>,
    file: OnceLock<RunFile>,
}

impl Run {
    /// The file, mapped; checked where it is touched.
    ///
    /// # Errors
    /// It is missing, or is not what was written.
    pub fn open(&self) -> Result<&RunFile> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.open_unchecked()?;
        Ok(self.file.get_or_init(|| file))
    }

    /// The file mapped anew, with nothing of it taken as checked.
    ///
    /// # Errors
    /// As [`Run::open`].
    pub fn open_unchecked(&self) -> Result<RunFile> {
        let about = &self.record;
        RunFile::open(&*self.disk, &self.folder, about.id, &self.schema, about.seq_base, Some(about.index_crc)).map_err(
            |error| match error.is_missing_file() {
                // It still says that a file is missing: whoever reads may find it merged away meanwhile.
                true => Error::damaged(Path::new(error.place().unwrap_or_default()), "the run's file is missing")
                    .remedy(RESTORE_FILE)
                    .caused_by(std::io::Error::from(std::io::ErrorKind::NotFound)),
                false => error,
            },
        )
    }

    /// The file's path.
    pub fn path(&self) -> PathBuf {
        run_path(&self.folder, self.record.id)
    }
}

/// The folder of a view's runs.
pub fn history_folder(store: &Path, view: &ViewRecord) -> PathBuf {
    store.join("history").join(view.dir_name())
}

impl Picture {
    /// The picture of `state`. Runs that `before` had open stay open.
    pub fn new(
        disk: &Arc<dyn Disk>,
        store: &Path,
        state: Arc<RegistryState>,
        before: Option<&Picture>,
        tail: Vec<Arc<TailSegment>>,
    ) -> Picture {
        let mut views = BTreeMap::new();
        for record in state.views().chain(state.keyspace_view()) {
            let known = before.and_then(|before| before.views.get(&record.id));
            let same_fields = known.filter(|known| known.record.fields == record.fields);
            let key_schema = Arc::new(record.definition.key_schema());
            let layout = same_fields
                .map_or_else(|| Arc::new(RowLayout::new(record.field_types())), |known| known.layout.clone());
            let schema = Arc::new(run_schema(record));
            let mut runs: Vec<Arc<Run>> = state
                .runs_of(record.id)
                .map(|run| {
                    let open = same_fields.and_then(|known| known.runs.iter().find(|open| open.record.id == run.id));
                    open.cloned().unwrap_or_else(|| {
                        Arc::new(Run {
                            record: Arc::clone(run),
                            disk: Arc::clone(disk),
                            folder: history_folder(store, record),
                            schema: Arc::clone(&schema),
                            file: OnceLock::new(),
                        })
                    })
                })
                .collect();
            runs.sort_by_key(|run| std::cmp::Reverse((run.record.event_max_us, run.record.seq_max)));
            let table = same_fields.and_then(|known| known.table.clone());
            let mut truncates: Vec<Mark> =
                state.truncates_of(record.id).map(|truncate| mark_of_truncate(truncate.place())).collect();
            truncates.sort_unstable();
            let truncates = Arc::from(truncates);
            let view = ViewPicture { record: Arc::clone(record), layout, key_schema, runs, truncates, table };
            views.insert(record.id, Arc::new(view));
        }
        Picture { state, views, tail }
    }

    /// This picture with other latest tables of some views, or none.
    pub fn with_tables(&self, tables: impl IntoIterator<Item = (u32, Option<TableReader>)>) -> Picture {
        let mut views = self.views.clone();
        for (view_id, table) in tables {
            if let Some(view) = views.get_mut(&view_id) {
                *view = Arc::new(ViewPicture { table, ..ViewPicture::clone(view) });
            }
        }
        Picture { state: Arc::clone(&self.state), views, tail: self.tail.clone() }
    }

    /// Under the core lock, where definitions stand still: rows of a dropped view would be found by nobody.
    ///
    /// # Errors
    /// `Refused`: the view was dropped since the caller looked.
    pub fn check_takes_rows(&self, view_id: u32) -> Result<()> {
        let record = &self.view(view_id).record;
        if !record.is_dropped() {
            return Ok(());
        }
        Err(Error::refused(format!("view {} was dropped meanwhile", record.definition.reference()))
            .remedy("apply definitions that have it, and write the rows again"))
    }

    /// A view version by id.
    pub fn view(&self, id: u32) -> &Arc<ViewPicture> {
        self.views.get(&id).expect("a picture has every view of its registry")
    }
}

/// What a view's run files hold.
pub fn run_schema(record: &ViewRecord) -> RunSchema {
    let fields = record.fields.iter().map(|field| (field.name.clone(), field.dtype.clone())).collect();
    RunSchema::new(
        record.definition.reference().to_string(),
        record.definition.key_schema(),
        fields,
        record.definition.has_created(),
    )
}

/// What a view's table holds.
pub fn table_shape(view: &ViewPicture, identity: &Identity) -> TableShape {
    TableShape {
        row: (*view.layout).clone(),
        key_bytes: view.key_schema.fixed_len_bytes(),
        has_created: view.record.definition.has_created(),
        store_uuid: identity.uuid,
        hash_seed: identity.hash_seed,
    }
}
