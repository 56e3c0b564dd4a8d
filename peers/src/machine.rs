//! What the machine alone takes, beside every round: which of its figures to believe.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof::Result;
use asof::disk::{Disk, MapAccess, OpenMode, RealDisk, SharedMap};

use crate::measure::{Rounds, mix, timed};

const READS: u64 = 500_000;
const TURNS: u64 = 20_000_000;
const PAGE_WORDS: usize = 512;
/// A slot of ten float64 and a key of 16 bytes: two lines.
const SLOT_WORDS: usize = 16;

/// A mapped file to read from, and what was measured.
pub struct Machine {
    map: Arc<SharedMap>,
    words: usize,
    reads: Rounds,
    turns: Rounds,
}

impl Machine {
    /// Maps `file`, and touches every page of it.
    pub fn new(file: &Path) -> Result<Machine> {
        let file = RealDisk.open(file, OpenMode::Read)?;
        let words = usize::try_from(file.len_bytes()? / 8).expect("a mapped file");
        let map = file.map_shared(MapAccess::Read, words as u64 * 8)?;
        for word in map.words()[..words].iter().step_by(PAGE_WORDS) {
            black_box(word.load(Ordering::Relaxed));
        }
        Ok(Machine { map, words, reads: Rounds::default(), turns: Rounds::default() })
    }

    /// Measures once.
    pub fn round(&mut self) {
        let (slots, _) = self.map.words()[..self.words].as_chunks::<SLOT_WORDS>();
        let mut seen = 0;
        let (cpu, _) = timed(|| {
            for i in 0..READS {
                // Where the next one lies, the one before says.
                let slot: &[AtomicU64; SLOT_WORDS] = &slots[(mix(i ^ seen) % slots.len() as u64) as usize];
                seen = slot[0].load(Ordering::Relaxed) ^ slot[SLOT_WORDS / 2].load(Ordering::Relaxed);
            }
        });
        black_box(seen);
        self.reads.push(cpu / READS as f64);
        self.turns.push(turns());
    }

    /// Prints the medians.
    pub fn report(&self) {
        println!("one read of two lines of the table, when the one before is there: {} ns", self.reads.spread());
        println!(
            "eight turns in registers: {} ps; more where another machine's thread has the core, too",
            self.turns.spread()
        );
    }
}

/// Picoseconds of eight independent rotations, each with an exclusive or: of nothing but the core.
fn turns() -> f64 {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = black_box([1_u64, 2, 3, 4, 5, 6, 7, 8]);
    let (cpu, _) = timed(|| {
        for i in 0..TURNS {
            (a, b, c, d) = (a.rotate_left(7) ^ i, b.rotate_left(9) ^ i, c.rotate_left(11) ^ i, d.rotate_left(13) ^ i);
            (e, f, g, h) = (e.rotate_left(15) ^ i, f.rotate_left(17) ^ i, g.rotate_left(3) ^ i, h.rotate_left(5) ^ i);
        }
    });
    black_box([a, b, c, d, e, f, g, h]);
    cpu / TURNS as f64 * 1e3
}
