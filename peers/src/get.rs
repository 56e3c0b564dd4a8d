//! Latest values of one store against LMDB: one key, a hundred keys, opening, bytes.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use asof::value::Value;
use asof::{BulkOptions, OnlineHandle, OnlineRow, Result, Store};

use crate::lmdb::{self, Lmdb};
use crate::machine::Machine;
use crate::measure::{Rounds, mix, timed};
use crate::rows::{FIELDS, batch_of, define, features, key_of};

const ROUNDS: usize = 7;
const OPENINGS: usize = 9;
const LOAD_ROWS: u64 = 1 << 16;
const BATCH_KEYS: usize = 100;

fn load(store: &Store, count: u64) -> Result<()> {
    define(store)?;
    let mut writer = store.bulk_writer("rows", BulkOptions::default())?;
    for start in (0..count).step_by(LOAD_ROWS as usize) {
        writer.write(&batch_of(start..(start + LOAD_ROWS).min(count), 0))?;
    }
    writer.commit().map(|_| ())
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder of this run");
    let size = |path: &Path| if path.is_dir() { bytes_below(path) } else { path.metadata().map_or(0, |m| m.len()) };
    entries.map(|entry| size(&entry.expect("an entry").path())).sum()
}

#[inline(always)]
fn sum_of(row: &OnlineRow<'_>) -> f64 {
    (0..FIELDS).map(|field| row.f64(field).expect("a key that was loaded")).sum()
}

/// The same sum, the values read at once as a model's input is.
#[inline(always)]
fn sum_of_all(row: &OnlineRow<'_>) -> f64 {
    let mut values = [0.0; FIELDS];
    assert!(row.read_f64(&mut values), "a key that was loaded");
    values.iter().sum()
}

fn sum_in(lmdb: &Lmdb<'_>, txn: &heed::RoTxn<'_, heed::WithTls>, key: &[u8; 16]) -> f64 {
    let bytes = lmdb.get(txn, key).expect("a sound file").expect("a key that was loaded");
    bytes.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).sum()
}

/// Loads both stores with `count` entities below `root`, unless they are there, and measures: all, or `only` what
/// its name says.
pub fn run(root: &Path, count: u64, only: Option<&str>) -> Result<()> {
    let (ours, theirs) = (root.join("asof"), root.join("lmdb"));
    let is_new = !ours.exists();
    if is_new {
        let store = Store::open(&ours)?;
        let start = Instant::now();
        load(&store, count)?;
        let speed = count as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("load: {speed:.2} million rows/s into runs and table");
        store.close()?;
    }
    let env = lmdb::open(&theirs).expect("an LMDB");
    let lmdb = Lmdb::new(&env).expect("a database");
    if is_new {
        lmdb.load(count).expect("room");
    }
    // What was written is on its way to the disk: opening is not to wait for it.
    rustix::fs::sync();
    let per_key = |folder: &Path| bytes_below(folder) as f64 / count as f64;
    println!(
        "bytes per entity: latest table {:.1}, run {:.1}; LMDB {:.1}",
        per_key(&ours.join("latest")),
        per_key(&ours.join("history")),
        per_key(&theirs)
    );
    let store = open_and_get(&ours)?;
    let mut online = store.online(&features())?;
    let gets = count.clamp(100_000, 1_000_000);
    if only.is_none_or(|only| only == "singles") {
        let mut machine = Machine::new(&only_file_in(&ours.join("latest")))?;
        singles(&store, &mut online, &lmdb, &mut machine, (count, gets))?;
    }
    if only.is_none_or(|only| only == "batches") {
        batches(&store, &mut online, &lmdb, (count, gets))?;
    }
    Ok(())
}

fn only_file_in(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).expect("a folder of this run");
    files.next().expect("the view's table").expect("an entry").path()
}

