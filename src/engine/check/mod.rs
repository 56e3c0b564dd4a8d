//! Reading everything and comparing it with its checksums, and truth with what is derived from it.
//!
//! Nothing is written, nothing is locked, and no open store is needed: what stands on disk is read as any other
//! process would read it. So a store that no longer opens can be checked, and one that is being written to.
//! `registry.redb` belongs to its writer while there is one; MANIFEST says the same, and is what the rest is compared with.

mod checkpoint;
mod history;
mod leftovers;
mod log;
mod published;
mod tables;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use self::published::Published;
use super::picture::Picture;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, RESTORE_STORE, Result};
use crate::head::Trust;
use crate::identity::{self, Identity};
use crate::registry::{self, RegistryState};
use crate::{lock, manifest};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were found, in log and runs.
    pub rows: u64,
    /// Keys whose latest row was compared with what log and runs say.
    pub latest_compared: u64,
    /// What is not as it should be, truth first.
    pub problems: Vec<Problem>,
    /// What could not be looked at, and why.
    pub passed_over: Vec<String>,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Rows or definitions are not what was written.
    Damage,
    /// Something that is made anew out of log, runs and registry.
    Derived,
    /// A file that nothing names.
    Leftover,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, below the store's directory.
    pub file: PathBuf,
    /// What is wrong, and where in the file.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to read in all, about.
    pub bytes_total: u64,
}

impl CheckReport {
    /// Whether every row and definition is what was written.
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Damage)
    }
}

/// What to do about what is derived.
const MADE_ANEW: &str = "it is made anew when the store is next opened for writing";

/// Checks the store in `dir`.
///
/// # Errors
/// `dir` holds no store, or one of a newer format; the disk refuses to read. `Locked`: a writer sealed the log, again and
/// again, before it was read. What is damaged is in the report.
pub fn check_store(disk: &Arc<dyn Disk>, dir: &Path, progress: &mut dyn FnMut(CheckProgress)) -> Result<CheckReport> {
    if !identity::exists(&**disk, dir)? {
        // Says what is wrong with the folder.
        Identity::read(&**disk, dir)?;
    }
    let mut check = Check {
        disk: Arc::clone(disk),
        dir: dir.to_path_buf(),
        report: CheckReport::default(),
        bytes_total: 0,
        bytes_told: 0,
        progress,
    };
    check.bytes_total = check.bytes_below(dir);
    check.run()?;
    // What was not there to be read is not waited for.
    check.bytes_total = check.report.bytes;
    check.tell();
    put_in_order(&mut check.report.problems);
    Ok(check.report)
}

/// Truth first, by file, each once: of one file as they were found.
fn put_in_order(problems: &mut Vec<Problem>) {
    problems.sort_by(|left, right| (left.severity, &left.file).cmp(&(right.severity, &right.file)));
    let mut told = HashSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
}

struct Check<'a> {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    report: CheckReport,
    bytes_total: u64,
    /// The most that were told of: what is read again counts once.
    bytes_told: u64,
    progress: &'a mut dyn FnMut(CheckProgress),
}

