//! The latest table alone, on the real disk: bulk load, single gets, batches.
//!
//! `cargo bench --no-default-features --bench latest -- [KEYS] [DIR]`; medians of five rounds, ten float64 and
//! 16-byte keys, uniform random order, every check on. Times are of the thread's own CPU, so that a busy
//! machine does not count; what others leave of the caches still does, hence the baseline.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use asof::disk::{Disk, Random, RealDisk};
use asof::format::row::{RowHead, RowKind, RowLayout, RowRef, push_image};
use asof::key::key_hash;
use asof::latest::{Begun, Cursor, Lookup, Need, SlotCopy, Table, TableOptions, TableReader, TableShape};
use asof::value::{DataType, Value};

/// Nanoseconds this thread has run: the first field of Linux's schedstat.
fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|field| field.parse().ok()).expect("nanoseconds")
}

const SEED: u64 = 42;
const GETS: u64 = 2_000_000;
const ROUNDS: usize = 5;
const FIELDS: usize = 10;

fn key_of(number: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let keys: u64 = args.first().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = args.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("asof-bench-latest-{}", std::process::id()));
    let disk = RealDisk;
    let shape = TableShape {
        row: RowLayout::new(vec![DataType::Float64; FIELDS]),
        key_bytes: None,
        has_created: false,
        store_uuid: [1; 16],
        hash_seed: SEED,
    };
    let mut numbers: Vec<(u64, u64)> = (0..keys).map(|number| (key_hash(SEED, &key_of(number)), number)).collect();
    numbers.sort_unstable();

    let options = TableOptions { expected_keys: keys, ..TableOptions::default() };
    let started = Instant::now();
    let mut table = Table::create(&disk, &path, shape.clone(), &options).expect("create");
    let parts = table.parts(2).expect("parts");
    std::thread::scope(|scope| {
        for mut part in parts {
            let (numbers, row_layout) = (&numbers, &shape.row);
            scope.spawn(move || {
                let mut image = Vec::new();
                let values = vec![Value::Float64(0.5); FIELDS];
                push_image(row_layout, &values, &mut image).expect("image");
                let from = numbers.partition_point(|(hash, _)| hash < part.hashes().start());
                let to = numbers.partition_point(|(hash, _)| hash <= part.hashes().end());
                for (hash, number) in &numbers[from..to] {
                    let key = key_of(*number);
                    let at = image.len() - 8;
                    image[at..].copy_from_slice(&number.to_le_bytes());
                    let head = RowHead::new(RowKind::Value, 1);
                    part.upsert(*hash, &RowRef { head, key: &key, field_count: FIELDS, image: &image }, 1)
                        .expect("upsert");
                }
            });
        }
    });
    table.commit(1, 1);
    table.clear_behind();
    let load = started.elapsed();
    let stats = table.stats();
    println!(
        "{keys} keys: bulk load {:.2} Mrows/s with two threads, {:.1} bytes per key",
        keys as f64 / load.as_secs_f64() / 1e6,
        stats.file_bytes as f64 / keys as f64
    );
    drop(numbers);

    let memory: Vec<u64> = (0..stats.file_bytes / 8).map(|i| i.wrapping_mul(0xd6e8_feb8_6659_fd93)).collect();
    report("baseline: a dependent random load", |round| chase(&memory, round));
    drop(memory);
    let reader = table.open_reader();
    report("get, one at a time", |round| singles(&reader, keys, round));
    report("miss, one at a time", |round| misses(&reader, keys, round));
    for batch in [8, 32] {
        report(&format!("get, batches of {batch}"), |round| batches(&reader, keys, round, batch));
    }
    report("update, one at a time", |round| updates(&mut table, &shape.row, keys, round));
    drop(table);
    disk.remove(&path).expect("remove");
}

fn report(what: &str, mut run: impl FnMut(u64) -> f64) {
    let mut figures: Vec<f64> = (0..ROUNDS).map(|round| run(round as u64)).collect();
    figures.sort_by(f64::total_cmp);
    println!(
        "{what}: {:.0} ns per key (median of {ROUNDS}; {:.0} to {:.0})",
        figures[ROUNDS / 2],
        figures[0],
        figures[ROUNDS - 1]
    );
}

