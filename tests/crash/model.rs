//! What was asked of a store and what it acknowledged, and the answers that follow: the rules of the
//! time model in a few lines of their own.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use asof::Status;
use asof::definition::{Definitions, FeatureService, FeatureView, Source};
use asof::value::DataType;

use super::keys::KeyChange;

/// Entities that a life writes about again and again; those after it, once.
pub const KEYS: usize = 4;

/// The three places rows go to: two versions of a state view, and an event view with a text key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    First,
    Second,
    Events,
}

impl View {
    pub fn number(self) -> &'static str {
        if self == View::Second { "amount" } else { "number" }
    }

    pub fn reference(self) -> &'static str {
        ["v@1", "v@2", "w@1"][self as usize]
    }
}

/// A row as the model keeps it; its place in the list of acts stands for its seq.
#[derive(Clone, Debug)]
pub struct Row {
    pub view: View,
    pub key: usize,
    pub event_ts: i64,
    pub created: Option<i64>,
    pub value: RowValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowValue {
    Delete,
    Values { number: Option<i64>, text: Option<String> },
}

/// The definitions in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defined {
    pub ttl_us: i64,
    pub has_text: bool,
    pub has_second: bool,
    pub has_service: bool,
    /// Fixed for a life: whether the views declare a created timestamp.
    pub has_created: bool,
}

impl Defined {
    pub fn definitions(&self) -> Definitions {
        let source = |_: &str| {
            let source = Source::default();
            if self.has_created { source.created_timestamp("created") } else { source }
        };
        let ttl = Duration::from_micros(self.ttl_us.unsigned_abs());
        let mut first =
            FeatureView::new("v").entity("thing").ttl(ttl).source(source("v")).feature("number", DataType::Int64);
        if self.has_text {
            first = first.feature("text", DataType::String);
        }
        let events = FeatureView::new("w")
            .event()
            .entity("named")
            .ttl(ttl)
            .source(source("w"))
            .feature("number", DataType::Float64);
        let mut definitions = Definitions::new("crash")
            .entity("thing", [("id", DataType::Int64)])
            .entity("named", [("name", DataType::String)])
            .view(first)
            .view(events);
        if self.has_second {
            let second = FeatureView::new("v").version(2).entity("thing").ttl(ttl).source(source("v"));
            definitions = definitions.view(second.feature("amount", DataType::Float64));
        }
        if self.has_service {
            let service = FeatureService::new(["v@1:number", "w:number"]).unwrap();
            definitions = definitions.service("s", service);
        }
        definitions
    }

    /// What can be asked for, column by column.
    pub fn features(&self) -> Vec<(View, &'static str)> {
        let mut features = vec![(View::First, "number"), (View::Events, "number")];
        features.extend(self.has_text.then_some((View::First, "text")));
        features.extend(self.has_second.then_some((View::Second, "amount")));
        features
    }
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// Rows, and changes of keys, through the log.
    Write,
    /// Rows past the log.
    Import,
    Apply(Defined),
    Snapshot(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Asked for; no answer yet, or an error that leaves it open.
    Open,
    /// Answered, with the last number it was given (for a snapshot: the one it names).
    Done { seq: u64 },
    /// Never answered, but found after a crash.
    Found,
}

/// One thing asked of the store: all of it takes place or nothing.
#[derive(Clone, Debug)]
pub struct Act {
    pub kind: Kind,
    pub rows: Vec<Row>,
    /// What it did to keys.
    pub keys: Vec<KeyChange>,
    pub clock_us: i64,
    pub outcome: Outcome,
    /// Handed in together with others: their order is open until they are answered.
    pub is_concurrent: bool,
    /// Promised to survive a power failure.
    pub is_durable: bool,
}

impl Act {
    /// Whether it shows to who cannot ask for keys.
    pub fn shows_rows(&self) -> bool {
        !self.rows.is_empty() || self.keys.is_empty()
    }

    /// The last number it is known to have been given.
    pub fn seq(&self) -> u64 {
        if let Outcome::Done { seq } = self.outcome { seq } else { 0 }
    }
}

/// Which acts a store has, one for each.
pub type Presence = Vec<bool>;

/// All acts of a life so far.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub acts: Vec<Act>,
    /// The greatest number anybody was shown.
    pub shown: u64,
    pub now_us: i64,
}

/// What became of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Only the process died: whatever was answered is there.
    Process,
    /// What was not durable may be lost.
    Power,
    /// The log itself was damaged: what no witness covers may be lost, durable or not.
    LogDamage,
}

