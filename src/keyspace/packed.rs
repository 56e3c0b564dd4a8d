//! The fields of a small hash, one after the other in one piece of memory, in the order they were added.
//!
//! ```text
//! field := u32 length of name | u32 length of value | name | value
//! ```

use std::ops::Range;

const LENGTHS_BYTES: usize = 8;

/// Fields and values of a small hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    len: usize,
}

/// Where a field lies.
struct Place {
    start: usize,
    name: Range<usize>,
    value: Range<usize>,
}

impl Packed {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The memory that it lies in.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes it takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn place(&self, start: usize) -> Option<Place> {
        let lengths = self.bytes.get(start..start + LENGTHS_BYTES)?;
        let (name, value) = lengths.split_at(4);
        let length = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let name = start + LENGTHS_BYTES..start + LENGTHS_BYTES + length(name);
        let value = name.end..name.end + length(value);
        Some(Place { start, name, value })
    }

    fn find(&self, name: &[u8]) -> Option<Place> {
        self.find_from(0, name)
    }

    /// Looks at the field that begins at `from` first, then at those after it, then at those before.
    #[inline]
    fn find_from(&self, from: usize, name: &[u8]) -> Option<Place> {
        let mut start = from;
        while let Some(place) = self.place(start) {
            if self.bytes[place.name.clone()] == *name {
                return Some(place);
            }
            start = place.value.end;
        }
        start = 0;
        while start < from {
            let place = self.place(start)?;
            if self.bytes[place.name.clone()] == *name {
                return Some(place);
            }
            start = place.value.end;
        }
        None
    }

    /// A field's value.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).map(|place| &self.bytes[place.value])
    }

    /// A field's value, and where the field after it begins: it is looked for from `next` on first, which 0 is always right for.
    #[inline]
    pub fn get_from(&self, next: &mut usize, name: &[u8]) -> Option<&[u8]> {
        let place = self.find_from(*next, name)?;
        *next = place.value.end;
        Some(&self.bytes[place.value])
    }

    /// Gives a field a value, where it stands or at the end; the value it had.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Option<Box<[u8]>> {
        let before = self.get(name).map(Box::from);
        self.put(&mut 0, name, value);
        before
    }

    /// As [`Packed::set`], looking for the field as [`Packed::get_from`] does. Whether it is new.
    pub fn put(&mut self, next: &mut usize, name: &[u8], value: &[u8]) -> bool {
        let Some(place) = self.find_from(*next, name) else {
            self.bytes.reserve_exact(LENGTHS_BYTES + name.len() + value.len());
            self.bytes.extend_from_slice(&length_of(name));
            self.bytes.extend_from_slice(&length_of(value));
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
            self.len += 1;
            *next = self.bytes.len();
            return true;
        };
        *next = place.value.start + value.len();
        let length_at = place.start + 4;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length_of(value));
        if place.value.len() == value.len() {
            self.bytes[place.value].copy_from_slice(value);
        } else {
            self.bytes.splice(place.value, value.iter().copied());
        }
        false
    }

    /// Makes room for fields of so many bytes in all, so that each need not.
    pub fn reserve(&mut self, fields: usize, bytes: usize) {
        self.bytes.reserve_exact(fields * LENGTHS_BYTES + bytes);
    }

    /// Takes a field out; the value it had.
    pub fn remove(&mut self, name: &[u8]) -> Option<Box<[u8]>> {
        let place = self.find(name)?;
        let before = self.bytes[place.value.clone()].into();
        self.bytes.drain(place.start..place.value.end);
        self.len -= 1;
        Some(before)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let place = self.place(start)?;
            start = place.value.end;
            Some((&self.bytes[place.name], &self.bytes[place.value]))
        })
    }
}

/// Names and values of a small hash are at most as long as a setting says, and the setting as a u32 can say.
fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a short name or value").to_le_bytes()
}
