//! The file's space: extents of whole cache lines, taken from what was freed or from the end.
//! The file grows through [`File::allocate`], and a table that is opened has all its space allocated before its first change, for a
//! copy of one may have holes: so a full disk is an error here and never a fault where a word is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::populate::Populator;
use crate::disk::{File, SharedMap};
use crate::error::{Error, Result};
use crate::format::table::{LINE_WORDS, LIVE_USED_END, sealed};

/// Where nobody asks for memory ahead, the file grows in steps of a sixteenth of itself, between these.
const STEP_WORDS_MIN: usize = (64 << 10) / 8;
const STEP_WORDS_MAX: usize = (8 << 20) / 8;
/// From so many huge pages on a file ends with a whole one: the system gives none of which it has but a part, and what was touched
/// in small pages stays in them.
const HUGE_PAGE_WORDS: usize = (2 << 20) / 8;
const HUGE_PAGES_MIN: usize = 8;

/// Free and unused space of one table file. Lives in the writer's memory.
#[derive(Debug)]
pub(super) struct Space {
    file: Arc<dyn File>,
    map: Arc<SharedMap>,
    pub(super) used_end: usize,
    pub(super) file_end: usize,
    /// First word to length, adjacent ones merged.
    pub(super) free: BTreeMap<usize, usize>,
    free_words: usize,
    pub(super) populator: Option<Populator>,
}

impl Space {
    pub(super) fn new(file: Arc<dyn File>, map: Arc<SharedMap>, used_end: usize, file_end: usize) -> Space {
        Space { file, map, used_end, file_end, free: BTreeMap::new(), free_words: 0, populator: None }
    }

