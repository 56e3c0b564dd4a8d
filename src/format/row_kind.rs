//! Kinds of rows: those this release writes, and those that version 1 keeps for the RESP keyspace.

/// What a row says. Kinds 16 to 31 belong to the RESP [`keyspace`], which this release does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowKind {
    /// Values of the features.
    Value = 1,
    /// From here on the key has no row.
    Delete = 2,
    /// From here on no key of the view has a row.
    ViewTruncate = 3,
    /// Rows of the key were physically removed.
    EraseMark = 4,
}

impl RowKind {
    /// The kind that `byte` stands for; `None` for the kinds of [`keyspace`] too, because a reader that
    /// passed over them would answer from older rows.
    pub fn from_byte(byte: u8) -> Option<RowKind> {
        match byte {
            1 => Some(RowKind::Value),
            2 => Some(RowKind::Delete),
            3 => Some(RowKind::ViewTruncate),
            4 => Some(RowKind::EraseMark),
            _ => None,
        }
    }
}

/// Numbers kept for rows of the RESP keyspace. No release writes them yet; one that does names its
/// database at [`keyspace::DATABASE_AT`] and its key type at [`keyspace::KEY_TYPE_AT`] of the record,
/// bytes that are zero in every other kind, and sets a required feature in STORE.
pub mod keyspace {
    /// The first kind kept.
    pub const KIND_MIN: u8 = 16;
    /// The last kind kept; those without a name below have no meaning yet.
    pub const KIND_MAX: u8 = 31;
    /// The key has this value from here on.
    pub const KIND_SET: u8 = 16;
    /// The key is gone from here on.
    pub const KIND_DELETE: u8 = 17;
    /// The key keeps its value and has this deadline from here on, or none.
    pub const KIND_DEADLINE: u8 = 18;
    /// The key's value goes by another name from here on.
    pub const KIND_RENAME: u8 = 19;
    /// From here on the database has no key.
    pub const KIND_TRUNCATE: u8 = 20;
    /// Byte of the record that names the database.
    pub const DATABASE_AT: usize = 10;
    /// Byte of the record that names the type of the key's value.
    pub const KEY_TYPE_AT: usize = 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_kept_for_the_keyspace_is_refused() {
        for byte in keyspace::KIND_MIN..=keyspace::KIND_MAX {
            assert_eq!(RowKind::from_byte(byte), None, "{byte}");
        }
        for kind in [RowKind::Value, RowKind::Delete, RowKind::ViewTruncate, RowKind::EraseMark] {
            assert_eq!(RowKind::from_byte(kind as u8), Some(kind));
        }
    }
}
