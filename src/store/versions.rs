//! From one version of a view to another: what both have.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{Field, Schema};

use super::{BulkWriter, ImportReport, Store, Writes};
use crate::definition::{EventTime, FeatureView, Source, ViewRef};
use crate::error::{Error, Result};
use crate::request::{BulkOptions, ScanOptions};

/// What the clocks are called on the way. Names that begin so are nobody's.
const EVENT_TIMESTAMP: &str = "_event_timestamp";
const CREATED_TIMESTAMP: &str = "_created_timestamp";

impl Store {
    /// Copies the rows of another version of a view into `view` (`weather@2`), deletes too: their keys, clocks and event ids, and
    /// the features of one name, where each value converts exactly. Features that only the new version has are null; the report's
    /// `ignored` names those that only the old one has.
    ///
    /// Rows that the view has are not added again, so that a second call adds what the old version gained.
    ///
    /// # Errors
    /// There is no such view or version; the old one has created timestamps and the new one does not; a value does not
    /// convert, or breaks a rule of the new version: nothing was copied.
    pub fn import_version(&self, view: &str, from_version: u32) -> Result<ImportReport> {
        if let Writes::There(holder) = &self.writes {
            return holder.import_version(view, from_version);
        }
        let target = self.view(view)?;
        let definition = &target.record.definition;
        let from = ViewRef { name: definition.name.clone(), version: Some(from_version) };
        if from_version == definition.version {
            return Err(Error::invalid(format!("{from} cannot be copied into itself"))
                .remedy("name another version, as in weather@2 --from-version 1"));
        }
        let scan = self.scan(&from.to_string(), &ScanOptions::default())?;
        let old = scan.view().definition.clone();
        if old.has_created() && !definition.has_created() {
            return Err(Error::refused(format!("{from} has created timestamps, {} has none", definition.reference()))
                .remedy("declare created_timestamp in the new version's source, so that rows keep their order"));
        }
        let options = BulkOptions { allow_future: true, source: Some(from.to_string()), ..BulkOptions::default() };
        let mut writer = BulkWriter::begin_here(self, &target, options, on_the_way(definition), true)?;
        for batch in scan {
            writer.write(&translate(&batch?, &old, definition)?)?;
        }
        writer.commit()
    }
}

/// The new version, taking its columns under the names that [`translate`] gives them.
fn on_the_way(definition: &FeatureView) -> FeatureView {
    let source = Source {
        event_timestamp: EventTime::Column(EVENT_TIMESTAMP.to_owned()),
        created_timestamp: definition.has_created().then(|| CREATED_TIMESTAMP.to_owned()),
        ..Source::default()
    };
    FeatureView { source, ..definition.clone() }
}

/// A batch of a scan of the old version, its clocks renamed, with nulls for what only the new one has.
fn translate(batch: &RecordBatch, old: &FeatureView, new: &FeatureView) -> Result<RecordBatch> {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    // A scan's columns: join keys, event time, created time where there is one, the others.
    let event_time = old.join_keys.len();
    fields[event_time].set_name(EVENT_TIMESTAMP);
    if old.has_created() {
        fields[event_time + 1].set_name(CREATED_TIMESTAMP);
    }
    let instant = crate::value::DataType::Timestamp;
    let created = (new.has_created() && !old.has_created()).then_some((CREATED_TIMESTAMP, &instant));
    let features = new.features.iter().map(|feature| (feature.name.as_str(), &feature.dtype));
    for (name, dtype) in features.chain(created) {
        if fields.iter().all(|field| field.name() != name) {
            fields.push(dtype.to_field(name));
            columns.push(new_null_array(&dtype.to_arrow(), batch.num_rows()));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|source| Error::invalid("the rows make no batch").caused_by(source))
}
