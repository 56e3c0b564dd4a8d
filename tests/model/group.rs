//! Random groups: rows written field by field and keys of the keyspace, together.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::definitions::KEY_COLUMNS;
use super::keys::{Change, Content, Keys, Name};
use super::steps::{key, time};
use super::values::feature_number;

/// Something that a group does.
#[derive(Clone, Debug)]
pub enum Act {
    Put(Put),
    DeleteRow { view: u8, key: [u8; KEY_COLUMNS], at: Option<i64> },
    Truncate { view: u8, at: Option<i64> },
    Key { name: u8, act: KeyAct },
}

/// A row that is what the one as of its event time is, but for this; without an event time, of now.
#[derive(Clone, Debug)]
pub struct Put {
    pub view: u8,
    pub key: [u8; KEY_COLUMNS],
    pub at: Option<i64>,
    /// Features by a number that means something in every view.
    pub fields: Vec<(u8, Part)>,
    /// Where it changes, the row's deadline.
    pub deadline: Option<Option<i64>>,
}

/// What becomes of a field.
#[derive(Clone, Debug)]
pub enum Part {
    /// A value, or null.
    Value(Option<u8>),
    Absent,
    Deadline(Option<i64>),
}

/// What is done to a key. Where it cannot be, nothing is.
#[derive(Clone, Debug)]
pub enum KeyAct {
    Set(u8, Option<i64>),
    Write(usize, u8),
    SetFields(Vec<(u8, u8)>),
    DeleteField(u8),
    Delete,
    Deadline(Option<i64>),
    FieldDeadline(u8, Option<i64>),
    Rename(u8),
    Copy(u8),
    Flush,
}

/// How many names keys have, of two databases.
pub const NAMES: u8 = 8;

/// The key that a number stands for; one has no name, as the row has that empties a database.
pub fn name(number: u8) -> Name {
    let name: &[u8] = [&b""[..], b"k", b"k\0\xff", b"another key"][usize::from(number % NAMES / 2)];
    (number % 2, name.to_vec())
}

fn bytes(number: u8) -> Vec<u8> {
    vec![b'v'; [1, 0, 12, 13, 300][usize::from(number % 5)]]
}

fn field(number: u8) -> Vec<u8> {
    [&b""[..], b"f", b"a field longer than twelve"][usize::from(number % 3)].to_vec()
}

impl KeyAct {
    /// What it changes of these keys.
    pub fn changes(&self, of: &Name, keys: &Keys) -> Vec<(Name, Change)> {
        let is_hash = |content: &Content| matches!(content, Content::Hash(_));
        let held = keys.get(of).map(|held| &held.value);
        let has_field = |number: &u8| {
            let Some(Content::Hash(fields)) = held else { return false };
            fields.contains_key(&field(*number))
        };
        let other = |number: &u8| Some(name(*number)).filter(|other| held.is_some() && other != of);
        let one = |change: Change| vec![(of.clone(), change)];
        match self {
            KeyAct::Set(value, deadline) => one(Change::Set(bytes(*value), *deadline)),
            KeyAct::Write(offset, value) if held.is_some_and(|held| !is_hash(held)) => {
                one(Change::Write(*offset, bytes(*value)))
            }
            KeyAct::SetFields(fields) if held.is_none_or(is_hash) => {
                one(Change::SetFields(fields.iter().map(|(name, value)| (field(*name), bytes(*value))).collect()))
            }
            KeyAct::DeleteField(number) if has_field(number) => one(Change::DeleteField(field(*number))),
            KeyAct::Delete if held.is_some() => one(Change::Delete),
            KeyAct::Deadline(deadline) if held.is_some() => one(Change::Deadline(*deadline)),
            KeyAct::FieldDeadline(number, deadline) if has_field(number) => {
                one(Change::FieldDeadline(field(*number), *deadline))
            }
            KeyAct::Rename(number) => other(number)
                .map_or_else(Vec::new, |to| vec![(to, Change::TakeOver(of.clone())), (of.clone(), Change::Delete)]),
            KeyAct::Copy(number) => other(number).map_or_else(Vec::new, |to| vec![(to, Change::TakeOver(of.clone()))]),
            KeyAct::Flush => vec![((of.0, Vec::new()), Change::Flush)],
            _ => Vec::new(),
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        5 => feature_number().prop_map(Part::Value),
        1 => Just(Part::Absent),
        2 => option::weighted(0.8, 0..30_i64).prop_map(Part::Deadline),
    ]
}

fn key_act() -> impl Strategy<Value = KeyAct> {
    let deadline = || option::weighted(0.5, 8..34_i64);
    prop_oneof![
        3 => (any::<u8>(), deadline()).prop_map(|(value, deadline)| KeyAct::Set(value, deadline)),
        1 => (0..20_usize, any::<u8>()).prop_map(|(offset, value)| KeyAct::Write(offset, value)),
        4 => vec((any::<u8>(), any::<u8>()), 1..3).prop_map(KeyAct::SetFields),
        2 => any::<u8>().prop_map(KeyAct::DeleteField),
        1 => Just(KeyAct::Delete),
        2 => deadline().prop_map(KeyAct::Deadline),
        3 => (any::<u8>(), deadline()).prop_map(|(field, deadline)| KeyAct::FieldDeadline(field, deadline)),
        2 => any::<u8>().prop_map(KeyAct::Rename),
        2 => any::<u8>().prop_map(KeyAct::Copy),
        1 => Just(KeyAct::Flush),
    ]
}

pub fn act() -> BoxedStrategy<Act> {
    let at = || option::weighted(0.6, time());
    let deadline = option::weighted(0.2, option::weighted(0.8, 0..30_i64));
    prop_oneof![
        5 => (any::<u8>(), key(), at(), vec((any::<u8>(), part()), 0..4), deadline).prop_map(
            |(view, key, at, fields, deadline)| Act::Put(Put { view, key, at, fields, deadline })
        ),
        1 => (any::<u8>(), key(), at()).prop_map(|(view, key, at)| Act::DeleteRow { view, key, at }),
        1 => (any::<u8>(), at()).prop_map(|(view, at)| Act::Truncate { view, at }),
        6 => (any::<u8>(), key_act()).prop_map(|(name, act)| Act::Key { name, act }),
    ]
    .boxed()
}
