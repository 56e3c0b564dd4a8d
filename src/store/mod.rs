//! The public facade: open a store, apply definitions, write, import, read as of any moment.

mod background;
mod builder;
mod bulk;
mod control;
mod join_keys;
mod local_import;
mod maintenance;
mod rows;
mod summaries;
mod training_set;
mod versions;

use std::path::Path;
use std::sync::{Arc, Weak};

use arrow_array::{RecordBatch, RecordBatchReader};
use serde::{Deserialize, Serialize};

pub use builder::{StoreBuilder, TemporaryStore};
pub use bulk::{BulkWriter, FileReport, ImportReport};
pub use join_keys::JoinKey;
pub use rows::Row;
pub use training_set::TrainingSet;

use self::background::Background;
use self::control::Client;
use crate::definition::{Definitions, Plan, ViewRef};
use crate::disk::Disk;
use crate::engine::check::{CheckProgress, CheckReport, check_store};
use crate::engine::entity::entity_key;
use crate::engine::explain::Explanation;
use crate::engine::get::{FeatureValue, GetOptions};
use crate::engine::online::OnlineHandle;
use crate::engine::picture::ViewPicture;
use crate::engine::scan::Scan;
use crate::engine::write::Deleted;
use crate::engine::{Engine, Reads};
use crate::error::{Error, Result};
use crate::format::accept::{AcceptOptions, Refusal, accept_batch};
use crate::registry::records::SnapshotRecord;
use crate::request::{ApplyOptions, BadRows, DeleteOptions, Features, HistoricalRequest, ScanOptions, WriteOptions};
use crate::time::{Clock, Timestamp};
use crate::value::Value;

/// An open store. One process at a time has one; clones share it.
///
/// ```
/// use std::sync::{Arc, Weak};
/// use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
/// use asof::definition::{Definitions, FeatureView};
/// use asof::value::{DataType, Value};
/// use asof::{ApplyOptions, Features, GetOptions, Store};
///
/// let store = Store::temporary()?;
/// let definitions = Definitions::new("flights")
///     .entity("airport", [("origin", DataType::String)])
///     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
/// store.apply(&definitions, ApplyOptions::default())?;
/// let batch = RecordBatch::try_from_iter([
///     ("origin", Arc::new(StringArray::from(vec!["JFK"])) as ArrayRef),
///     ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0]))),
///     ("temp", Arc::new(Float64Array::from(vec![39.0]))),
/// ])?;
/// store.write("weather", &batch)?;
/// let features = Features::list(["weather:temp"])?;
/// let answer = store.get(&features, &[("origin", "JFK".into())], &GetOptions::default())?;
/// assert_eq!(answer[0].value, Value::Float64(39.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    /// Before the engine: its threads end first.
    background: Option<Arc<Background>>,
    reads: Arc<Reads>,
    writes: Writes,
    clock: Arc<dyn Clock>,
    max_future_skew_us: i64,
}

/// Where writes go.
#[derive(Clone)]
enum Writes {
    /// To this process's engine.
    Here(Arc<Engine>),
    /// To the process that holds the store.
    There(Arc<Client>),
    /// Nowhere: the store was opened for reading.
    Nowhere,
}

/// A store for its own threads, which must not keep it open.
#[derive(Clone)]
struct WeakStore {
    engine: Weak<Engine>,
    clock: Arc<dyn Clock>,
    max_future_skew_us: i64,
}

impl WeakStore {
    fn upgrade(&self) -> Option<Store> {
        let engine = self.engine.upgrade()?;
        Some(Store {
            background: None,
            reads: Arc::clone(engine.reads()),
            writes: Writes::Here(engine),
            clock: Arc::clone(&self.clock),
            max_future_skew_us: self.max_future_skew_us,
        })
    }
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteReport {
    /// Rows written.
    pub rows: u64,
    /// The number of the first; the others follow. Without rows, the next number there was.
    pub first_seq: u64,
    /// Columns of the batch that the view does not know.
    pub ignored: Vec<String>,
    /// Rows left out, where the caller asked for that.
    pub refused: Vec<Refusal>,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteReport {
    /// The number of the delete row.
    pub seq: u64,
    /// Its created timestamp, in views that declare one.
    pub created: Option<Timestamp>,
}

impl Store {
    /// Opens the store in `path` for writing; makes one where there is nothing yet.
    ///
    /// # Errors
    /// The folder holds something that is no store; another process writes to it; it is damaged, or of a newer format.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Store::builder().open(path)
    }

    /// Settings for opening a store: durability, clock, sizes.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// A store for a test, gone when it is dropped.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written to.
    pub fn temporary() -> Result<TemporaryStore> {
        Store::builder().temporary()
    }

    /// The store's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The engine, in the process that writes.
    ///
    /// # Errors
    /// `Refused`: the store was opened for reading, or another process holds it.
    pub(crate) fn engine(&self) -> Result<&Arc<Engine>> {
        let why = match &self.writes {
            Writes::Here(engine) => return Ok(engine),
            Writes::There(_) => "another process holds the store, and this cannot be done through it",
            Writes::Nowhere => "the store was opened for reading",
        };
        Err(Error::refused(why).at(self.reads.dir().display()).remedy("open it for writing to change it"))
    }

    /// The file system the store lies on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        self.reads.disk()
    }

