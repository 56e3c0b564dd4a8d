//! A run file read through: its columns whole, for merges and scans.

use std::ops::Range;

use arrow_array::ArrayRef;

use crate::error::Result;
use crate::history::reader::{RunColumn, RunFile};
use crate::history::rows::RowColumns;

impl RunFile {
    /// All columns, verified whole and without a copy: what a merge reads.
    ///
    /// # Errors
    /// Damaged.
    pub fn row_columns(&self) -> Result<RowColumns> {
        self.verify_all()?;
        self.columns()
    }

    /// All columns without a copy: what a scan reads. What says where rows stand and what they are is verified; before a
    /// row's features are believed, [`RunFile::verify_features`] is to be asked.
    ///
    /// # Errors
    /// Damaged.
    pub fn columns_to_scan(&self) -> Result<RowColumns> {
        for column in [RunColumn::EventTimestamp, RunColumn::Created, RunColumn::Seq] {
            self.verify_column(column)?;
        }
        self.columns()
    }

    /// Verifies the features of these rows.
    ///
    /// # Errors
    /// Damaged: says which file, column and block.
    pub fn verify_features(&self, rows: Range<usize>) -> Result<()> {
        (0..self.feature_count()).try_for_each(|ordinal| self.verify_rows(RunColumn::Feature(ordinal), rows.clone()))
    }

    /// Verifies everything of these rows, keys included.
    ///
    /// # Errors
    /// Damaged: says which file, column and block.
    pub fn verify_whole_rows(&self, rows: Range<usize>) -> Result<()> {
        for column in RunColumn::MARKS.into_iter().chain([RunColumn::EventId]) {
            self.verify_rows(column, rows.clone())?;
        }
        for row in rows.clone() {
            self.push_key(row, &mut Vec::new())?;
        }
        self.verify_features(rows)
    }

    /// All columns without a copy, as they are found: what is not verified by decoding it is to be verified before it is believed.
    ///
    /// # Errors
    /// Damaged.
    pub(crate) fn columns(&self) -> Result<RowColumns> {
        let own = |column| self.own_column(column).map(Option::<&ArrayRef>::cloned);
        Ok(RowColumns {
            event_ts: self.event_ts.clone(),
            created: self.created.clone(),
            seq: self.seq.clone(),
            kind: own(RunColumn::Kind)?,
            absent: own(RunColumn::Absent)?,
            deadline: own(RunColumn::Deadline)?,
            field_deadlines: own(RunColumn::FieldDeadlines)?,
            event_id: own(RunColumn::EventId)?,
            features: (0..self.feature_count())
                .map(|ordinal| self.column(ordinal).map(Option::<&ArrayRef>::cloned))
                .collect::<Result<_>>()?,
        })
    }
}
