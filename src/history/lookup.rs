//! From a key to its rows in a run file, and from a row to its key.

use std::ops::Range;

use crate::error::Result;
use crate::format::run_index::{IndexSlot, SLOT_BYTES};
use crate::history::reader::RunFile;
use crate::value::DataType;

impl RunFile {
    /// The rows of a key.
    ///
    /// # Errors
    /// The blocks touched are damaged.
    pub fn find(&self, hash: u64, key: &[u8]) -> Result<Option<Range<usize>>> {
        if !self.slot_map().covers(hash) {
            return Ok(None);
        }
        for i in self.slot_map().home(hash)..self.slot_count() {
            self.slots.check(i * SLOT_BYTES..(i + 1) * SLOT_BYTES, "index")?;
            let slot = self.slot(i);
            if slot.len == 0 || slot.hash > hash {
                break;
            }
            if slot.hash == hash && self.key_matches(slot.start as usize, key)? {
                return self.rows_of(slot).map(Some);
            }
        }
        Ok(None)
    }

    /// The rows of a verified slot.
    pub(crate) fn rows_of(&self, slot: IndexSlot) -> Result<Range<usize>> {
        let start = slot.start as usize;
        let end = start + slot.len as usize;
        if end > self.row_count() {
            return Err(self.slots.damaged("index: a key's rows reach beyond the run".to_owned()));
        }
        Ok(start..end)
    }

    /// Whether the row's entity key is `key`: what a lookup by hash must ask once per slot.
    ///
    /// # Errors
    /// The blocks touched are damaged.
    pub fn key_matches(&self, row: usize, key: &[u8]) -> Result<bool> {
        let mut rest = key;
        for column in 0..self.key_types.len() {
            let Some((prefix, component)) = self.key_component(row, column)? else { return Ok(key.is_empty()) };
            for part in [prefix.as_ref().map_or(&[][..], |prefix| &prefix[..]), component] {
                match rest.strip_prefix(part) {
                    Some(after) => rest = after,
                    None => return Ok(false),
                }
            }
        }
        Ok(rest.is_empty())
    }

    /// Appends the row's entity key.
    ///
    /// # Errors
    /// The blocks touched are damaged.
    pub fn push_key(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        for column in 0..self.key_types.len() {
            let Some((prefix, component)) = self.key_component(row, column)? else { return Ok(()) };
            if let Some(prefix) = prefix {
                out.extend(prefix);
            }
            out.extend_from_slice(component);
        }
        Ok(())
    }

    /// One component of a row's key as [`crate::key`] encodes it: a length where one is written, and the
    /// bytes. `None` is the null that stands for the key of a view truncate.
    #[expect(clippy::type_complexity, reason = "a prefix and its bytes, used here alone")]
    fn key_component(&self, row: usize, column: usize) -> Result<Option<(Option<[u8; 4]>, &[u8])>> {
        const WHAT: &str = "join keys";
        let outside = || self.blocks.damaged("join keys: an entry lies outside its column".to_owned());
        let word = |range: &Range<usize>, i: usize| -> Result<usize> {
            let start = range.start + i * 4;
            let four = self.blocks.get(start..start + 4, WHAT)?;
            usize::try_from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])).map_err(|_| outside())
        };
        let (parts, len) = self.layout.dictionaries.get(column).ok_or_else(outside)?;
        let indices = self.layout.columns[column].get(1).ok_or_else(outside)?;
        let entry = word(&indices.range, row)?;
        if entry >= *len {
            return Err(outside());
        }
        let validity = &parts[0].range;
        if !validity.is_empty() {
            let at = validity.start + entry / 8;
            if self.blocks.get(at..at + 1, WHAT)?[0] >> (entry % 8) & 1 == 0 {
                return Ok(None);
            }
        }
        let data_type = &self.key_types[column];
        if data_type.is_variable() {
            let offsets = &parts[1].range;
            let (start, end) = (word(offsets, entry)?, word(offsets, entry + 1)?);
            if start > end || end > parts[2].range.len() {
                return Err(outside());
            }
            let at = parts[2].range.start;
            let bytes = self.blocks.get(at + start..at + end, WHAT)?;
            let is_last = column + 1 == self.key_types.len();
            let prefix = u32::try_from(bytes.len()).map_err(|_| outside())?.to_le_bytes();
            return Ok(Some(((!is_last).then_some(prefix), bytes)));
        }
        if *data_type == DataType::Bool {
            let at = parts[1].range.start + entry / 8;
            let is_set = self.blocks.get(at..at + 1, WHAT)?[0] >> (entry % 8) & 1 == 1;
            return Ok(Some((None, if is_set { &[1] } else { &[0] })));
        }
        let width = data_type.fixed_width_bytes();
        let at = parts[1].range.start + entry * width;
        Ok(Some((None, self.blocks.get(at..at + width, WHAT)?)))
    }
}