    /// The view version that `reference` (`weather`, `weather@2`) stands for now.
    fn view(&self, reference: &str) -> Result<Arc<ViewPicture>> {
        let reference: ViewRef = reference.parse()?;
        let picture = self.reads.sight()?.picture;
        let id = picture.state.definitions_at(None).view(&reference)?.id;
        Ok(Arc::clone(picture.view(id)))
    }

    fn accept_options(&self, allow_future: bool, bad_rows: BadRows) -> AcceptOptions {
        AcceptOptions {
            max_future_skew_us: self.max_future_skew_us,
            allow_future,
            collect_refused: bad_rows == BadRows::Quarantine,
            ..AcceptOptions::new(self.now())
        }
    }

    /// What applying `definitions` would change.
    ///
    /// # Errors
    /// The definitions contradict themselves.
    pub fn plan(&self, definitions: &Definitions, options: ApplyOptions) -> Result<Plan> {
        definitions.check()?;
        Ok(self.reads.plan(definitions, options.prune))
    }

    /// Makes the store match `definitions`, whole or not at all; what was changed.
    ///
    /// # Errors
    /// The definitions contradict themselves; a change is incompatible, with the way out.
    pub fn apply(&self, definitions: &Definitions, options: ApplyOptions) -> Result<Plan> {
        definitions.check()?;
        if let Writes::There(holder) = &self.writes {
            let plan = self.reads.plan(definitions, options.prune);
            plan.outcome()?;
            holder.apply(definitions, options.prune)?;
            return Ok(plan);
        }
        let engine = self.engine()?;
        let plan = engine.apply(definitions, options.prune, self.now())?;
        if self.background.as_ref().is_none_or(|background| background.maintenance.is_none()) {
            engine.build_missing_tables()?;
        }
        Ok(plan)
    }

    /// Writes a batch into a view, whole or not at all. Acknowledged when it is as durable as the store was opened for.
    ///
    /// Columns: the view's join keys, its event timestamp, its created timestamp where it declares one, its features;
    /// any Arrow layout whose values convert exactly.
    ///
    /// # Errors
    /// A column is missing or of a wrong type, a row is refused: nothing is written. The disk fails.
    pub fn write(&self, view: &str, batch: &RecordBatch) -> Result<WriteReport> {
        self.write_with(view, batch, &WriteOptions::default())
    }

