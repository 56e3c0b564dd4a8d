//! Runs, row by row, against their checksums, their indexes and the registry; and the files of commit times.

use super::{Check, Severity};
use crate::engine::picture::{Picture, Run};
use crate::error::{Error, RESTORE_FILE, Result};
use crate::format::commits::parse_commits;
use crate::history::{RunAudit, index_path};
use crate::identity::Identity;
use crate::registry::RegistryState;
use crate::registry::records::{Record, RunRecord};

impl Check<'_> {
    pub(super) fn history(&mut self, picture: &Picture, identity: &Identity) -> Result<()> {
        for run in picture.views.values().flat_map(|view| &view.runs) {
            let audited = run.open_unchecked().and_then(|file| file.audit(identity.hash_seed));
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
