//! A million spine rows against ten million rows of ten float64: the store's side of `pit_bench.py`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use asof::definition::{Definitions, FeatureView};
use asof::exchange::{SourceOptions, open_source};
use asof::value::DataType;
use asof::{ApplyOptions, BulkOptions, HistoricalRequest, Result, Store};

use crate::measure::{Rounds, process_cpu_ns};
use crate::rows::FIELDS;

const JOINS: usize = 5;
/// One more than the data has, so that each is below it.
const ROWS: u64 = 10_000_001;

/// `[A|B] [RUNS] [in-time-order|overlapping]`, data of `pit_gen.py` in the folder `PIT`.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let data = std::env::var_os("PIT").expect("PIT names the folder of pit_gen.py's data");
    let set = args.first().map_or("A", String::as_str);
    let runs: u64 = args.get(1).map_or(1, |text| text.parse().expect("a number of runs"));
    let overlap = args.get(2).is_some_and(|text| text == "overlapping");
    let rows = Path::new(&data).join(format!("features_{set}_snappy.parquet"));
    let spine = Path::new(&data).join(format!("spine_{set}.parquet"));
    let name = format!("{set}, {runs} runs{}", if overlap { ", overlapping" } else { "" });
    let store = Store::open(root.join(format!("history-{set}-{runs}-{overlap}")))?;
    if store.online(&asof::Features::list(["rows:f0"])?).is_err() {
        let start = Instant::now();
        let count = import(&store, &rows, runs, overlap)?;
        println!("{name}: imported {:.2} million rows/s", count as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    let request = HistoricalRequest {
        timestamp_column: "ts".to_owned(),
        threads: 2,
        ..HistoricalRequest::features((0..FIELDS).map(|field| format!("rows:f{field}")))?
    };
    let watch = Watch::begin();
    let (mut joins, mut cpu) = (Rounds::default(), Rounds::default());
    for join in 0..=JOINS {
        let (start, cpu_before) = (Instant::now(), process_cpu_ns());
        let spine = open_source(&spine, &SourceOptions::default())?;
        let joined = store.get_historical_features(*spine, &request)?.collect::<Result<Vec<_>>>()?;
        if join == 0 {
            // The first touches every page.
            println!("{name}: {}", summary(&joined));
        } else {
            joins.push(start.elapsed().as_secs_f64() * 1e3);
            cpu.push((process_cpu_ns() - cpu_before) / 1e6);
        }
    }
    println!(
        "{name}: Parquet spine to Arrow, warm, two threads: {} ms, {} ms of CPU; at most {} MB of anonymous memory",
        joins.spread(),
        cpu.spread(),
        watch.end()
    );
    store.close()
}

fn import(store: &Store, path: &Path, runs: u64, overlap: bool) -> Result<u64> {
    let view = (0..FIELDS).fold(FeatureView::new("rows").entity("thing"), |view, field| {
        view.feature(format!("f{field}"), DataType::Float64)
    });
    let definitions = Definitions::new("peers").entity("thing", [("entity", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default())?;
    let mut count = 0;
    for run in 0..runs {
        let mut source = open_source(path, &SourceOptions::default())?;
        let mut writer = store.bulk_writer("rows", BulkOptions::default())?;
        let mut batches = 0;
        while let Some(batch) = source.next_batch()? {
            let mine = if overlap { batches % runs == run } else { source.rows() * runs / ROWS == run };
            batches += 1;
            if mine {
                count += batch.num_rows() as u64;
                writer.write(&named(&batch))?;
            }
        }
        writer.commit()?;
    }
    Ok(count)
}

/// The batch with the names that the view has.
fn named(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let name = if field.name() == "ts" { "event_timestamp" } else { field.name() };
        (name.to_owned(), Arc::clone(column))
    });
    RecordBatch::try_from_iter(columns).expect("the same columns")
}

/// What `pit_bench.py` prints too, so that answers can be compared.
fn summary(joined: &[RecordBatch]) -> String {
    let (mut rows, mut matched, mut sum) = (0, 0, 0.0);
    for batch in joined {
        let column = |name: &str| batch.column_by_name(name).expect("asked for").as_primitive::<Float64Type>();
        rows += batch.num_rows();
        matched += batch.num_rows() - column("f0").null_count();
        sum += column("f0").iter().chain(column("f9").iter()).flatten().sum::<f64>();
    }
    format!("rows={rows} matched={matched} sum={sum:.3}")
}

/// Looks at this process's anonymous memory every few milliseconds.
struct Watch {
    peak_kb: Arc<AtomicU64>,
    is_done: Arc<AtomicBool>,
}

impl Watch {
    fn begin() -> Watch {
        let watch = Watch { peak_kb: Arc::default(), is_done: Arc::default() };
        let (peak_kb, is_done) = (Arc::clone(&watch.peak_kb), Arc::clone(&watch.is_done));
        std::thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                peak_kb.fetch_max(anonymous_kb(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        watch
    }

    fn end(self) -> u64 {
        self.is_done.store(true, Ordering::Relaxed);
        self.peak_kb.load(Ordering::Relaxed) / 1024
    }
}

fn anonymous_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
