//! Kinds of rows: those of feature views, and those of the keyspace of the Redis protocol.

/// What a row says.
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
    /// The key of the keyspace holds this string from here on, or its bytes from an offset on are these.
    KeyspaceSet = 16,
    /// The key of the keyspace, or a field of it, is gone from here on.
    KeyspaceDelete = 17,
    /// The key of the keyspace, or a field of it, has this deadline from here on, or none.
    KeyspaceDeadline = 18,
    /// The key of the keyspace is from here on what another was just before.
    KeyspaceRename = 19,
    /// From here on a database of the keyspace has no key.
    KeyspaceTruncate = 20,
    /// The key of the keyspace is a hash whose fields have these values from here on, or bytes of one of them are these.
    KeyspaceSetFields = 21,
}

impl RowKind {
    /// The kind that `byte` stands for.
    pub fn from_byte(byte: u8) -> Option<RowKind> {
        match byte {
            1 => Some(RowKind::Value),
            2 => Some(RowKind::Delete),
            3 => Some(RowKind::ViewTruncate),
            4 => Some(RowKind::EraseMark),
            16 => Some(RowKind::KeyspaceSet),
            17 => Some(RowKind::KeyspaceDelete),
            18 => Some(RowKind::KeyspaceDeadline),
            19 => Some(RowKind::KeyspaceRename),
            20 => Some(RowKind::KeyspaceTruncate),
            21 => Some(RowKind::KeyspaceSetFields),
            _ => None,
        }
    }

    /// Whether rows of this kind are the keyspace's, and never a feature view's.
    pub fn is_of_keyspace(self) -> bool {
        self as u8 >= keyspace::KIND_MIN
    }

    /// The type of what a row of this kind sets, as the record names it: 1 a string, 2 a hash, 0 nothing.
    pub fn key_type(self) -> u8 {
        match self {
            RowKind::KeyspaceSet => 1,
            RowKind::KeyspaceSetFields => 2,
            _ => 0,
        }
    }

    /// Whether rows of this kind have an image: states and values of fields. In those of others all fields are absent.
    pub fn has_image(self) -> bool {
        self == RowKind::Value || self.is_of_keyspace()
    }
}

/// Where rows of the keyspace differ from others: they name their database at [`keyspace::DATABASE_AT`] and the type of what is
/// set at [`keyspace::KEY_TYPE_AT`] of the record, bytes that are zero in every other kind.
pub mod keyspace {
    /// The first kind that is the keyspace's.
    pub const KIND_MIN: u8 = 16;
    /// The last; those without a name in [`super::RowKind`] have no meaning yet.
    pub const KIND_MAX: u8 = 31;
    /// Byte of the record that names the database.
    pub const DATABASE_AT: usize = 10;
    /// Byte of the record that names the type of what is set: 1 a string, 2 a field of a hash; 0 where nothing is.
    pub const KEY_TYPE_AT: usize = 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_the_kind_that_writes_it_and_no_other() {
        let known: Vec<RowKind> = (0..=u8::MAX).filter_map(RowKind::from_byte).collect();
        assert_eq!(known.len(), 10);
        for kind in known {
            assert_eq!(RowKind::from_byte(kind as u8), Some(kind));
            assert_eq!(kind.is_of_keyspace(), (keyspace::KIND_MIN..=keyspace::KIND_MAX).contains(&(kind as u8)));
        }
    }
}
