//! Files that nothing names: what a crash left, or somebody put there.

use super::published::Published;
use super::{Check, MADE_ANEW, Severity};
use crate::engine::orphans::{Place, Unnamed, history_folders, log_folder, quarantine_folder, store_folder, unnamed};
use crate::engine::picture::Picture;
use crate::error::Result;
use crate::identity::Identity;

impl Check<'_> {
    pub(super) fn leftovers(&mut self, picture: &Picture, identity: &Identity, published: &Published) -> Result<()> {
        let (quarantine, place, set_aside) = quarantine_folder(&*self.disk, &self.dir)?;
        // Rows that were set aside are no part of the store: their files are read, and nothing else is asked of them.
        set_aside.iter().for_each(|path| self.read(path));
        let mut folders = history_folders(&self.dir, picture);
        folders.extend([store_folder(&self.dir), log_folder(&*self.disk, &self.dir)?]);
        folders.push((quarantine, place, set_aside));
        let latest = self.dir.join("latest");
        let tables = picture.views.values().map(|view| latest.join(view.record.dir_name())).collect();
        folders.push((latest, Place::Latest, tables));
        let mut found = Vec::new();
        for (folder, place, named) in folders {
            found.extend(unnamed(&*self.disk, &folder, place, &named)?);
        }
        if self.is_outdated(identity, published)? {
            // A run on its way, a file about to be renamed: its writer knows. What it has committed, a newer MANIFEST names.
            self.report
                .passed_over
                .push("files that nothing names: a process writes to the store, or has meanwhile".to_owned());
            return Ok(());
        }
        found.into_iter().for_each(|found| self.leftover(found));
        Ok(())
    }

    fn leftover(&mut self, Unnamed { path, is_orphan }: Unnamed) {
        let remedy = if is_orphan {
            format!("a crash left it; {}", MADE_ANEW.replace("made anew", "removed"))
        } else {
            "it is no file of a store; move it elsewhere".to_owned()
        };
        self.problem(Severity::Leftover, &path, "nothing names it", remedy);
    }
}
