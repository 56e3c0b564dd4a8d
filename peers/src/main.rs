//! asof beside other stores, in one interleaved run: every figure a median, every target a ratio.
//!
//! `cargo run --release -p asof-peers -- WHAT [ROWS]`, WHAT one of `get`, `write`, `grow`; or `history [A|B] [RUNS] [overlapping]`;
//! `write ROWS alone` is for profiles.
//! ROWS is small by default, so that a run takes seconds; `ASOF_BENCH_ROWS` sets it too. Files go into
//! a temporary folder that is removed at the end, or into `ASOF_BENCH_KEEP`, where the next run of `get` finds them loaded.

mod get;
mod grow;
mod history;
mod lmdb;
mod machine;
mod measure;
mod rows;
mod write;

use std::path::PathBuf;

const ROWS_DEFAULT: u64 = 100_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let what = args.first().map_or("", String::as_str);
    let rows = args.get(1).cloned().or_else(|| std::env::var("ASOF_BENCH_ROWS").ok());
    let rows = rows.and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(ROWS_DEFAULT);
    let kept = std::env::var_os("ASOF_BENCH_KEEP").map(PathBuf::from);
    let temporary = || std::env::temp_dir().join(format!("asof-peers-{}", std::process::id()));
    let root = kept.clone().unwrap_or_else(temporary);
    std::fs::create_dir_all(&root).expect("a folder for the run");
    let outcome = match what {
        "get" => get::run(&root, rows, args.get(2).map(String::as_str)),
        "write" => write::run(&root, rows, args.get(2).map(String::as_str)),
        "grow" => grow::run(&root, rows),
        "history" => history::run(&root, &args[1..]),
        _ => {
            eprintln!("say what: get, write, grow, history");
            Ok(())
        }
    };
    if kept.is_none() {
        std::fs::remove_dir_all(&root).expect("the folder is this run's");
    }
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
