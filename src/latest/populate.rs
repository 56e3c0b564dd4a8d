//! Memory of what the file hands out next, asked for by a thread. Who stores there first would wait until the system has zeroed
//! it, by megabytes where pages are huge.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::disk::SharedMap;

/// An eighth of what is used is asked for ahead, if it is as much as this, and at most as much.
const AHEAD_WORDS_MIN: usize = (256 << 10) / 8;
const AHEAD_WORDS_MAX: usize = (8 << 20) / 8;

/// The thread of one table, while it has something to do.
#[derive(Debug)]
pub(super) struct Populator {
    map: Arc<SharedMap>,
    /// Words up to here were wanted before.
    end: usize,
    thread: Option<JoinHandle<()>>,
}

impl Populator {
    /// For a file of which the words up to `used_end` have been handed out.
    pub(super) fn new(map: Arc<SharedMap>, used_end: usize) -> Populator {
        Populator { map, end: used_end, thread: None }
    }

    /// Words to [populate](Populator::populate), now that those up to `used_end` have been handed out; each is wanted once.
    pub(super) fn wants(&mut self, used_end: usize) -> Option<Range<usize>> {
        let ahead = (used_end / 8).min(AHEAD_WORDS_MAX);
        let is_at_work = || self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if ahead < AHEAD_WORDS_MIN || used_end + ahead / 2 < self.end || is_at_work() {
            return None;
        }
        let start = self.end.max(used_end);
        self.end = used_end + ahead;
        Some(start..self.end)
    }

    /// Begins with these words, which the file has.
    pub(super) fn populate(&mut self, words: Range<usize>) {
        let map = Arc::clone(&self.map);
        let work = move || map.populate(words.start as u64 * 8, words.len() as u64 * 8);
        // With no thread to be had, who comes there waits.
        self.thread = std::thread::Builder::new().name("asof-populate".to_owned()).spawn(work).ok();
    }
}

impl Drop for Populator {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and nothing depends on it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, MapAccess, MemDisk, OpenMode};

    #[test]
    fn every_word_is_wanted_once_and_before_it_is_handed_out() {
        let file = MemDisk::new().open(Path::new("table"), OpenMode::Create).unwrap();
        let map = file.map_shared(MapAccess::Write, 1 << 20).unwrap();
        let first = 8 * AHEAD_WORDS_MIN;
        let mut populator = Populator::new(map, first);
        assert_eq!(populator.wants(first - 8), None, "a small table is not worth a thread");
        let (mut wanted_end, mut times) = (first, 0);
        for used_end in (first..100 * first).step_by(1 << 12) {
            if let Some(words) = populator.wants(used_end) {
                assert_eq!(words.start, wanted_end, "nothing is left out, and nothing wanted again");
                assert!(words.len() <= AHEAD_WORDS_MAX);
                (wanted_end, times) = (words.end, times + 1);
            }
            let ahead = (used_end / 8).min(AHEAD_WORDS_MAX);
            assert!((used_end + ahead / 2..=used_end + ahead).contains(&wanted_end), "{used_end} {wanted_end}");
        }
        assert!((10..200).contains(&times), "{times} times");
        let far = 200 * first;
        assert_eq!(
            populator.wants(far).map(|words| words.start),
            Some(far),
            "what was handed out is nobody's to wait for"
        );
    }

    #[test]
    fn while_the_thread_is_at_work_nothing_more_is_wanted() {
        let file = MemDisk::new().open(Path::new("table"), OpenMode::Create).unwrap();
        let mut populator = Populator::new(file.map_shared(MapAccess::Write, 1 << 20).unwrap(), 0);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        populator.thread = Some(std::thread::spawn(move || gone.recv().unwrap_or_default()));
        assert_eq!(populator.wants(1 << 30), None);
        drop(go);
        while !populator.thread.as_ref().unwrap().is_finished() {
            std::thread::yield_now();
        }
        assert!(populator.wants(1 << 30).is_some());
        populator.populate(0..8);
        assert!(populator.thread.is_some(), "it began");
    }
}
