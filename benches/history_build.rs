//! How fast a bulk import becomes a run: `cargo bench --no-default-features --bench history_build -- [ROWS] [ENTITIES]`.
//!
//! Rows of an int64 key, a timestamp and ten float64, in random order, already in memory as Arrow batches.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use asof::disk::RealDisk;
use asof::history::{BulkBatch, BulkBuilder, RunFile, RunOutput, RunSchema, StagingBudget, merge_runs};
use asof::key::{KeySchema, key_hash};
use asof::options::Sizes;
use asof::value::DataType;

const BATCH_ROWS: u64 = 64 << 10;
const SEED: u64 = 42;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let rows = numbers.next().unwrap_or(10_000_000);
    let entities = numbers.next().unwrap_or(100_000);
    let fields: Vec<_> = (0..10).map(|i| (format!("f{i}"), DataType::Float64)).collect();
    let keys = KeySchema::new(vec![("entity".to_owned(), DataType::Int64)]);
    let schema = RunSchema::new("bench@1", keys, fields, false);
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 20
    };
    let batches: Vec<BulkBatch> = (0..rows.div_ceil(BATCH_ROWS))
        .map(|number| {
            let count = BATCH_ROWS.min(rows - number * BATCH_ROWS);
            let keys: Int64Array = (0..count).map(|_| (random() % entities).cast_signed()).collect();
            let start = (number * BATCH_ROWS).cast_signed();
            BulkBatch {
                keys: vec![Arc::new(keys)],
                event_ts: (start..start + count.cast_signed()).map(|i| i * 1_000).collect(),
                created: None,
                kind: None,
                event_id: None,
                features: (0..10)
                    .map(|_| Arc::new((0..count).map(|_| Some(random() as f64)).collect::<Float64Array>()) as ArrayRef)
                    .collect(),
            }
        })
        .collect();
    let disk = RealDisk;
    let root = std::env::temp_dir().join(format!("asof-history-build-{}", std::process::id()));
    let (runs, scratch) = (root.join("runs"), root.join("scratch"));
    for (name, import_bytes_max) in
        [("in memory", usize::MAX), ("in memory again", usize::MAX), ("with spills", 512 << 20)]
    {
        std::fs::create_dir_all(&runs).expect("a folder for the runs");
        std::fs::create_dir_all(&scratch).expect("a folder for spills");
        let next = AtomicU64::new(1);
        let next_id = || next.fetch_add(1, Ordering::Relaxed);
        let output = RunOutput {
            disk: &disk,
            dir: &runs,
            next_id: &next_id,
            file_bytes: Sizes::default().run_file_bytes,
            threads: 2,
            is_durable: true,
        };
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let builder = BulkBuilder::new(&schema, SEED, output, &scratch, StagingBudget::of(import_bytes_max));
        builder.extend(batches.iter().cloned().map(Ok)).expect("rows");
        let partitioned = start.elapsed().as_secs_f64();
        let files = builder.finish().expect("a run");
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "build {name}: {:.2} Mrows/s ({seconds:.2} s, of it {partitioned:.2} s to take rows in; {:.2} CPU-s; {} files)",
            rows as f64 / seconds / 1e6,
            cpu_seconds() - cpu,
            files.len()
        );
        if name == "in memory" {
            let row_count = |run: &RunFile| run.row_count();
            let opened: Vec<RunFile> = files
                .iter()
                .map(|file| RunFile::open(&disk, &runs, file.id, &schema, 0, None).expect("an open run"))
                .collect();
            assert_eq!(opened.iter().map(row_count).sum::<usize>() as u64, rows);
            lookups(&opened, entities);
            let start = Instant::now();
            let merged = merge_runs(&opened.iter().collect::<Vec<_>>(), &schema, &output).expect("a merged run");
            let seconds = start.elapsed().as_secs_f64();
            println!("merge (rewrite): {:.2} Mrows/s, {} files", rows as f64 / seconds / 1e6, merged.len());
        }
        std::fs::remove_dir_all(&root).expect("the folder is ours");
    }
}

fn lookups(runs: &[RunFile], entities: u64) {
    let mut state = 9u64;
    let mut found = 0;
    let count = 1_000_000u32;
    runs.iter().for_each(|run| run.verify_all().expect("sound"));
    let start = Instant::now();
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = ((state >> 20) % entities).to_le_bytes();
        let hash = key_hash(SEED, &key);
        let at = runs.partition_point(|run| run.slot_map().hash_hi < hash);
        found += usize::from(runs.get(at).is_some_and(|run| run.find(hash, &key).expect("sound").is_some()));
    }
    println!("find: {:.0} ns a key, {found} of {count} found", start.elapsed().as_nanos() as f64 / f64::from(count));
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
