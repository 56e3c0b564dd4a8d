//! The seqlock under every interleaving that loom's memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom --no-default-features --test loom`
#![cfg(loom)]

/// Takes the place of `latest::atomics`.
mod atomics {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "../src/latest/seqlock.rs"]
#[expect(dead_code, reason = "the table uses more of it than this test")]
mod seqlock;

use atomics::{AtomicU64, Ordering, fence};
use loom::sync::Arc;
use loom::thread;

const CHECKSUM: u64 = 3;

/// One writer stores rows whose two words are equal; a reader must never see them differ.
fn two_words_stay_equal(acquire: impl Fn() + Copy + Send + Sync + 'static) {
    loom::model(move || {
        let slot: Arc<[AtomicU64; 3]> = Arc::new([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]);
        let written = Arc::clone(&slot);
        let writer = thread::spawn(move || {
            for value in 1..=2_u64 {
                seqlock::write(&written[..], &[[0; 8], value.to_le_bytes(), value.to_le_bytes()], CHECKSUM);
            }
        });
        let mut copy = [[0; 8]; 3];
        let mut seen = Vec::new();
        let read = seqlock::read_with(&slot[..], &mut copy, |i, pair| seen.push((i, pair)), acquire);
        if let Some(seqlock::Read { header, is_one_version: true }) = read {
            assert_eq!(seen, [(0, [header, u64::from_le_bytes(copy[1])]), (1, [u64::from_le_bytes(copy[2]), 0])]);
            assert_eq!(copy[1], copy[2], "torn");
            assert_eq!(u64::from_le_bytes(copy[1]) * 2, header & 0xffff_ffff, "not of the header's version");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_sees_no_torn_slot() {
    two_words_stay_equal(|| fence(Ordering::Acquire));
}

#[test]
#[should_panic]
fn without_the_fence_loom_finds_a_torn_read() {
    two_words_stay_equal(|| ());
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