/// Opens a store that was closed in order until its first answer, several times; open the last time.
fn open_and_get(folder: &Path) -> Result<Store> {
    let mut open = Rounds::default();
    loop {
        let start = Instant::now();
        let store = Store::open(folder)?;
        let mut online = store.online(&features())?;
        let key = online.key(&[("id", Value::Uuid(key_of(0)))])?;
        let answer = online.get(&key, store.now())?;
        black_box(sum_of(&answer));
        open.push(start.elapsed().as_nanos() as f64 / 1e3);
        assert!(answer.is_from_latest_table(0), "a closed store's table is trusted");
        if open.len() == OPENINGS {
            println!("open a closed store and get: {} us (target 5000)", open.spread());
            return Ok(store);
        }
        drop(online);
        store.close()?;
    }
}

/// Prints both medians of nanoseconds per key, and their ratio.
fn report(what: &str, ours: &Rounds, theirs: &Rounds, target: &str) {
    let ratio = theirs.median() / ours.median();
    println!("{what}: asof {} ns, LMDB {} ns, {ratio:.2}x ({target})", ours.spread(), theirs.spread());
}

fn singles(
    store: &Store,
    online: &mut OnlineHandle,
    lmdb: &Lmdb<'_>,
    machine: &mut Machine,
    (count, gets): (u64, u64),
) -> Result<()> {
    let [mut ours, mut theirs, mut made, mut single] = <[Rounds; 4]>::default();
    let txn = lmdb.read().expect("a free reader slot");
    for round in 0..ROUNDS as u64 {
        let numbers: Vec<u64> = (0..gets).map(|i| mix(i + round * gets) % count).collect();
        let raw: Vec<[u8; 16]> = numbers.iter().map(|&number| key_of(number)).collect();
        let keys = raw.iter().map(|key| online.key(&[("id", Value::Uuid(*key))])).collect::<Result<Vec<_>>>()?;
        let now = store.now();
        let (mut a, mut b, mut c, mut d) = (0.0, 0.0, 0.0, 0.0);
        let (cpu, _) = timed(|| {
            a = keys.iter().map(|key| sum_of_all(&online.get(key, now).expect("an answer"))).sum::<f64>();
        });
        ours.push(cpu / gets as f64);
        let (cpu, _) = timed(|| {
            d = keys.iter().map(|key| sum_of(&online.get(key, now).expect("an answer"))).sum::<f64>();
        });
        single.push(cpu / gets as f64);
        let (cpu, _) = timed(|| b = raw.iter().map(|key| sum_in(lmdb, &txn, key)).sum::<f64>());
        theirs.push(cpu / gets as f64);
        let (cpu, _) = timed(|| {
            for key in &raw {
                let key = online.key(&[("id", Value::Uuid(*key))]).expect("a key");
                c += sum_of_all(&online.get(&key, now).expect("an answer"));
            }
        });
        made.push(cpu / gets as f64);
        assert_eq!((a, b, c), (b, c, d), "all read the same values");
        machine.round();
    }
    report("get", &ours, &theirs, "target 5x");
    report("get, its values one by one", &single, &theirs, "target 5x");
    report("get, its key made of values first", &made, &theirs, "no target");
    machine.report();
    Ok(())
}

fn batches(store: &Store, online: &mut OnlineHandle, lmdb: &Lmdb<'_>, (count, gets): (u64, u64)) -> Result<()> {
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    let txn = lmdb.read().expect("a free reader slot");
    for round in 0..ROUNDS as u64 {
        let raw: Vec<[u8; 16]> = (0..gets).map(|i| key_of(mix(i + (round + 100) * gets) % count)).collect();
        let keys = raw.iter().map(|key| online.key(&[("id", Value::Uuid(*key))])).collect::<Result<Vec<_>>>()?;
        let now = store.now();
        let (mut a, mut b) = (0.0, 0.0);
        let (cpu, _) = timed(|| {
            for keys in keys.chunks(BATCH_KEYS) {
                online.get_batch(keys, now, |_, row| a += sum_of_all(row)).expect("answers");
            }
        });
        ours.push(cpu / gets as f64);
        let (cpu, _) = timed(|| b = raw.iter().map(|key| sum_in(lmdb, &txn, key)).sum::<f64>());
        theirs.push(cpu / gets as f64);
        assert_eq!(a, b, "both read the same values");
    }
    report("get of a hundred keys, per key", &ours, &theirs, "target 15x");
    Ok(())
}
