//! What can happen in a store's life, in numbers that mean something whatever came before.

use asof::value::DataType;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::definitions::{Entity, KEY_COLUMNS, NewSelection, NewView, new_selections, new_view};
use super::group::{Act, act};
use super::values::{NULL, UNKNOWN, feature_number, feature_type, key_number};

#[derive(Clone, Debug)]
pub enum Step {
    Write {
        view: u8,
        rows: Vec<NewRow>,
        allow_future: bool,
        row_by_row: bool,
    },
    /// The row, of many keys.
    Crowd {
        view: u8,
        row: NewRow,
    },
    Delete {
        view: u8,
        key: [u8; KEY_COLUMNS],
        at: Option<i64>,
        created: Option<i64>,
    },
    /// Files, and rows written before the import ends. The last file also holds the rows that were stored last; it and
    /// what is written beside, some of the first file.
    Import {
        view: u8,
        files: Vec<Vec<NewRow>>,
        stored: usize,
        twice: usize,
        append: bool,
        beside: Vec<NewRow>,
    },
    CopyVersion {
        view: u8,
    },
    /// Rows written field by field, and keys, whole or not at all.
    Transact(Vec<Act>),
    Seal,
    Merge,
    Reopen,
    Kill,
    Clock(i64),
    /// A view, its next version, or again one that was dropped.
    Define(NewView),
    AddFeature {
        view: u8,
        dtype: DataType,
        place: u8,
    },
    Ttl {
        view: u8,
        ttl: i64,
    },
    Drop {
        view: u8,
    },
    Serve(Vec<NewSelection>),
    Snapshot,
    /// A handle that is kept, and asked for these entities after every step.
    Keep(Asked, Vec<Entity>),
    Get {
        asked: Asked,
        known: Known,
        at: Option<i64>,
        entity: Entity,
    },
    History {
        asked: Asked,
        known: Known,
        created_cutoff: bool,
        full_names: bool,
        spine: Vec<(Option<i64>, Entity)>,
    },
    /// All keys, and a row as the Redis protocol reads it.
    ReadAt {
        known: Known,
        at: i64,
        view: u8,
        key: [u8; KEY_COLUMNS],
    },
    Scan {
        view: u8,
        known: Known,
        from: Option<i64>,
        to: Option<i64>,
        key: Option<[u8; KEY_COLUMNS]>,
        batch_rows: usize,
    },
}

/// A row of any view: what the view does not have is left out.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub key: [u8; KEY_COLUMNS],
    pub event_ts: i64,
    pub created: Option<i64>,
    pub event_id: u8,
    /// Of the features in turn.
    pub values: [Option<u8>; 3],
    pub is_delete: bool,
}

/// Which features to read.
#[derive(Clone, Debug)]
pub enum Asked {
    Service,
    List(Vec<NewSelection>),
}

/// By when it is to be known, and in whose words.
#[derive(Clone, Debug)]
pub struct Known {
    pub by: KnownBy,
    /// Today's definitions rather than those of then.
    pub definitions_current: bool,
    /// Names come out of the definitions of then rather than today's.
    pub names_of_then: bool,
}

#[derive(Clone, Debug)]
pub enum KnownBy {
    Now,
    /// The number of the row or the definitions so many before the last, or the one below it.
    Seq {
        back: usize,
        below: bool,
    },
    /// So many numbers after the last that was given.
    Ahead(u64),
    Time(i64),
    Snapshot(usize),
}

/// Times of rows: near each other and to the clock, so that many are equal.
pub fn time() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 0..24_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

