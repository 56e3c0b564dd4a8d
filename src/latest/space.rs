//! The file's space: extents of whole cache lines, taken from what was freed or from the end.
//! The file grows through [`File::allocate`], so a full disk is an error here and never a fault
//! where a word is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::{File, SharedMap};
use crate::error::{Error, Result};
use crate::format::table::{LINE_WORDS, LIVE_USED_END, sealed};

/// The file grows in steps of an eighth of itself, between these.
const STEP_WORDS_MIN: usize = (64 << 10) / 8;
const STEP_WORDS_MAX: usize = (64 << 20) / 8;
/// Memory is asked for ahead of need: an eighth of what is used, if it is as much as this, and at most as much.
const AHEAD_WORDS_MIN: usize = (256 << 10) / 8;
const AHEAD_WORDS_MAX: usize = (8 << 20) / 8;

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
    /// The system has been asked for the memory of words up to here.
    ahead_end: usize,
}

impl Space {
    pub(super) fn new(file: Arc<dyn File>, map: Arc<SharedMap>, used_end: usize, file_end: usize) -> Space {
        Space { file, map, used_end, file_end, free: BTreeMap::new(), free_words: 0, ahead_end: used_end }
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
        let limit = self.map.words().len();
        if needed > limit {
            return Err(Error::refused("the latest table has outgrown its mapping")
                .remedy("open the store again; the mapping is made anew with room to grow"));
        }
        let step = (self.file_end / 8).clamp(STEP_WORDS_MIN, STEP_WORDS_MAX);
        let end = needed.max(self.file_end + step).next_multiple_of(STEP_WORDS_MIN).min(limit);
        // A disk too full for the step may have room for what is needed now.
        match self.file.allocate(end as u64 * 8) {
            Ok(()) => self.file_end = end,
            Err(_) if end > needed => {
                self.file.allocate(needed as u64 * 8)?;
                self.file_end = needed;
            }
            Err(error) => return Err(error),
        }
        Ok(())
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

    /// Has the memory of what will be handed out next made ready by a thread of its own. Who stores there first would wait
    /// for it: pages come zeroed, and by the megabyte where they are huge.
    fn populate_ahead(&mut self) {
        let ahead = (self.used_end / 8).min(AHEAD_WORDS_MAX);
        // Without room for so much there is nothing to make ready, and with no thread to be had whoever comes waits.
        if ahead < AHEAD_WORDS_MIN || self.used_end + ahead / 2 < self.ahead_end || self.reserve(ahead).is_err() {
            return;
        }
        let (start, end) = (self.used_end.max(self.ahead_end), self.used_end + ahead);
        self.ahead_end = end;
        let map = Arc::clone(&self.map);
        let work = move || map.populate(start as u64 * 8, (end - start) as u64 * 8);
        let _ = std::thread::Builder::new().name("asof-populate".to_owned()).spawn(work);
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

    use super::*;
    use crate::disk::{Disk, FaultyDisk, MapAccess, MemDisk, OpenMode, Operation, Verdict};

    const USED_WORDS: usize = 1 << 20;

    /// A file of which so much is in use, and nothing left.
    fn full(disk: &dyn Disk) -> Space {
        let file = disk.open(Path::new("table"), OpenMode::Create).unwrap();
        file.allocate(USED_WORDS as u64 * 8).unwrap();
        let map = file.map_shared(MapAccess::Write, 64 << 20).unwrap();
        Space::new(file, map, USED_WORDS, USED_WORDS)
    }

    #[test]
    fn memory_is_asked_for_before_it_is_handed_out() {
        let mut space = full(&MemDisk::new());
        let (mut begun, mut asked) = (0, space.ahead_end);
        for _ in 0..1_000 {
            space.allocate(1 << 10).unwrap();
            assert!(space.ahead_end >= space.used_end + space.used_end / 16, "too little is ready");
            assert!(space.ahead_end <= space.file_end, "it is not of the file");
            begun += usize::from(std::mem::replace(&mut asked, space.ahead_end) != space.ahead_end);
        }
        assert!((2..100).contains(&begun), "{begun} times for 8 MiB");
    }

    #[test]
    fn a_disk_without_room_for_what_comes_later_has_it_for_what_comes_now() {
        let disk = FaultyDisk::at(
            Arc::new(MemDisk::new()),
            Verdict::Fail(std::io::ErrorKind::StorageFull),
            2,
            u64::MAX,
            |operation, _| operation == Operation::Allocate,
        );
        let mut space = full(&disk);
        assert_eq!(space.allocate(1 << 10).unwrap(), USED_WORDS);
        assert_eq!(
            (space.used_end, space.ahead_end),
            (USED_WORDS + (1 << 10), USED_WORDS),
            "it is handed out, and no more"
        );
    }
}
