//! storage_format.md against the code: layout tables without gaps, constants of equal value, and one
//! known instance of each structure, byte by byte where the document says it lies.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use asof::definition::{Entity, EventTime, Feature, FeatureService, FeatureView, Rules, Selection, Source};
use asof::disk::{Disk, MapAccess, MemDisk, OpenMode};
use asof::format::commits::{Commit, encode_commits};
use asof::format::log::{FrameBuilder, GroupHeader, SegmentHeader};
use asof::format::manifest::{Manifest, Records};
use asof::format::row::{Reference, RowHead, RowKind, RowLayout, RowRef, keyspace, push_image, push_record};
use asof::format::run_index::{IndexSlot, RunIndexHead, SlotMap, encode_index, encode_slots};
use asof::format::sector::SectorSeal;
use asof::format::table::{LiveState, Superblock};
use asof::format::value::encode_value;
use asof::format::{commits, log, manifest, row, run_index, sector, slot_sum, table, value};
use asof::head::{self, Head, HeadState};
use asof::history::{OptionalColumns, RunSchema};
use asof::identity::{self, Identity};
use asof::key::KeySchema;
use asof::latest::{Opened, Table, TableOptions, TableShape};
use asof::registry::records::{
    ClockRecord, CommitRecord, EntityRecord, FieldRecord, ImportRecord, Meta, ProjectRecord, Record, RunRecord,
    RunSource, ServiceRecord, SnapshotRecord, SourceRecord, ViewRecord,
};
use asof::value::{DataType, Value};
use asof::{key, latest, registry};

const UUID: [u8; 16] = *b"0123456789abcdef";

/// One row of a layout table. `size` is `None` for what runs to the structure's end.
#[derive(Clone, Debug)]
struct Part {
    offset: usize,
    size: Option<usize>,
    kind: String,
    field: String,
    meaning: String,
}

fn document() -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("storage_format.md")).unwrap()
}

/// The layout tables by the heading they stand under.
fn layouts(document: &str) -> BTreeMap<String, Vec<Part>> {
    let mut layouts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let (mut heading, mut inside) = (String::new(), false);
    for line in document.lines() {
        if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if cells[..] == ["offset", "size", "type", "field", "meaning"] {
            assert!(layouts.insert(heading.clone(), Vec::new()).is_none(), "{heading}: two layouts");
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("| ---") {
            let [offset, size, kind, field, meaning] = cells[..] else { panic!("{heading}: {line}") };
            let size = (size != "rest").then(|| size.parse().unwrap_or_else(|_| panic!("{heading}: {line}")));
            layouts.get_mut(&heading).unwrap().push(Part {
                offset: offset.parse().unwrap_or_else(|_| panic!("{heading}: {line}")),
                size,
                kind: kind.to_owned(),
                field: field.to_owned(),
                meaning: meaning.to_owned(),
            });
        } else {
            assert!(inside || !line.starts_with("| offset"), "{heading}: a layout table with other columns: {line}");
        }
    }
    layouts
}

/// Heading, where the layout begins, and where it ends.
fn extents() -> Vec<(&'static str, usize, usize)> {
    vec![
        ("STORE", 0, identity::IDENTITY_BYTES),
        ("HEAD", 0, usize::try_from(head::HEAD_BYTES).unwrap()),
        ("Registry seal", 0, registry::SEAL_BYTES),
        ("Manifest header", 0, manifest::HEADER_BYTES),
        ("Manifest record", 0, 8),
        ("Sector", 0, sector::SECTOR_BYTES),
        ("Segment header", 0, log::SEGMENT_HEADER_BYTES),
        ("Group header", 0, log::GROUP_HEADER_BYTES),
        ("Frame header", 0, log::FRAME_HEADER_BYTES),
        ("Section header", 0, log::SECTION_HEADER_BYTES),
        ("Row", 0, row::RECORD_HEADER_BYTES),
        ("Reference to a short value", 0, row::REFERENCE_BYTES),
        ("Reference to a long value", 0, row::REFERENCE_BYTES),
        ("Commit clock header", 0, commits::COMMITS_HEADER_BYTES),
        ("Commit clock entry", 0, commits::COMMIT_BYTES),
        ("The index file", 0, run_index::HEAD_FIXED_BYTES),
        ("Run slot", 0, run_index::SLOT_BYTES),
        ("Superblock", 0, table::SUPERBLOCK_WORDS * 8),
        ("Live words", table::LIVE_EPOCH * 8, (table::LIVE_STATE + 4) * 8),
        ("Table slot", 0, latest::SLOT_HEADER_BYTES),
    ]
}

#[test]
fn every_layout_is_without_gaps_and_as_long_as_its_constant() {
    let layouts = layouts(&document());
    let mut known: Vec<&str> = extents().iter().map(|(heading, ..)| *heading).collect();
    known.sort_unstable();
    assert_eq!(
        layouts.keys().map(String::as_str).collect::<Vec<_>>(),
        known,
        "layouts that nothing checks, or missing"
    );
    for (heading, start, end) in extents() {
        let mut at = start;
        for part in &layouts[heading] {
            assert_eq!(part.offset, at, "{heading}: {}", part.field);
            let width = match part.kind.as_str() {
                "u8" => Some(1),
                "u16" => Some(2),
                "u32" => Some(4),
                "u64" | "i64" => Some(8),
                "u128" => Some(16),
                "bytes" => part.size,
                other => panic!("{heading}: {}: unknown type {other}", part.field),
            };
            assert_eq!(width, part.size, "{heading}: {}: size and type disagree", part.field);
            at += part.size.unwrap_or(0);
        }
        assert_eq!(at, end, "{heading}: its end");
    }
}

/// `module::NAME` = value, as the document says them.
fn constants_told(document: &str) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let pieces: Vec<&str> = document.split('`').collect();
    for pair in pieces.windows(2) {
        let Some(value) = pair[1].strip_prefix(" = ") else { continue };
        let value = match value.strip_prefix('"') {
            Some(text) => format!("\"{}\"", text.split('"').next().unwrap()),
            None => value.chars().take_while(char::is_ascii_digit).collect(),
        };
        if pair[0].contains("::") && !value.is_empty() {
            assert!(told.insert(pair[0].to_owned(), value).is_none(), "{}: told twice", pair[0]);
        }
    }
    told
}

