//! A hash: fields with values, and perhaps with deadlines.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::RANDOM_DRAWS_MAX;
use super::packed::Packed;
use super::table::{Cursor, Named, Table};

/// Up to which size a hash stays in one piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLimits {
    /// Most fields: `hash-max-listpack-entries`.
    pub fields_max: usize,
    /// Longest name or value, in bytes: `hash-max-listpack-value`.
    pub bytes_max: u32,
}

impl Default for PackedLimits {
    fn default() -> Self {
        PackedLimits { fields_max: 512, bytes_max: 64 }
    }
}

/// A small hash is copied whole before many of its fields change at once, if it has no more bytes for each of these.
const COPIED_BYTES_OF_FIELD: usize = 256;

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash {
    fields: Fields,
    deadlines: Option<Box<Deadlines>>,
}

#[derive(Clone, Debug)]
enum Fields {
    Packed(Packed),
    Table(Box<Table<Field>>),
}

#[derive(Clone, Debug)]
struct Field {
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Named for Field {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

/// When fields go, of those that do.
#[derive(Clone, Debug, Default)]
struct Deadlines {
    of_fields: HashMap<Arc<[u8]>, i64>,
    in_order: BTreeSet<(i64, Arc<[u8]>)>,
}

impl Deadlines {
    fn earliest(&self) -> Option<i64> {
        self.in_order.first().map(|(deadline, _)| *deadline)
    }

    fn set(&mut self, name: &[u8], deadline: i64) -> Option<i64> {
        let before = self.clear(name);
        let name: Arc<[u8]> = name.into();
        self.in_order.insert((deadline, Arc::clone(&name)));
        self.of_fields.insert(name, deadline);
        before
    }

    fn clear(&mut self, name: &[u8]) -> Option<i64> {
        let (name, deadline) = self.of_fields.remove_entry(name)?;
        self.in_order.remove(&(deadline, name));
        Some(deadline)
    }
}

/// What a field was before it was changed or taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldBefore {
    /// Its value.
    pub value: Box<[u8]>,
    /// When it was to go, microseconds since 1970.
    pub deadline: Option<i64>,
}

/// How a hash lies in memory, by Redis's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashEncoding {
    /// Small.
    Listpack,
    /// Small, with deadlines of fields.
    ListpackEx,
    /// Large.
    Hashtable,
}

impl Default for Hash {
    fn default() -> Self {
        Hash { fields: Fields::Packed(Packed::default()), deadlines: None }
    }
}

impl Hash {
    /// How it lies in memory.
    pub fn encoding(&self) -> HashEncoding {
        match (&self.fields, &self.deadlines) {
            (Fields::Table(_), _) => HashEncoding::Hashtable,
            (Fields::Packed(_), Some(_)) => HashEncoding::ListpackEx,
            (Fields::Packed(_), None) => HashEncoding::Listpack,
        }
    }

