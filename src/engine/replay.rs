//! Frames out of the log, checked against the registry before their rows are believed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::commit::insert_into_tail;
use crate::format::log::{Frame, LogPosition, segment_of};
use crate::format::row::{RowLayout, RowRef};
use crate::key::key_hash;
use crate::registry::RegistryState;
use crate::tail::TailSegment;

/// Puts frames that were read into the indexes of their segments.
#[derive(Debug)]
pub(super) struct Replay {
    state: Arc<RegistryState>,
    hash_seed: u64,
    layouts: HashMap<u32, RowLayout>,
}

impl Replay {
    /// For rows of the views that `state` knows.
    pub fn new(state: Arc<RegistryState>, hash_seed: u64) -> Replay {
        Replay { state, hash_seed, layouts: HashMap::new() }
    }

    /// Adds a frame to the index of its segment, the last of `tails`; to a new one where it is the segment's first.
    ///
    /// # Errors
    /// What is wrong with the frame.
    pub fn take(
        &mut self,
        frame: &Frame<'_>,
        position: LogPosition,
        tails: &mut Vec<Arc<TailSegment>>,
    ) -> Result<(), String> {
        let hashes = self.check(frame)?;
        let segment = segment_of(position);
        let tail = match tails.last() {
            Some(tail) if tail.segment() == segment => tail,
            _ => tails.push_mut(Arc::new(TailSegment::new(segment))),
        };
        insert_into_tail(tail, frame, &hashes, position);
        Ok(())
    }

    /// The key hashes of a frame's rows.
    fn check(&mut self, frame: &Frame<'_>) -> Result<Vec<u64>, String> {
        let mut hashes = Vec::with_capacity(frame.row_count as usize);
        for section in frame.sections() {
            let id = section.view_id;
            let layout = match self.layouts.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let view =
                        self.state.view(id).ok_or_else(|| format!("a row belongs to view {id}, which is unknown"))?;
                    unknown.insert(RowLayout::new(view.field_types()))
                }
            };
            section.check(layout)?;
            let mut rest = section.records;
            for _ in 0..section.row_count {
                let (row, after) = RowRef::parse_unchecked_image(rest)?;
                hashes.push(key_hash(self.hash_seed, row.key));
                rest = after;
            }
        }
        Ok(hashes)
    }
}