fn text(magic: &[u8]) -> String {
    format!("\"{}\"", std::str::from_utf8(magic).unwrap())
}

macro_rules! constants {
    (numbers: $($module:ident::$name:ident),*; magics: $($magic_module:ident::$magic:ident => $bytes:expr),* $(,)?) => {
        BTreeMap::from([
            $((concat!(stringify!($module), "::", stringify!($name)).to_owned(), $module::$name.to_string()),)*
            $((concat!(stringify!($magic_module), "::", stringify!($magic)).to_owned(), text(&$bytes)),)*
        ])
    };
}

#[test]
fn every_constant_has_the_value_that_the_document_says() {
    let expected: BTreeMap<String, String> = constants![
        numbers:
            identity::IDENTITY_BYTES, identity::FORMAT_VERSION, head::HEAD_BYTES, head::HEAD_USED_BYTES,
            head::FORMAT_VERSION, registry::SEAL_BYTES, manifest::HEADER_BYTES, manifest::CRC_BYTES,
            manifest::FORMAT_VERSION, manifest::KEY_BYTES_MAX, manifest::VALUE_BYTES_MAX, sector::SECTOR_BYTES,
            sector::PAYLOAD_BYTES, log::SEGMENT_HEADER_BYTES, log::LOG_FORMAT_VERSION, log::SEGMENT_SEQ_SPAN,
            log::GROUP_HEADER_BYTES, log::FRAME_HEADER_BYTES, log::FRAME_ROWS, log::FRAME_BYTES_MAX,
            log::SECTION_HEADER_BYTES, row::RECORD_HEADER_BYTES, row::FLAG_CREATED, row::FLAG_ROW_DEADLINE,
            row::FLAG_FIELD_DEADLINES, row::FLAG_EVENT_ID, row::FIELDS_MAX, value::VARIABLE_BYTES_MAX,
            row::REFERENCE_BYTES, row::INLINE_BYTES_MAX, keyspace::KIND_MIN, keyspace::KIND_MAX, keyspace::KIND_SET,
            keyspace::KIND_DELETE, keyspace::KIND_DEADLINE, keyspace::KIND_RENAME, keyspace::KIND_TRUNCATE,
            keyspace::DATABASE_AT, keyspace::KEY_TYPE_AT, key::KEY_BYTES_MAX, commits::COMMITS_HEADER_BYTES,
            commits::COMMIT_BYTES, commits::COMMITS_VERSION, run_index::RUN_INDEX_VERSION, run_index::BLOCK_BYTES,
            run_index::RUN_ROWS_MAX, run_index::HEAD_FIXED_BYTES, run_index::SLOT_BYTES, table::SUPERBLOCK_WORDS,
            table::FORMAT_VERSION, table::HEADER_WORDS, table::LIVE_EPOCH, table::LIVE_DIRECTORY,
            table::LIVE_USED_END, table::LIVE_STATE, table::LINE_WORDS, table::GROUP_SLOTS,
            table::SHARD_HEADER_WORDS, table::SHARD_GROUPS_MAX, table::DIRECTORY_DEPTH_MAX,
            latest::SLOT_HEADER_BYTES, latest::KEY_INLINE_BYTES;
        magics:
            identity::MAGIC => identity::MAGIC,
            head::MAGIC => head::MAGIC.to_le_bytes(),
            manifest::MAGIC => manifest::MAGIC,
            log::SEGMENT_MAGIC => log::SEGMENT_MAGIC,
            log::GROUP_MAGIC => log::GROUP_MAGIC,
            commits::COMMITS_MAGIC => commits::COMMITS_MAGIC,
            run_index::RUN_INDEX_MAGIC => run_index::RUN_INDEX_MAGIC,
            table::MAGIC => table::MAGIC.to_le_bytes(),
            slot_sum::SUM_NAME => slot_sum::SUM_NAME.as_bytes(),
    ];
    let told = constants_told(&document());
    for (name, value) in &expected {
        assert_eq!(told.get(name), Some(value), "{name}");
    }
    for name in told.keys() {
        assert!(expected.contains_key(name), "{name} is in the document, and nothing checks it");
    }
}

/// A structure as the code encoded it, beside the document's layout of it. The magic, and what is named zero
/// or unused, is checked without being asked for.
struct Instance<'a> {
    heading: &'a str,
    parts: Vec<Part>,
    bytes: &'a [u8],
}

impl<'a> Instance<'a> {
    fn of(heading: &'a str, bytes: &'a [u8]) -> Self {
        Instance { heading, parts: layouts(&document()).remove(heading).unwrap(), bytes }
    }

