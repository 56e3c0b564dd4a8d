//! Durable writes: a thousand rows a batch, each synced, against fjall.

use std::path::Path;
use std::time::Instant;

use asof::{Result, Store};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use crate::measure::{Rounds, timed};
use crate::rows::{batch_of, bytes_of, define, key_of};

const BATCH_ROWS: u64 = 1_000;

/// Writes `count` rows into each store below `root`, batch by batch in turn, and measures.
pub fn run(root: &Path, count: u64, which: Option<&str>) -> Result<()> {
    if which == Some("alone") {
        return alone(root, count);
    }
    let store = Store::open(root.join("asof-writes"))?;
    define(&store)?;
    let fjall = Database::builder(root.join("fjall")).open().expect("an empty fjall");
    let rows = fjall.keyspace("rows", KeyspaceCreateOptions::default).expect("a keyspace");
    let [mut ours, mut our_cpu, mut theirs, mut their_cpu, mut sync] = <[Rounds; 5]>::default();
    let floor = std::fs::File::create(root.join("floor")).expect("a file");
    for start in (0..count).step_by(BATCH_ROWS as usize) {
        let numbers = start..start + BATCH_ROWS;
        let batch = batch_of(numbers.clone(), 0);
        let (cpu, wall) = timed(|| {
            store.write("rows", &batch).expect("a durable write");
        });
        ours.push(wall / 1e3);
        our_cpu.push(cpu / 1e3);
        let pairs: Vec<_> = numbers.map(|number| (key_of(number), bytes_of(number))).collect();
        let (cpu, wall) = timed(|| {
            let mut batch = fjall.batch().durability(Some(PersistMode::SyncData));
            for (key, value) in &pairs {
                batch.insert(&rows, key.as_slice(), value.as_slice());
            }
            batch.commit().expect("a durable write");
        });
        theirs.push(wall / 1e3);
        their_cpu.push(cpu / 1e3);
        sync.push(bare_sync(&floor, start / BATCH_ROWS));
    }
    let speed = |rounds: &Rounds| BATCH_ROWS as f64 / rounds.median() * 1e3;
    println!("a batch of {BATCH_ROWS} rows, synced: asof {} us, {} us of CPU", ours.spread(), our_cpu.spread());
    println!("the same: fjall {} us, {} us of CPU of the thread that writes", theirs.spread(), their_cpu.spread());
    println!("a bare write and sync of 100 KB: {} us", sync.spread());
    // What the machine does beside this is least in the quickest of ten.
    let quick = |rounds: &Rounds| rounds.quantile(0.1);
    println!(
        "one in ten below: asof {:.0} us, fjall {:.0} us, {:.2}x; mean: {:.0} us, {:.0} us, {:.2}x",
        quick(&ours),
        quick(&theirs),
        quick(&theirs) / quick(&ours),
        ours.mean(),
        theirs.mean(),
        theirs.mean() / ours.mean()
    );
    println!(
        "durable writes: asof {:.0}, fjall {:.0} thousand rows/s, {:.2}x (target 2x); 99 in 100 below {:.0} us, {:.0} us",
        speed(&ours),
        speed(&theirs),
        theirs.median() / ours.median(),
        ours.quantile(0.99),
        theirs.quantile(0.99)
    );
    store.close()
}

/// asof alone, for profiles.
fn alone(root: &Path, count: u64) -> Result<()> {
    let store = Store::open(root.join("asof-writes"))?;
    define(&store)?;
    let [mut wall_us, mut cpu_us] = <[Rounds; 2]>::default();
    let batches: Vec<_> =
        (0..count).step_by(BATCH_ROWS as usize).map(|start| batch_of(start..start + BATCH_ROWS, 0)).collect();
    for batch in &batches {
        let (cpu, wall) = timed(|| {
            store.write("rows", batch).expect("a durable write");
        });
        wall_us.push(wall / 1e3);
        cpu_us.push(cpu / 1e3);
    }
    println!(
        "a batch of {BATCH_ROWS} rows, synced: {} us, of it {} us of CPU; mean {:.0}, {:.0}; 99 in 100 below {:.0}, {:.0}",
        wall_us.spread(),
        cpu_us.spread(),
        wall_us.mean(),
        cpu_us.mean(),
        wall_us.quantile(0.99),
        cpu_us.quantile(0.99)
    );
    store.close()
}

/// What the disk alone takes: a write into the same place of one file, microseconds.
fn bare_sync(file: &std::fs::File, number: u64) -> f64 {
    use std::os::unix::fs::FileExt;
    let bytes = vec![number.to_le_bytes()[0]; 100 << 10];
    let start = Instant::now();
    file.write_all_at(&bytes, 0).expect("room");
    file.sync_data().expect("a sync");
    start.elapsed().as_nanos() as f64 / 1e3
}
