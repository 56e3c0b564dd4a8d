//! The public facade: open a store, apply definitions, write, import, read as of any moment.

mod api_keys;
mod background;
mod builder;
mod bulk;
mod control;
mod entities;
mod holder;
mod join_keys;
mod keyspace;
mod local_import;
mod reading;
mod resolution;
mod row_bytes;
mod rows;
mod summaries;
mod training_set;
mod upkeep;
mod versions;
mod writing;

use std::path::Path;
use std::sync::Arc;

pub use api_keys::KeyRecords;
pub use builder::{StoreBuilder, TemporaryStore};
pub use bulk::{BulkWriter, FileReport, ImportReport};
pub use join_keys::JoinKey;
pub use keyspace::KeyspaceHandle;
pub use resolution::{AnswerColumn, Resolution};
pub use rows::Row;
#[cfg(feature = "redis")]
pub(crate) use rows::batch_of;
pub use training_set::TrainingSet;
pub use writing::{DeleteReport, WriteReport};

use self::background::Background;
use self::holder::{WeakStore, Writes};
use crate::definition::{Definitions, Plan, ViewRef};
#[cfg(feature = "parquet")]
use crate::disk::Disk;
use crate::engine::picture::ViewPicture;
use crate::engine::{Engine, Reads, closed};
use crate::error::{Error, Result};
use crate::format::accept::AcceptOptions;
use crate::registry::records::SnapshotRecord;
use crate::request::{ApplyOptions, BadRows};
use crate::time::{Clock, Timestamp};

/// An open store. One process at a time has one; clones share it.
///
/// ```
/// use std::sync::Arc;
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
    /// A thread of the store's builds tables that are missing: no caller waits for that.
    has_upkeep: bool,
    reads: Arc<Reads>,
    writes: Writes,
    clock: Arc<dyn Clock>,
    max_future_skew_us: i64,
}