    /// Every field of the layout is in `fields`, in order, with the bytes of its value, padded with zeros.
    fn holds(&self, fields: &[(&str, u128)]) {
        let mut fields = fields.iter();
        for part in &self.parts {
            let size = part.size.unwrap_or(0);
            let found = &self.bytes[part.offset..part.offset + size];
            if part.field == "zero" || part.field == "unused" {
                assert!(found.iter().all(|&byte| byte == 0), "{}: {}", self.heading, part.field);
            } else if part.field == "magic" {
                assert_eq!(found, part.meaning.trim_matches('`').as_bytes(), "{}: magic", self.heading);
            } else if part.size.is_some() {
                let (name, value) = fields.next().unwrap_or_else(|| panic!("{}: {}", self.heading, part.field));
                assert_eq!(part.field, *name, "{}: order of fields", self.heading);
                let value = value.to_le_bytes();
                assert_eq!(found, &value[..size], "{}: {name}", self.heading);
                assert!(value[size..].iter().all(|&byte| byte == 0), "{}: {name} is too wide", self.heading);
            }
        }
        assert_eq!(fields.next(), None, "{}: fields the document does not have", self.heading);
    }
}

const UUID_WORD: u128 = u128::from_le_bytes(UUID);

fn crc(bytes: &[u8]) -> u128 {
    crc32c::crc32c(bytes).into()
}

fn xxh3(bytes: &[u8], seed: u64) -> u128 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed).into()
}

#[test]
fn store_and_head_lie_as_the_document_says() {
    let bytes = Identity { required_features: 11, optional_features: 12, uuid: UUID, hash_seed: 13 }.encode();
    Instance::of("STORE", &bytes).holds(&[
        ("format version", 1),
        ("required features", 11),
        ("optional features", 12),
        ("store uuid", UUID_WORD),
        ("hash seed", 13),
        ("checksum", xxh3(&bytes[..56], 0)),
    ]);

    let disk = MemDisk::new();
    let dir = Path::new("s");
    disk.create_dir(dir).unwrap();
    let page = Head::create(&disk, dir, &UUID).unwrap();
    let state = HeadState {
        epoch: 21,
        committed_seq: 22,
        log_end: 23,
        log_synced: 24,
        manifest_generation: 25,
        definitions_revision: 26,
        ingested_at_us: 27,
        under_way: 29,
        ..HeadState::default()
    };
    page.begin(&state, 28).unwrap();
    page.close_clean(&state).unwrap();
    let file = disk.open(&dir.join("HEAD"), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(head::HEAD_BYTES).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    let (device, inode) = file.identity().unwrap();
    Instance::of("HEAD", &bytes).holds(&[
        ("format version", 1),
        ("store uuid", UUID_WORD),
        ("epoch", 21),
        ("committed seq", 22),
        ("log end", 23),
        ("log synced", 24),
        ("manifest generation", 25),
        ("definitions revision", 26),
        ("ingested at", 27),
        ("boot id", u128::from_le_bytes(disk.boot_id())),
        ("device", device.into()),
        ("inode", inode.into()),
        ("writer pid", 28),
        ("clean", 1),
        ("checksum", xxh3(&bytes[..136], 0)),
        ("under way", 29),
    ]);
    assert!(Head::open(&disk, dir, &UUID, MapAccess::Read).unwrap().is_some());
}

#[test]
fn the_manifest_lies_as_the_document_says() {
    let records = Records::from([("meta".to_owned(), b"{}1".to_vec().into())]);
    let bytes = Manifest { store_uuid: UUID, generation: 31, records }.encode().unwrap();
    let (body, end) = bytes.split_at(bytes.len() - manifest::CRC_BYTES);
    let records = &body[manifest::HEADER_BYTES..];
    Instance::of("Manifest header", &bytes).holds(&[
        ("format version", 1),
        ("store uuid", UUID_WORD),
        ("generation", 31),
        ("record count", 1),
        ("length", 15),
        ("digest", xxhash_rust::xxh3::xxh3_128(records)),
    ]);
    Instance::of("Manifest record", records).holds(&[("key length", 4), ("value length", 3)]);
    assert_eq!(&records[8..], b"meta{}1");
    assert_eq!(end, crc32c::crc32c(body).to_le_bytes());
}

#[test]
fn the_log_lies_as_the_document_says() {
    let (store_seed, segment, number) = (7_u64, 3_u32, 5_u32);
    let segment_seed = crc32c::crc32c(&[&store_seed.to_le_bytes()[..], &segment.to_le_bytes()].concat());
    let place = number.wrapping_mul(0x9e37_79b1);
    let seal = SectorSeal::new(store_seed, segment);

    let mut sector = Vec::new();
    seal.push_sectors(b"payload", number, &mut sector);
    let stored = u32::from_le_bytes(sector[sector::PAYLOAD_BYTES..].try_into().unwrap());
    assert_eq!(stored, crc32c::crc32c_append(segment_seed ^ place, &sector[..sector::PAYLOAD_BYTES]));

    let header = SegmentHeader {
        store_uuid: UUID,
        segment,
        file_bytes: 41,
        first_seq: 42,
        seq_limit: 43,
        prev_end: 44,
        synced: 45,
    };
    Instance::of("Segment header", &header.encode()).holds(&[
        ("format version", 1),
        ("segment", 3),
        ("store uuid", UUID_WORD),
        ("file length", 41),
        ("first seq", 42),
        ("seq limit", 43),
        ("previous end", 44),
        ("synced", 45),
    ]);
    let group = GroupHeader { len_bytes: 51, frame_count: 52, synced: 53 }.encode(seal, number);
    let checksum = crc32c::crc32c_append(!segment_seed ^ place, &group[..20]);
    Instance::of("Group header", &group).holds(&[
        ("length", 51),
        ("synced", 53),
        ("frame count", 52),
        ("checksum", checksum.into()),
    ]);
    let mut builder = FrameBuilder::default();
    let fill = |out: &mut Vec<u8>| {
        out.extend(b"records");
        Ok::<u32, asof::Error>(61)
    };
    builder.section(62, fill).unwrap();
    let frame = builder.finish(63, 64, 65);
    Instance::of("Frame header", frame).holds(&[
        ("kind", 1),
        ("section count", 1),
        ("length", 23),
        ("first seq", 63),
        ("row count", 61),
        ("source", 65),
        ("ingested at", 64),
        ("checksum", crc(&frame[..32])),
    ]);
    Instance::of("Section header", &frame[log::FRAME_HEADER_BYTES..]).holds(&[
        ("view id", 62),
        ("row count", 61),
        ("length", 7),
    ]);
}

#[test]
fn a_row_lies_as_the_document_says() {
    let head = RowHead {
        created: Some(72),
        deadline: Some(73),
        field_deadlines: &[1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        event_id: b"id",
        ..RowHead::new(RowKind::Value, 71)
    };
    let mut bytes = Vec::new();
    push_record(&head, b"key", 2, b"image", &mut bytes).unwrap();
    Instance::of("Row", &bytes).holds(&[
        ("length", bytes.len() as u128 - 4),
        ("kind", 1),
        ("flags", 15),
        ("key length", 3),
        ("field count", 2),
        ("event timestamp", 71),
    ]);
    let parts = [
        &72_i64.to_le_bytes()[..],
        &73_i64.to_le_bytes(),
        &[1, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, b'i', b'd'],
        b"key",
        b"image",
    ];
    assert_eq!(bytes[row::RECORD_HEADER_BYTES..], parts.concat());

    let mut reference = [0; row::REFERENCE_BYTES];
    Reference::write(b"short", 81, &mut reference);
    let value = |bytes: &[u8]| u128::from_le_bytes(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0)));
    Instance::of("Reference to a short value", &reference).holds(&[("length", 5), ("value", value(b"short"))]);
    Reference::write(b"longer than twelve", 82, &mut reference);
    Instance::of("Reference to a long value", &reference).holds(&[
        ("length", 18),
        ("prefix", value(b"long")),
        ("position", 82),
    ]);
}

