//! A store and the oracle beside it, and what is done to both.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use asof::definition::{EventTime, Feature, FeatureView, ViewRef};
use asof::disk::MemDisk;
use asof::options::Sizes;
use asof::time::{ManualClock, Timestamp};
use asof::value::Value;
use asof::{ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, ScanOptions, Store, StoreBuilder, WriteOptions};

use super::Story;
use super::definitions::{EVENT_ID, KEY_COLUMNS, KeyTypes, Project, View};
use super::online::Kept;
use super::oracle::{Marks, Oracle, Row};
use super::rows::{batch_of, crowd_of, key_of, row_of, rows_of};
use super::steps::{NewRow, Step};

/// How far ahead of the clock rows may lie, unless more is allowed.
pub const SKEW: i64 = 8;

/// How the snapshot of this number is called.
pub fn snapshot_name(number: usize) -> String {
    format!("s{number}")
}

pub struct Life {
    builder: StoreBuilder,
    disk: MemDisk,
    pub store: Option<Store>,
    /// Open for reading beside the store that writes, where reads go there.
    beside: Option<Store>,
    reads_beside: bool,
    clock: Arc<ManualClock>,
    pub keys: KeyTypes,
    pub oracle: Oracle,
    /// What is defined now.
    pub project: Project,
    views_ever: usize,
    pub now: i64,
    /// The greatest instant of the keyspace that was seen.
    pub instant: Cell<i64>,
    /// The last number given.
    pub committed: u64,
    /// The last number of each commit, and its time.
    pub commits: Vec<(u64, i64)>,
    pub snapshots: Vec<(String, u64)>,
    pub kept: RefCell<Vec<Kept>>,
}

