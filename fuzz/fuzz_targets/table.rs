//! Latest tables: a closed one with changes, with or without the checksums that fit them.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use asof::disk::{Disk, MemDisk};
use asof::format::row::{RowHead, RowKind, RowLayout, RowRef, push_image};
use asof::format::table::{
    DirectoryWord, HEADER_WORDS, LIVE_DIRECTORY, SUPERBLOCK_WORDS, SUPERBLOCKS_AT, Shard, Superblock,
};
use asof::key::key_hash;
use asof::latest::{Begun, Beside, Lookup, Need, Opened, Table, TableOptions, TableReader, TableShape};
use asof::value::{DataType, Value};
use asof_fuzz::{get, mutate, put, value_of};
use libfuzzer_sys::fuzz_target;

const PATH: &str = "/store/latest";
const SEED: u64 = 99;
const KEYS: u8 = 40;
const OPTIONS: TableOptions = TableOptions { expected_keys: 0, reserve_bytes: 1 << 20, floor: None };

static SOUND: OnceLock<Vec<u8>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let sound = SOUND.get_or_init(sound);
    let Some(([how, which, operand], changes)) = bytes.split_first_chunk::<3>() else { return };
    let Some((value, changes)) = changes.split_first_chunk::<8>() else { return };
    let mut file = sound.clone();
    mutate(&mut file, changes);
    if file.len() < HEADER_WORDS * 8 {
        return;
    }
    let value = u64::from_le_bytes(*value);
    match how % 4 {
        1 => change_superblock(&mut file, usize::from(*which), value >> (operand % 64)),
        2 => change_directory(&mut file, value, u32::from(*which % 40)),
        3 => change_shard(&mut file, value, usize::from(*operand), u32::from(*which % 40)),
        _ => {}
    }
    let disk = disk();
    put(&disk, PATH, &file);
    for beside in [Beside::Writer, Beside::Nobody { committed_seq: 5 }] {
        if let Ok(Opened::Trusted(reader)) = TableReader::open(&disk, Path::new(PATH), shape(), &OPTIONS, beside) {
            look(&reader);
        }
    }
    if let Ok(Opened::Trusted(mut table)) = Table::open(&disk, Path::new(PATH), shape(), &OPTIONS, 0) {
        look(&table.open_reader());
        for number in 0..KEYS + 20 {
            if store(&mut table, number, 100).is_err() {
                break;
            }
        }
        look(&table.open_reader());
        table.commit(9, 9);
        table.stats();
        let _ = table.close();
    }
});

fn shape() -> TableShape {
    TableShape {
        row: RowLayout::new([DataType::Int64, DataType::String, DataType::List(Box::new(DataType::String))]),
        key_bytes: None,
        has_created: true,
        store_uuid: [7; 16],
        hash_seed: SEED,
    }
}

fn disk() -> MemDisk {
    let disk = MemDisk::volatile();
    disk.create_dir("/store".as_ref()).expect("a folder");
    disk
}

fn key_of(number: u8) -> Vec<u8> {
    vec![b'k'; usize::from(number % 4) * 9].into_iter().chain([number]).collect()
}

fn store(table: &mut Table, number: u8, event_ts: i64) -> asof::Result<()> {
    let (key, layout) = (key_of(number), shape().row);
    let values: Vec<Value> = layout.types().iter().map(|data_type| value_of(data_type, number)).collect();
    let mut image = Vec::new();
    push_image(&layout, &values, &mut image)?;
    let head = RowHead::new(RowKind::Value, event_ts);
    let row = RowRef { head, key: &key, field_count: values.len(), image: &image };
    table.upsert(key_hash(SEED, &key), &row, 5).map(drop)
}

fn sound() -> Vec<u8> {
    let disk = disk();
    let mut table = Table::create(&disk, Path::new(PATH), shape(), &OPTIONS).expect("a table");
    for event_ts in [1, 2] {
        (0..KEYS).for_each(|number| store(&mut table, number, event_ts).expect("a row"));
    }
    table.commit(5, 5);
    table.clear_behind();
    table.close().expect("closed");
    get(&disk, Path::new(PATH))
}

fn look(reader: &TableReader) {
    let mut copy = reader.slot_copy();
    reader.state();
    let keys: Vec<Vec<u8>> = (0..KEYS + 9).map(key_of).collect();
    let hashes: Vec<u64> = keys.iter().map(|key| key_hash(SEED, key)).collect();
    for need in [Need::Slot, Need::SlotAndHeap] {
        let mut cursor = reader.cursor(need);
        cursor.is_current();
        let mut begun: Vec<Begun> = hashes.iter().map(|hash| cursor.begin(*hash)).collect();
        hashes.iter().zip(&mut begun).for_each(|(hash, begun)| cursor.approach(*hash, begun));
        for ((hash, key), begun) in hashes.iter().zip(&keys).zip(&begun) {
            let found = cursor.finish(*hash, key, &mut copy, begun).lookup();
            let single = cursor.lookup(*hash, key, &mut copy).lookup();
            if found == Lookup::Hit || single == Lookup::Hit {
                copy.order();
                copy.asks_history();
                for field in 0..3 {
                    copy.value(field);
                }
            }
        }
    }
}

fn word(file: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&file[at * 8..][..8]);
    u64::from_le_bytes(bytes)
}

fn set_word(file: &mut [u8], at: usize, word: u64) {
    if let Some(place) = file.get_mut(at * 8..at * 8 + 8) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// Sets one field of both superblocks.
fn change_superblock(file: &mut [u8], which: usize, value: u64) {
    for slot in 0..2 {
        let mut words = [0; SUPERBLOCK_WORDS];
        words.iter_mut().enumerate().for_each(|(i, out)| *out = word(file, SUPERBLOCKS_AT[slot] + i));
        let Some(mut block) = Superblock::decode(&words, slot) else { continue };
        let fields = [
            &mut block.is_clean,
            &mut block.behind,
            &mut block.directory,
            &mut block.used_end,
            &mut block.file_end,
            &mut block.key_count,
            &mut block.free_words,
            &mut block.lost_words,
            &mut block.free_list_at,
            &mut block.free_list_words,
            &mut block.applied_seq,
            &mut block.generation,
        ];
        let count = fields.len();
        *fields.into_iter().nth(which % count).expect("within") = value;
        for (i, word) in block.encode(slot).into_iter().enumerate() {
            set_word(file, SUPERBLOCKS_AT[slot] + i, word);
        }
    }
}

/// Moves the directory, in the live word and the superblocks.
fn change_directory(file: &mut [u8], value: u64, depth: u32) {
    let start = (value as usize & 0x3fff) * 8;
    let directory = DirectoryWord { start, depth }.encode();
    change_superblock(file, 2, directory);
    set_word(file, LIVE_DIRECTORY, directory);
}

/// Changes the first shard that the directory names.
fn change_shard(file: &mut [u8], value: u64, groups: usize, depth: u32) {
    let Some(directory) = DirectoryWord::decode(word(file, LIVE_DIRECTORY)) else { return };
    let start = (value as usize & 0x3fff) * 8;
    set_word(file, directory.start, Shard { start, groups: groups.max(1), depth }.encode());
}
