//! What the document says of a structure, and a structure held against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

pub const UUID: [u8; 16] = *b"0123456789abcdef";

/// One row of a layout table. `size` is `None` for what runs to the structure's end.
#[derive(Clone, Debug)]
pub struct Part {
    pub offset: usize,
    pub size: Option<usize>,
    pub kind: String,
    pub field: String,
    pub meaning: String,
}

pub fn document() -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("storage_format.md")).unwrap()
}

/// The layout tables by the heading they stand under.
pub fn layouts(document: &str) -> BTreeMap<String, Vec<Part>> {
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

/// A structure as the code encoded it, beside the document's layout of it. The magic, and what is named zero
/// or unused, is checked without being asked for.
pub struct Instance<'a> {
    heading: &'a str,
    parts: Vec<Part>,
    bytes: &'a [u8],
}

impl<'a> Instance<'a> {
    pub fn of(heading: &'a str, bytes: &'a [u8]) -> Self {
        Instance { heading, parts: layouts(&document()).remove(heading).unwrap(), bytes }
    }

    /// Every field of the layout is in `fields`, in order, with the bytes of its value, padded with zeros.
    pub fn holds(&self, fields: &[(&str, u128)]) {
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

pub const UUID_WORD: u128 = u128::from_le_bytes(UUID);

pub fn crc(bytes: &[u8]) -> u128 {
    crc32c::crc32c(bytes).into()
}

pub fn xxh3(bytes: &[u8], seed: u64) -> u128 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed).into()
}
