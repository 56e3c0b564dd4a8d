//! How fast a Parquet file becomes a durable, readable view: `cargo bench --bench import`.
//!
//! Rows of an int64 key, a timestamp and ten float64, in time order, entities interleaved. `ASOF_BENCH_ROWS` says how many (a million),
//! `ASOF_BENCH_FILE` names a file with the columns entity, ts, f0 to f9 instead of making one, `ASOF_BENCH_ROUNDS` says how often (3).
//! `ASOF_BENCH_DUCKDB` names a Python that has DuckDB: then `import_duckdb.py` loads the same file after each import, and the
//! medians are compared.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView, Source};
use asof::exchange::{SourceOptions, create_sink, open_source};
use asof::value::{DataType, Value};
use asof::{ApplyOptions, Features, GetOptions, ImportOptions, Status, Store};

const BATCH_ROWS: u64 = 64 << 10;
const START_US: u64 = 1_700_000_000_000_000;

fn main() {
    let rows = std::env::var("ASOF_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let root = std::env::temp_dir().join(format!("asof-import-bench-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("a folder for the bench");
    let file = match std::env::var_os("ASOF_BENCH_FILE") {
        Some(file) => PathBuf::from(file),
        None => make_file(&root.join("rows.parquet"), rows),
    };
    // The file's pages are in memory, as those of a file just written are.
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut source = open_source(&file, &SourceOptions::default()).expect("a Parquet file");
    let mut rows = 0;
    while let Some(batch) = source.next_batch().expect("sound rows") {
        rows += batch.num_rows();
    }
    report("decode alone", rows, start, cpu);

    let rounds = std::env::var("ASOF_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let duckdb = std::env::var_os("ASOF_BENCH_DUCKDB");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        ours.push(import(&root, &file, rows, round == 0));
        theirs.extend(duckdb.as_ref().map(|python| load_with_duckdb(python, &root, &file, rows)));
    }
    let ours = median(ours);
    println!("import, median: {:.2} Mrows/s, {:.2} CPU-s", rows as f64 / ours.0 / 1e6, ours.1);
    if !theirs.is_empty() {
        let theirs = median(theirs);
        println!(
            "DuckDB, median: {:.2} Mrows/s, {:.2} CPU-s; it takes {:.2} times the seconds, {:.2} times the CPU",
            rows as f64 / theirs.0 / 1e6,
            theirs.1,
            theirs.0 / ours.0,
            theirs.1 / ours.1
        );
    }
    std::fs::remove_dir_all(&root).expect("the folder is ours");
}

/// Seconds and CPU-seconds of an import into a new store.
fn import(root: &Path, file: &Path, rows: usize, again: bool) -> (f64, f64) {
    let dir = root.join("store");
    let store = Store::open(&dir).expect("a new store");
    let mut view = FeatureView::new("bench").entity("thing").source(Source::default().event_timestamp("ts"));
    for i in 0..10 {
        view = view.feature(format!("f{i}"), DataType::Float64);
    }
    let definitions = Definitions::new("bench").entity("thing", [("entity", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).expect("sound definitions");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let files = [file.to_path_buf()];
    let done = store.import_files("bench", &files, &ImportOptions::default()).expect("an import");
    assert_eq!(done.rows_written, rows as u64);
    let taken = report("import", rows, start, cpu);

    let features = Features::list(["bench:f0"]).expect("a reference");
    let answer = store.get(&features, &[("entity", Value::Int64(1))], &GetOptions::default()).expect("an answer");
    assert_eq!(answer[0].status, Status::Present);
    if again {
        // Other options, so that the ledger does not speak of the file: every row is compared.
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let options = ImportOptions { allow_future: true, ..ImportOptions::default() };
        let done = store.import_files("bench", &files, &options).expect("an import");
        assert_eq!(done.rows_skipped, rows as u64);
        report("the same rows again, all known", rows, start, cpu);
    }
    drop(store);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
    taken
}

fn load_with_duckdb(python: &OsStr, root: &Path, file: &Path, rows: usize) -> (f64, f64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/import_duckdb.py");
    let target = root.join("bench.duckdb");
    let done = Command::new(python).args([&script, file, &target]).output().expect("a Python");
    let text = String::from_utf8_lossy(&done.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [seconds, cpu, loaded] = numbers[..] else {
        panic!("import_duckdb.py: {}", String::from_utf8_lossy(&done.stderr));
    };
    assert_eq!(loaded, rows as f64);
    println!("DuckDB: {:.2} Mrows/s ({seconds:.2} s, {cpu:.2} CPU-s)", loaded / seconds / 1e6);
    std::fs::remove_file(&target).expect("the file is ours");
    (seconds, cpu)
}

fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = rounds.len() / 2;
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let seconds = rounds[middle].0;
    rounds.sort_by(|left, right| left.1.total_cmp(&right.1));
    (seconds, rounds[middle].1)
}

fn report(what: &str, rows: usize, start: Instant, cpu: f64) -> (f64, f64) {
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    println!("{what}: {:.2} Mrows/s ({seconds:.2} s, {cpu:.2} CPU-s)", rows as f64 / seconds / 1e6);
    (seconds, cpu)
}

fn make_file(path: &Path, rows: u64) -> PathBuf {
    let entities = (rows / 100).max(1);
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let mut sink = None;
    for first in (0..rows).step_by(usize::try_from(BATCH_ROWS).expect("64-bit")) {
        let range = first..(first + BATCH_ROWS).min(rows);
        let times = range.clone().map(|row| (START_US + row * 864_000).cast_signed());
        let mut columns: Vec<(String, ArrayRef)> = vec![
            (
                "entity".into(),
                Arc::new(range.clone().map(|row| Some((row % entities).cast_signed())).collect::<Int64Array>()),
            ),
            ("ts".into(), Arc::new(TimestampMicrosecondArray::from_iter_values(times))),
        ];
        for i in 0..10 {
            let values: Float64Array = range.clone().map(|_| Some(random() as f64 / (1u64 << 53) as f64)).collect();
            columns.push((format!("f{i}"), Arc::new(values)));
        }
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let sink = sink.get_or_insert_with(|| create_sink(path, &batch.schema(), Vec::new()).expect("a new file"));
        sink.write(&batch).expect("room for the file");
    }
    sink.expect("at least one batch").finish().expect("room for the file");
    path.to_path_buf()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
