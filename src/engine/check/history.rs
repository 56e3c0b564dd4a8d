//! Runs, row by row, against their checksums, their indexes and the registry; and the files of commit times.

use super::{Check, Severity};
use crate::engine::picture::{Picture, Run, ViewPicture};
use crate::engine::run_source::run_record;
use crate::error::{Error, RESTORE_FILE, Result};
use crate::format::commits::parse_commits;
use crate::format::keyspace::{VIEW_ID, read_change};
use crate::format::row::{RowKind, RowRef};
use crate::history::{RunAudit, RunFile, index_path};
use crate::identity::Identity;
use crate::registry::RegistryState;
use crate::registry::records::{Record, RunRecord};

impl Check<'_> {
    pub(super) fn history(&mut self, picture: &Picture, identity: &Identity) -> Result<()> {
        let runs = picture.views.values().flat_map(|view| view.runs.iter().map(move |run| (view, run)));
        for (view, run) in runs {
            let audited = run.open_unchecked().and_then(|file| {
                let audit = file.audit(identity.hash_seed)?;
                check_meaning(view, run, &file)?;
                Ok(audit)
            });
            match audited {
                Err(error) if error.is_missing_file() && self.is_gone(&picture.state, run)? => continue,
                audited => {
                    if let Some(audit) = self.passed(run.path(), audited)? {
                        self.report.rows += audit.rows;
                        for what in differences(&audit, &run.record) {
                            self.problem(Severity::Damage, run.path(), what, RESTORE_FILE);
                        }
                    }
                }
            }
            self.read(&run.path());
            if let Some(folder) = run.path().parent() {
                self.read(&index_path(folder, run.record.id));
            }
        }
        Ok(())
    }

    /// Whether a run was merged away since MANIFEST was read.
    fn is_gone(&mut self, state: &RegistryState, run: &Run) -> Result<bool> {
        let gone = self.moved_on(state)?.is_some_and(|newer| newer.raw(&run.record.key()).is_none());
        if gone {
            self.report.passed_over.push(format!("run {} was merged into another meanwhile", run.record.id));
            // They are there, in the other one.
            self.report.rows += run.record.rows;
        }
        Ok(gone)
    }

    pub(super) fn clocks(&mut self, state: &RegistryState) -> Result<()> {
        let mut before = None;
        for clock in state.clocks() {
            let path = self.dir.join(&clock.file_name);
            let commits = self
                .disk
                .map(&path)
                .and_then(|bytes| parse_commits(&bytes).map_err(|what| Error::damaged(&path, what)));
            let Some(commits) = self.passed(&path, commits)? else { continue };
            let ends = |commit: &crate::format::commits::Commit| (commit.last_seq, commit.ingested_at);
            let found = (commits.first().map(ends), commits.last().map(ends));
            let expected =
                (Some((clock.seq_first, clock.ingested_first_us)), Some((clock.seq_last, clock.ingested_last_us)));
            let ascends = commits
                .windows(2)
                .all(|pair| pair[0].last_seq < pair[1].last_seq && pair[0].ingested_at <= pair[1].ingested_at);
            if found != expected || !ascends || before.is_some_and(|before| before >= clock.seq_first) {
                let what = "its commits are not those that the registry says, or not in order";
                self.problem(Severity::Damage, &path, what, RESTORE_FILE);
            }
            before = Some(clock.seq_last);
            self.read(&path);
        }
        Ok(())
    }
}

/// Whether every row is one of its view's kind, and those of the keyspace say something that is known, as the log's were seen to.
fn check_meaning(view: &ViewPicture, run: &Run, file: &RunFile) -> Result<()> {
    let is_keyspace = view.record.id == VIEW_ID;
    let mut key = Vec::new();
    for row in 0..file.row_count() {
        let wrong = |what: &str| Error::damaged(&run.path(), format!("row {row}: {what}")).remedy(RESTORE_FILE);
        if file.kind(row)?.is_of_keyspace() != is_keyspace {
            return Err(wrong("a row of the keyspace among those of a view, or the other way round"));
        }
        if file.kind(row)? == RowKind::ViewTruncate {
            return Err(wrong("a truncate of a view, which no read of a run looks for"));
        }
        if is_keyspace {
            key.clear();
            file.push_key(row, &mut key)?;
            let record = run_record(file, row, &key, &view.layout)?;
            let (row, _) = RowRef::parse(&record, &view.layout).map_err(wrong)?;
            read_change(&row, &view.layout).map_err(wrong)?;
        }
    }
    Ok(())
}