/// The table of kinds against the code: the kinds it has, and those it refuses.
#[test]
fn the_documents_row_kinds_are_those_of_the_code() {
    let document = document();
    let section = document.split("### Row kinds").nth(1).unwrap().split("### ").next().unwrap();
    let told: Vec<u8> =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(told, [1, 2, 3, 4, 16, 17, 18, 19, 20]);
    for byte in 0..=u8::MAX {
        let is_written = told.contains(&byte) && byte < keyspace::KIND_MIN;
        assert_eq!(RowKind::from_byte(byte).is_some(), is_written, "kind {byte}");
    }
}

#[test]
fn the_commit_clock_lies_as_the_document_says() {
    let bytes = encode_commits(&[Commit { ingested_at: 91, last_seq: 92, source: 93 }]);
    let (header, entries) = bytes.split_at(commits::COMMITS_HEADER_BYTES);
    Instance::of("Commit clock header", header).holds(&[
        ("format version", 1),
        ("commit count", 1),
        ("entries checksum", crc(entries)),
        ("header checksum", crc(&header[..20])),
    ]);
    Instance::of("Commit clock entry", entries).holds(&[("ingested at", 91), ("last seq", 92), ("source", 93)]);
}

#[test]
fn the_index_of_a_run_lies_as_the_document_says() {
    let slot_map = SlotMap { hash_lo: 107, hash_hi: 108, multiplier: 109 };
    let slots = encode_slots(&SlotMap::new(1, 1, 1), [IndexSlot { hash: 1, start: 2, len: 3 }].into_iter());
    let head = RunIndexHead {
        run_bytes: 101,
        row_count: 102,
        key_count: 103,
        slot_count: 0,
        feature_count: 0,
        slots_start: 0,
        slot_map,
        min_event_ts: 110,
        max_event_ts: 111,
        min_seq: 112,
        max_seq: 113,
    };
    let (bytes, _) = encode_index(&head, &[5], &[], &slots);
    Instance::of("The index file", &bytes).holds(&[
        ("head checksum", crc(&bytes[12..256])),
        ("format version", 1),
        ("run bytes", 101),
        ("row count", 102),
        ("key count", 103),
        ("slot count", 1),
        ("feature count", 0),
        ("slots start", 256),
        ("hash lo", 107),
        ("hash hi", 108),
        ("multiplier", 109),
        ("min event timestamp", 110),
        ("max event timestamp", 111),
        ("min seq", 112),
        ("max seq", 113),
    ]);
    Instance::of("Run slot", &bytes[256..]).holds(&[("hash", 1), ("first row", 2), ("row count", 3)]);
}

