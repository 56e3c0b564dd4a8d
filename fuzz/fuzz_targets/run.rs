//! Run files and their indexes: a sound pair with changes, with or without the checksums that fit them.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use asof::Result;
use asof::disk::{Disk, MemDisk};
use asof::format::row::{RowHead, RowKind, RowRef, push_image};
use asof::format::run_index::{BLOCK_BYTES, HEAD_FIXED_BYTES, decode_index};
use asof::history::{
    MergeCursor, MergedKey, RowCollector, RunColumn, RunFile, RunOutput, RunSchema, for_each_latest, index_path,
    run_path, seal,
};
use asof::key::{KeySchema, key_hash};
use asof::value::{DataType, Value};
use asof_fuzz::{all_types, get, mutate, put, value_of};
use libfuzzer_sys::fuzz_target;

const SEED: u64 = 7;
const DIR: &str = "/view";

struct Sound {
    schema: RunSchema,
    keys: Vec<Vec<u8>>,
    run: Vec<u8>,
    index: Vec<u8>,
    slots_start: usize,
}

static SOUND: OnceLock<Sound> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    asof_fuzz::allow_caught_panics();
    let sound = SOUND.get_or_init(sound);
    let Some(([how, cut], changes)) = bytes.split_first_chunk::<2>() else { return };
    let (mut run, mut index) = (sound.run.clone(), sound.index.clone());
    let (of_run, of_index) = changes.split_at(usize::from(*cut).min(changes.len()));
    mutate(&mut run, of_run);
    mutate(&mut index, of_index);
    if how % 2 == 1 {
        reseal(&run, &mut index, sound.slots_start);
    }
    let disk = MemDisk::volatile();
    disk.create_dir(DIR.as_ref()).expect("a folder");
    put(&disk, run_path(DIR.as_ref(), 1).to_str().expect("UTF-8"), &run);
    put(&disk, index_path(DIR.as_ref(), 1).to_str().expect("UTF-8"), &index);
    let _ = touch(&disk, sound).inspect_err(|error| drop(error.to_string()));
});

fn sound() -> Sound {
    let fields = all_types().into_iter().enumerate().map(|(i, data_type)| (format!("f{i}"), data_type)).collect();
    let keys = KeySchema::new(vec![("a".to_owned(), DataType::String), ("b".to_owned(), DataType::Int64)]);
    let schema = RunSchema::new("view@1", keys, fields, true);
    let mut collector = RowCollector::new(&schema, SEED);
    let mut keys = Vec::new();
    for number in 0..12_u8 {
        let mut key = Vec::new();
        let parts = [Value::String("k".repeat(usize::from(number % 3))), Value::Int64(i64::from(number % 5))];
        schema.keys().encode(&parts, &mut key).expect("a key");
        let values: Vec<Value> = schema.fields().iter().map(|(_, data_type)| value_of(data_type, number)).collect();
        let mut image = Vec::new();
        push_image(schema.layout(), &values, &mut image).expect("an image");
        let kind = if number == 7 { RowKind::Delete } else { RowKind::Value };
        let head = RowHead {
            created: (number % 2 == 0).then_some(3),
            deadline: (number % 3 == 0).then_some(99),
            field_deadlines: if number == 4 { &[1; 10] } else { &[] },
            event_id: if number == 5 { b"id" } else { &[] },
            ..RowHead::new(kind, i64::from(number))
        };
        let image = if kind == RowKind::Value { image.as_slice() } else { &[] };
        let row = RowRef { head, key: &key, field_count: values.len(), image };
        collector.push(u64::from(number), &row).expect("a row");
        keys.push(key);
    }
    let disk = MemDisk::volatile();
    disk.create_dir(DIR.as_ref()).expect("a folder");
    let next_id = || 1;
    let output = RunOutput {
        disk: &disk,
        dir: DIR.as_ref(),
        next_id: &next_id,
        file_bytes: u64::MAX,
        threads: 1,
        is_durable: true,
    };
    let rows = collector.finish().expect("columns");
    seal(&schema, &[rows], &output).expect("a run");
    let (run, index) = (get(&disk, &run_path(DIR.as_ref(), 1)), get(&disk, &index_path(DIR.as_ref(), 1)));
    assert!(run.len() <= BLOCK_BYTES, "one block, one checksum");
    let slots_start = usize::try_from(decode_index(&index).expect("sound").head.slots_start).expect("short");
    let sound = Sound { schema, keys, run, index, slots_start };
    touch(&disk, &sound).expect("sound");
    sound
}

/// Gives the index the run's length, and the checksums of what both files hold now.
fn reseal(run: &[u8], index: &mut [u8], slots_start: usize) {
    if index.len() < slots_start {
        return;
    }
    index[16..24].copy_from_slice(&(run.len() as u64).to_le_bytes());
    let crc_slots = crc32c::crc32c(&index[slots_start..]).to_le_bytes();
    index[HEAD_FIXED_BYTES..][..4].copy_from_slice(&crc32c::crc32c(run).to_le_bytes());
    index[HEAD_FIXED_BYTES + 4..][..4].copy_from_slice(&crc_slots);
    let crc = crc32c::crc32c(&index[12..slots_start]);
    index[8..12].copy_from_slice(&crc.to_le_bytes());
}

fn touch(disk: &MemDisk, sound: &Sound) -> Result<()> {
    let schema = &sound.schema;
    let run = RunFile::open(disk, Path::new(DIR), 1, schema, 10, None)?;
    let rows = run.row_count().min(64);
    for key in &sound.keys {
        let _ = run.find(key_hash(SEED, key), key);
    }
    for hash in [0, 1, u64::MAX / 2, u64::MAX, run.slot_map().hash_lo, run.slot_map().hash_hi] {
        let _ = run.find(hash, b"none");
    }
    for column in RunColumn::MARKS.into_iter().chain([RunColumn::EventId]) {
        let _ = run.own_column(column);
    }
    for row in 0..rows {
        let _ = run.kind(row);
        let _ = run.push_key(row, &mut Vec::new());
        let _ = run.key_matches(row, &sound.keys[0]);
        for ordinal in 0..schema.fields().len() {
            let _ = run.verify_rows(RunColumn::Feature(ordinal), row..row + 1);
            let _ = run.field_state(row, ordinal);
        }
    }
    run.created();
    let _ = for_each_latest(&run, 0..=u64::MAX, |_, _, _| Ok(()));
    let columns = [run.row_columns()?];
    let mut merged = MergeCursor::over(&[&run], &columns, &[10], 0, u64::MAX)?;
    let mut key = MergedKey::default();
    while merged.next_into(&mut key)? {}
    run.verify_all()
}