    /// Bytes that its fields take in memory, about, as the first `samples` of them suggest.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let of_deadlines = self.deadlines.as_deref().map_or(0, |deadlines| {
            deadlines.of_fields.len() * (size_of::<(Arc<[u8]>, i64)>() * 2 + size_of::<[usize; 2]>())
        });
        let of_fields = match &self.fields {
            Fields::Packed(packed) => packed.memory_bytes(),
            Fields::Table(table) => {
                let sampled = table.iter().take(samples.max(1));
                let (count, bytes) = sampled
                    .fold((0, 0), |(count, bytes), field| (count + 1, bytes + field.name.len() + field.value.len()));
                table.len() * (size_of::<Field>() + size_of::<u64>() + bytes / usize::max(count, 1))
            }
        };
        of_fields + of_deadlines
    }

    /// The memory that a small hash lies in; none of a large one.
    pub fn packed_bytes(&self) -> &[u8] {
        match &self.fields {
            Fields::Packed(packed) => packed.bytes(),
            Fields::Table(_) => &[],
        }
    }

    /// How many fields it has, those included that are past their deadline.
    pub fn len_with_expired(&self) -> usize {
        match &self.fields {
            Fields::Packed(packed) => packed.len(),
            Fields::Table(table) => table.len(),
        }
    }

    /// Whether it has the field, past its deadline or not.
    pub fn has_with_expired(&self, name: &[u8]) -> bool {
        match &self.fields {
            Fields::Packed(packed) => packed.get(name).is_some(),
            Fields::Table(table) => table.get(name).is_some(),
        }
    }

    /// How many fields it has at `now`.
    pub fn len(&self, now: i64) -> usize {
        self.len_with_expired() - self.expired(now).count()
    }

    /// Whether it has no field at `now`.
    pub fn is_empty(&self, now: i64) -> bool {
        self.len(now) == 0
    }

    /// The fields that are past their deadline at `now`, the first to go first.
    pub fn expired(&self, now: i64) -> impl Iterator<Item = &[u8]> {
        let in_order = self.deadlines.as_deref().into_iter().flat_map(|deadlines| &deadlines.in_order);
        in_order.take_while(move |(deadline, _)| *deadline <= now).map(|(_, name)| &**name)
    }

    /// When the first of its fields goes, microseconds since 1970; `None`: all stay.
    pub fn earliest_deadline(&self) -> Option<i64> {
        self.deadlines.as_deref().and_then(Deadlines::earliest)
    }

    #[inline]
    fn is_past(&self, name: &[u8], now: i64) -> bool {
        self.deadlines.is_some() && self.deadline(name).is_some_and(|deadline| deadline <= now)
    }

    /// A field's value at `now`.
    #[inline]
    pub fn get(&self, name: &[u8], now: i64) -> Option<&[u8]> {
        let value = match &self.fields {
            Fields::Packed(packed) => packed.get(name),
            Fields::Table(table) => table.get(name).map(|field| &*field.value),
        };
        value.filter(|_| !self.is_past(name, now))
    }

    /// [`Hash::get`] of several, where many ask for fields in the order that they were added: `next` is 0 for the first, and says where
    /// the next may be.
    #[inline]
    pub fn get_from(&self, next: &mut usize, name: &[u8], now: i64) -> Option<&[u8]> {
        match &self.fields {
            Fields::Packed(packed) => packed.get_from(next, name).filter(|_| !self.is_past(name, now)),
            Fields::Table(_) => self.get(name, now),
        }
    }

    /// When a field goes; `None`: it stays, or is not there.
    pub fn deadline(&self, name: &[u8]) -> Option<i64> {
        self.deadlines.as_deref()?.of_fields.get(name).copied()
    }

    /// All fields at `now` with their values.
    pub fn iter(&self, now: i64) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (packed, table) = match &self.fields {
            Fields::Packed(packed) => (Some(packed), None),
            Fields::Table(table) => (None, Some(table)),
        };
        let packed = packed.into_iter().flat_map(Packed::iter);
        let table = table.into_iter().flat_map(|table| table.iter().map(|field| (&*field.name, &*field.value)));
        packed.chain(table).filter(move |(name, _)| !self.is_past(name, now))
    }

    /// A field of those it has at `now` with its value, each as likely as another. `below` gives random numbers below its argument.
    pub fn random(&self, now: i64, mut below: impl FnMut(usize) -> usize) -> Option<(&[u8], &[u8])> {
        if let Fields::Table(table) = &self.fields {
            let draws = (0..RANDOM_DRAWS_MAX).map_while(|_| table.random(&mut below));
            let mut there = draws.filter(|field| !self.is_past(&field.name, now));
            if let Some(field) = there.next() {
                return Some((&field.name, &field.value));
            }
        }
        match self.len(now) {
            0 => None,
            len => self.iter(now).nth(below(len)),
        }
    }

    /// Gives `visit` fields from `cursor` on, at least `count` or all that are left, and where to go on. Of a small hash all come at
    /// once.
    pub fn scan<'a>(
        &'a self,
        cursor: Cursor,
        count: usize,
        now: i64,
        mut visit: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Cursor {
        match &self.fields {
            Fields::Packed(_) => {
                self.iter(now).for_each(|(name, value)| visit(name, value));
                0
            }
            Fields::Table(table) => table.scan(cursor, count, |field| {
                if !self.is_past(&field.name, now) {
                    visit(&field.name, &field.value);
                }
            }),
        }
    }

    /// Whether its fields can be walked over in parts.
    pub(super) fn has_parts(&self) -> bool {
        matches!(self.fields, Fields::Table(_))
    }

    /// As [`Table::scan_until`], those fields included that are past their deadline. Of a small hash all come at once.
    pub(super) fn scan_until<'a>(
        &'a self,
        cursor: Cursor,
        mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool,
    ) -> Cursor {
        match &self.fields {
            Fields::Packed(packed) => {
                for (name, value) in packed.iter() {
                    visit(name, value);
                }
                0
            }
            Fields::Table(table) => table.scan_until(cursor, |field| visit(&field.name, &field.value)),
        }
    }

    /// The fields that have deadlines, and these.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let of_fields = self.deadlines.as_deref().into_iter().flat_map(|deadlines| &deadlines.of_fields);
        of_fields.map(|(name, deadline)| (&**name, *deadline))
    }

    /// Gives a field a value and takes its deadline away; what it was before. `seed` is that of the table it may become.
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: PackedLimits, seed: u64) -> Option<FieldBefore> {
        let fits = |bytes: &[u8]| bytes.len() <= limits.bytes_max as usize;
        let deadline = self.clear_deadline(name);
        if let Fields::Packed(packed) = &mut self.fields {
            let is_known = packed.get(name).is_some();
            if fits(name) && fits(value) && (is_known || packed.len() < limits.fields_max) {
                return packed.set(name, value).map(|value| FieldBefore { value, deadline });
            }
            self.unpack(seed);
        }
        let Fields::Table(table) = &mut self.fields else { unreachable!("it was made one") };
        let before = table.insert(Field { name: name.into(), value: value.into() });
        before.map(|field| FieldBefore { value: field.value, deadline })
    }

    /// A copy to put back, where that takes less than to note each of so many fields: of a small hash without deadlines.
    pub fn copy_for_undo(&self, fields: usize) -> Option<Hash> {
        match &self.fields {
            Fields::Packed(packed) if fields > 1 && self.deadlines.is_none() => {
                (packed.memory_bytes() <= fields * COPIED_BYTES_OF_FIELD).then(|| self.clone())
            }
            Fields::Packed(_) | Fields::Table(_) => None,
        }
    }

    /// [`Hash::set`] of several fields at once, of so many names and values in all, whose former values nobody asks for. How many are new.
    pub fn set_all<'a>(
        &mut self,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        limits: PackedLimits,
        seed: u64,
    ) -> usize {
        let (mut added, mut next) = (0, 0);
        if self.len_with_expired() == 0
            && let Fields::Packed(packed) = &mut self.fields
        {
            let (count, bytes) = pairs
                .clone()
                .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
            if count <= limits.fields_max {
                packed.reserve(count, bytes);
            }
        }
        let fits = |bytes: &[u8]| bytes.len() <= limits.bytes_max as usize;
        for (name, value) in pairs {
            match &mut self.fields {
                Fields::Packed(packed) if fits(name) && fits(value) && packed.len() < limits.fields_max => {
                    let is_new = packed.put(&mut next, name, value);
                    self.clear_deadline(name);
                    added += usize::from(is_new);
                }
                Fields::Packed(_) | Fields::Table(_) => {
                    added += usize::from(self.set(name, value, limits, seed).is_none());
                    next = 0;
                }
            }
        }
        added
    }

    /// Takes a field out; what it was.
    pub fn remove(&mut self, name: &[u8]) -> Option<FieldBefore> {
        let deadline = self.clear_deadline(name);
        let value = match &mut self.fields {
            Fields::Packed(packed) => packed.remove(name)?,
            Fields::Table(table) => table.remove(name)?.value,
        };
        Some(FieldBefore { value, deadline })
    }

    /// Says when a field that is there goes, or that it stays; when it was to go.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<i64>) -> Option<i64> {
        match deadline {
            Some(deadline) => self.deadlines.get_or_insert_default().set(name, deadline),
            None => self.clear_deadline(name),
        }
    }

    fn clear_deadline(&mut self, name: &[u8]) -> Option<i64> {
        let deadlines = self.deadlines.as_deref_mut()?;
        let before = deadlines.clear(name);
        if deadlines.of_fields.is_empty() {
            self.deadlines = None;
        }
        before
    }

    fn unpack(&mut self, seed: u64) {
        if let Fields::Packed(packed) = &self.fields {
            let mut table = Table::new(seed);
            for (name, value) in packed.iter() {
                table.insert(Field { name: name.into(), value: value.into() });
            }
            self.fields = Fields::Table(Box::new(table));
        }
    }
}