/// Times that are asked for.
fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![30 => -1..30_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

pub fn key() -> impl Strategy<Value = [u8; KEY_COLUMNS]> {
    [key_number(), key_number(), key_number()]
}

fn entity() -> impl Strategy<Value = Entity> {
    let number = || prop_oneof![12 => key_number(), 1 => Just(UNKNOWN)];
    [number(), number(), number(), number(), number(), number()]
}

fn spine_row() -> impl Strategy<Value = (Option<i64>, Entity)> {
    let with_null = (entity(), option::weighted(0.1, 0..6_usize)).prop_map(|(mut entity, null)| {
        null.into_iter().for_each(|at| entity[at] = NULL);
        entity
    });
    (option::weighted(0.95, instant()), with_null)
}

fn row() -> BoxedStrategy<NewRow> {
    let values = [feature_number(), feature_number(), feature_number()];
    (key(), time(), option::of(0..24_i64), 1..4_u8, values, prop::bool::weighted(0.1))
        .prop_map(|(key, event_ts, created, event_id, values, is_delete)| NewRow {
            key,
            event_ts,
            created,
            event_id,
            values,
            is_delete,
        })
        .boxed()
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![1 => Just(Asked::Service), 2 => new_selections().prop_map(Asked::List)]
}

fn known() -> impl Strategy<Value = Known> {
    let by = prop_oneof![
        4 => Just(KnownBy::Now),
        6 => (0..20_usize, any::<bool>()).prop_map(|(back, below)| KnownBy::Seq { back, below }),
        1 => (1..3_u64).prop_map(KnownBy::Ahead),
        2 => (-1..30_i64).prop_map(KnownBy::Time),
        2 => (0..4_usize).prop_map(KnownBy::Snapshot),
    ];
    (by, prop::bool::weighted(0.3), any::<bool>()).prop_map(|(by, definitions_current, names_of_then)| Known {
        by,
        definitions_current,
        names_of_then,
    })
}

/// Any step. Boxed: strategies of strategies take much of the stack otherwise.
pub fn step() -> BoxedStrategy<Step> {
    let view = any::<u8>;
    let ttl = || prop_oneof![Just(0), 1..12_i64, Just(i64::MAX)];
    let writes = prop_oneof![
        6 => (view(), vec(row(), 1..6), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(view, rows, allow_future, row_by_row)| Step::Write { view, rows, allow_future, row_by_row }),
        2 => (view(), key(), option::weighted(0.9, time()), option::weighted(0.3, 0..24_i64))
            .prop_map(|(view, key, at, created)| Step::Delete { view, key, at, created }),
        3 => (view(), vec(vec(row(), 0..6), 1..3), (0..8_usize, 0..3_usize), any::<bool>(), vec(row(), 0..3)).prop_map(
            |(view, files, (stored, twice), append, beside)| Step::Import { view, files, stored, twice, append, beside }
        ),
        1 => view().prop_map(|view| Step::CopyVersion { view }),
    ]
    .boxed();
    let care = prop_oneof![
        3 => Just(Step::Seal),
        2 => Just(Step::Merge),
        2 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        3 => (0..26_i64).prop_map(Step::Clock),
        2 => Just(Step::Snapshot),
    ]
    .boxed();
    let definitions = prop_oneof![
        2 => new_view().prop_map(Step::Define),
        2 => (view(), feature_type(), any::<u8>()).prop_map(|(view, dtype, place)| Step::AddFeature { view, dtype, place }),
        1 => (view(), ttl()).prop_map(|(view, ttl)| Step::Ttl { view, ttl }),
        1 => view().prop_map(|view| Step::Drop { view }),
        2 => new_selections().prop_map(Step::Serve),
    ]
    .boxed();
    let reads = prop_oneof![
        1 => (asked(), vec(entity(), 1..5)).prop_map(|(asked, entities)| Step::Keep(asked, entities)),
        2 => (asked(), known(), option::of(instant()), entity())
            .prop_map(|(asked, known, at, entity)| Step::Get { asked, known, at, entity }),
        4 => (asked(), known(), any::<bool>(), prop::bool::weighted(0.8), vec(spine_row(), 1..12)).prop_map(
            |(asked, known, created_cutoff, full_names, spine)| Step::History {
                asked, known, created_cutoff, full_names, spine
            }
        ),
        2 => (view(), known(), option::of(instant()), option::of(instant()), option::weighted(0.3, key()), 1..9_usize)
            .prop_map(|(view, known, from, to, key, batch_rows)| Step::Scan { view, known, from, to, key, batch_rows }),
    ]
    .boxed();
    let groups = prop_oneof![
        4 => vec(act(), 1..6).prop_map(Step::Transact),
        1 => (known(), instant(), view(), key())
            .prop_map(|(known, at, view, key)| Step::ReadAt { known, at, view, key }),
    ]
    .boxed();
    // Seldom, for each key of it is asked for after every step that follows.
    let crowd = (view(), row()).prop_map(|(view, row)| Step::Crowd { view, row });
    prop_oneof![48 => writes, 24 => care, 16 => definitions, 24 => reads, 24 => groups, 1 => crowd].boxed()
}