impl Model {
    /// Every set of acts that a sound store may be found with, likeliest first. An act that was answered is there when
    /// it is durable or only the process died; none is there without all those that were answered before it.
    pub fn candidates(&self, loss: Loss) -> Vec<Presence> {
        let is_done = |act: &Act| act.outcome != Outcome::Open;
        let must = |act: &Act| match loss {
            Loss::Process => is_done(act),
            Loss::Power => act.is_durable,
            Loss::LogDamage => false,
        };
        let count = self.acts.len();
        let ordered = self.acts.iter().position(|act| act.is_concurrent).unwrap_or(count);
        let least = self.acts[..ordered].iter().rposition(must).map_or(0, |last| last + 1);
        let together = &self.acts[ordered..];
        let mut found: Vec<Presence> = Vec::new();
        for absent in 0..1_usize << together.len() {
            let is_there = |index: usize| absent >> index & 1 == 0;
            let is_sound = together.iter().enumerate().all(|(index, act)| {
                let follows = |other: &Act| is_done(act) && act.seq() < other.seq();
                is_there(index)
                    || !must(act)
                        && !together
                            .iter()
                            .enumerate()
                            .any(|(other, act)| is_there(other) && is_done(act) && follows(act))
            });
            if is_sound {
                found.push((0..count).map(|index| index < ordered || is_there(index - ordered)).collect());
            }
        }
        if !together.iter().any(must) {
            found.extend((least..ordered).rev().map(|len| (0..count).map(|index| index < len).collect()));
        }
        // One that failed may be there or not, whatever was done after it.
        for (index, act) in self.acts[..ordered].iter().enumerate().take(count.saturating_sub(1)) {
            if !is_done(act) {
                let with: Vec<Presence> = found.iter().filter(|presence| presence[index]).cloned().collect();
                found.extend(with.into_iter().map(|mut presence| {
                    presence[index] = false;
                    presence
                }));
            }
        }
        found
    }

    /// After an opening: what is there is durable, what is not never was.
    pub fn settle(&mut self, presence: &[bool]) {
        let mut present = presence.iter();
        self.acts.retain(|_| *present.next().unwrap());
        for act in &mut self.acts {
            // Among acts handed in together some may not have been answered: their order stays unknown.
            if act.outcome == Outcome::Open || act.is_concurrent {
                act.outcome = Outcome::Found;
            }
            act.is_concurrent = false;
            act.is_durable = true;
        }
    }

    /// Everything answered so far is durable: the log was synced.
    pub fn synced(&mut self) {
        self.acts.iter_mut().filter(|act| act.outcome != Outcome::Open).for_each(|act| act.is_durable = true);
    }

    /// The definitions that the present ones among the first `known` acts leave.
    pub fn defined(&self, presence: &[bool], known: usize) -> Option<Defined> {
        self.present(presence, known)
            .filter_map(|act| if let Kind::Apply(defined) = &act.kind { Some(*defined) } else { None })
            .last()
    }

    pub fn present(&self, presence: &[bool], known: usize) -> impl Iterator<Item = &Act> {
        self.acts.iter().zip(presence).take(known).filter(|(_, present)| **present).map(|(act, _)| act)
    }

    /// The moments worth asking about, key by key: every event time of the key in any view.
    pub fn grid(&self) -> Vec<(usize, i64)> {
        let rows = self.acts.iter().flat_map(|act| &act.rows);
        let points: BTreeSet<(usize, i64)> = rows.map(|row| (row.key, row.event_ts)).collect();
        points.into_iter().collect()
    }

    /// The rows of every key in row order, out of the present ones of the first `known` acts.
    pub fn rows(&self, presence: &[bool], known: usize) -> Rows<'_> {
        let mut rows = Rows::default();
        for row in self.present(presence, known).flat_map(|act| &act.rows) {
            rows.0.entry((row.view, row.key)).or_default().push(row);
        }
        // A stable sort: equal clocks stay in the order of their numbers.
        rows.0.values_mut().for_each(|rows| rows.sort_by_key(|row| (row.event_ts, row.created)));
        rows
    }
}

/// Rows by view and key, each key's in row order.
#[derive(Default)]
pub struct Rows<'a>(HashMap<(View, usize), Vec<&'a Row>>);

impl<'a> Rows<'a> {
    pub fn of(&self, view: View, key: usize) -> &[&'a Row] {
        self.0.get(&(view, key)).map_or(&[], Vec::as_slice)
    }
}

/// What a feature answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Number(i64),
    Text(String),
    Null,
}

/// The rule: the last row in row order up to `at`, unless it is a delete, too old, or has nothing to say.
pub fn pick(rows: &[&Row], at: i64, ttl_us: i64, feature: &str) -> (Status, Answer) {
    let Some(row) = rows.iter().take_while(|row| row.event_ts <= at).last() else {
        return (Status::NotFound, Answer::Null);
    };
    let RowValue::Values { number, text } = &row.value else { return (Status::NotFound, Answer::Null) };
    if ttl_us > 0 && row.event_ts < at.saturating_sub(ttl_us) {
        return (Status::OutsideMaxAge, Answer::Null);
    }
    let answer = match feature {
        "text" => text.clone().map(Answer::Text),
        _ => number.map(Answer::Number),
    };
    answer.map_or((Status::NullValue, Answer::Null), |answer| (Status::Present, answer))
}
