//! The seqlock under every interleaving that loom's memory model allows.
//!
//! `cargo test --release --target-dir target/loom -p asof-loom`

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

/// Takes the place of `latest::atomics`.
mod atomics {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "../../src/latest/seqlock.rs"]
#[expect(dead_code, reason = "the table uses more of it than this test")]
mod seqlock;

use atomics::{AtomicU64, Ordering, fence};
use loom::sync::Arc;
use loom::thread;

const CHECKSUM: u64 = 3;

/// One writer stores rows whose two words are equal; a reader must never see them differ.
fn two_words_stay_equal(
    acquire: impl Fn() + Copy + Send + Sync + 'static,
    release: impl Fn() + Copy + Send + Sync + 'static,
) {
    loom::model(move || {
        let slot: Arc<[AtomicU64; 3]> = Arc::new([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]);
        let written = Arc::clone(&slot);
        let writer = thread::spawn(move || {
            for value in 1..=2_u64 {
                let words = [[0; 8], value.to_le_bytes(), value.to_le_bytes()];
                seqlock::write_with(&written[..], &words, CHECKSUM, release);
            }
        });
        let mut copy = [[0; 8]; 3];
        let mut seen = Vec::new();
        let read = seqlock::read_with(&slot[..], &mut copy, |i, pair| seen.push((i, pair)), acquire);
        if let Some(seqlock::Read { header, is_one_version: true }) = read {
            assert_eq!(seen, [(0, [header, u64::from_le_bytes(copy[1])]), (1, [u64::from_le_bytes(copy[2]), 0])]);
            assert_eq!(copy[1], copy[2], "torn");
            assert_eq!(u64::from_le_bytes(copy[1]) * 2, header & 0xffff_ffff, "torn: not of the header's version");
        }
        writer.join().unwrap();
    });
}

fn acquire() {
    fence(Ordering::Acquire);
}

fn release() {
    fence(Ordering::Release);
}

#[test]
fn a_reader_sees_no_torn_slot() {
    two_words_stay_equal(acquire, release);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_readers_fence_loom_finds_a_torn_read() {
    two_words_stay_equal(|| (), release);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_writers_fence_loom_finds_a_torn_read() {
    two_words_stay_equal(acquire, || ());
}

#[test]
fn a_reader_sees_the_heap_block_of_the_slot_it_read() {
    loom::model(|| {
        // Header, heap word; two heap blocks, of which the writer reuses the first.
        let slot: Arc<[AtomicU64; 2]> = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let heap: Arc<[AtomicU64; 2]> = Arc::new([AtomicU64::new(10), AtomicU64::new(0)]);
        let (written, blocks) = (Arc::clone(&slot), Arc::clone(&heap));
        let writer = thread::spawn(move || {
            blocks[1].store(11, Ordering::Relaxed);
            seqlock::write(&written[..], &[[0; 8], 1_u64.to_le_bytes()], CHECKSUM);
            blocks[0].store(12, Ordering::Relaxed);
            seqlock::write(&written[..], &[[0; 8], 0_u64.to_le_bytes()], CHECKSUM);
        });
        let mut copy = [[0; 8]; 2];
        let read = seqlock::read(&slot[..], &mut copy, |_, _| ());
        if let Some(seqlock::Read { header, is_one_version: true }) = read {
            let block = usize::from(copy[1] != [0; 8]);
            let value = heap[block].load(Ordering::Relaxed);
            if seqlock::is_unchanged(&slot[0], header) {
                assert_eq!(value, 10 + header % (1 << 32) / 2, "a block of another version");
            }
        }
        writer.join().unwrap();
    });
}

/// A shard moves while a key is looked up in it: directory entry, epoch, tag and slot, as `grow` and `lookup` have them. The
/// space it left is used again, for a slot of another key. A reader that `asks` whether the epoch still stands is never told of that row.
fn a_lookup_beside_growth_finds_its_key(asks: bool) {
    const OLD: u64 = 0;
    const NEW: u64 = 1;
    const OURS: u64 = 7;
    loom::model(move || {
        let word = |value| Arc::new(AtomicU64::new(value));
        let (entry, epoch) = (word(OLD), word(0));
        let tags = Arc::new([AtomicU64::new(1), AtomicU64::new(0)]);
        let slots = Arc::new([AtomicU64::new(OURS), AtomicU64::new(0)]);
        let writer = {
            let (entry, epoch, tags, slots) = (entry.clone(), epoch.clone(), tags.clone(), slots.clone());
            thread::spawn(move || {
                // fill_shard and begin_shard, then the directory.
                slots[1].store(OURS, Ordering::Relaxed);
                tags[1].store(1, Ordering::Relaxed);
                entry.store(NEW, Ordering::Release);
                // raise_epoch.
                epoch.fetch_add(1, Ordering::Release);
                fence(Ordering::Release);
                // clear_tags, and another key in the space that was left.
                tags[0].store(0, Ordering::Relaxed);
                slots[0].store(8, Ordering::Relaxed);
                tags[0].store(1, Ordering::Release);
            })
        };
        let begun = epoch.load(Ordering::Acquire);
        let shard = usize::from(entry.load(Ordering::Acquire) == NEW);
        let found = (tags[shard].load(Ordering::Acquire) == 1).then(|| slots[shard].load(Ordering::Relaxed));
        // is_still.
        fence(Ordering::Acquire);
        if !asks || epoch.load(Ordering::Relaxed) == begun {
            assert_eq!(found, Some(OURS), "another key's row, or none");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_lookup_that_asks_for_the_epoch_finds_its_key_beside_growth() {
    a_lookup_beside_growth_finds_its_key(true);
}

#[test]
#[should_panic(expected = "another key's row, or none")]
fn without_asking_for_the_epoch_loom_finds_another_keys_row() {
    a_lookup_beside_growth_finds_its_key(false);
}