fn take(copy: &SlotCopy, sum: &mut u64) {
    for field in 0..FIELDS {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(copy.fixed_bytes(field));
        *sum = sum.wrapping_add(u64::from_le_bytes(bytes));
    }
}

fn lookup(cursor: &mut Cursor, key: &[u8], copy: &mut SlotCopy) -> Lookup {
    let hash = key_hash(SEED, key);
    cursor.lookup(hash, key, copy).lookup()
}

fn singles(reader: &TableReader, keys: u64, round: u64) -> f64 {
    let mut random = Random::new(round);
    let (mut cursor, mut copy) = (reader.cursor(Need::Slot), reader.slot_copy());
    let mut sum = 0;
    let started = cpu_ns();
    for _ in 0..GETS {
        let key = key_of(random.below(keys));
        assert_eq!(lookup(&mut cursor, &key, &mut copy), Lookup::Hit);
        take(&copy, &mut sum);
    }
    black_box(sum);
    (cpu_ns() - started) / GETS as f64
}

fn misses(reader: &TableReader, keys: u64, round: u64) -> f64 {
    let mut random = Random::new(round);
    let (mut cursor, mut copy) = (reader.cursor(Need::Slot), reader.slot_copy());
    let started = cpu_ns();
    for _ in 0..GETS {
        let key = key_of(keys + random.below(keys));
        assert_eq!(lookup(&mut cursor, &key, &mut copy), Lookup::Miss);
    }
    (cpu_ns() - started) / GETS as f64
}

fn batches(reader: &TableReader, keys: u64, round: u64, batch: usize) -> f64 {
    let mut random = Random::new(round);
    let (mut cursor, mut copy) = (reader.cursor(Need::Slot), reader.slot_copy());
    let (mut wanted, mut hashes, mut begun) = (vec![[0; 16]; batch], vec![0; batch], vec![Begun::default(); batch]);
    let mut sum = 0;
    let count = GETS as usize / batch;
    let started = cpu_ns();
    for _ in 0..count {
        for ((key, hash), begun) in wanted.iter_mut().zip(&mut hashes).zip(&mut begun) {
            *key = key_of(random.below(keys));
            *hash = key_hash(SEED, key.as_slice());
            *begun = cursor.begin(*hash);
        }
        hashes.iter().zip(&mut begun).for_each(|(hash, begun)| cursor.approach(*hash, begun));
        for ((hash, key), begun) in hashes.iter().zip(&wanted).zip(&begun) {
            assert_eq!(cursor.finish(*hash, key, &mut copy, begun).lookup(), Lookup::Hit);
            take(&copy, &mut sum);
        }
    }
    black_box(sum);
    (cpu_ns() - started) / (count * batch) as f64
}

fn updates(table: &mut Table, row_layout: &RowLayout, keys: u64, round: u64) -> f64 {
    let mut random = Random::new(round);
    let mut image = Vec::new();
    push_image(row_layout, &vec![Value::Float64(1.5); FIELDS], &mut image).expect("image");
    let seq = round + 2;
    let count = GETS / 4;
    let started = cpu_ns();
    for _ in 0..count {
        let key = key_of(random.below(keys));
        let head = RowHead::new(RowKind::Value, 2);
        table
            .upsert(key_hash(SEED, &key), &RowRef { head, key: &key, field_count: FIELDS, image: &image }, seq)
            .expect("upsert");
    }
    (cpu_ns() - started) / count as f64
}

/// One dependent random load after another over as many bytes as the table has: what the machine allows.
fn chase(memory: &[u64], round: u64) -> f64 {
    let mut at = round;
    let lines = memory.len() as u64 / 8;
    let started = cpu_ns();
    for step in 0..GETS {
        at = memory[((at ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15) % lines) as usize * 8].wrapping_add(at);
    }
    black_box(at);
    (cpu_ns() - started) / GETS as f64
}