#[test]
fn a_superblock_lies_as_the_document_says() {
    let block = Superblock {
        magic: table::MAGIC,
        format_version: 1,
        generation: 1,
        store_uuid: table::words_of(UUID),
        hash_seed: 2,
        layout_digest: 3,
        key_bytes: 4,
        field_count: 5,
        slot_bytes: 6,
        identity: [7, 8],
        boot_id: table::words_of(UUID),
        is_clean: 9,
        behind: 10,
        applied_seq: 11,
        applied_log: 12,
        directory: 13,
        used_end: 14,
        file_end: 15,
        key_count: 16,
        free_words: 17,
        lost_words: 18,
        free_list_at: 19,
        free_list_words: 20,
    };
    let bytes = block.encode(1).map(u64::to_le_bytes).concat();
    Instance::of("Superblock", &bytes).holds(&[
        ("format version", 1),
        ("generation", 1),
        ("store uuid", UUID_WORD),
        ("hash seed", 2),
        ("layout digest", 3),
        ("key bytes", 4),
        ("field count", 5),
        ("slot bytes", 6),
        ("device", 7),
        ("inode", 8),
        ("boot id", UUID_WORD),
        ("is clean", 9),
        ("behind", 10),
        ("applied seq", 11),
        ("applied log", 12),
        ("directory", 13),
        ("used end", 14),
        ("file end", 15),
        ("key count", 16),
        ("free words", 17),
        ("lost words", 18),
        ("free list position", 19),
        ("free list words", 20),
        ("checksum", xxh3(&bytes[..504], 2)),
    ]);
}

#[test]
fn live_words_lie_as_the_document_says() {
    let mut bytes = vec![0; (table::LIVE_STATE + 4) * 8];
    let state = LiveState { applied_seq: 1, applied_log: 2, behind: 1 }.encode();
    bytes[table::LIVE_STATE * 8..].copy_from_slice(&state.map(u64::to_le_bytes).concat());
    let check = table::mix(table::mix(1, 2), 1 ^ 0x9e37_79b9_7f4a_7c15);
    Instance::of("Live words", &bytes).holds(&[
        ("epoch", 0),
        ("directory", 0),
        ("used end", 0),
        ("applied seq", 1),
        ("applied log", 2),
        ("behind", 1),
        ("check", check.into()),
    ]);
}

