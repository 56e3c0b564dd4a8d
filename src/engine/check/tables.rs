//! Latest tables against log and runs: no key may be missing, no slot may say what no row says.

use std::io;
use std::sync::Arc;

use super::published::Published;
use super::{Check, MADE_ANEW, Severity};
use crate::engine::as_of::find_own_row;
use crate::engine::picture::{Picture, ViewPicture, table_shape};
use crate::engine::truncates::{self, mark_of_truncate};
use crate::error::Result;
use crate::format::row::{FieldState, RowKind};
use crate::format::truncate::Truncate;
use crate::head::Trust;
use crate::history::for_each_latest;
use crate::identity::Identity;
use crate::join::pick::AsOf;
use crate::key::key_hash;
use crate::latest::{Beside, Lookup, Need, Opened, SlotCopy, TableOptions, TableReader};
use crate::options::Sizes;
use crate::tail::TailSegment;

/// Differences that are told of one table; it is to be made anew anyhow.
const DIFFERENCES_MAX: usize = 3;
/// How often a table is walked that grows meanwhile.
const WALKS_MAX: usize = 8;

/// What a table and the rows differ in.
struct Comparing<'a> {
    view: &'a ViewPicture,
    tail: &'a [Arc<TailSegment>],
    table: &'a TableReader,
    seq: u64,
    /// Whether nobody writes to it, nor was killed at it.
    at_rest: bool,
    copy: SlotCopy,
    compared: u64,
    differences: Vec<String>,
    /// Whether the table stayed where it is while its slots were compared.
    stayed: bool,
}

impl Check<'_> {
    pub(super) fn tables(&mut self, picture: &Picture, identity: &Identity, published: &Published) -> Result<()> {
        let Published { seq, beside, head, .. } = *published;
        let is_closed =
            matches!(beside, Beside::Nobody { .. }) && head.is_some_and(|(_, trust)| trust != Trust::Untrusted);
        for view in picture.views.values().filter(|view| view.record.has_table()) {
            let path = self.dir.join("latest").join(view.record.dir_name());
            let reserve_bytes = Sizes::default().table_reserve_bytes;
            let options = TableOptions { expected_keys: 0, reserve_bytes, floor: None };
            let table = match TableReader::open(&*self.disk, &path, table_shape(view, identity), &options, beside) {
                Ok(Opened::Trusted(table)) => table,
                Err(error) if error.io_kind() == Some(io::ErrorKind::IsADirectory) => {
                    let remedy = format!("move it elsewhere; {MADE_ANEW}");
                    self.problem(Severity::Derived, &path, "a folder bears the name of the latest table", remedy);
                    continue;
                }
                Ok(Opened::NeedsRebuild(why)) => {
                    let name = view.record.definition.reference();
                    self.report.passed_over.push(format!("the latest table of {name} is made anew at need: {why}"));
                    continue;
                }
                Err(error) => {
                    let name = view.record.definition.reference();
                    self.report.passed_over.push(format!("the latest table of {name} cannot be read: {error}"));
                    continue;
                }
            };
            if !table.is_current() {
                let name = view.record.definition.reference();
                self.report.passed_over.push(format!("the latest table of {name} is being filled"));
                continue;
            }
            let at_rest = is_closed && !self.is_outdated(identity, published)?;
            let compare = |at_rest| Comparing::new(view, &picture.tail, &table, seq, at_rest).all(identity.hash_seed);
            let mut outcome = compare(at_rest);
            // What somebody writes to looks damaged to who takes it for a table at rest.
            if at_rest && outcome.as_ref().is_ok_and(Comparing::differ) && self.is_outdated(identity, published)? {
                outcome = compare(false);
            }
            let name = view.record.definition.reference();
            // A run that cannot be read was told of before, and nothing can be compared with it.
            let (compared, differences) = match outcome {
                Ok(Comparing { compared, differences, stayed: true, .. }) => (compared, differences),
                Ok(Comparing { compared, differences, .. }) => {
                    let what = format!("the slots of the latest table of {name}: it grew while they were read");
                    self.report.passed_over.push(what);
                    (compared, differences)
                }
                Err(error) => {
                    let why = if error.is_missing_file() { "runs that are gone" } else { "damaged rows" };
                    self.report.passed_over.push(format!("the latest table of {name} cannot be compared with {why}"));
                    continue;
                }
            };
            // Whatever was found while its writer made it another is no finding.
            if table.is_current() {
                for what in differences {
                    self.problem(
                        Severity::Derived,
                        &path,
                        what,
                        format!("remove it while no process has it open; {MADE_ANEW}"),
                    );
                }
            }
            self.report.latest_compared += compared;
            self.read(&path);
        }
        Ok(())
    }
}

