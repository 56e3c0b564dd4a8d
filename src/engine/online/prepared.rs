//! A request resolved: views, fields and where they lie in a slot.

use std::sync::Arc;

use super::super::as_of::find_row;
use super::super::picture::{Picture, ViewPicture, table_shape};
use super::super::reads::{Edition, Reads};
use super::super::resolve::{Resolved, resolve};
use super::super::winner::Winner;
use super::Answer;
use super::batch::ROUND_KEYS_MAX;
use super::key::{EntityKey, views_id};
use crate::error::Result;
use crate::join::pick::AsOf;
use crate::latest::{Begun, Need, SlotCopy, SlotLayout, WordField, WordRun};
use crate::request::Features;
use crate::value::DataType;

/// What a request came to at one state of the definitions.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) picture: Arc<Picture>,
    pub(super) edition: Edition,
    /// Of the keys that are made for these features.
    pub(super) views_id: u64,
    pub(super) selections: Vec<Selection>,
    pub(super) fields: Vec<Field>,
    /// All fields, where they are float64 that stand side by side in one slot.
    pub(super) f64s: Option<WordRun>,
}

#[derive(Debug)]
pub(super) struct Selection {
    pub(super) resolved: Resolved,
    pub(super) view: Arc<ViewPicture>,
    pub(super) need: Need,
    pub(super) ttl_us: i64,
}

#[derive(Debug)]
pub(super) struct Field {
    /// Where it lies in a slot, when it takes eight bytes.
    pub(super) word: Option<WordField>,
    pub(super) dtype: DataType,
    pub(super) selection: usize,
    pub(super) ordinal: usize,
    pub(super) name: String,
}

impl Prepared {
    pub(super) fn new(reads: &Reads, features: &Features) -> Result<Prepared> {
        let (picture, edition) = reads.edition()?;
        let resolved = resolve(features, &picture.state.definitions_at(None))?;
        let mut fields = Vec::new();
        let mut selections = Vec::with_capacity(resolved.len());
        let mut f64s = None;
        for (selection, resolved) in resolved.into_iter().enumerate() {
            let view = Arc::clone(picture.view(resolved.view.id));
            let layout = SlotLayout::new(table_shape(&view, &reads.identity));
            let is_variable = resolved.fields.iter().any(|field| field.dtype.is_variable());
            fields.extend(resolved.fields.iter().map(|field| Field {
                selection,
                ordinal: field.ordinal,
                word: layout.word_field(field.ordinal),
                name: field.name.clone(),
                dtype: field.dtype.clone(),
            }));
            if resolved.fields.iter().all(|field| field.dtype == DataType::Float64) {
                f64s = layout.word_run(resolved.fields.iter().map(|field| field.ordinal));
            }
            let need = if is_variable { Need::SlotAndHeap } else { Need::Slot };
            selections.push(Selection { ttl_us: resolved.view.definition.ttl_us, view, need, resolved });
        }
        let f64s = f64s.filter(|_| selections.len() == 1);
        let views_id = views_id(&reads.identity, selections.iter().map(|selection| &selection.resolved));
        Ok(Prepared { picture, edition, views_id, selections, fields, f64s })
    }

    /// Memory for the answers to one key, and for the lookups of a batch.
    pub(super) fn room(&self, reads: &Reads) -> (Vec<Answer>, Vec<Begun>) {
        let answers = self.selections.iter().map(|selection| {
            let layout = SlotLayout::new(table_shape(&selection.view, &reads.identity));
            Answer {
                cursor: selection.view.table.as_ref().map(|table| table.cursor(selection.need)),
                ttl_us: selection.ttl_us,
                is_current: false,
                winner: Winner::Nothing,
                copy: SlotCopy::new(Arc::new(layout)),
            }
        });
        (answers.collect(), vec![Begun::default(); self.selections.len() * ROUND_KEYS_MAX])
    }

    /// Whether it is of this edition, and the key made for its features.
    #[inline(always)]
    pub(super) fn serves(&self, edition: Edition, key: &EntityKey) -> bool {
        edition == self.edition && key.views_id == self.views_id
    }

    /// The winner that log and runs have for a key of the view at `index`; `is_stale` becomes true where the view may
    /// have another table by now: the answers of this call lie in what was prepared for the one before.
    #[cold]
    pub(super) fn ask_history(
        &self,
        reads: &Reads,
        index: usize,
        key: &EntityKey,
        as_of: AsOf,
        is_stale: &mut bool,
    ) -> Result<Winner> {
        let (hash, key) = key.part(index);
        let view_id = self.selections[index].resolved.view.id;
        let (picture, found) = reads.with_sight(|sight| {
            let view = sight.picture.view(view_id);
            let found = find_row(view, &sight.picture.tail, hash, key, as_of)?;
            Ok((Arc::clone(&sight.picture), found))
        })?;
        *is_stale |= !Arc::ptr_eq(&picture, &self.picture);
        Ok(found.map_or(Winner::Nothing, |found| Winner::Found(Box::new(found))))
    }
}
