//! What HEAD and MANIFEST say, and the log they speak of, all of one time.

use std::sync::Arc;

use super::{Check, MADE_ANEW, Severity};
use crate::disk::MapAccess;
use crate::engine::outlived::{beside, is_outlived};
use crate::engine::reads::log_place;
use crate::error::{Error, ErrorKind, PUBLISH_AGAIN, RESTORE_STORE, Result};
use crate::head::{self, Head, HeadState, Trust};
use crate::identity::Identity;
use crate::latest::Beside;
use crate::manifest;
use crate::registry::{self, RegistryState};
use crate::tail::TailSegment;

/// Writers may come and go, or seal the log, this often while it is read.
const ATTEMPTS_MAX: usize = 20;

/// What HEAD says, and how far that can be believed.
pub(super) type Said = (HeadState, Trust);

/// A store's records, and the rows of its log that lie in none of the runs these name.
pub(super) struct Published {
    pub state: Arc<RegistryState>,
    pub tail: Vec<Arc<TailSegment>>,
    /// Rows up to this number are committed.
    pub seq: u64,
    /// Whose its tables are.
    pub beside: Beside,
    /// What HEAD said, and whether that is believed.
    pub head: Option<Said>,
}

impl Check<'_> {
    /// Reads HEAD, MANIFEST and the log; `None` where no MANIFEST can be read. Segments that are sealed meanwhile lie in
    /// runs that a newer MANIFEST names: it is taken instead, and everything is read again; so it is where a writer comes while
    /// the log is recovered.
    pub(super) fn published(&mut self, identity: &Identity) -> Result<Option<Published>> {
        let before = self.report.clone();
        for _ in 0..ATTEMPTS_MAX {
            let (head, loaded) = self.head_and_manifest(identity)?;
            self.note_head(head);
            let state = match loaded {
                Ok(Some(state)) => state,
                Ok(None) => return self.without_manifest(identity, "it is missing"),
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    return self.without_manifest(identity, error.what());
                }
                Err(error) => return Err(error),
            };
            self.read(manifest::FILE_NAME.as_ref());
            let said = head.and_then(|(said, trust)| (trust != Trust::Untrusted).then_some(said));
            if said.is_some_and(|said| said.manifest_generation > state.generation()) {
                let generation = state.generation();
                let what = format!("it is of generation {generation}, and HEAD says that a newer one was committed");
                let newest = said.map_or(0, |said| said.manifest_generation);
                let remedy = self.manifest_remedy(identity, newest)?;
                self.problem(Severity::Damage, manifest::FILE_NAME, what, remedy);
            }
            let state = Arc::new(state);
            let read = self.log(identity, &state, said.as_ref())?;
            // A writer that came meanwhile may have added rows while the log's end was looked for, of views that `state` lacks too.
            let is_changed = said.is_none() && self.has_changed(identity, head, &state)?;
            if let Some((tail, seq)) = read.filter(|_| !is_changed) {
                let beside = match &said {
                    Some(said) => beside(&*self.disk, &self.dir, said)?,
                    None => Beside::Nobody { committed_seq: seq },
                };
                return Ok(Some(Published { state, tail, seq, beside, head }));
            }
            self.report = before.clone();
        }
        Err(Error::new(ErrorKind::Locked, "the log is sealed more often than it can be read")
            .at(self.dir.display())
            .remedy("check the store while less is written to it"))
    }

    /// Whether a process writes to the store, or has since this was published: what else was seen meanwhile may be its doing.
    /// Asked after the look, and in this order: whoever wrote and is gone has said so.
    pub(super) fn is_outdated(&self, identity: &Identity, Published { state, head, .. }: &Published) -> Result<bool> {
        Ok(self.is_written_to() || self.has_changed(identity, *head, state)?)
    }

    /// Whether a writer has come since HEAD said `head`, which it takes over before it writes; one that had lost its HEAD
    /// shows in MANIFEST.
    fn has_changed(&self, identity: &Identity, head: Option<Said>, state: &RegistryState) -> Result<bool> {
        let [before, now] = [head, self.ask_head(identity)?].map(|head| head.map(|(said, _)| said));
        Ok(now != before || self.moved_on(state)?.is_some())
    }

    /// What HEAD says, where there is one.
    pub(super) fn ask_head(&self, identity: &Identity) -> Result<Option<Said>> {
        let head = Head::open(&*self.disk, &self.dir, &identity.uuid, MapAccess::Read)?;
        Ok(head.as_ref().map(Head::read_trusted))
    }

    /// What HEAD says, where there is one, and a MANIFEST that was read after it and so is as new; HEAD is as new too, unless
    /// a writer was killed before it said so. One that the store has outlived is not trusted.
    fn head_and_manifest(&self, identity: &Identity) -> Result<(Option<Said>, Result<Option<RegistryState>>)> {
        let log = log_place(&self.disk, &self.dir, identity);
        let mut head = self.ask_head(identity)?;
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let published = manifest::load(&*self.disk, &self.dir, &identity.uuid);
            let loaded = published.and_then(|published| published.map(RegistryState::from_manifest).transpose());
            let (Some((said, trust)), Ok(Some(state))) = (head, &loaded) else { return Ok((head, loaded)) };
            let is_older = said.manifest_generation < state.generation();
            if trust == Trust::Untrusted || !is_older && !is_outlived(&said, state.generation(), &log)? {
                return Ok((head, loaded));
            }
            // A writer that has sealed since says up to where its runs go; one that has come took the mark back first.
            let now = self.ask_head(identity)?;
            attempts_left -= 1;
            if now == head || attempts_left == 0 {
                // A log that goes on says more, as after a power failure. One in use is of a writer between MANIFEST and HEAD.
                let trust = if said.is_clean { Trust::Untrusted } else { trust };
                return Ok((Some((said, trust)), loaded));
            }
            head = now;
        }
    }

    /// Without MANIFEST nobody knows what else there should be.
    fn without_manifest(&mut self, identity: &Identity, what: &str) -> Result<Option<Published>> {
        let remedy = self.manifest_remedy(identity, 0)?;
        self.problem(Severity::Damage, manifest::FILE_NAME, what, remedy);
        Ok(None)
    }

    /// What to do about a MANIFEST that is lost, or older than `generation`: the next opening for writing publishes it again
    /// where `registry.redb` has it. A process that holds the store does with its next change.
    fn manifest_remedy(&self, identity: &Identity, generation: u64) -> Result<&'static str> {
        if self.is_written_to() {
            return Ok(PUBLISH_AGAIN);
        }
        match registry::stored(&*self.disk, &self.dir, &identity.uuid) {
            Ok(stored) if stored.generation >= generation => Ok(PUBLISH_AGAIN),
            Ok(_) => Ok(RESTORE_STORE),
            Err(error) if error.is_missing_file() || error.kind() == ErrorKind::Damaged => Ok(RESTORE_STORE),
            Err(error) => Err(error),
        }
    }

    /// That it was read, or is none.
    fn note_head(&mut self, head: Option<Said>) {
        match head {
            None => self.problem(
                Severity::Derived,
                head::FILE_NAME,
                "it is missing, or is no HEAD of this store",
                MADE_ANEW,
            ),
            Some(_) => self.read(head::FILE_NAME.as_ref()),
        }
    }
}