impl Store {
    /// Opens the store in `path` for writing; makes one where there is nothing yet.
    ///
    /// ```
    /// # use asof::{Store};
    /// # let folder = Store::temporary()?;
    /// # let path = folder.path().with_file_name("mine");
    /// let store = Store::open(&path)?;
    /// assert!(store.views()?.is_empty());
    /// store.close()?;
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The folder holds something that is no store; another process writes to it; it is damaged, or of a newer format.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Store::builder().open(path)
    }

    /// Settings for opening a store: durability, clock, sizes.
    ///
    /// ```
    /// # use asof::{Store};
    /// use std::sync::Arc;
    /// use asof::options::Durability;
    /// use asof::time::{ManualClock, Timestamp};
    ///
    /// let clock = Arc::new(ManualClock::new(Timestamp(0)));
    /// let store = Store::builder().clock(clock).durability(Durability::Os).temporary()?;
    /// assert_eq!(store.now(), Timestamp(0));
    /// # Ok::<(), asof::Error>(())
    /// ```
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// A store for a test, gone when it is dropped.
    ///
    /// ```
    /// # use asof::{Store};
    /// let mut store = Store::temporary()?;
    /// assert!(store.path().exists());
    /// store.reopen()?;
    /// # Ok::<(), asof::Error>(())
    /// ```
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
    /// `Refused`: the store was opened for reading, or another process holds it. `Poisoned`: it was closed.
    pub(crate) fn engine(&self) -> Result<&Arc<Engine>> {
        let why = match &self.writes {
            Writes::Here(engine) => return Ok(engine),
            Writes::There(_) => "another process holds the store, and this cannot be done through it",
            Writes::Nowhere => "the store was opened for reading",
            Writes::Closed => return Err(closed()),
        };
        Err(Error::refused(why).at(self.reads.dir().display()).remedy("open it for writing to change it"))
    }

    /// The file system the store lies on.
    #[cfg(feature = "parquet")]
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
    /// ```
    /// # use asof::{ApplyOptions, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let grown = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(
    ///     FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64).feature("visib", DataType::Float64),
    /// );
    /// println!("{}", store.plan(&grown, ApplyOptions::default())?);
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The definitions contradict themselves; in a process that only reads: the registry cannot be read.
    pub fn plan(&self, definitions: &Definitions, options: ApplyOptions) -> Result<Plan> {
        definitions.check()?;
        match &self.writes {
            Writes::Here(engine) => engine.plan(definitions, options.prune),
            _ => self.reads.plan(definitions, options.prune, self.now()),
        }
    }

    /// Makes the store match `definitions`, whole or not at all; what was changed.
    ///
    /// ```
    /// # use asof::{ApplyOptions, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// assert!(store.plan(&definitions, ApplyOptions::default())?.is_empty(), "applied already");
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The definitions contradict themselves; a change is incompatible, or would make keys of the Redis keyspace a view's, with the
    /// way out.
    pub fn apply(&self, definitions: &Definitions, options: ApplyOptions) -> Result<Plan> {
        definitions.check()?;
        if let Writes::There(holder) = &self.writes {
            let plan = self.reads.plan(definitions, options.prune, self.now())?;
            plan.outcome()?;
            holder.apply(definitions, options.prune)?;
            return Ok(plan);
        }
        let engine = self.engine()?;
        let plan = engine.apply(definitions, options.prune)?;
        if !self.has_upkeep {
            engine.build_tables_or_warn();
        }
        Ok(plan)
    }

    /// Names the present state of knowledge, for `known_at`. The log is synced first.
    ///
    /// ```
    /// # use asof::{ApplyOptions, GetOptions, KnownAt, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// store.snapshot("first_model")?;
    /// let options = GetOptions { known_at: Some(KnownAt::Snapshot("first_model".into())), ..GetOptions::default() };
    /// # let _ = options;
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The name is none, or taken.
    pub fn snapshot(&self, name: &str) -> Result<SnapshotRecord> {
        if let Writes::There(holder) = &self.writes {
            return holder.snapshot(name);
        }
        self.engine()?.snapshot(name)
    }

    /// Turns the log's rows into history runs now. The store does so by itself when a segment of the log is full.
    ///
    /// ```
    /// # use asof::{ApplyOptions, Row, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// store.write_rows("weather", [Row::new().at(store.now()).set("origin", "JFK").set("temp", 39.0)])?;
    /// store.seal()?;
    /// assert_eq!(store.views()?[0].rows_in_runs, 1);
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The disk fails; the rows stay in the log.
    pub fn seal(&self) -> Result<bool> {
        self.engine()?.seal()
    }

    /// Seals the log and merges runs of like size.
    ///
    /// # Errors
    /// A run is damaged; the disk fails. The runs stay as they were.
    pub fn compact(&self) -> Result<()> {
        if let Writes::There(holder) = &self.writes {
            return holder.compact();
        }
        self.engine()?.seal()?;
        self.engine()?.merge()?;
        Ok(())
    }

    /// Closes the store in order, so that the next open has nothing to recover; waits for the piece of upkeep under way.
    ///
    /// The store is then closed for everybody in this process: clones, [`Store::online`] handles, imports under way and commands
    /// that others send to it fail with `Poisoned`, "the store was closed"; scans and training sets that were begun go on to
    /// their end. The socket is removed and LOCK released, so that the store can be opened again, when the last clone and the
    /// last import are dropped. Handles need not be.
    ///
    /// Dropping the last clone closes the store in order too, without saying whether it worked, and handles read on then: while
    /// there is one, LOCK is held and nobody else can open the store for writing.
    ///
    /// A store that was opened for reading, or beside the process that holds it, has nothing to close.
    ///
    /// # Errors
    /// The log could not be made durable. `Poisoned`: a change failed half-way before, or a thread of the store panicked. Writes
    /// are refused then, reads go on, and the next open recovers the store.
    pub fn close(&self) -> Result<()> {
        if let Some(background) = &self.background {
            background.end_upkeep();
        }
        match &self.writes {
            Writes::Here(engine) => {
                engine.close()?;
                self.reads.close();
                Ok(())
            }
            Writes::There(_) | Writes::Nowhere | Writes::Closed => Ok(()),
        }
    }
}
