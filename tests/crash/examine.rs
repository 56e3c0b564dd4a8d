//! An opened store against the model: which acts it has, and whether every answer follows from them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray, TimestampMicrosecondArray,
};
use asof::disk::Random;
use asof::time::Timestamp;
use asof::value::Value;
use asof::{ApplyOptions, ErrorKind, Features, GetOptions, HistoricalRequest, KnownAt, Store};

use super::keys;
use super::model::{Act, Answer, Defined, KEYS, Kind, Loss, Model, Outcome, Presence, View, pick};

/// Why a store did not pass.
#[derive(Debug)]
pub enum Trouble {
    /// It answers what it must not.
    Wrong(String),
    /// It says that it cannot: right only where a file was damaged.
    Refused(asof::Error),
}

impl From<asof::Error> for Trouble {
    fn from(error: asof::Error) -> Self {
        Trouble::Refused(error)
    }
}

/// The name that the event view knows a key by.
pub fn key_name(key: usize) -> String {
    format!("key {key}")
}

fn references(defined: &Defined) -> Vec<String> {
    defined.features().iter().map(|(view, feature)| format!("{}:{feature}", view.reference())).collect()
}

fn answer_at(column: &ArrayRef, row: usize) -> Answer {
    if column.is_null(row) {
        Answer::Null
    } else if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
        Answer::Number(numbers.value(row))
    } else if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        whole(numbers.value(row))
    } else {
        Answer::Text(column.as_string::<i32>().value(row).to_owned())
    }
}

/// Only whole numbers are written, so that any other is noticed.
fn whole(number: f64) -> Answer {
    let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
    let text = format!("{number:.0}");
    if is_whole { Answer::Number(text.parse().unwrap()) } else { Answer::Text(format!("not written: {number}")) }
}

fn answer_of(value: &Value) -> Answer {
    match value {
        Value::Null => Answer::Null,
        Value::Int64(number) => Answer::Number(*number),
        Value::Float64(number) => whole(*number),
        Value::String(text) => Answer::Text(text.clone()),
        other => Answer::Text(format!("of another type: {other:?}")),
    }
}

/// One answer for every point of the grid and every feature, feature by feature.
fn observe(
    store: &Store,
    defined: &Defined,
    grid: &[(usize, i64)],
    known_at: Option<KnownAt>,
) -> Result<Vec<Vec<Answer>>, Trouble> {
    let keys = grid.iter().map(|(key, _)| i64::try_from(*key).unwrap()).collect::<Int64Array>();
    let names = StringArray::from_iter_values(grid.iter().map(|(key, _)| key_name(*key)));
    let times = TimestampMicrosecondArray::from_iter_values(grid.iter().map(|(_, at)| *at));
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(keys)), ("name", Arc::new(names)), ("event_timestamp", Arc::new(times))];
    let spine = RecordBatch::try_from_iter(columns).unwrap();
    let mut request = HistoricalRequest::features(references(defined))?;
    request.full_names = true;
    request.threads = 1;
    request.known_at = known_at;
    let schema = spine.schema();
    let width = defined.features().len();
    let mut answers = vec![Vec::with_capacity(grid.len()); width];
    for batch in store.get_historical_features(RecordBatchIterator::new([Ok(spine)], schema), &request)? {
        let batch = batch?;
        for (feature, answers) in answers.iter_mut().enumerate() {
            let column = batch.column(3 + feature);
            answers.extend((0..batch.num_rows()).map(|row| answer_at(column, row)));
        }
    }
    Ok(answers)
}

/// What the model says of the same points; `Err` names the first one that differs.
fn compare(
    model: &Model,
    presence: &[bool],
    known: usize,
    defined: &Defined,
    grid: &[(usize, i64)],
    answers: &[Vec<Answer>],
) -> Result<(), String> {
    let rows = model.rows(presence, known);
    for ((view, feature), answers) in defined.features().into_iter().zip(answers) {
        if answers.len() != grid.len() {
            return Err(format!("{} answers to {} questions", answers.len(), grid.len()));
        }
        for ((key, at), answer) in grid.iter().zip(answers) {
            let (status, expected) = pick(rows.of(view, *key), *at, defined.ttl_us, feature);
            if *answer != expected {
                return Err(format!(
                    "{}:{feature} of key {key} at {at} is {answer:?}, expected {expected:?} ({status:?})",
                    view.reference()
                ));
            }
        }
    }
    Ok(())
}

/// Whether the store's definitions are exactly these.
fn is_defined(store: &Store, defined: &Defined) -> Result<bool, Trouble> {
    Ok(store.plan(&defined.definitions(), ApplyOptions { prune: true })?.is_empty())
}

