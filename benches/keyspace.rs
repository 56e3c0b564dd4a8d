//! How long the keyspace takes to open, and what its checkpoint costs who writes meanwhile:
//! `cargo bench --no-default-features --bench keyspace -- [ROWS] [KEYS]`.
//!
//! Rows of one string of a hundred bytes each, in groups of a hundred, over so many keys, in random order. Durability `os`: what is timed is
//! not the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use asof::options::Durability;
use asof::{KeyspaceHandle, Store};

const GROUP: u64 = 100;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (rows, keys) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(10_000));
    let path = std::env::temp_dir().join(format!("asof-keyspace-{}", std::process::id()));
    let checkpoint = path.join("latest/0-_keyspace@1");
    {
        let store = open(&path);
        let handle = store.keyspace().expect("a keyspace");
        let groups = write(&handle, rows, keys, || false);
        println!("{rows} rows over {keys} keys: the longest of {} groups took {:?}", groups.len(), most(&groups));
        // In runs, as a store that has been in use has them.
        store.compact().expect("runs");
        let began = Instant::now();
        handle.checkpoint().expect("a checkpoint");
        println!("a checkpoint by itself: {:?}, {} bytes", began.elapsed(), bytes(&checkpoint));
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| handle.change(|keys, _| keys.set_string((0, b"one more"), vec![0], None)));
            writing.join().expect("a thread").expect("a row");
            let walking = scope.spawn(|| handle.checkpoint().expect("a checkpoint"));
            let groups = write(&handle, rows, keys, || walking.is_finished());
            println!("beside one: the longest of {} groups took {:?}", groups.len(), most(&groups));
        });
        handle.checkpoint().expect("a checkpoint");
        store.close().expect("a close");
    }
    for round in 0..3 {
        println!("open with its checkpoint, round {round}: {:?}", opened(&path));
    }
    std::fs::remove_file(&checkpoint).expect("the checkpoint");
    for round in 0..3 {
        println!("open without, round {round}: {:?}", opened(&path));
        // A close writes one.
        let _ = std::fs::remove_file(&checkpoint);
    }
    std::fs::remove_dir_all(&path).expect("the store's folder");
}

fn open(path: &Path) -> Store {
    Store::builder().durability(Durability::Os).background(false).open(path).expect("a store")
}

/// How long it takes until keys can be read.
fn opened(path: &Path) -> Duration {
    let began = Instant::now();
    let store = open(path);
    store.keyspace().expect("a keyspace");
    began.elapsed()
}

/// Writes rows in groups until there are so many, or `is_over`; how long each group took.
fn write(handle: &KeyspaceHandle, rows: u64, keys: u64, is_over: impl Fn() -> bool) -> Vec<Duration> {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 20
    };
    let mut took = Vec::new();
    for _ in 0..rows / GROUP {
        let began = Instant::now();
        handle
            .change(|keyspace, _| {
                for _ in 0..GROUP {
                    let name = format!("key:{}", random() % keys);
                    keyspace.set_string((0, name.as_bytes()), vec![b'v'; 100], None);
                }
            })
            .expect("a group");
        took.push(began.elapsed());
        if is_over() {
            break;
        }
    }
    took
}

fn most(groups: &[Duration]) -> Duration {
    groups.iter().max().copied().unwrap_or_default()
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
