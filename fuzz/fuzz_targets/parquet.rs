//! The importer of Parquet files: a sound one with changes, or any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| asof_fuzz::import_changed("parquet", bytes));
