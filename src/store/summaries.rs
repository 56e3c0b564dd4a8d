//! What there is: views, entities, services, runs, snapshots, and the store as a whole.

use super::Store;
use crate::definition::Definitions;
use crate::engine::summary::{EntitySummary, RunSummary, ServiceSummary, SnapshotSummary, StoreSummary, ViewSummary};
use crate::error::Result;
use crate::histogram::Counts;

impl Store {
    /// The feature views in force, by name and version: what they are, what they hold, how fresh it is.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// for view in store.views()? {
    ///     println!("{}: {} rows, the latest of {:?}", view.view, view.rows, view.event_max);
    /// }
    /// # assert_eq!(store.views()?[0].view, "weather");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The disk refuses; a file of commit times is damaged.
    pub fn views(&self) -> Result<Vec<ViewSummary>> {
        self.reads.views()
    }

    /// What is registered, as [`Store::apply`] would be given it without the settings of a file, and the revision of it, which every apply
    /// raises. All versions of views that are in force are there.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Store};
    /// # let store = Store::temporary()?;
    /// let definitions = Definitions::new("flights")
    ///     .entity("airport", [("origin", DataType::String)])
    ///     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// store.apply(&definitions, ApplyOptions::default())?;
    /// let (revision, registered) = store.definitions()?;
    /// assert_eq!(registered.views[0].join_keys, [("origin".to_owned(), DataType::String)]);
    /// # assert_eq!(revision, store.definitions()?.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read. The store was closed.
    pub fn definitions(&self) -> Result<(u64, Definitions)> {
        self.reads.definitions()
    }

    /// The revision of [`Store::definitions`], for who has them already.
    ///
    /// # Errors
    /// As there.
    pub fn definitions_revision(&self) -> Result<u64> {
        self.reads.definitions_revision()
    }

    /// The entities in force, by name.
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read.
    pub fn entities(&self) -> Result<Vec<EntitySummary>> {
        self.reads.entities()
    }

    /// The feature services in force, by name.
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read.
    pub fn services(&self) -> Result<Vec<ServiceSummary>> {
        self.reads.services()
    }

    /// The files of history runs, by view, then by number.
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>> {
        self.reads.runs()
    }

    /// Named snapshots, by name.
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotSummary>> {
        self.reads.snapshots()
    }

    /// The store as a whole: where it is, how far it has come, how large it is.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn summary(&self) -> Result<StoreSummary> {
        self.reads.summary()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.reads.dir()).finish_non_exhaustive()
    }
}

impl Store {
    /// The newest definitions of all views that are registered now.
    #[cfg(feature = "parquet")]
    pub(crate) fn view_definitions(&self) -> Result<Vec<crate::definition::FeatureView>> {
        let definitions = self.reads.sight()?.picture.state.definitions_at(None);
        Ok(definitions.views().map(|view| view.definition.clone()).collect())
    }

    /// The definition that a reference to a view stands for now.
    #[cfg(feature = "parquet")]
    pub(crate) fn view_definition(&self, reference: &str) -> Result<crate::definition::FeatureView> {
        Ok(self.view(reference)?.record.definition.clone())
    }

    /// How long commits of this process took, a group counted once: writing it into the log, and syncing it where that is done before
    /// it is answered.
    ///
    /// # Errors
    /// `Refused`: this process does not write. `Poisoned`: the store was closed.
    pub fn commit_times(&self) -> Result<Counts> {
        Ok(self.engine()?.commit_times())
    }

    /// Whether a write could be taken now. It waits for a commit that is under way.
    ///
    /// # Errors
    /// `Refused`: this process does not write. `Poisoned`: the store was closed, or an earlier write failed for good.
    pub fn check_writable(&self) -> Result<()> {
        self.engine()?.check_writable()
    }
}