impl<'a> Comparing<'a> {
    fn new(
        view: &'a ViewPicture,
        tail: &'a [Arc<TailSegment>],
        table: &'a TableReader,
        seq: u64,
        at_rest: bool,
    ) -> Comparing<'a> {
        let copy = table.slot_copy();
        Comparing { view, tail, table, seq, at_rest, copy, compared: 0, differences: Vec::new(), stayed: true }
    }

    /// # Errors
    /// A run cannot be read.
    fn all(mut self, hash_seed: u64) -> Result<Comparing<'a>> {
        self.floor();
        self.all_keys(hash_seed)?;
        self.stayed = self.all_slots();
        Ok(self)
    }

    fn differ(&self) -> bool {
        !self.differences.is_empty()
    }

    /// The table leaves out what the greatest truncate deleted, of those it may know of, and no more.
    fn floor(&mut self) {
        let (found, expected) = (self.table.floor(), truncates::greatest(self.view, self.tail));
        // One that was made since is none of those that were read.
        let is_newer = found.is_some_and(|floor| floor.seq > self.seq);
        if found != expected && !is_newer {
            let number =
                |truncate: Option<Truncate>| truncate.map_or("none".to_owned(), |truncate| truncate.seq.to_string());
            self.differs(format!(
                "it leaves out what truncate {} deleted, and the last of log and registry is {}",
                number(found),
                number(expected)
            ));
        }
    }

    /// Every key of the rows is in the table, with its greatest row, but for those that a truncate deleted.
    fn all_keys(&mut self, hash_seed: u64) -> Result<()> {
        for run in &self.view.runs {
            for_each_latest(run.open()?, 0..=u64::MAX, |hash, key, _| self.key(hash, key))?;
        }
        for segment in self.tail {
            let views = segment.read();
            for (_, record) in views.get(&self.view.record.id).iter().flat_map(|rows| rows.rows()) {
                self.key(key_hash(hash_seed, record.key), record.key)?;
            }
        }
        Ok(())
    }

    fn key(&mut self, hash: u64, key: &[u8]) -> Result<()> {
        let question = AsOf { known_at: self.seq, ..AsOf::new(i64::MAX) };
        let Some(found) = find_own_row(self.view, self.tail, hash, key, question)? else { return Ok(()) };
        let is_left_out = self.table.floor().is_some_and(|floor| found.mark < mark_of_truncate(floor));
        match self.table.lookup(hash, key, Need::SlotAndHeap, &mut self.copy) {
            // A row that came since; or a slot whose reader asks log and runs by itself.
            Lookup::Hit if self.copy.seq() > self.seq || self.copy.asks_history() => {}
            Lookup::Busy if !self.at_rest => {}
            Lookup::Miss if is_left_out => {}
            Lookup::Hit if is_left_out => self.differs(format!(
                "the key of hash {hash:#018x} has row {} there, which a truncate of the view deleted",
                self.copy.seq()
            )),
            Lookup::Hit => {
                let row = found.row();
                let fields = self.view.layout.field_count();
                let is_same = self.copy.seq() == found.mark.seq
                    && self.copy.event_ts() == found.mark.event_ts
                    && self.copy.kind() == Some(row.head.kind)
                    && (row.head.kind != RowKind::Value
                        || (0..fields).all(|field| {
                            let state = row.state(field);
                            let bytes =
                                || self.copy.field_bytes(field) == Some(row.field_bytes(&self.view.layout, field));
                            self.copy.state(field) == state && (state != FieldState::Value || bytes())
                        }));
                if !is_same {
                    self.differs(format!(
                        "the key of hash {hash:#018x} has row {} there, and row {} in log and runs",
                        self.copy.seq(),
                        found.mark.seq
                    ));
                }
            }
            Lookup::Miss => self.differs(format!(
                "the key of hash {hash:#018x} is missing there, and has row {} in log and runs",
                found.mark.seq
            )),
            Lookup::Busy | Lookup::Untrusted => {
                self.differs(format!("the slot of the key of hash {hash:#018x} is not to be trusted"));
            }
        }
        Ok(())
    }

    /// Every slot of the table is sound, and is of a key that the rows have. Whether that could be told: not of a table that
    /// grew while it was walked, again and again.
    fn all_slots(&mut self) -> bool {
        let (view, tail, seq) = (self.view, self.tail, self.seq);
        for _ in 0..WALKS_MAX {
            let mut differences = Vec::new();
            let mut compared = 0;
            let stayed = self.table.walk(self.at_rest, |at, slot| {
                let what = match slot {
                    Err(what) => what,
                    Ok(row) if row.seq > seq => return,
                    Ok(row) => {
                        compared += 1;
                        let question = AsOf { known_at: seq, ..AsOf::new(i64::MAX) };
                        match find_own_row(view, tail, row.hash, row.key, question) {
                            Ok(None) => "a slot is of a key that log and runs do not have",
                            Ok(Some(_)) | Err(_) => return,
                        }
                    }
                };
                if differences.len() < DIFFERENCES_MAX {
                    differences.push(format!("at offset {}: {what}", at * 8));
                }
            });
            if stayed {
                differences.into_iter().for_each(|what| self.differs(what));
                self.compared = compared;
                return true;
            }
        }
        false
    }

    fn differs(&mut self, what: String) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(what);
        }
    }
}

#[cfg(test)]
mod tests;