#[test]
fn values_are_encoded_as_the_document_says() {
    let encoded = |data_type: DataType, value: Value| {
        let mut out = Vec::new();
        encode_value(&data_type, &value, &mut out).unwrap();
        out
    };
    assert_eq!(encoded(DataType::Float32, Value::Float32(-f32::NAN)), 0x7fc0_0000_u32.to_le_bytes());
    assert_eq!(encoded(DataType::Float64, Value::Float64(-f64::NAN)), 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(encoded(DataType::Date, Value::Date(1)), 1_i32.to_le_bytes());
    let list = |element: DataType, values: Vec<Value>| encoded(DataType::List(Box::new(element)), Value::List(values));
    assert_eq!(list(DataType::Int32, vec![Value::Int32(7), Value::Null]), [2, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        list(DataType::String, vec![Value::Null, "ab".into()]),
        [2, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']
    );
    let document = document();
    for data_type in [DataType::Bool, DataType::Int32, DataType::Float32, DataType::Int64, DataType::Float64] {
        let name = data_type.to_string();
        let row = document.lines().find(|line| line.starts_with(&format!("| {name}")));
        let width = row.unwrap_or_else(|| panic!("{name}")).split('|').nth(2).unwrap().trim().parse::<usize>();
        assert_eq!(width, Ok(data_type.fixed_width_bytes()), "{name}");
    }
}

#[test]
fn the_columns_of_a_run_are_named_as_the_document_says() {
    let optional = OptionalColumns { kind: true, absent: true, deadline: true, field_deadlines: true, event_id: true };
    let schema = RunSchema::new("v@1", KeySchema::new(Vec::new()), Vec::new(), true).arrow_schema(optional);
    let document = document();
    assert_eq!(schema.fields().len(), 8);
    for field in schema.fields() {
        assert!(document.contains(&format!("| `{}` |", field.name())), "{}", field.name());
    }
    for key in schema.metadata().keys() {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
}

/// Members of a record or an object as the document names them: each in backticks, before any bracket or semicolon.
fn assert_members(pattern: &str, record: &impl serde::Serialize) {
    let document = document();
    let start = format!("| `{pattern}` | ");
    let line = document.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{pattern}"));
    let json = serde_json::to_value(record).unwrap();
    let mut told: Vec<&str> = Vec::new();
    let mut depth = 0;
    for (i, piece) in line.split('`').enumerate() {
        if i % 2 == 1 && depth == 0 {
            told.push(piece);
        } else if i % 2 == 0 {
            depth += piece.matches('(').count();
            depth -= piece.matches(')').count();
            if piece.contains("; N is") {
                break;
            }
        }
    }
    told.sort_unstable();
    let mut found: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(told, found, "{pattern}");
}

#[test]
fn registry_records_have_the_members_that_the_document_says() {
    let run = RunRecord {
        id: 1,
        view_id: 2,
        group: 1,
        level: 0,
        source: RunSource::Seal,
        hash_lo: 0,
        hash_hi: 1,
        rows: 1,
        entities: 1,
        event_min_us: 0,
        event_max_us: 0,
        seq_min: 1,
        seq_max: 1,
        seq_base: 0,
        data_bytes: 1,
        index_bytes: 1,
        index_crc: 1,
    };
    let import = ImportRecord {
        digest: "d".into(),
        options_digest: "o".into(),
        view_id: 2,
        path: String::new(),
        rows_read: 0,
        rows_written: 0,
        rows_skipped: 0,
        rows_refused: 0,
        seq_first: 0,
        seq_last: 0,
        source_id: 0,
        at_us: 0,
    };
    let snapshot = SnapshotRecord { name: "s".into(), seq: 1, ingested_at_us: 0, created_at_us: 0 };
    let clock = ClockRecord {
        id: 3,
        file_name: String::new(),
        seq_first: 0,
        seq_last: 0,
        ingested_first_us: 0,
        ingested_last_us: 0,
    };
    let commit = CommitRecord { seq_first: 4, seq_last: 5, ingested_at_us: 0, what: String::new() };
    let source = SourceRecord { id: 6, name: String::new() };
    assert_members("meta", &Meta::default());
    assert_members("project", &ProjectRecord::default());
    assert_members("run/N", &run);
    assert_members("import/N/DIGEST-OPTIONS", &import);
    assert_members("snapshot/NAME", &snapshot);
    assert_members("clock/N", &clock);
    assert_members("commit/N", &commit);
    assert_members("source/N", &source);
    let keys = [run.key(), import.key(), snapshot.key(), clock.key(), commit.key(), source.key()];
    let (ten, twenty) = ("0".repeat(9), "0".repeat(19));
    assert_eq!(
        keys,
        [
            format!("run/{twenty}1"),
            format!("import/{ten}2/d-o"),
            "snapshot/s".to_owned(),
            format!("clock/{twenty}3"),
            format!("commit/{twenty}5"),
            format!("source/{ten}6"),
        ]
    );
}

#[test]
fn definitions_have_the_members_that_the_document_says() {
    let tags = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let rules =
        Rules { not_null: true, min: Some("0".into()), max: Some("1".into()), one_of: vec!["0".into(), "1".into()] };
    let feature = Feature {
        name: "x".into(),
        dtype: DataType::Int64,
        description: "d".into(),
        rules: rules.clone(),
        tags: tags.clone(),
    };
    let source = Source {
        path: Some("a.csv".into()),
        event_timestamp: EventTime::Constant(7),
        created_timestamp: Some("c".into()),
        rename: tags.clone(),
        push: Some("p".into()),
        delimiter: Some(';'),
        timestamp_format: Some("%Y".into()),
    };
    let view = FeatureView {
        owner: "o".into(),
        description: "d".into(),
        tags: tags.clone(),
        event_id: vec![("e".into(), DataType::Int64)],
        features: vec![feature.clone()],
        source: source.clone(),
        ..FeatureView::new("v")
    };
    let selection = Selection {
        view: "v@2".parse().unwrap(),
        alias: Some("a".into()),
        join_keys: tags.clone(),
        features: vec!["x".into()],
    };
    let service = FeatureService {
        features: vec![selection.clone()],
        description: "d".into(),
        owner: "o".into(),
        tags: tags.clone(),
    };
    let entity = Entity { join_keys: vec![("id".into(), DataType::Int64)], description: "d".into(), tags };
    assert_members("FeatureView", &view);
    assert_members("Feature", &feature);
    assert_members("Rules", &rules);
    assert_members("Source", &source);
    assert_members("FeatureService", &service);
    assert_members("Selection", &selection);
    assert_members("Entity", &entity);
    let json = |value: serde_json::Result<String>| value.unwrap();
    assert_eq!(json(serde_json::to_string(&source.event_timestamp)), r#"{"constant":7}"#);
    assert_eq!(json(serde_json::to_string(&EventTime::Column("at".into()))), r#"{"column":"at"}"#);
    assert_eq!(json(serde_json::to_string(&entity.join_keys)), r#"[["id","int64"]]"#);
    assert_eq!(json(serde_json::to_string(&selection.view)), r#""v@2""#);

    let field = FieldRecord { name: "x".into(), dtype: DataType::Int64, added_seq: 3 };
    let view = ViewRecord {
        id: 7,
        revision: 2,
        seq: 3,
        applied_at_us: 4,
        first_seq: 1,
        dropped_seq: Some(3),
        fields: vec![field],
        definition: view,
    };
    let service = ServiceRecord { name: "s".into(), revision: 2, seq: 3, applied_at_us: 4, definition: Some(service) };
    let entity = EntityRecord { name: "e".into(), revision: 2, seq: 3, applied_at_us: 4, definition: Some(entity) };
    assert_members("view/N/rev/N", &view);
    assert_members("service/NAME/rev/N", &service);
    assert_members("entity/NAME/rev/N", &entity);
    assert_eq!(
        json(serde_json::to_string(&view.fields)),
        r#"[{"name":"x","dtype":"int64","added_seq":3}]"#,
        "each `name`, `dtype`, `added_seq`"
    );
    let two = "0000000002";
    let keys = [view.key(), service.key(), entity.key()];
    assert_eq!(
        keys,
        [format!("view/0000000007/rev/{two}"), format!("service/s/rev/{two}"), format!("entity/e/rev/{two}")]
    );
}

/// The document's `mix`.
fn mix(a: u64, b: u64) -> u64 {
    let mut h = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ b;
    h = h.wrapping_mul(0xd6e8_feb8_6659_fd93);
    h ^= h >> 29;
    h.wrapping_mul(0xff51_afd7_ed55_8ccd)
}

/// The document's sum of a slot at word `position`.
fn slot_sum_of(words: &[u64], position: usize, seed: u64) -> u64 {
    let fold = |x: u64, y: u64| {
        let product = u128::from(x) * u128::from(y);
        (product >> 64) as u64 ^ product as u64
    };
    let (k0, k1) = (mix(seed, 1), mix(seed, 2));
    let (mut c0, mut c1) = (mix(seed, 3), mix(seed, 4));
    let mut words = words.to_vec();
    words[0] = position as u64;
    let pairs: Vec<(u64, u64)> = words.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or(0))).collect();
    for (i, (a, b)) in pairs.iter().enumerate() {
        if i < pairs.len().div_ceil(2) {
            c0 = fold(a ^ k0, b ^ c0);
        } else {
            c1 = fold(a ^ k1, b ^ c1);
        }
    }
    fold(c0 ^ k1, c1 ^ k0) >> 32
}

/// A table file, in words and bytes.
struct TableFile(Vec<u8>);

impl TableFile {
    fn read(disk: &MemDisk, path: &Path) -> TableFile {
        let file = disk.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        TableFile(bytes)
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at * 8..at * 8 + 8].try_into().unwrap())
    }

    fn words(&self, at: usize, count: usize) -> Vec<u64> {
        (at..at + count).map(|at| self.word(at)).collect()
    }

    /// A field of a structure whose layout the document has, from byte `base` on.
    fn field(&self, heading: &str, base: usize, name: &str) -> u64 {
        let parts = layouts(&document()).remove(heading).unwrap();
        let part = parts.into_iter().find(|part| part.field == name).unwrap_or_else(|| panic!("{heading}: {name}"));
        let bytes = &self.0[base + part.offset..][..part.size.unwrap()];
        u64::from_le_bytes(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0)))
    }

    /// Where the superblock that counts begins.
    fn superblock(&self) -> usize {
        let generation = |at: usize| self.field("Superblock", at, "generation");
        let at = [0, 512].into_iter().max_by_key(|at| generation(*at)).unwrap();
        assert_eq!(at, usize::try_from(generation(at) % 2).unwrap() * 512);
        at
    }

    /// The value of a sealed word.
    fn unsealed(&self, at: usize) -> u64 {
        let value = self.word(at) & ((1 << 46) - 1);
        assert_eq!(self.word(at) >> 46, mix(value, at as u64) >> 46, "word {at} is not sealed");
        value
    }

    /// First word of the slot of `hash`, found as the document says; the shard's groups are checked on the way.
    fn slot(&self, hash: u64, is_key: impl Fn(usize) -> bool) -> usize {
        let word = self.unsealed(129);
        let (directory, depth) = (usize::try_from(word >> 6).unwrap() * 8, word & 63);
        let prefix = |depth: u64| if depth == 0 { 0 } else { hash >> (64 - depth) };
        let entry = self.word(directory + usize::try_from(prefix(depth)).unwrap());
        let (start, groups) =
            (usize::try_from(entry >> 22).unwrap() * 8, usize::try_from(entry >> 6 & 0xffff).unwrap());
        let shard_depth = entry & 63;
        assert_eq!(self.word(start), entry, "the shard's own entry");
        assert_eq!(self.words(start + 2, 6), [0; 6]);
        let (tags, checks) = (start + 8, start + 8 + 2 * groups);
        let seed = mix(entry, prefix(shard_depth) ^ 0xff51_afd7_ed55_8ccd);
        let mut in_use = 0;
        for group in 0..groups {
            let [a, b] = [self.word(tags + 2 * group), self.word(tags + 2 * group + 1)];
            assert_eq!(self.word(checks + group), mix(mix(a, b) ^ seed, group as u64), "group {group}");
            in_use += [a, b].map(u64::to_le_bytes).as_flattened().iter().filter(|tag| **tag != 0).count();
        }
        assert_eq!(self.word(start + 1), in_use as u64, "slots in use");
        let slots = (checks + groups).next_multiple_of(8);
        let slot_words = usize::try_from(self.field("Superblock", self.superblock(), "slot bytes")).unwrap() / 8;
        let group = usize::try_from((u128::from(hash << shard_depth) * groups as u128) >> 64).unwrap();
        let tag = if hash & 0xff == 0 { 0x80 } else { (hash & 0xff) as u8 };
        let of_group = &self.0[(tags + 2 * group) * 8..][..16];
        let found = (0..16).filter(|i| of_group[*i] == tag).map(|i| slots + (group * 16 + i) * slot_words);
        let found: Vec<usize> = found.filter(|at| is_key(*at)).collect();
        assert_eq!(found.len(), 1, "the key's slots in its first group");
        found[0]
    }
}

const SEED: u64 = 0x0123_4567_89ab_cdef;

fn table_shape() -> TableShape {
    let row = RowLayout::new([DataType::Float64, DataType::String, DataType::Int32]);
    TableShape { row, key_bytes: None, has_created: true, store_uuid: UUID, hash_seed: SEED }
}

fn store_row(table: &mut Table, key: &[u8], head: RowHead<'_>, text: &str, seq: u64) {
    let row = table_shape().row;
    let mut image = Vec::new();
    push_image(&row, &[Value::Float64(1.5), Value::String(text.to_owned()), Value::Null], &mut image).unwrap();
    let row = RowRef { head, key, field_count: 3, image: &image };
    table.upsert(key::key_hash(SEED, key), &row, seq).unwrap();
}

#[test]
fn a_table_lies_as_the_document_says() {
    let disk = MemDisk::volatile();
    let path = Path::new("t/1-v@1");
    disk.create_dir(Path::new("t")).unwrap();
    let options = TableOptions { expected_keys: 0, reserve_bytes: 1 << 20 };
    let mut table = Table::create(&disk, path, table_shape(), &options).unwrap();
    let created = |event_ts, created| RowHead { created: Some(created), ..RowHead::new(RowKind::Value, event_ts) };
    let (long, short, late, lost) = (b"a key of more than sixteen bytes", b"short", b"deadline", b"lost");
    // What it takes the place of leaves a free block.
    store_row(&mut table, long, created(61, 62), "an older text, longer than twelve", 63);
    store_row(&mut table, long, created(71, 72), "longer than twelve", 73);
    store_row(&mut table, short, RowHead::new(RowKind::Value, -5), "twelve bytes", 74);
    store_row(&mut table, late, RowHead { deadline: Some(99), ..RowHead::new(RowKind::Value, 75) }, "text", 76);
    store_row(&mut table, lost, RowHead::new(RowKind::Value, 77), "text", 78);
    // A bit of a slot that another row then takes.
    let before = TableFile::read(&disk, path);
    let key_at = |file: &TableFile, at: usize, key: &[u8]| file.0[at * 8 + 48..].starts_with(key);
    let at = before.slot(key::key_hash(SEED, lost), |at| key_at(&before, at, lost));
    let file = disk.open(path, OpenMode::Write).unwrap();
    file.write_at(at as u64 * 8 + 16, &[before.0[at * 8 + 16] ^ 1]).unwrap();
    store_row(&mut table, lost, RowHead::new(RowKind::Value, 79), "text", 80);
    table.clear_behind();
    table.commit(81, 82);
    table.close().unwrap();
    let file = TableFile::read(&disk, path);

    let superblock = file.superblock();
    let told = |name: &str| file.field("Superblock", superblock, name);
    let text = format!("1;{};12;None;1;float64,string,int32", slot_sum::SUM_NAME);
    assert_eq!(u128::from(told("layout digest")), xxh3(text.as_bytes(), 0));
    assert_eq!([told("key bytes"), told("field count"), told("slot bytes")], [u64::MAX, 3, 96]);
    assert_eq!([told("is clean"), told("behind"), told("applied seq"), told("applied log")], [1, 0, 81, 82]);
    assert_eq!([told("key count"), told("lost words"), told("file end")], [4, 0, file.0.len() as u64 / 8]);
    assert_eq!(told("directory"), file.word(129));
    let live = |name: &str| file.field("Live words", 0, name);
    assert_eq!([live("applied seq"), live("applied log"), live("behind")], [81, 82, 0]);
    assert_eq!(live("check"), mix(mix(81, 82), 0x9e37_79b9_7f4a_7c15));
    assert_eq!([live("directory"), live("used end")], [file.word(129), file.word(130)]);
    assert_eq!(file.unsealed(130), told("used end"));

    let long_hash = key::key_hash(SEED, long);
    let at = file.slot(long_hash, |at| file.word(at + 7) == long_hash);
    let slot = file.words(at, 12);
    let bytes = &file.0[at * 8..][..96];
    Instance::of("Table slot", bytes).holds(&[
        ("version", 4),
        ("checksum", slot_sum_of(&slot, at, SEED).into()),
        ("seq", 73),
        ("event timestamp", 71),
        ("key length", long.len() as u128),
        ("kind", 1),
        ("flags", 1 | 4),
    ]);
    // A value, a value, null; then created, the heap word, the key's hash behind a word that the heap word makes needless.
    assert_eq!(bytes[28..32], [2 | 2 << 2 | 1 << 4, 0, 0, 0]);
    assert_eq!((slot[4], slot[6], slot[7]), (72, 0, long_hash));
    assert_eq!(bytes[64..72], 1.5_f64.to_le_bytes());
    Instance::of("Reference to a long value", &bytes[72..88]).holds(&[
        ("length", 18),
        ("prefix", u128::from(u32::from_le_bytes(*b"long"))),
        ("position", 0),
    ]);
    assert_eq!(bytes[88..96], [0; 8]);
    let (block, words) = (usize::try_from(slot[5] >> 24).unwrap(), usize::try_from(slot[5] & 0xff_ffff).unwrap());
    let held = &file.0[(block + 1) * 8..][..words * 8];
    assert_eq!(held, [&long[..], b"longer than twelve", &[0; 6]].concat());
    let seed = block as u64 ^ 73_u64.rotate_left(32);
    assert_eq!(u128::from(file.word(block)), xxh3(held, seed), "the heap block's checksum");

    for (key, flags, event_ts, seq) in [(&short[..], 0, -5_i64, 74), (late, 2, 75, 76), (lost, 8, 79, 80)] {
        let at = file.slot(key::key_hash(SEED, key), |at| key_at(&file, at, key));
        let bytes = &file.0[at * 8..][..96];
        Instance::of("Table slot", bytes).holds(&[
            ("version", if flags == 8 { 4 } else { 2 }),
            ("checksum", slot_sum_of(&file.words(at, 12), at, SEED).into()),
            ("seq", seq),
            ("event timestamp", u128::from(event_ts.cast_unsigned())),
            ("key length", key.len() as u128),
            ("kind", 1),
            ("flags", flags),
        ]);
        assert_eq!((file.word(at + 4), file.word(at + 5)), (0, 0), "neither created nor a heap block");
    }

    let (list, words) = (told("free list position"), told("free list words"));
    let list = file.words(usize::try_from(list).unwrap(), usize::try_from(words).unwrap());
    let (extents, blocks) = (list[0], list[1]);
    assert_eq!(words, 3 + 2 * (extents + blocks));
    assert!(blocks > 0, "the block of the row that was replaced");
    let (body, checksum) = list.split_at(list.len() - 1);
    let body_bytes: Vec<u8> = body.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(u128::from(checksum[0]), xxh3(&body_bytes, 0));
    let free: u64 = body[2..].chunks(2).map(|pair| pair[1]).sum();
    assert_eq!(free, told("free words"));
    assert!(body[2..].chunks(2).all(|pair| pair[0] + pair[1] <= told("used end")));
    assert!(matches!(Table::open(&disk, path, table_shape(), &options, 0).unwrap(), Opened::Trusted(_)));
}
