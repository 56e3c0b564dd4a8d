//! What a process sees of a table that is marked behind beside it, whatever it reads first.

use super::*;
use crate::format::table::BEHIND_NOT;

/// The newest superblock; `None` where one is just being written.
fn newest(words: &[std::sync::atomic::AtomicU64]) -> Option<Superblock> {
    let block = |slot: usize| {
        let read = std::array::from_fn(|i| words[SUPERBLOCKS_AT[slot] + i].load(Ordering::Acquire));
        Superblock::decode(&read, slot)
    };
    [block(0)?, block(1)?].into_iter().max_by_key(|block| block.generation)
}

/// Whoever opens a table believes it by its superblock, and asks the live words at each read whether it has every row.
#[test]
fn a_table_whose_newest_superblock_says_that_it_is_behind_says_so_in_its_live_words() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let reader = table.open_reader();
    let is_over = AtomicBool::new(false);
    let (mut told, mut wrong) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 1..50_000 {
                table.clear_behind();
                table.commit(seq, seq);
                table.mark_behind();
            }
            is_over.store(true, Ordering::Release);
        });
        for is_last in std::iter::repeat_with(|| is_over.load(Ordering::Acquire)) {
            let words = reader.map.words();
            let (before, is_current, after) = (newest(words), reader.is_current(), newest(words));
            // Nothing was said in between.
            if let (Some(before), true) = (&before, before == after) {
                told += 1;
                wrong += u32::from(before.behind != BEHIND_NOT && is_current);
            }
            if is_last {
                break;
            }
        }
    });
    assert!(told > 0 && wrong == 0, "{wrong} of {told} looks found a table current that was marked behind");
}
