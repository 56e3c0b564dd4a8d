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
use super::truncates;
use crate::error::{Error, Result};
use crate::format::row::{RowHead, RowKind, RowRef, push_image_of};
use crate::join::pick::AsOf;
use crate::key::key_hash;
use crate::time::Timestamp;

/// A group of so many bytes has enough.
const GROUP_BYTES: usize = 64 << 20;
/// What is one transaction's is refused beyond this.
const GROUP_BYTES_MAX: usize = 512 << 20;

/// Rows as a group finds them, and those it writes.
#[derive(Debug)]
pub struct RowStage {
    /// The number that the group's first row gets, where the store has keys already.
    pub(super) next_seq: u64,
    /// The group's instant, microseconds since 1970: the event time of what it writes, unless it says another.
    pub now: i64,
    max_future_skew_us: i64,
    reads: Arc<Reads>,
    picture: Arc<Picture>,
    staged: Staged,
    /// Rows of one view that came encoded.
    encoded: Option<Batch>,
    /// Room for the image of a row, and for deadlines of its fields.
    image: Vec<u8>,
    field_deadlines: Vec<u8>,
}

impl RowStage {
    /// Under the core lock, with everything committed that was queued.
    pub(super) fn new(reads: &Arc<Reads>, (next_seq, now): (u64, i64), max_future_skew_us: i64) -> RowStage {
        let picture = reads.picture();
        RowStage {
            next_seq,
            now,
            max_future_skew_us,
            reads: Arc::clone(reads),
            picture,
            staged: Staged::default(),
            encoded: None,
            image: Vec::new(),
            field_deadlines: Vec::new(),
        }
    }

    /// Adds rows that are encoded already, which the group has alone: no row was written by the other methods, nor is one after this.
    ///
    /// # Errors
    /// `Refused`: their view was dropped.
    pub(super) fn put_encoded(&mut self, batch: Batch) -> Result<()> {
        self.picture.check_takes_rows(batch.view_id)?;
        self.encoded = Some(batch);
        Ok(())
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

    /// Whether this group has written a row of an entity, or truncated its view: where it has not, reads of now answer what [`RowStage::row`] would.
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
        let (mut image, mut field_deadlines) =
            (std::mem::take(&mut self.image), std::mem::take(&mut self.field_deadlines));
        image.clear();
        field_deadlines.clear();
        for (ordinal, field) in (0_u16..).zip(view.by_ordinal(row)) {
            if let Some(deadline) = field.deadline {
                field_deadlines.extend(ordinal.to_le_bytes());
                field_deadlines.extend(deadline.to_le_bytes());
            }
        }
        let head = RowHead {
            deadline: row.deadline,
            field_deadlines: &field_deadlines,
            event_id: &event_id,
            ..RowHead::new(RowKind::Value, row.event_ts)
        };
        let values = view.by_ordinal(row).map(|field| field.value.as_ref());
        let done = push_image_of(view.layout(), values, &mut image)
            .and_then(|()| self.stage(view, key, &head, view.layout().field_count(), &image));
        (self.image, self.field_deadlines) = (image, field_deadlines);
        done
    }

    /// Deletes an entity from `at` on.
    ///
    /// # Errors
    /// `at` lies too far ahead.
    pub fn delete(&mut self, view: &EntityView, key: &[u8], at: i64) -> Result<()> {
        self.check_time(at)?;
        self.stage(view, key, &RowHead::new(RowKind::Delete, at), 0, &[])
    }

    /// Deletes every entity of a view from `at` on, by one row: what has an event time after `at` stays. Whether there is one: not where
    /// no row is left that it would delete.
    ///
    /// # Errors
    /// `Refused`: the definitions changed since the view was asked for. `at` lies too far ahead; a run that had to be read is damaged.
    pub fn truncate(&mut self, view: &EntityView, at: i64) -> Result<bool> {
        self.check_time(at)?;
        self.check_is_of_now(view)?;
        let picture = self.picture.view(view.id());
        // Of many in one group, one is enough.
        if self.staged.ends_with_truncate(view.id(), at) {
            return Ok(false);
        }
        let is_after_others = truncates::greatest(picture, &self.picture.tail).is_none_or(|last| last.event_ts <= at);
        let has_staged = self.staged.has_rows(view.id());
        if is_after_others && !has_staged && !truncates::has_rows_left(&self.picture, picture)? {
            return Ok(false);
        }
        let created = match view.definition().has_created() {
            false => None,
            true => {
                let stored = truncates::greatest_created(&self.picture, picture, at)?;
                let staged = self.staged.greatest_created(view.id(), at);
                Some(stored.max(staged).unwrap_or(i64::MIN).max(self.now))
            }
        };
        let head = RowHead { created, ..RowHead::new(RowKind::ViewTruncate, at) };
        self.staged.push_truncate(view.id(), self.hash(&[]), &head)?;
        Ok(true)
    }

    fn check_is_of_now(&self, view: &EntityView) -> Result<()> {
        if self.picture.views.get(&view.id()).is_some_and(|now| view.is_of(&now.record)) {
            return Ok(());
        }
        Err(Error::refused(format!("{} is not what it was any more", view.definition().reference()))
            .remedy("ask for the views again"))
    }

    /// In a view that declares created, a row takes the greater of the commit's time and the greatest that is stored for its key and
    /// event time, so that it wins there.
    fn stage(&mut self, view: &EntityView, key: &[u8], head: &RowHead<'_>, fields: usize, image: &[u8]) -> Result<()> {
        self.check_is_of_now(view)?;
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
                let staged = self.staged.find(view.id(), (hash, key), at).map(|(mark, _)| mark);
                let staged = staged.filter(|(event_ts, _)| *event_ts == at).and_then(|(_, created)| created);
                Some(stored.max(staged).unwrap_or(i64::MIN).max(self.now))
            }
        };
        self.staged.push(view.id(), hash, &RowHead { created, ..*head }, key, fields, image)
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
        match self.encoded {
            Some(batch) => Ok(batch),
            None => self.staged.into_batch(),
        }
    }
}
