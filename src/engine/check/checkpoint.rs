//! The checkpoint of the keyspace against the rows: with those since, it must say what all of them say.

use super::published::Published;
use super::{Check, Severity};
use crate::engine::keyspace::KeyspaceOnDisk;
use crate::engine::picture::Picture;
use crate::error::{ErrorKind, Result};
use crate::identity::Identity;
use crate::keyspace::checkpoint;

/// What to do about one.
const REMEDY: &str =
    "remove it while no process has the store open; an opening reads all rows then, and another is written";

impl Check<'_> {
    /// Both are built in memory, one after the other.
    pub(super) fn checkpoint(&mut self, picture: &Picture, identity: &Identity, published: &Published) -> Result<()> {
        let (disk, dir) = (self.disk.clone(), self.dir.clone());
        let on_disk = KeyspaceOnDisk { disk: &*disk, dir: &dir, identity, picture };
        let path = on_disk.latest().join(checkpoint::FILE_NAME);
        let found = match on_disk.checkpoint() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            // It may be newer than the rows that were read, or have been replaced.
            Err(error) if error.kind() != ErrorKind::Damaged || self.is_outdated(identity, published)? => {
                self.report.passed_over.push(format!("the checkpoint of the keyspace: {error}"));
                return Ok(());
            }
            Err(error) => {
                self.problem(Severity::Derived, &path, error.what(), REMEDY);
                return Ok(());
            }
        };
        // A run that cannot be read was told of before, and nothing can be compared with it.
        let Ok(replayed) = on_disk.replay().map(|replayed| replayed.summary()) else {
            self.report
                .passed_over
                .push("the checkpoint of the keyspace cannot be compared with damaged rows".to_owned());
            return Ok(());
        };
        match on_disk.restore_from(&found).map(|restored| restored.differs_from(replayed)) {
            Ok(None) => {}
            Ok(Some((database, name))) => {
                let what = match name {
                    Some(name) => {
                        let name = name.escape_ascii();
                        format!("the key '{name}' of database {database} is not what log and runs say it is")
                    }
                    None => format!("it lacks a key of database {database} that log and runs have"),
                };
                self.problem(Severity::Derived, &path, what, REMEDY);
            }
            Err(error) => self.problem(Severity::Derived, &path, error.what(), REMEDY),
        }
        self.read(&path);
        Ok(())
    }
}
