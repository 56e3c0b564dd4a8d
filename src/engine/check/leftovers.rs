//! Files that nothing names: what a crash left, or somebody put there.

use super::published::Published;
use super::{Check, MADE_ANEW, Severity};
use crate::engine::orphans::{Place, Unnamed, history_folders, log_folder, quarantine_folder, store_folder, unnamed};
use crate::engine::picture::Picture;
use crate::error::Result;
use crate::format::manifest::Manifest;
use crate::identity::Identity;
use crate::registry;

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
        // A run on its way, a file about to be renamed: its writer knows. What it has committed, a newer MANIFEST names; or
        // registry.redb, which the next opening goes by, where it was killed in between.
        let is_newer = |stored: Manifest| stored.generation > published.state.generation();
        let is_newer = registry::stored(&*self.disk, &self.dir, &identity.uuid).is_ok_and(is_newer);
        // Asked last: a registry.redb that a writer has at hand may not be readable.
        let why = if self.is_outdated(identity, published)? {
            "a process writes to the store, or has meanwhile"
        } else if is_newer {
            "registry.redb, which is newer than MANIFEST, may name them"
        } else {
            found.into_iter().for_each(|found| self.leftover(found));
            return Ok(());
        };
        self.report.passed_over.push(format!("files that nothing names: {why}"));
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