impl Check<'_> {
    fn run(&mut self) -> Result<()> {
        let Some(identity) = self.passed(identity::FILE_NAME, Identity::read(&*self.disk, &self.dir))? else {
            return Ok(());
        };
        self.read(identity::FILE_NAME.as_ref());
        let Some(published) = self.published(&identity)? else { return Ok(()) };
        let state = &published.state;
        self.stored_registry(&identity, &published)?;
        let picture = Picture::new(&self.disk, &self.dir, Arc::clone(state), None, published.tail.clone());
        self.registry(&identity, &published)?;
        self.history(&picture, &identity)?;
        self.clocks(state)?;
        self.tables(&picture, &identity, &published)?;
        self.checkpoint(&picture, &identity, &published)?;
        self.leftovers(&picture, &identity, &published)
    }

    /// Whether `registry.redb` says what MANIFEST does.
    fn stored_registry(&mut self, identity: &Identity, published: &Published) -> Result<()> {
        let state = &published.state;
        if self.is_written_to() {
            self.report.passed_over.push("registry.redb is in use by the process that writes to the store".to_owned());
            return Ok(());
        }
        let what = match registry::stored(&*self.disk, &self.dir, &identity.uuid) {
            Ok(stored) if stored == state.to_manifest() => {
                self.read(registry::FILE_NAME.as_ref());
                return Ok(());
            }
            // A writer was killed between the two.
            Ok(stored) if stored.generation > state.generation() => {
                format!("it is of generation {}, and MANIFEST is of {}", stored.generation, state.generation())
            }
            Ok(stored) => {
                format!(
                    "it has other records, of generation {}, than MANIFEST of {}",
                    stored.generation,
                    state.generation()
                )
            }
            Err(error) if error.is_missing_file() => "it is missing".to_owned(),
            Err(error) if error.kind() == ErrorKind::Damaged => error.what().to_owned(),
            Err(error) => return Err(error),
        };
        if self.is_outdated(identity, published)? {
            self.report.passed_over.push("registry.redb: a process has written to the store meanwhile".to_owned());
            return Ok(());
        }
        self.read(registry::FILE_NAME.as_ref());
        self.problem(
            Severity::Derived,
            registry::FILE_NAME,
            what,
            "it and MANIFEST are made the same when the store is next opened for writing",
        );
        Ok(())
    }

    /// Whether the registry says what can be.
    fn registry(&mut self, identity: &Identity, Published { state, seq, .. }: &Published) -> Result<()> {
        let meta = state.meta();
        // A writer may have raised the number while the other words of HEAD were read, and named a snapshot for it.
        let now = self.ask_head(identity)?.filter(|(_, trust)| *trust != Trust::Untrusted);
        let newest = meta.seq_max.max(*seq).max(now.map_or(0, |(said, _)| said.committed_seq));
        let mut wrong = Vec::new();
        for run in state.runs() {
            let name = format!("run {}", run.id);
            if state.view(run.view_id).is_none() {
                wrong.push(format!("{name} belongs to view {}, which is unknown", run.view_id));
            }
            if run.id >= meta.next_run_id {
                wrong.push(format!("{name} has a number that was never given"));
            }
            if run.hash_lo > run.hash_hi || run.seq_min > run.seq_max || run.event_min_us > run.event_max_us {
                wrong.push(format!("{name} has a range that ends before it begins"));
            }
            if run.seq_max > newest {
                wrong.push(format!("{name} has rows up to seq {}, and the store has come to {newest}", run.seq_max));
            }
        }
        for truncate in state.truncates() {
            let name = format!("truncate {}", truncate.seq);
            if state.view(truncate.view_id).is_none() {
                wrong.push(format!("{name} is of view {}, which is unknown", truncate.view_id));
            }
            if truncate.seq > newest {
                wrong.push(format!("{name} is later than seq {newest}, to which the store has come"));
            }
        }
        let mut files: Vec<_> = state.runs().collect();
        files.sort_by_key(|run| (run.view_id, run.group, run.hash_lo));
        for pair in files.windows(2).filter(|pair| (pair[0].view_id, pair[0].group) == (pair[1].view_id, pair[1].group))
        {
            if pair[1].hash_lo <= pair[0].hash_hi {
                wrong.push(format!("run files {} and {} are both in charge of one key", pair[0].id, pair[1].id));
            }
        }
        for snapshot in state.snapshots().filter(|snapshot| snapshot.seq > newest) {
            wrong.push(format!(
                "snapshot {} is of seq {}, and the store has come to {newest}",
                snapshot.name, snapshot.seq
            ));
        }
        for what in wrong {
            self.problem(Severity::Damage, manifest::FILE_NAME, what, RESTORE_STORE);
        }
        Ok(())
    }

    fn problem(
        &mut self,
        severity: Severity,
        file: impl AsRef<Path>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let file = file.as_ref();
        let file = file.strip_prefix(&self.dir).unwrap_or(file).to_path_buf();
        self.report.problems.push(Problem { severity, file, what: what.into(), remedy: remedy.into() });
    }

    /// Whether a process writes to the store; where nobody can say, one may.
    fn is_written_to(&self) -> bool {
        lock::is_held(&*self.disk, &self.dir).unwrap_or(true)
    }

    /// The outcome of reading a file; damage goes into the report, and gives `None`.
    fn passed<T>(&mut self, file: impl AsRef<Path>, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Damaged || error.is_missing_file() => {
                self.damage(file.as_ref(), &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn damage(&mut self, file: &Path, error: &Error) {
        // An index lies beside its run, and a segment is known by the one that follows it: the error knows best.
        let place = error.place().unwrap_or_default();
        let remedy = error.way_out().unwrap_or(RESTORE_STORE);
        if Path::new(place).starts_with(&self.dir) {
            return self.problem(Severity::Damage, place, error.what(), remedy);
        }
        let what = if place.is_empty() { error.what().to_owned() } else { format!("{place}: {}", error.what()) };
        self.problem(Severity::Damage, file, what, remedy);
    }

    /// Counts a file that was read whole, by its path from here or from the store's folder.
    fn read(&mut self, file: &Path) {
        let path = if file.starts_with(&self.dir) { file.to_owned() } else { self.dir.join(file) };
        let len = self.disk.open(&path, crate::disk::OpenMode::Read).and_then(|file| file.len_bytes());
        self.report.files += 1;
        self.report.bytes += len.unwrap_or(0);
        self.tell();
    }

    /// Bytes of all files below a folder; of what cannot be looked at none.
    fn bytes_below(&self, folder: &Path) -> u64 {
        let names = self.disk.list(folder).unwrap_or_default();
        let bytes = |name: String| {
            let path = folder.join(name);
            if self.disk.list(&path).is_ok() {
                return self.bytes_below(&path);
            }
            self.disk.open(&path, crate::disk::OpenMode::Read).and_then(|file| file.len_bytes()).unwrap_or(0)
        };
        names.into_iter().map(bytes).sum()
    }

    fn tell(&mut self) {
        self.bytes_told = self.bytes_told.max(self.report.bytes);
        let bytes = self.bytes_told;
        (self.progress)(CheckProgress { bytes, bytes_total: self.bytes_total.max(bytes) });
    }

    /// Whether the registry has gone on since, so that a file it named may be gone.
    fn moved_on(&self, state: &RegistryState) -> Result<Option<RegistryState>> {
        let published = manifest::load(&*self.disk, &self.dir, &state.to_manifest().store_uuid)?;
        let newer = published.filter(|published| published.generation > state.generation());
        newer.map(RegistryState::from_manifest).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_twice_is_told_once_whatever_was_found_in_between() {
        let problem = |severity, file: &str, what: &str| Problem {
            severity,
            file: file.into(),
            what: what.to_owned(),
            remedy: String::new(),
        };
        let block = |number| problem(Severity::Damage, "run", &format!("block {number}"));
        let table = problem(Severity::Derived, "a table", "a slot");
        let mut problems = vec![table.clone(), block(10), block(9), block(10), table.clone()];
        put_in_order(&mut problems);
        assert_eq!(problems, [block(10), block(9), table]);
    }
}
