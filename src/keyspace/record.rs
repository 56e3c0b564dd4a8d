//! What a group did to keys, as records for the log.

use crate::error::{Error, Result};
use crate::format::keyspace::{Change, KeyName, NAME_BYTES_MAX, Pairs, layout, push_change, push_pair};
use crate::format::row::RowLayout;
use crate::format::value::VARIABLE_BYTES_MAX;

/// Records of a group, in order. Fields of one hash that are set one after the other share a record.
#[derive(Debug)]
pub(super) struct Records {
    layout: RowLayout,
    bytes: Vec<u8>,
    count: u32,
    /// The event time of all of them.
    at: i64,
    /// Whether there is a group: what is done outside of one came out of records.
    is_open: bool,
    /// Fields that were set last, and whose.
    pairs: Vec<u8>,
    pairs_of: Option<(u8, Box<[u8]>)>,
    /// Why a change could not be recorded: the group is then not to be kept.
    error: Option<Error>,
}

impl Records {
    pub fn new() -> Records {
        Records {
            layout: layout(),
            bytes: Vec::new(),
            count: 0,
            at: i64::MIN,
            is_open: false,
            pairs: Vec::new(),
            pairs_of: None,
            error: None,
        }
    }

    pub fn begin(&mut self, at: i64) {
        self.end();
        self.at = at;
        self.is_open = true;
    }

    pub fn end(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.is_open = false;
        self.pairs.clear();
        self.pairs_of = None;
        self.error = None;
    }

    /// The event time of the group; before the first there is none.
    pub fn at(&self) -> i64 {
        self.at
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The records, and how many they are.
    ///
    /// # Errors
    /// A change could not be recorded.
    pub fn take(&mut self) -> Result<(Vec<u8>, u32)> {
        self.push_pairs();
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok((std::mem::take(&mut self.bytes), std::mem::take(&mut self.count))),
        }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.pairs.len()
    }

    /// A change. A value that is longer than one record may hold takes several.
    pub fn push(&mut self, key: KeyName<'_>, change: Change<'_>) {
        if !self.is_open {
            return;
        }
        self.push_pairs();
        match change {
            Change::SetString(bytes, deadline) if bytes.len() > VARIABLE_BYTES_MAX => {
                let (first, rest) = bytes.split_at(VARIABLE_BYTES_MAX);
                self.push_one(key, Change::SetString(first, deadline));
                self.push_parts(key, rest, VARIABLE_BYTES_MAX as u64, Change::WriteString);
            }
            Change::WriteString(offset, bytes) if bytes.len() > VARIABLE_BYTES_MAX => {
                self.push_parts(key, bytes, offset, Change::WriteString);
            }
            other => self.push_one(key, other),
        }
    }

    /// A field of a hash that was given a value.
    pub fn push_field(&mut self, key: KeyName<'_>, field: &[u8], value: &[u8]) {
        if !self.is_open {
            return;
        }
        let len = field.len() + value.len() + 8;
        let is_same = self.pairs_of.as_ref().is_some_and(|(database, name)| (*database, &**name) == key);
        if !is_same || self.pairs.len() + len > VARIABLE_BYTES_MAX {
            self.push_pairs();
            self.pairs_of = Some((key.0, key.1.into()));
        }
        if len <= VARIABLE_BYTES_MAX {
            return push_pair(field, value, &mut self.pairs);
        }
        // Too long for a pair: an empty value that is written to in parts.
        push_pair(field, &[], &mut self.pairs);
        self.push_pairs();
        self.push_parts(key, value, 0, |offset, part| Change::WriteField(field, offset, part));
    }

    fn push_parts<'a>(
        &mut self,
        key: KeyName<'_>,
        bytes: &'a [u8],
        offset: u64,
        change: impl Fn(u64, &'a [u8]) -> Change<'a>,
    ) {
        for (part, at) in bytes.chunks(VARIABLE_BYTES_MAX).zip((offset..).step_by(VARIABLE_BYTES_MAX)) {
            self.push_one(key, change(at, part));
        }
    }

    fn push_pairs(&mut self) {
        if let Some((database, name)) = self.pairs_of.take() {
            let pairs = std::mem::take(&mut self.pairs);
            self.push_one((database, &name), Change::SetFields(Pairs::new(&pairs)));
            self.pairs = pairs;
            self.pairs.clear();
        }
    }

    fn push_one(&mut self, key: KeyName<'_>, change: Change<'_>) {
        let pushed = check_name(key.1).and_then(|()| push_change(&self.layout, key, change, self.at, &mut self.bytes));
        match pushed {
            Ok(_) => self.count += 1,
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }
}

/// Refuses a name that no record can say.
///
/// # Errors
/// It is longer than [`NAME_BYTES_MAX`].
pub fn check_name(name: &[u8]) -> Result<()> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("the key's name takes {} bytes, at most {NAME_BYTES_MAX} are stored", name.len())))
}