/// Where a run and what the registry says of it differ.
fn differences(audit: &RunAudit, record: &RunRecord) -> Vec<String> {
    let base = record.seq_base;
    let facts = [
        ("rows", i128::from(audit.rows), i128::from(record.rows)),
        ("entities", i128::from(audit.keys), i128::from(record.entities)),
        ("as its earliest event time", audit.event_ts.0.into(), record.event_min_us.into()),
        ("as its latest event time", audit.event_ts.1.into(), record.event_max_us.into()),
        ("as its least seq", i128::from(audit.seq.0) + i128::from(base), record.seq_min.into()),
        ("as its greatest seq", i128::from(audit.seq.1) + i128::from(base), record.seq_max.into()),
        ("as its least hash", audit.hash.0.into(), record.hash_lo.into()),
        ("as its greatest hash", audit.hash.1.into(), record.hash_hi.into()),
    ];
    let differs = facts.into_iter().filter(|(_, found, expected)| found != expected);
    differs.map(|(what, found, expected)| format!("it has {found} {what}, the registry says {expected}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::disk::MemDisk;
    use crate::engine::check::{CheckReport, Severity};
    use crate::engine::commit::Batch;
    use crate::error::Result;
    use crate::format::keyspace::{FIELDS, VIEW_ID, layout, push_key};
    use crate::format::row::{RowHead, RowKind, push_record};
    use crate::key::key_hash;
    use crate::store::Store;
    use crate::time::{ManualClock, Timestamp};

    const DIR: &str = "/checked";
    const NOW: Timestamp = Timestamp(1_000);

    fn check(disk: &MemDisk) -> CheckReport {
        Store::builder().disk(Arc::new(disk.clone())).check(DIR, &mut |_| {}).unwrap()
    }

    /// Commits a row of the keyspace that has no field, whatever its kind wants, as no release does.
    fn write_without_fields(store: &Store, kind: RowKind) {
        let engine = store.engine().unwrap();
        let mut key = Vec::new();
        push_key((0, b"k"), &mut key);
        let image = if kind.has_image() { vec![0; layout().variable_start(FIELDS.len())] } else { Vec::new() };
        let fields = if kind.has_image() { FIELDS.len() } else { 0 };
        let mut batch = Batch { view_id: VIEW_ID, ..Batch::default() };
        let push = |out: &mut Vec<u8>| -> Result<u32> {
            push_record(&RowHead::new(kind, NOW.0), &key, fields, &image, out)?;
            Ok(1)
        };
        batch.frame.section(VIEW_ID, push).unwrap();
        batch.hashes.push(key_hash(engine.reads().hash_seed(), &key));
        engine.commit(batch).unwrap();
    }

    /// Of the log's rows a check was told, and of sealed ones not: it was content with a store whose keyspace nobody could open.
    #[test]
    fn rows_in_runs_that_say_nothing_known_are_damage() {
        for (kind, says) in [
            (RowKind::KeyspaceDelete, None),
            (RowKind::KeyspaceSet, Some("row 0: a row of the keyspace says nothing that is known")),
            (RowKind::KeyspaceTruncate, Some("row 0: a row of the keyspace says nothing that is known")),
            (RowKind::Delete, Some("row 0: a row of the keyspace among those of a view")),
        ] {
            let disk = MemDisk::new();
            let clock = Arc::new(ManualClock::new(NOW));
            let builder = Store::builder().clock(clock).background(false).disk(Arc::new(disk.clone()));
            let store = builder.open(DIR).unwrap();
            // The first row of the keyspace makes its view.
            store.keyspace().unwrap().change(|keys, _| keys.set_string((1, b"other"), b"v".to_vec(), None)).unwrap();
            store.seal().unwrap();
            write_without_fields(&store, kind);
            store.seal().unwrap();
            store.close().unwrap();
            drop(store);
            let problems = check(&disk).problems;
            let Some(says) = says else {
                assert_eq!(problems, []);
                continue;
            };
            let [problem] = problems.as_slice() else { panic!("{kind:?}: {problems:?}") };
            assert!(problem.what.starts_with(says), "{kind:?}: {problem:?}");
            assert_eq!(problem.severity, Severity::Damage);
            assert!(problem.file.starts_with("history/0-_keyspace@1"), "{problem:?}");
        }
    }
}
