//! Rows of feature views that a group of commands writes: the log takes all of them or none. What is written may follow from what
//! is there, what the group wrote before included.

mod staged;

use std::sync::Arc;

use self::staged::Staged;
use super::as_of::find_row;
use super::commit::Batch;
use super::entities::{EntityRow, EntityView, EntityViews, in_force};
use super::entity_keys::{EntityKeys, entity_keys};
use super::picture::Picture;
use super::reads::Reads;
use crate::error::{Error, Result};
use crate::format::row::{FieldState, RowHead, RowKind, RowRef, push_image, push_record, set_field_state};
use crate::join::pick::AsOf;
use crate::key::key_hash;
use crate::time::Timestamp;
use crate::value::Value;

/// A group of so many bytes has enough.
const GROUP_BYTES: usize = 64 << 20;
/// What is one transaction's is refused beyond this.
const GROUP_BYTES_MAX: usize = 512 << 20;

/// Rows as a group finds them, and those it writes.
#[derive(Debug)]
pub struct RowStage {
    /// The group's instant, microseconds since 1970: the event time of what it writes, unless it says another.
    pub now: i64,
    max_future_skew_us: i64,
    reads: Arc<Reads>,
    picture: Arc<Picture>,
    staged: Staged,
}

impl RowStage {
    /// Under the core lock, with everything committed that was queued.
    pub(super) fn new(reads: &Arc<Reads>, now: i64, max_future_skew_us: i64) -> RowStage {
        let picture = reads.picture();
        RowStage { now, max_future_skew_us, reads: Arc::clone(reads), picture, staged: Staged::default() }
    }

    /// The revision of the definitions, which every apply raises: those of before do not fit the rows then.
    pub fn definitions_revision(&self) -> u64 {
        self.picture.state.meta().definitions_revision
    }

    /// The views that take rows.
    ///
    /// # Errors
    /// The definitions contradict themselves.
    pub fn entity_views(&self) -> Result<EntityViews> {
        EntityViews::of(&self.picture)
    }

    /// Whether so much was written that what others write is for the next group.
    pub fn is_full(&self) -> bool {
        self.staged.bytes() >= GROUP_BYTES
    }

    /// Whether this group has written a row of an entity: where it has not, reads of now answer what [`RowStage::row`] would.
    pub fn has_written(&self, view: &EntityView, key: &[u8]) -> bool {
        self.staged.has(view.id(), (self.hash(key), key))
    }

    /// An entity's row as a read at `at` answers it, rows of this group included; `None`: it is not there, was deleted, or is too old.
    ///
    /// # Errors
    /// A run that had to be read is damaged.
    pub fn row(&self, view: &EntityView, key: &[u8], at: i64) -> Result<Option<EntityRow>> {
        let picture = self.picture.view(view.id());
        let found = find_row(picture, &self.picture.tail, self.hash(key), key, AsOf::new(at))?;
        let stored = found.as_ref().map(|found| (found.mark.event_ts, found.mark.created));
        let row = match self.staged.find(view.id(), (self.hash(key), key), at) {
            Some((mark, record)) if stored.is_none_or(|stored| mark >= stored) => {
                Some(RowRef::parse_unchecked_image(record).map_err(Error::invalid)?.0)
            }
            _ => found.as_ref().map(|found| found.row()),
        };
        Ok(row.and_then(|row| in_force(&row, view, at)))
    }

    /// Entities of a view, as [`Reads::entity_keys`], those of this group's rows included.
    ///
    /// # Errors
    /// As there.
    pub fn entity_keys(&self, view: &EntityView, from: u64, count: usize, round: u32) -> Result<EntityKeys> {
        let known = entity_keys(&self.picture, view.id(), self.reads.hash_seed(), (from, count, round))?;
        let mut keys = known.keys;
        keys.extend(self.staged.keys(view.id(), from, known.next).map(|(hash, key)| (hash, key.to_vec())));
        Ok(EntityKeys::first(keys, known.next, usize::MAX, round))
    }