    /// Has the system hold space for all of the file, where it does not yet.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn fill_holes(&self) -> Result<()> {
        self.file.allocate(self.file_end as u64 * 8)
    }

    /// Makes the file long enough for `words` more than are used.
    ///
    /// # Errors
    /// The disk is full, or the file would outgrow its mapping. Nothing changed.
    pub(super) fn reserve(&mut self, words: usize) -> Result<()> {
        let needed = self.used_end + words;
        if needed <= self.file_end {
            return Ok(());
        }
        if needed > self.map.words().len() {
            return Err(Error::refused("the latest table has outgrown its mapping")
                .remedy("it is built anew, with room to grow; without upkeep when the store is next opened"));
        }
        // A disk too full for the step may have room for what is needed now.
        self.grow_by_a_step(needed).or_else(|_| self.grow_to(needed))
    }

    fn grow_by_a_step(&mut self, needed: usize) -> Result<()> {
        let step = (self.file_end / 16).clamp(STEP_WORDS_MIN, STEP_WORDS_MAX);
        self.grow_to(self.rounded(needed.max(self.file_end + step)))
    }

    fn grow_to(&mut self, end: usize) -> Result<()> {
        self.file.allocate(end as u64 * 8)?;
        self.file_end = end;
        Ok(())
    }

    /// Where a file ends that is to have these words: after a whole number of pages, not beyond the mapping.
    fn rounded(&self, end: usize) -> usize {
        let is_large = end >= HUGE_PAGES_MIN * HUGE_PAGE_WORDS;
        end.next_multiple_of(if is_large { HUGE_PAGE_WORDS } else { STEP_WORDS_MIN }).min(self.map.words().len())
    }

    /// An extent of at least `words` words, all zero.
    ///
    /// # Errors
    /// As for [`Space::reserve`].
    pub(super) fn allocate(&mut self, words: usize) -> Result<usize> {
        let words = words.next_multiple_of(LINE_WORDS);
        let fitting = self.free.iter().filter(|&(_, &len)| len >= words).min_by_key(|&(_, &len)| len);
        if let Some((&start, &len)) = fitting {
            self.free.remove(&start);
            self.free_words -= words;
            if len > words {
                self.free.insert(start + words, len - words);
            }
            for word in &self.map.words()[start..start + words] {
                word.store(0, Ordering::Relaxed);
            }
            return Ok(start);
        }
        self.reserve(words)?;
        let start = self.used_end;
        self.used_end += words;
        // Before anything lies there: a writer that opens after a kill must not hand it out again.
        self.map.words()[LIVE_USED_END].store(sealed(self.used_end as u64, LIVE_USED_END), Ordering::Release);
        self.populate_ahead();
        Ok(start)
    }

    /// Has what will be handed out next populated, where somebody does that.
    fn populate_ahead(&mut self) {
        let used_end = self.used_end;
        let Some(words) = self.populator.as_mut().and_then(|populator| populator.wants(used_end)) else { return };
        // Where there is no room for it, what is left serves what comes now, and other files.
        if words.end > self.file_end && self.grow_to(self.rounded(words.end)).is_err() {
            return;
        }
        if let Some(populator) = &mut self.populator {
            // The mapping may end before.
            populator.populate(words.start..words.end.min(self.file_end));
        }
    }

    /// Takes an extent back. The epoch has been raised since readers could last find it.
    pub(super) fn free(&mut self, mut start: usize, words: usize) {
        let mut words = words.next_multiple_of(LINE_WORDS);
        debug_assert!(start.is_multiple_of(LINE_WORDS) && start + words <= self.used_end);
        self.free_words += words;
        if let Some((&before, &len)) = self.free.range(..start).next_back()
            && before + len == start
        {
            self.free.remove(&before);
            (start, words) = (before, len + words);
        }
        if let Some(len) = self.free.remove(&(start + words)) {
            words += len;
        }
        self.free.insert(start, words);
    }

    pub(super) fn free_words(&self) -> usize {
        self.free_words
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::disk::{Disk, FaultyDisk, MapAccess, MemDisk, OpenMode, Operation, Verdict};
    use crate::error::ErrorKind;

    const USED_WORDS: usize = 1 << 20;

    /// A file of which so much is in use, and nothing left.
    fn full(disk: &dyn Disk) -> Space {
        let file = disk.open(Path::new("table"), OpenMode::Create).unwrap();
        file.allocate(USED_WORDS as u64 * 8).unwrap();
        let map = file.map_shared(MapAccess::Write, 64 << 20).unwrap();
        let populator = Some(Populator::new(Arc::clone(&map), USED_WORDS));
        Space { populator, ..Space::new(file, map, USED_WORDS, USED_WORDS) }
    }

    #[test]
    fn a_large_file_ends_with_a_whole_huge_page_within_its_mapping() {
        for has_populator in [false, true] {
            let mut space = full(&MemDisk::new());
            if !has_populator {
                space.populator = None;
            }
            let mut ends = Vec::new();
            while space.allocate(100 << 10).is_ok() {
                assert!(space.used_end <= space.file_end);
                ends.push(space.file_end);
            }
            let (last, ends) = ends.split_last().unwrap();
            assert_eq!(*last, space.map.words().len(), "all of the mapping was handed out");
            let large = ends.iter().filter(|end| **end >= HUGE_PAGES_MIN * HUGE_PAGE_WORDS && *end != last);
            assert!(large.clone().count() > 10 && large.clone().all(|end| end % HUGE_PAGE_WORDS == 0), "{ends:?}");
        }
    }

    #[test]
    fn a_disk_without_room_for_what_comes_later_has_it_for_what_comes_now() {
        let tries = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&tries);
        // Every step fails, the third one for memory ahead of need; what is needed just fits.
        let disk = FaultyDisk::new(Arc::new(MemDisk::new()), move |operation, _| match operation {
            Operation::Allocate => match seen.fetch_add(1, Ordering::Relaxed) {
                0 | 2 | 5 | 7 | 9 | 11 => Verdict::Proceed,
                _ => Verdict::Fail(std::io::ErrorKind::StorageFull),
            },
            _ => Verdict::Proceed,
        });
        let mut space = full(&disk);
        for start in [USED_WORDS, USED_WORDS + 64, USED_WORDS + 128, USED_WORDS + 192, USED_WORDS + 256] {
            assert_eq!(space.allocate(64).unwrap(), start);
            assert_eq!(space.file_end, space.used_end, "nothing was taken that is not needed");
        }
        assert_eq!(tries.load(Ordering::Relaxed), 12, "what comes later was tried for once");
        assert_eq!(space.allocate(64).unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(space.used_end, space.file_end);
    }
}
