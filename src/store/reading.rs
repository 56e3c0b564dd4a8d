//! Answers: one entity now or then, a training set, everything there is, and where an answer came from.

use arrow_array::RecordBatchReader;

use super::{Store, TrainingSet};
use crate::engine::check::{CheckProgress, CheckReport, check_store};
use crate::engine::explain::Explanation;
use crate::engine::get::{Answers, Entity, FeatureValue, GetOptions};
use crate::engine::online::OnlineHandle;
use crate::engine::scan::Scan;
use crate::error::Result;
use crate::request::{Features, HistoricalRequest, ScanOptions};
use crate::value::Value;

impl Store {
    /// The features of one entity, now or as of any moment.
    ///
    /// ```
    /// # use asof::{ApplyOptions, Features, GetOptions, Row, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// store.write_rows("weather", [Row::new().at("2013-03-01".parse()?).set("origin", "JFK").set("temp", 39.0)])?;
    /// let then = GetOptions { at: Some("2013-03-02".parse()?), ..GetOptions::default() };
    /// let answer = store.get(&Features::list(["weather:temp"])?, &[("origin", "JFK".into())], &then)?;
    /// println!("{} {:?} of {:?}", answer[0].status.name(), answer[0].value, answer[0].event_ts);
    /// # Ok::<(), asof::Error>(())
    /// ```
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

    /// The features of several entities, now or as of any moment: all of the rows committed when the call began.
    ///
    /// ```
    /// # use asof::{ApplyOptions, Features, GetOptions, Row, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// store.write_rows("weather", [Row::new().at("2013-03-01".parse()?).set("origin", "JFK").set("temp", 39.0)])?;
    /// let airports = ["JFK", "LGA"].map(|origin| vec![("origin", origin.into())]);
    /// let answers = store.get_many(&Features::list(["weather:temp"])?, &airports, &GetOptions::default())?;
    /// let statuses: Vec<&str> = answers.rows.iter().map(|row| row[0].status.name()).collect();
    /// assert_eq!(statuses, ["PRESENT", "NOT_FOUND"]);
    /// // Asked again with this, the answers are the same, whatever was written since.
    /// let known_at = Some(asof::KnownAt::Seq(answers.seq));
    /// # let again = GetOptions { at: Some(answers.at), known_at, ..GetOptions::default() };
    /// # assert_eq!(store.get_many(&Features::list(["weather:temp"])?, &airports, &again)?, answers);
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_many(&self, features: &Features, entities: &[Entity<'_>], options: &GetOptions) -> Result<Answers> {
        self.reads.get_many(features, entities, options, self.now())
    }

    /// [`Store::get_many`] of a moment that is not now, or of a state of knowledge, in values of so many bytes at most.
    ///
    /// # Errors
    /// As there; it has more.
    #[cfg(feature = "http")]
    pub(crate) fn get_many_within(
        &self,
        features: &Features,
        entities: &[Entity<'_>],
        options: &GetOptions,
        bytes_max: usize,
    ) -> Result<Answers> {
        self.reads.get_many_within(features, entities, options, self.now(), bytes_max)
    }

    /// Resolves features once, to read them now for many entities. Clone the handle for each thread.
    ///
    /// A handle needs no [`Store`] beside it: while there is one, nobody else opens the store for writing. [`Store::close`] ends it:
    /// its gets fail then.
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
    /// ```
    /// # use asof::{ApplyOptions, HistoricalRequest, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// use std::sync::Arc;
    /// use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, StringArray, TimestampMicrosecondArray};
    ///
    /// let spine = RecordBatch::try_from_iter([
    ///     ("origin", Arc::new(StringArray::from(vec!["JFK"])) as ArrayRef),
    ///     ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0]))),
    /// ])?;
    /// let schema = spine.schema();
    /// let request = HistoricalRequest::features(["weather:temp"])?;
    /// for batch in store.get_historical_features(RecordBatchIterator::new([Ok(spine)], schema), &request)? {
    ///     println!("{:?}", batch?.column_by_name("temp"));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// The disk refuses to read. `Locked`: the log was sealed, again and again, before it was read. What is damaged is in the report.
    pub fn check(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<CheckReport> {
        check_store(self.reads.disk(), self.reads.dir(), progress)
    }
}
