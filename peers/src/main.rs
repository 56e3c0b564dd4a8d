//! asof beside other stores, in one interleaved run: every figure a median, every target a ratio.
//!
//! `cargo run --release -p asof-peers -- WHAT [ROWS]`, WHAT one of `get`, `write`, `grow`.
//! ROWS is small by default, so that a run takes seconds; `ASOF_BENCH_ROWS` sets it too. Files go below
//! `ASOF_BENCH_DIR`, or the folder for temporary files, and are removed at the end.

mod get;
mod grow;
mod lmdb;
mod measure;
mod rows;
mod write;

use std::path::PathBuf;

const ROWS_DEFAULT: u64 = 100_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let what = args.first().map_or("", String::as_str);
    let rows = args.get(1).cloned().or_else(|| std::env::var("ASOF_BENCH_ROWS").ok());
    let rows = rows.map_or(ROWS_DEFAULT, |text| text.replace('_', "").parse().expect("a number of rows"));
    let root = std::env::var_os("ASOF_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("asof-peers-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("a folder for the run");
    let outcome = match what {
        "get" => get::run(&root, rows),
        "write" => write::run(&root, rows),
        "grow" => grow::run(&root, rows),
        _ => {
            eprintln!("say what: get, write, grow");
            Ok(())
        }
    };
    std::fs::remove_dir_all(&root).expect("the folder is this run's");
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