    /// Writes an entity's row, of the event time that it says, in place of `before`: what that has already keeps to no rule again.
    ///
    /// # Errors
    /// `Refused`: the definitions changed since the view was asked for. A value breaks a rule, is not of its type or too long; the event time lies too far ahead; the event id is missing.
    pub fn put(&mut self, view: &EntityView, key: &[u8], row: &EntityRow, before: Option<&EntityRow>) -> Result<()> {
        self.check_time(row.event_ts)?;
        view.check_rules(row, before)?;
        let event_id = view.event_id(row)?;
        let fields = view.by_ordinal(row);
        let mut field_deadlines = Vec::new();
        for (ordinal, field) in (0_u16..).zip(&fields) {
            if let Some(deadline) = field.deadline {
                field_deadlines.extend(ordinal.to_le_bytes());
                field_deadlines.extend(deadline.to_le_bytes());
            }
        }
        let values: Vec<Value> = fields.iter().map(|field| field.value.clone().unwrap_or(Value::Null)).collect();
        let mut image = Vec::new();
        push_image(view.layout(), &values, &mut image)?;
        for (ordinal, field) in fields.iter().enumerate() {
            if field.value.is_none() {
                set_field_state(&mut image, ordinal, FieldState::Absent);
            }
        }
        let head = RowHead {
            deadline: row.deadline,
            field_deadlines: &field_deadlines,
            event_id: &event_id,
            ..RowHead::new(RowKind::Value, row.event_ts)
        };
        self.stage(view, key, &head, fields.len(), &image)
    }

    /// Deletes an entity from `at` on.
    ///
    /// # Errors
    /// `at` lies too far ahead.
    pub fn delete(&mut self, view: &EntityView, key: &[u8], at: i64) -> Result<()> {
        self.check_time(at)?;
        self.stage(view, key, &RowHead::new(RowKind::Delete, at), 0, &[])
    }

    /// In a view that declares created, a row takes the greater of the commit's time and the greatest that is stored for its key and
    /// event time, so that it wins there.
    fn stage(&mut self, view: &EntityView, key: &[u8], head: &RowHead<'_>, fields: usize, image: &[u8]) -> Result<()> {
        let is_of_now = self.picture.views.get(&view.id()).is_some_and(|now| view.is_of(&now.record));
        if !is_of_now {
            return Err(Error::refused(format!("{} is not what it was any more", view.definition().reference()))
                .remedy("ask for the views again"));
        }
        if self.staged.bytes() + image.len() > GROUP_BYTES_MAX {
            return Err(Error::invalid(format!("the rows of one transaction take more than {GROUP_BYTES_MAX} bytes"))
                .remedy("write them in parts"));
        }
        let (at, hash) = (head.event_ts, self.hash(key));
        let created = match view.definition().has_created() {
            false => None,
            true => {
                let picture = self.picture.view(view.id());
                let stored = find_row(picture, &self.picture.tail, hash, key, AsOf::new(at))?;
                let stored = stored.filter(|row| row.mark.event_ts == at).and_then(|row| row.mark.created);
                let staged = self.staged.find(view.id(), (self.hash(key), key), at).map(|(mark, _)| mark);
                let staged = staged.filter(|(event_ts, _)| *event_ts == at).and_then(|(_, created)| created);
                Some(stored.max(staged).unwrap_or(i64::MIN).max(self.now))
            }
        };
        let mut record = Vec::new();
        push_record(&RowHead { created, ..*head }, key, fields, image, &mut record)?;
        self.staged.push(view.id(), hash, (at, created), &record);
        Ok(())
    }

    fn hash(&self, key: &[u8]) -> u64 {
        key_hash(self.reads.hash_seed(), key)
    }

    fn check_time(&self, at: i64) -> Result<()> {
        if at <= self.now.saturating_add(self.max_future_skew_us) {
            return Ok(());
        }
        Err(Error::invalid(format!("{} lies too far ahead of the clock ({})", Timestamp(at), Timestamp(self.now))))
    }

    /// What was written, as one batch.
    pub(super) fn into_batch(self) -> Result<Batch> {
        self.staged.into_batch()
    }
}
