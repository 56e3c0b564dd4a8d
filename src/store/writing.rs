//! Rows in: batches, bulk imports, deletes.

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::{BulkWriter, Store, Writes};
use crate::definition::FeatureView;
use crate::engine::entity::entity_key;
use crate::engine::write::Deleted;
use crate::error::{Error, Result};
use crate::format::accept::{Accepted, Refusal, accept_batch};
use crate::request::{BulkOptions, DeleteOptions, WriteOptions};
use crate::time::Timestamp;
use crate::value::Value;

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
    /// The same rows were written with the same idempotency key before: this is what that write did, and nothing more was done.
    #[serde(default)]
    pub was_written_before: bool,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteReport {
    /// The number of the delete row.
    pub seq: u64,
    /// Its created timestamp, in views that declare one.
    pub created: Option<Timestamp>,
}

/// A batch's vectors may take so many bytes of memory. Null ones take as much as others there.
const VECTORS_BYTES_MAX: usize = 4 << 30;

/// Refuses rows whose vectors alone take too much memory, before it is taken.
pub(super) fn check_vectors(view: &FeatureView, rows: usize) -> Result<()> {
    let row_bytes: usize = view.features.iter().map(|feature| feature.dtype.vector_bytes()).sum();
    if row_bytes.saturating_mul(rows) <= VECTORS_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("vectors of {rows} rows take more than {VECTORS_BYTES_MAX} bytes of memory"))
        .at(format!("view {}", view.reference()))
        .remedy("write it in parts, or import it"))
}

impl Store {
    /// Writes a batch into a view, whole or not at all. Acknowledged when it is as durable as the store was opened for.
    ///
    /// Columns: the view's join keys, its event timestamp, its created timestamp where it declares one, its features;
    /// any Arrow layout whose values convert exactly.
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
    /// use std::sync::Arc;
    /// use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    ///
    /// let batch = RecordBatch::try_from_iter([
    ///     ("origin", Arc::new(StringArray::from(vec!["JFK", "LGA"])) as ArrayRef),
    ///     ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0, 0]))),
    ///     ("temp", Arc::new(Float64Array::from(vec![Some(39.0), None]))),
    /// ])?;
    /// assert_eq!(store.write("weather", &batch)?.rows, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        check_vectors(&view.record.definition, batch.num_rows())?;
        let accept = self.accept_options(options.allow_future, options.bad_rows);
        let accepted = accept_batch(&view.record.definition, batch, &accept)?;
        // Without rows nobody wrote any.
        let source = match accepted.row_count {
            0 => 0,
            _ => self.engine()?.source_id(options.source.as_deref())?,
        };
        let (rows, first_seq, was_written_before) = match &options.idempotency_key {
            _ if accepted.row_count == 0 => (0, self.reads.sight()?.seq + 1, false),
            None => {
                let committed = self.engine()?.write(&view, &accepted, source)?;
                (committed.rows, committed.first_seq, false)
            }
            Some(key) => {
                let once = self.engine()?.write_once(&view, &accepted, source, key)?;
                (once.rows, once.first_seq, once.was_before)
            }
        };
        let Accepted { ignored, refused, .. } = accepted;
        Ok(WriteReport { rows: rows.into(), first_seq, ignored, refused, was_written_before })
    }

    /// Begins a bulk import into a view: sorted past the log, visible at once when committed.
    ///
    /// ```
    /// # use asof::{ApplyOptions, BulkOptions, ScanOptions, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let mut import = store.bulk_writer("weather", BulkOptions::default())?;
    /// # let other = store.clone();
    /// for batch in other.scan("weather", &ScanOptions::default())? {
    ///     import.write(&batch?)?;
    /// }
    /// println!("{} rows added", import.commit()?.rows_written);
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no such view; the disk fails.
    pub fn bulk_writer(&self, view: &str, options: BulkOptions) -> Result<BulkWriter> {
        let view = self.view(view)?;
        BulkWriter::begin(self, &view, options)
    }

    /// Deletes an entity from a moment on; earlier moments still see what was.
    ///
    /// ```
    /// # use asof::{ApplyOptions, DeleteOptions, Features, GetOptions, Status, Store};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// store.delete("weather", &[("origin", "JFK".into())], &DeleteOptions::default())?;
    /// let features = Features::list(["weather:temp"])?;
    /// let answer = store.get(&features, &[("origin", "JFK".into())], &GetOptions::default())?;
    /// assert_eq!(answer[0].status, Status::NotFound);
    /// # Ok::<(), asof::Error>(())
    /// ```
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
    pub(super) fn delete_encoded(&self, view: &str, key: &[u8], options: &DeleteOptions) -> Result<DeleteReport> {
        let view = self.view(view)?;
        let now = self.now();
        let at = options.at.unwrap_or(now);
        if !options.allow_future && at > now.saturating_add(self.max_future_skew_us) {
            return Err(Error::invalid(format!("{at} lies too far ahead of the clock ({now})"))
                .remedy("allow it (--allow-future) if it is meant"));
        }
        view.key_schema.decode(key).ok_or_else(|| Error::invalid("these bytes are no entity key of the view"))?;
        let created = options.created.map(|created| created.0);
        let Deleted { seq, created } = self.engine()?.delete(&view, key, at.0, created)?;
        Ok(DeleteReport { seq, created: created.map(Timestamp) })
    }
}
