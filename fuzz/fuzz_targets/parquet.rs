//! The importer of parquet files: a sound one with changes, or any bytes.
#![no_main]

use std::sync::OnceLock;

use asof::exchange::SourceOptions;
use libfuzzer_sys::fuzz_target;

static SOUND: OnceLock<Vec<u8>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    asof_fuzz::allow_caught_panics();
    let sound = SOUND.get_or_init(|| asof_fuzz::sound_file("parquet"));
    let Some((choice, changes)) = bytes.split_first() else { return };
    let mut contents = changes.to_vec();
    if choice % 8 != 0 {
        contents.clone_from(sound);
        asof_fuzz::mutate(&mut contents, changes);
    }
    let options = SourceOptions {
        batch_rows: if choice & 64 != 0 { 2 } else { 1_000 },
        projection: (choice & 128 != 0).then(|| vec!["c3".to_owned(), "c14".to_owned()]),
        ..SourceOptions::default()
    };
    let _ = asof_fuzz::import("parquet", &contents, &options).inspect_err(|error| drop(error.to_string()));
});