    /// [`Store::write`] with options.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_with(&self, view: &str, batch: &RecordBatch, options: &WriteOptions) -> Result<WriteReport> {
        if let Writes::There(holder) = &self.writes {
            return holder.write(view, batch, options);
        }
        let view = self.view(view)?;
        let accept = self.accept_options(options.allow_future, options.bad_rows);
        let accepted = accept_batch(&view.record.definition, batch, &accept)?;
        let source = self.engine()?.source_id(options.source.as_deref(), self.now())?;
        let (rows, first_seq) = if accepted.row_count == 0 {
            (0, self.reads.sight()?.seq + 1)
        } else {
            let committed = self.engine()?.write(&view, &accepted, source, self.now())?;
            (committed.rows.into(), committed.first_seq)
        };
        Ok(WriteReport { rows, first_seq, ignored: accepted.ignored, refused: accepted.refused })
    }

    /// Begins a bulk import into a view: sorted past the log, visible at once when committed.
    ///
    /// # Errors
    /// There is no such view; the disk fails.
    pub fn bulk_writer(&self, view: &str, options: crate::request::BulkOptions) -> Result<BulkWriter> {
        let view = self.view(view)?;
        BulkWriter::begin(self, &view, options)
    }

    /// Deletes an entity from a moment on; earlier moments still see what was.
    ///
    /// # Errors
    /// There is no such view; the keys are not its join keys; the moment lies too far ahead.
    pub fn delete(&self, view: &str, entity: &[(&str, Value)], options: &DeleteOptions) -> Result<DeleteReport> {
        let picture = self.view(view)?;
        let key = entity_key(&picture, entity)?;
        match &self.writes {
            Writes::There(holder) => holder.delete(&picture.record.definition.reference().to_string(), key, options),
            _ => self.delete_encoded(view, &key, options),
        }
    }

    /// Deletes an encoded entity key of a view.
    fn delete_encoded(&self, view: &str, key: &[u8], options: &DeleteOptions) -> Result<DeleteReport> {
        let view = self.view(view)?;
        let now = self.now();
        let at = options.at.unwrap_or(now);
        if !options.allow_future && at > now.saturating_add(self.max_future_skew_us) {
            return Err(Error::invalid(format!("{at} lies too far ahead of the clock ({now})"))
                .remedy("allow it (--allow-future) if it is meant"));
        }
        view.key_schema.decode(key).ok_or_else(|| Error::invalid("these bytes are no entity key of the view"))?;
        let created = options.created.map(|created| created.0);
        let Deleted { seq, created } = self.engine()?.delete(&view, key, at.0, created, now)?;
        Ok(DeleteReport { seq, created: created.map(Timestamp) })
    }

    /// The features of one entity, now or as of any moment.
    ///
    /// # Errors
    /// Views, features, services, join keys that are not there; a key of the wrong type.
    pub fn get(
        &self,
        features: &Features,
        entity: &[(&str, Value)],
        options: &GetOptions,
    ) -> Result<Vec<FeatureValue>> {
        self.reads.get(features, entity, options, self.now())
    }

    /// Resolves features once, to read them now for many entities. Clone the handle for each thread.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Features, Status, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let mut online = store.online(&Features::list(["weather:temp"])?)?;
    /// let key = online.key(&[("origin", "JFK".into())])?;
    /// let answer = online.get(&key, store.now())?;
    /// assert_eq!((answer.status(0).0, answer.f64(0)), (Status::NotFound, None));
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// Views, features, services that are not there.
    pub fn online(&self, features: &Features) -> Result<OnlineHandle> {
        self.reads.online(features)
    }

    /// Joins features to the rows of a spine, each as of its own time, in the spine's order.
    ///
    /// # Errors
    /// Views, features, services, spine columns that are not there, all named at once; columns of one name.
    pub fn get_historical_features<R: RecordBatchReader>(
        &self,
        spine: R,
        request: &HistoricalRequest,
    ) -> Result<TrainingSet<R>> {
        let join = self.reads.historical_join(&spine.schema(), request, self.now())?;
        Ok(TrainingSet::new(join, spine))
    }

    /// All rows of a view version: its history, deletes included, streamed.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, ScanOptions, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let scan = store.scan("weather", &ScanOptions::default())?;
    /// let names: Vec<String> = scan.schema().fields().iter().map(|field| field.name().clone()).collect();
    /// assert_eq!(names, ["origin", "event_timestamp", "temp", "_deleted"]);
    /// let mut rows = 0;
    /// for batch in scan {
    ///     rows += batch?.num_rows();
    /// }
    /// # assert_eq!(rows, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such view; the range of times is empty; the entity's join keys are not the view's. A damaged run comes
    /// out of the scan.
    pub fn scan(&self, view: &str, options: &ScanOptions) -> Result<Scan> {
        self.reads.scan(&view.parse()?, options, self.now())
    }

    /// Where the answer for one feature of one entity comes from: the row that decided, where it lies, when it was
    /// learned and from whom, and whether its bytes are still those that were written.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, GetOptions, Status, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let explained = store.explain("weather:temp", &[("origin", "JFK".into())], &GetOptions::default())?;
    /// assert_eq!(explained.status, Status::NotFound);
    /// assert_eq!(explained.why, "the store has no row of this entity in this view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The view or the feature is not there; the join keys are not the view's; a run that had to be read is damaged.
    pub fn explain(&self, feature: &str, entity: &[(&str, Value)], options: &GetOptions) -> Result<Explanation> {
        self.reads.explain(feature, entity, options, self.now())
    }

    /// Reads everything the store holds and compares it with its checksums, and the latest tables with log and
    /// runs. Writes nothing. `progress` is told of every file.
    ///
    /// ```
    /// # use asof::Store;
    /// # let store = Store::temporary()?;
    /// let report = store.check(&mut |_| ())?;
    /// assert!(report.is_sound() && report.problems.is_empty());
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The disk refuses to read. What is damaged is in the report.
    pub fn check(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<CheckReport> {
        check_store(self.reads.disk(), self.reads.dir(), progress)
    }

    /// Names the present state of knowledge, for `known_at`. The log is synced first.
    ///
    /// # Errors
    /// The name is none, or taken.
    pub fn snapshot(&self, name: &str) -> Result<SnapshotRecord> {
        if let Writes::There(holder) = &self.writes {
            return holder.snapshot(name);
        }
        self.engine()?.snapshot(name, self.now())
    }

    /// Turns the log's rows into history runs. Nothing does so unasked: call it when the log has grown.
    ///
    /// # Errors
    /// The disk fails; the rows stay in the log.
    pub fn seal(&self) -> Result<bool> {
        self.engine()?.seal(self.now())
    }

    /// Seals the log and merges runs of like size.
    ///
    /// # Errors
    /// A run is damaged; the disk fails. The runs stay as they were.
    pub fn compact(&self) -> Result<()> {
        if let Writes::There(holder) = &self.writes {
            return holder.compact();
        }
        self.engine()?.seal(self.now())?;
        self.engine()?.merge(self.now())?;
        Ok(())
    }

    /// Closes the store in order, so that the next open has nothing to recover. Dropping the last clone does too,
    /// without saying whether it worked.
    ///
    /// # Errors
    /// The log could not be made durable.
    pub fn close(&self) -> Result<()> {
        match &self.writes {
            Writes::Here(engine) => engine.close(),
            Writes::There(_) | Writes::Nowhere => Ok(()),
        }
    }
}
