//! Entity keys as a handle encodes them, once for each view that it reads.

use super::super::resolve::Resolved;
use crate::identity::Identity;
use crate::key::key_hash;

/// An entity's keys, encoded and hashed for the views of one handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityKey {
    /// [`views_id`] of the handle that made it.
    pub(super) views_id: u64,
    /// Of the first view, which mostly is the only one.
    first: Part,
    others: Vec<Part>,
}

// All that a get reads of a short key is one cache line.
const _: () = assert!(size_of::<EntityKey>() == 64);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    hash: u64,
    bytes: KeyBytes,
}

const SHORT_BYTES_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyBytes {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<[u8]>),
}

/// What tells a handle's keys from those of another: its store, its views, and the caller's columns that hold their join keys.
pub(super) fn views_id<'a>(identity: &Identity, selections: impl Iterator<Item = &'a Resolved>) -> u64 {
    let mut said = identity.uuid.to_vec();
    for selected in selections {
        said.extend(selected.view.id.to_le_bytes());
        // Names hold no zero byte.
        selected.key_columns.iter().for_each(|column| said.extend(column.bytes().chain([0])));
    }
    key_hash(identity.hash_seed, &said)
}

impl EntityKey {
    /// For a handle without views; [`EntityKey::push`] adds one.
    pub(super) fn new(views_id: u64) -> EntityKey {
        EntityKey { views_id, first: Part::new(0, &[]), others: Vec::new() }
    }

    /// The key of the view at `index`, which is the next.
    pub(super) fn push(&mut self, index: usize, hash_seed: u64, key: &[u8]) {
        let part = Part::new(key_hash(hash_seed, key), key);
        if index == 0 { self.first = part } else { self.others.push(part) }
    }

    /// Hash and bytes of the key of the first view.
    #[inline(always)]
    pub(super) fn first(&self) -> (u64, &[u8]) {
        self.first.hash_and_bytes()
    }

    /// Hash and bytes of the key of the view at `index`.
    #[inline(always)]
    pub(super) fn part(&self, index: usize) -> (u64, &[u8]) {
        if index == 0 { self.first() } else { self.others[index - 1].hash_and_bytes() }
    }
}

impl Part {
    #[inline(always)]
    fn hash_and_bytes(&self) -> (u64, &[u8]) {
        let bytes = match &self.bytes {
            KeyBytes::Short { len, bytes } => &bytes[..usize::from(*len)],
            KeyBytes::Long(bytes) => bytes,
        };
        (self.hash, bytes)
    }

    fn new(hash: u64, key: &[u8]) -> Part {
        let mut bytes = [0; SHORT_BYTES_MAX];
        let bytes = match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(short), Ok(len)) => {
                short.copy_from_slice(key);
                KeyBytes::Short { len, bytes }
            }
            _ => KeyBytes::Long(key.into()),
        };
        Part { hash, bytes }
    }
}