impl Life {
    pub fn new(Story { keys, views, has_small_files, reads_beside, .. }: &Story) -> Life {
        let clock = Arc::new(ManualClock::new(Timestamp(12)));
        // Checkpoints of keys too, of what little there is: whoever opens the store goes on from one.
        let mut sizes = Sizes { segment_bytes: 64 << 10, checkpoint_bytes_min: 256, ..Sizes::default() };
        if *has_small_files {
            let segment_bytes = 2 << 10;
            sizes =
                Sizes { segment_bytes, run_file_bytes: 1 << 10, import_bytes_max: Some(256), merge_fanout: 2, ..sizes };
        }
        let disk = MemDisk::volatile();
        let builder = Store::builder().clock(clock.clone()).sizes(sizes).background(false);
        let builder = builder.disk(Arc::new(disk.clone()));
        let builder = builder.max_future_skew_us(SKEW);
        let store = Some(builder.clone().open("/model").unwrap());
        let beside = reads_beside.then(|| builder.clone().open_read_only("/model").unwrap());
        let mut life = Life {
            builder,
            disk,
            store,
            beside,
            reads_beside: *reads_beside,
            clock,
            keys: keys.clone(),
            oracle: Oracle::default(),
            project: Project::default(),
            views_ever: 0,
            now: 12,
            instant: Cell::new(12),
            committed: 0,
            commits: Vec::new(),
            snapshots: Vec::new(),
            kept: RefCell::default(),
        };
        for view in views {
            life.take(&Step::Define(view.clone()));
        }
        life
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// The store that is read.
    pub fn reader(&self) -> &Store {
        self.beside.as_ref().unwrap_or_else(|| self.store())
    }

    /// Whether that is the one that writes.
    pub fn is_reader_the_writer(&self) -> bool {
        self.beside.is_none()
    }

    /// How a view is called: by its bare name where that means it.
    pub fn name_of(&self, view: &View) -> String {
        let ViewRef { name, .. } = view.definition.reference();
        let means_it = self.project.find(&name.parse().unwrap()).is_some_and(|newest| newest.id == view.id);
        if means_it { name } else { view.definition.reference().to_string() }
    }

    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Write { view, rows, allow_future, row_by_row } => {
                self.write(*view, rows, *allow_future, *row_by_row);
            }
            Step::Crowd { view, row } => self.crowd(*view, row),
            Step::Delete { view, key, at, created } => self.delete(*view, key, *at, *created),
            Step::Transact(acts) => self.transact(acts),
            Step::ReadAt { known, at, view, key } => self.check_at(known, *at, *view, key),
            Step::Import { view, files, stored, twice, append, beside } => {
                let twice: Vec<NewRow> = files[0].iter().take(*twice).cloned().collect();
                let mut files = files.clone();
                files.last_mut().unwrap().extend_from_slice(&twice);
                self.import(*view, &files, *stored, *append, &[beside.clone(), twice].concat());
            }
            Step::CopyVersion { view } => self.copy_version(*view),
            Step::Seal => drop(self.store().seal().unwrap()),
            Step::Merge => self.store().compact().unwrap(),
            Step::Reopen => {
                if self.is_reader_the_writer() {
                    self.kept.take();
                }
                self.store = None;
                if self.beside.is_some() {
                    // Those of another process stay, and read on beside nobody.
                    self.check_now();
                }
                self.store = Some(self.builder.clone().open("/model").unwrap());
                self.forget_instant();
            }
            Step::Kill => self.kill(),
            Step::Clock(now) => {
                self.now = *now;
                self.clock.set(Timestamp(*now));
            }
            Step::Define(new) => {
                let mut project = self.project.clone();
                project.add(new, self.views_ever, &self.keys);
                self.views_ever += 1;
                self.apply(project);
            }
            Step::AddFeature { view, dtype, place } => self.change(*view, |project, id| {
                project.add_feature(id, dtype, *place);
            }),
            Step::Ttl { view, ttl } => self.change(*view, |project, id| {
                project.views.iter_mut().filter(|view| view.id == id).for_each(|view| view.definition.ttl_us = *ttl);
            }),
            Step::Drop { view } => self.change(*view, |project, id| project.views.retain(|view| view.id != id)),
            Step::Serve(new) => {
                let mut project = self.project.clone();
                let selections = project.selections(new);
                project.serve(selections);
                self.apply(project);
            }
            Step::Snapshot => {
                let name = snapshot_name(self.snapshots.len());
                let snapshot = self.store().snapshot(&name).unwrap();
                assert_eq!(snapshot.seq, self.committed, "a snapshot sees all there is");
                self.snapshots.push((name, snapshot.seq));
            }
            Step::Keep(asked, entities) => self.keep(asked, entities),
            Step::Get { asked, known, at, entity } => self.check_get(asked, known, *at, entity),
            Step::History { asked, known, created_cutoff, full_names, spine } => {
                self.check_history(asked, known, *created_cutoff, *full_names, spine);
            }
            Step::Scan { view, known, from, to, key, batch_rows } => {
                self.check_scan(*view, known, (*from, *to), key.as_ref(), *batch_rows);
            }
        }
    }

    /// The process dies, and others go on with what is on the disk.
    fn kill(&mut self) {
        self.kept.take();
        self.disk = self.disk.kill_image();
        self.builder = self.builder.clone().disk(Arc::new(self.disk.clone()));
        self.beside = None;
        self.store = Some(self.builder.clone().open("/model").unwrap());
        self.beside = self.reads_beside.then(|| self.builder.clone().open_read_only("/model").unwrap());
        // Numbers that were set aside are not given.
        self.committed = self.committed.max(self.store().summary().unwrap().seq);
        self.forget_instant();
    }

    /// What a clock that went back since was asked for is known to nobody any more, but for what was written.
    fn forget_instant(&mut self) {
        self.instant.set(self.ingested_at());
    }

    fn change(&mut self, view: u8, change: impl Fn(&mut Project, usize)) {
        let mut project = self.project.clone();
        if let Some(id) = project.pick(view).map(|view| view.id) {
            change(&mut project, id);
            self.apply(project);
        }
    }

    /// Makes `project` what is defined, without a service that finds no longer what it selects.
    fn apply(&mut self, mut project: Project) {
        if project.service.as_ref().is_some_and(|service| project.resolve(&service.features).is_none()) {
            project.service = None;
        }
        self.store().apply(&project.definitions(&self.keys), ApplyOptions { prune: true }).unwrap();
        let seq = self.store().summary().unwrap().seq;
        if seq > self.committed {
            self.oracle.definitions.push((seq, project.clone()));
            self.commit(seq);
        }
        self.project = project;
        self.forget_dropped();
    }

    /// Numbers up to `seq` were given by a commit.
    fn commit(&mut self, seq: u64) {
        self.commit_at(seq, self.ingested_at());
    }

    /// As [`Life::commit`], at a time of its own.
    pub fn commit_at(&mut self, seq: u64, ingested_at: i64) {
        assert!(seq > self.committed, "numbers rise");
        self.committed = seq;
        self.commits.push((seq, ingested_at));
    }

    /// The time of a commit now: commits do not go back in time.
    pub fn ingested_at(&self) -> i64 {
        self.commits.last().map_or(self.now, |(_, last)| self.now.max(*last))
    }

    /// Rows as a store numbered them.
    fn numbered(&mut self, mut rows: Vec<Row>, first_seq: u64) -> Vec<Row> {
        assert!(first_seq > self.committed, "numbers are given once");
        for (row, seq) in rows.iter_mut().zip(first_seq..) {
            row.seq = seq;
        }
        if let Some(last) = rows.last() {
            self.commit(last.seq);
        }
        rows
    }

    fn write(&mut self, view: u8, rows: &[NewRow], allow_future: bool, row_by_row: bool) {
        let Some(view) = self.project.pick(view).cloned() else { return };
        let rows = rows.iter().map(|row| row_of(&view, row, &self.keys)).collect();
        self.write_rows(&view, rows, allow_future, row_by_row);
    }

    /// The same row of more keys than a new table has room for.
    fn crowd(&mut self, view: u8, row: &NewRow) {
        let Some(view) = self.project.pick(view).cloned() else { return };
        let rows = crowd_of(&view.definition).map(|key| Row { key, ..row_of(&view, row, &self.keys) }).collect();
        self.write_rows(&view, rows, true, false);
    }

    fn write_rows(&mut self, view: &View, mut rows: Vec<Row>, allow_future: bool, row_by_row: bool) {
        let options = WriteOptions { allow_future, ..WriteOptions::default() };
        let name = self.name_of(view);
        let written = if row_by_row {
            self.store().write_rows_with(&name, rows_of(&view.definition, &rows), &options)
        } else {
            self.store().write_with(&name, &batch_of(&view.definition, &rows), &options)
        };
        if !allow_future && rows.iter().any(|row| row.event_ts > self.now + SKEW) {
            assert_eq!(written.unwrap_err().kind(), ErrorKind::Invalid);
            return;
        }
        let report = written.unwrap();
        assert_eq!(report.rows, rows.len() as u64);
        if view.definition.has_created() {
            self.date_deletes(&mut rows);
        }
        let rows = self.numbered(rows, report.first_seq);
        self.oracle.rows.extend(rows);
    }

    /// Deletes without a created time get one that wins at their event time, over the rows before them too.
    fn date_deletes(&self, rows: &mut [Row]) {
        for at in 0..rows.len() {
            let (before, [row, ..]) = rows.split_at_mut(at) else { return };
            if row.values.is_none() && row.created.is_none() {
                let before = before.iter().filter(|other| (other.view, &other.key) == (row.view, &row.key));
                let alike = self.oracle.of_key(row.view, &row.key).chain(before);
                let alike = alike.filter(|other| other.event_ts == row.event_ts).filter_map(|row| row.created);
                row.created = alike.chain([self.ingested_at()]).max();
            }
        }
    }

    fn delete(&mut self, view: u8, key: &[u8; KEY_COLUMNS], at: Option<i64>, created: Option<i64>) {
        let Some(View { id, definition }) = self.project.pick(view).cloned() else { return };
        let created = created.filter(|_| definition.has_created());
        let options = DeleteOptions { at: at.map(Timestamp), created: created.map(Timestamp), allow_future: true };
        let key = key_of(&definition, key, &self.keys);
        let names = definition.join_keys.iter().map(|(name, _)| name.as_str());
        let entity: Vec<(&str, Value)> = names.zip(key.iter().cloned()).collect();
        let report = self.store().delete(&definition.reference().to_string(), &entity, &options).unwrap();
        let event_ts = at.unwrap_or(self.now);
        // Without one of the caller's, it is late enough to win at its time.
        let alike = self.oracle.of_key(id, &key).filter(|row| row.event_ts == event_ts);
        let latest = alike.filter_map(|row| row.created).chain([self.ingested_at()]).max();
        let created = created.or(latest).filter(|_| definition.has_created());
        assert_eq!(report.created.map(Timestamp::micros), created, "created");
        let row = Row {
            view: id,
            key,
            event_ts,
            created,
            seq: 0,
            event_id: Value::Null,
            values: None,
            marks: Marks::default(),
        };
        let rows = self.numbered(vec![row], report.seq);
        self.oracle.rows.extend(rows);
    }

    fn import(&mut self, view: u8, files: &[Vec<NewRow>], stored: usize, append: bool, beside: &[NewRow]) {
        let Some(View { id, definition }) = self.project.pick(view).cloned() else { return };
        let picked = self.project.pick(view).unwrap();
        let row = |row: &NewRow| row_of(picked, row, &self.keys);
        let mut files: Vec<Vec<Row>> = files.iter().map(|file| file.iter().map(row).collect()).collect();
        let stored = self.oracle.rows.iter().rev().filter(|row| row.view == id).take(stored).cloned();
        // Files say nothing of deadlines, of what is absent that it is null, and where one instant is that of all rows, no time.
        let time = match definition.source.event_timestamp {
            EventTime::Constant(time) => Some(time),
            EventTime::Column(_) => None,
        };
        let stored = stored.map(|row| Row { marks: Marks::default(), event_ts: time.unwrap_or(row.event_ts), ..row });
        files.last_mut().unwrap().extend(stored);
        if definition.has_created() {
            // An import wants to be told when a delete was created.
            let deletes = files.iter_mut().flatten().filter(|row| row.values.is_none());
            deletes.for_each(|row| row.created = row.created.or(Some(row.event_ts)));
        }
        let options = BulkOptions { allow_future: true, append, ..BulkOptions::default() };
        let mut bulk = self.store().bulk_writer(&self.name_of(picked), options).unwrap();
        for (number, file) in files.iter().enumerate() {
            bulk.begin_file(number.to_string()).unwrap();
            bulk.write(&batch_of(&definition, file)).unwrap();
        }
        if !beside.is_empty() {
            self.write(view, beside, true, false);
        }
        let report = bulk.commit().unwrap();
        let (before, count) = (self.oracle.rows.len(), files.iter().map(Vec::len).sum::<usize>());
        let first_seq = report.seq.map_or(self.committed + 1, |(first, _)| first);
        let committed = self.committed;
        let mut rows = files.concat();
        for (row, seq) in rows.iter_mut().zip(first_seq..) {
            row.seq = seq;
        }
        // Several files add what they would one after the other.
        for file in &files {
            let file: Vec<Row> = rows.drain(..file.len()).collect();
            if append { self.oracle.rows.extend(file) } else { self.oracle.import(file) }
        }
        let added = self.oracle.rows.len() - before;
        assert_eq!((report.rows_read, report.rows_written), (count as u64, added as u64), "rows read, written");
        assert_eq!(report.rows_skipped, (count - added) as u64, "rows skipped");
        let last_seq = first_seq + count as u64 - 1;
        assert_eq!(report.seq, (added > 0).then_some((first_seq, last_seq)), "numbers after {committed}");
        if added > 0 {
            self.commit(last_seq);
        }
    }

    /// Copies another version of a view, where every row of it can be one of this.
    fn copy_version(&mut self, view: u8) {
        let Some(View { id, definition: new }) = self.project.pick(view).cloned() else { return };
        let is_other = |view: &&View| view.definition.name == new.name && view.id != id;
        let Some(View { definition: old, .. }) = self.project.views.iter().find(is_other).cloned() else { return };
        let alike = |feature: &Feature| {
            old.feature_index(&feature.name).is_none_or(|at| old.features[at].dtype == feature.dtype)
        };
        if old.join_keys != new.join_keys || old.event_id != new.event_id || !new.features.iter().all(alike) {
            return;
        }
        let copied = self.store().import_version(&new.reference().to_string(), old.version);
        let event_time = |view: &FeatureView| view.source.event_timestamp.clone();
        let is_constant = matches!(event_time(&new), EventTime::Constant(_));
        if old.has_created() && !new.has_created() || is_constant && event_time(&old) != event_time(&new) {
            assert_eq!(copied.unwrap_err().kind(), ErrorKind::Refused);
            return;
        }
        let report = copied.unwrap();
        // Rows are numbered as a scan finds them.
        let mut rows = self.scanned(&old, &ScanOptions::default());
        for (row, seq) in rows.iter_mut().zip(report.seq.map_or(0, |(first, _)| first)..) {
            (row.view, row.seq) = (id, seq);
            let id_value =
                Some(row.event_id.clone()).filter(|id| new.feature_index(EVENT_ID).is_some() && !id.is_null());
            if let Some(values) = &mut row.values {
                values.retain(|name, _| new.feature_index(name).is_some());
                values.extend(id_value.map(|id| (EVENT_ID.to_owned(), id)));
            }
        }
        let (before, count) = (self.oracle.rows.len(), rows.len());
        self.oracle.import(rows);
        let added = self.oracle.rows.len() - before;
        assert_eq!((report.rows_read, report.rows_written), (count as u64, added as u64), "rows copied");
        if let Some((_, last)) = report.seq {
            self.commit(last);
        }
    }
}
