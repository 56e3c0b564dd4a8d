//! storage_format.md against the code: layout tables without gaps, constants of equal value, and one
//! known instance of each structure, byte by byte where the document says it lies.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use asof::disk::{Disk, MapAccess, MemDisk, OpenMode};
use asof::format::commits::{Commit, encode_commits};
use asof::format::log::{FrameBuilder, GroupHeader, SegmentHeader};
use asof::format::manifest::{Manifest, Records};
use asof::format::row::{Reference, RowHead, RowKind, keyspace, push_record};
use asof::format::run_index::{IndexSlot, RunIndexHead, SlotMap, encode_index, encode_slots};
use asof::format::sector::SectorSeal;
use asof::format::table::{LiveState, Superblock};
use asof::format::value::encode_value;
use asof::format::{commits, log, manifest, row, run_index, sector, table, value};
use asof::head::{self, Head, HeadState};
use asof::history::{OptionalColumns, RunSchema};
use asof::identity::{self, Identity};
use asof::key::KeySchema;
use asof::registry::records::{
    ClockRecord, CommitRecord, ImportRecord, Meta, ProjectRecord, Record, RunRecord, RunSource, SnapshotRecord,
    SourceRecord,
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

/// Members of a record as the document names them: each in backticks, before any bracket or semicolon.
fn assert_members<R: Record>(pattern: &str, record: &R) {
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
