//! A latest table: superblocks, live words, and every structure of a file that was closed.

use std::path::Path;

use asof::disk::{Disk, MemDisk, OpenMode};
use asof::format::row::{RowHead, RowKind, RowLayout, RowRef, push_image};
use asof::format::slot_sum;
use asof::format::table::{self, LiveState, Superblock};
use asof::key;
use asof::latest::{Opened, Table, TableOptions, TableShape};
use asof::value::{DataType, Value};

use super::document::{Instance, UUID, UUID_WORD, document, layouts, xxh3};

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
        floor_flags: 21,
        floor_event_ts: 22,
        floor_created: 23,
        floor_seq: 24,
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
        ("floor flags", 21),
        ("floor event timestamp", 22),
        ("floor created", 23),
        ("floor seq", 24),
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
    let options = TableOptions { expected_keys: 0, reserve_bytes: 1 << 20, floor: None };
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