fn has_no_views(store: &Store) -> Result<bool, Trouble> {
    match store.get(&Features::list(["v@1:number"])?, &entity(0)[..1], &GetOptions::default()) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Finds out which acts the store has; every answer must follow from them.
pub fn examine(store: &Store, model: &Model, loss: Loss, dice: &mut Random) -> Result<Presence, Trouble> {
    let mut candidates = model.candidates(loss);
    let count = model.acts.len();
    let mut seen: Vec<(Option<Defined>, bool)> = Vec::new();
    for candidate in &candidates {
        let defined = model.defined(candidate, count);
        if !seen.iter().any(|(known, _)| *known == defined) {
            let is_it = match &defined {
                Some(defined) => is_defined(store, defined)?,
                None => has_no_views(store)?,
            };
            seen.push((defined, is_it));
        }
    }
    let found: Vec<Option<Defined>> = seen.iter().filter(|(_, is_it)| *is_it).map(|(defined, _)| *defined).collect();
    let [defined] = found[..] else {
        let kinds: Vec<_> = model.acts.iter().rev().take(3).map(|act| (&act.kind, act.outcome)).collect();
        let what = format!("{} of the possible definitions are in force", found.len());
        return Err(Trouble::Wrong(format!("{what}: {seen:?}, after {kinds:?}")));
    };
    candidates.retain(|candidate| model.defined(candidate, count) == defined);
    let Some(defined) = defined else { return Ok(candidates.swap_remove(0)) };
    retain_by_snapshots(store, model, &defined, &mut candidates)?;
    let grid = model.grid();
    let answers = observe(store, &defined, &grid, None)?;
    let mut why = Vec::new();
    // What one act writes another may hide, so that several sets explain the answers of now: one of them must explain
    // what was known before as well. All are asked the same questions.
    let questions = dice.clone();
    dice.bits();
    for candidate in candidates {
        let mut dice = questions.clone();
        let explained = compare(model, &candidate, count, &defined, &grid, &answers)
            .map_err(|difference| Trouble::Wrong(format!("{difference} with acts {}", shown(&candidate))))
            .and_then(|()| check_now(store, model, &candidate, &grid, &mut dice))
            .and_then(|()| check_keys(store, model, &candidate, None))
            .and_then(|()| (0..2).try_for_each(|_| check_known_at(store, model, &candidate, &grid, &mut dice)));
        match explained {
            Ok(()) => return Ok(candidate),
            Err(Trouble::Wrong(difference)) => why.push(difference),
            Err(refused) => return Err(refused),
        }
    }
    let asked = model.acts.iter().enumerate().rev().take(6);
    let asked = asked.map(|(index, act)| format!("{index}: {act:?}")).collect::<Vec<_>>().join("\n");
    Err(Trouble::Wrong(format!("no set of acts explains it: {}\nthe last acts:\n{asked}", why.join("; "))))
}

fn shown(presence: &[bool]) -> String {
    let absent: Vec<usize> = (0..presence.len()).filter(|&index| !presence[index]).collect();
    format!("0 to {} but {absent:?}", presence.len())
}

/// Drops the candidates that do not have the snapshots that the store has.
fn retain_by_snapshots(
    store: &Store,
    model: &Model,
    defined: &Defined,
    candidates: &mut Vec<Presence>,
) -> Result<(), Trouble> {
    for (index, act) in model.acts.iter().enumerate() {
        let Kind::Snapshot(name) = &act.kind else { continue };
        if candidates.iter().all(|candidate| candidate[index] == candidates[0][index]) && candidates[0][index] {
            continue;
        }
        let options = GetOptions {
            known_at: Some(KnownAt::Snapshot(name.clone())),
            definitions_current: true,
            ..GetOptions::default()
        };
        let is_there = match store.get(&Features::list(references(defined))?, &entity(0), &options) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        candidates.retain(|candidate| candidate[index] == is_there);
    }
    Ok(())
}

pub fn entity(key: usize) -> [(&'static str, Value); 2] {
    [("id", Value::Int64(i64::try_from(key).unwrap())), ("name", Value::String(key_name(key)))]
}

/// The latest values by all ways to ask for them, with the clock as it is and as it was a while ago.
fn check_now(
    store: &Store,
    model: &Model,
    presence: &[bool],
    grid: &[(usize, i64)],
    dice: &mut Random,
) -> Result<(), Trouble> {
    let Some(defined) = model.defined(presence, model.acts.len()) else { return Ok(()) };
    let features = Features::list(references(&defined))?;
    let mut online = store.online(&features)?;
    let rows = model.rows(presence, model.acts.len());
    let others = (0..4).filter_map(|_| grid.get(usize::try_from(dice.below(grid.len() as u64)).unwrap()));
    let others: Vec<usize> = others.map(|(key, _)| *key).collect();
    for key in (0..KEYS).chain(others) {
        let at = if dice.below(4) == 0 { model.now_us - dice.below(20_000).cast_signed() } else { model.now_us };
        let as_of = GetOptions { at: Some(Timestamp(at)), ..GetOptions::default() };
        let found = store.get(&features, &entity(key), &as_of)?;
        let latest = online.get(&online.key(&entity(key))?, Timestamp(at))?.to_vec();
        if latest != found {
            return Err(Trouble::Wrong(format!("key {key} at {at} is {found:?}, by the latest table {latest:?}")));
        }
        if at == model.now_us && store.get(&features, &entity(key), &GetOptions::default())? != found {
            return Err(Trouble::Wrong(format!("key {key} now is not what it is as of now")));
        }
        for ((view, feature), found) in defined.features().into_iter().zip(&found) {
            let expected = pick(rows.of(view, key), at, defined.ttl_us, feature);
            if (found.status, answer_of(&found.value)) != expected {
                let what = format!("{}:{feature} of key {key} at {at} is {found:?}", view.reference());
                return Err(Trouble::Wrong(format!("{what}, expected {expected:?}")));
            }
        }
    }
    Ok(())
}

/// A state of knowledge out of those there were, by a number, a time or a name.
fn check_known_at(
    store: &Store,
    model: &Model,
    presence: &[bool],
    grid: &[(usize, i64)],
    dice: &mut Random,
) -> Result<(), Trouble> {
    let count = model.acts.len() as u64;
    let index = usize::try_from(dice.below(count)).unwrap();
    // One that was not answered may be told of before it is visible.
    let is_known = |act: &&Act| presence[index] && !act.is_concurrent && act.outcome != Outcome::Open;
    let Some(act) = model.acts.get(index).filter(is_known) else { return Ok(()) };
    // Whether one of keys alone is there, who only reads has not seen.
    if !act.shows_rows() && !shows_keys(store) {
        return Ok(());
    }
    let (known_at, known) = match (&act.kind, act.outcome, dice.below(3)) {
        (Kind::Snapshot(name), ..) => (KnownAt::Snapshot(name.clone()), index),
        (_, Outcome::Done { seq }, 0 | 1) => (KnownAt::Seq(seq), index + 1),
        _ => {
            let known = model.acts.iter().take_while(|other| other.clock_us <= act.clock_us).count();
            (KnownAt::Time(Timestamp(act.clock_us)), known)
        }
    };
    let Some(defined) = model.defined(presence, known) else { return Ok(()) };
    let answers = observe(store, &defined, grid, Some(known_at.clone()))?;
    compare(model, presence, known, &defined, grid, &answers)
        .map_err(|difference| Trouble::Wrong(format!("known at {known_at}: {difference}")))?;
    check_keys(store, model, presence, Some((&known_at, known)))
}

/// Whether the keyspace can be asked for: not by who only reads.
fn shows_keys(store: &Store) -> bool {
    !matches!(store.keyspace(), Err(error) if error.to_string().contains("opened for reading"))
}

/// The keys that these acts leave, or the first of them that were known. Who only reads has none.
fn check_keys(
    store: &Store,
    model: &Model,
    presence: &[bool],
    known: Option<(&KnownAt, usize)>,
) -> Result<(), Trouble> {
    if !shows_keys(store) || model.acts.iter().all(|act| act.keys.is_empty()) {
        return Ok(());
    }
    let acts = model.present(presence, known.map_or(model.acts.len(), |(_, known)| known));
    keys::check(store, &keys::after(acts, model.now_us), model.now_us, known.map(|(known_at, _)| known_at))
}

/// The rows of one act as a batch.
pub fn batch(rows: &[super::model::Row], defined: &Defined) -> RecordBatch {
    use super::model::RowValue;
    let view = rows[0].view;
    let number = |row: &super::model::Row| match &row.value {
        RowValue::Values { number, .. } => *number,
        RowValue::Delete => None,
    };
    let keys = rows.iter().map(|row| i64::try_from(row.key).unwrap());
    let key: (&str, ArrayRef) = match view {
        View::Events => ("name", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| key_name(row.key))))),
        _ => ("id", Arc::new(keys.collect::<Int64Array>())),
    };
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.event_ts));
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        key,
        ("event_timestamp", Arc::new(times)),
        (view.number(), Arc::new(rows.iter().map(number).collect::<Int64Array>())),
    ];
    if view == View::First && defined.has_text {
        let text = rows.iter().map(|row| match &row.value {
            RowValue::Values { text, .. } => text.clone(),
            RowValue::Delete => None,
        });
        columns.push(("text", Arc::new(text.collect::<StringArray>())));
    }
    if defined.has_created {
        let created = rows.iter().map(|row| row.created).collect::<TimestampMicrosecondArray>();
        columns.push(("created", Arc::new(created)));
    }
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}
