//! Layout tables without gaps, and constants of the values that the document says.

use std::collections::BTreeMap;

use asof::format::row::keyspace as row_keyspace;
use asof::format::{checkpoint, commits, keyspace, log, manifest, row, run_index, sector, slot_sum, table, value};
use asof::{head, identity, key, latest, registry};

use super::document::{document, layouts};

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
        ("Checkpoint header", 0, checkpoint::HEADER_BYTES),
        ("Checkpoint block header", 0, checkpoint::BLOCK_HEADER_BYTES),
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
            row::REFERENCE_BYTES, row::INLINE_BYTES_MAX, row_keyspace::KIND_MIN, row_keyspace::KIND_MAX,
            row_keyspace::DATABASE_AT, row_keyspace::KEY_TYPE_AT, keyspace::VIEW_ID, keyspace::DATABASES, keyspace::RECEIPTS,
            keyspace::NAME_BYTES_MAX, keyspace::STRING_BYTES_MAX, key::KEY_BYTES_MAX, commits::COMMITS_HEADER_BYTES,
            commits::COMMIT_BYTES, commits::COMMITS_VERSION, run_index::RUN_INDEX_VERSION, run_index::BLOCK_BYTES,
            run_index::RUN_ROWS_MAX, run_index::HEAD_FIXED_BYTES, run_index::SLOT_BYTES, table::SUPERBLOCK_WORDS,
            table::FORMAT_VERSION, table::HEADER_WORDS, table::LIVE_EPOCH, table::LIVE_DIRECTORY,
            table::LIVE_USED_END, table::LIVE_STATE, table::LINE_WORDS, table::GROUP_SLOTS,
            table::SHARD_HEADER_WORDS, table::SHARD_GROUPS_MAX, table::DIRECTORY_DEPTH_MAX,
            table::FLOOR_IS, table::FLOOR_HAS_CREATED,
            latest::SLOT_HEADER_BYTES, latest::KEY_INLINE_BYTES,
            checkpoint::FORMAT_VERSION, checkpoint::HEADER_BYTES, checkpoint::BLOCK_HEADER_BYTES;
        magics:
            identity::MAGIC => identity::MAGIC,
            head::MAGIC => head::MAGIC.to_le_bytes(),
            manifest::MAGIC => manifest::MAGIC,
            log::SEGMENT_MAGIC => log::SEGMENT_MAGIC,
            log::GROUP_MAGIC => log::GROUP_MAGIC,
            commits::COMMITS_MAGIC => commits::COMMITS_MAGIC,
            run_index::RUN_INDEX_MAGIC => run_index::RUN_INDEX_MAGIC,
            table::MAGIC => table::MAGIC.to_le_bytes(),
            checkpoint::MAGIC => checkpoint::MAGIC,
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
