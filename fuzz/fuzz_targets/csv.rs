//! The importer of csv files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, contents)) = bytes.split_first() else { return };
    let options = asof_fuzz::text_options(*choice, &["a", "b", "c", "d"]);
    let _ = asof_fuzz::import("csv", contents, &options).inspect_err(|error| drop(error.to_string()));
});
