//! The registry in memory: an immutable picture of one generation, and the change that makes the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::definitions::DefinitionsView;
use super::records::{
    ClockRecord, CommitRecord, EntityRecord, ImportRecord, KeyRecord, Meta, ProjectRecord, Record, RunRecord,
    ServiceRecord, SnapshotRecord, SourceRecord, TruncateRecord, ViewRecord, import_key,
};
use crate::error::{Error, Result, nearest};
use crate::format::keyspace;
use crate::format::manifest::{Manifest, Records};

/// Everything the registry says at one generation.
#[derive(Clone, Debug)]
pub struct RegistryState {
    store_uuid: [u8; 16],
    generation: u64,
    /// The truth: what follows is parsed from it.
    records: Records,
    meta: Arc<Meta>,
    project: Arc<ProjectRecord>,
    /// Revisions by (id, revision).
    views: BTreeMap<(u32, u32), Arc<ViewRecord>>,
    /// Revisions by (name, revision).
    services: BTreeMap<(String, u32), Arc<ServiceRecord>>,
    entities: BTreeMap<(String, u32), Arc<EntityRecord>>,
    runs: BTreeMap<u64, Arc<RunRecord>>,
    /// By (view id, seq).
    truncates: BTreeMap<(u32, u64), Arc<TruncateRecord>>,
    imports: BTreeMap<String, Arc<ImportRecord>>,
    snapshots: BTreeMap<String, Arc<SnapshotRecord>>,
    clocks: BTreeMap<u64, Arc<ClockRecord>>,
    commits: BTreeMap<u64, Arc<CommitRecord>>,
    sources: BTreeMap<u32, Arc<SourceRecord>>,
    keys: BTreeMap<String, Arc<KeyRecord>>,
}

impl RegistryState {
    /// The state that a MANIFEST describes: how a reader in another process gets one.
    ///
    /// # Errors
    /// `Damaged`: a record is not what its key says, or a needed one is missing.
    pub fn from_manifest(manifest: Manifest) -> Result<RegistryState> {
        let mut state = RegistryState {
            store_uuid: manifest.store_uuid,
            generation: manifest.generation,
            records: Records::new(),
            meta: Arc::default(),
            project: Arc::default(),
            views: BTreeMap::new(),
            services: BTreeMap::new(),
            entities: BTreeMap::new(),
            runs: BTreeMap::new(),
            truncates: BTreeMap::new(),
            imports: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            clocks: BTreeMap::new(),
            commits: BTreeMap::new(),
            sources: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        if !manifest.records.contains_key(&Meta::default().key()) {
            return Err(damaged_record("meta", "the record is missing"));
        }
        for (key, value) in manifest.records {
            state.take(&key, Some(value))?;
        }
        Ok(state)
    }

    /// This state as MANIFEST carries it.
    pub fn to_manifest(&self) -> Manifest {
        Manifest { store_uuid: self.store_uuid, generation: self.generation, records: self.records.clone() }
    }

    /// How many commits there were; each raises it by one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counters and positions.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The project.
    pub fn project(&self) -> &ProjectRecord {
        &self.project
    }

    /// Definitions as they were at `seq`; `None` means now.
    pub fn definitions_at(&self, seq: Option<u64>) -> DefinitionsView {
        DefinitionsView::new(seq, self.views.values(), self.services.values(), self.entities.values())
    }

    /// The newest revision of a view version, dropped or not.
    pub fn view(&self, id: u32) -> Option<&Arc<ViewRecord>> {
        if id == keyspace::VIEW_ID { self.keyspace_view() } else { self.view_revisions(id).next_back() }
    }

    /// The view that rows of the keyspace are of, where there may be any.
    pub fn keyspace_view(&self) -> Option<&Arc<ViewRecord>> {
        static VIEW: LazyLock<Arc<ViewRecord>> = LazyLock::new(|| Arc::new(ViewRecord::of_keyspace()));
        self.meta.has_keyspace.then(|| &*VIEW)
    }

    /// All revisions of a view version, oldest first.
    pub fn view_revisions(&self, id: u32) -> impl DoubleEndedIterator<Item = &Arc<ViewRecord>> {
        self.views.range((id, 0)..=(id, u32::MAX)).map(|(_, view)| view)
    }

    /// The newest revision of every view version there ever was, by id.
    pub fn views(&self) -> impl Iterator<Item = &Arc<ViewRecord>> {
        let mut revisions = self.views.values().peekable();
        std::iter::from_fn(move || {
            let mut newest = revisions.next()?;
            while let Some(next) = revisions.next_if(|next| next.id == newest.id) {
                newest = next;
            }
            Some(newest)
        })
    }

    /// The newest revision of a service, dropped or not.
    pub fn service(&self, name: &str) -> Option<&Arc<ServiceRecord>> {
        newest_of(&self.services, name)
    }

    /// The newest revision of an entity, dropped or not.
    pub fn entity(&self, name: &str) -> Option<&Arc<EntityRecord>> {
        newest_of(&self.entities, name)
    }

    /// Run files by id.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Arc<RunRecord>> {
        self.runs.values()
    }

    /// Run files of one view version, by id.
    pub fn runs_of(&self, view_id: u32) -> impl Iterator<Item = &Arc<RunRecord>> {
        self.runs.values().filter(move |run| run.view_id == view_id)
    }

    /// Truncates that were sealed, by view and number.
    pub fn truncates(&self) -> impl Iterator<Item = &Arc<TruncateRecord>> {
        self.truncates.values()
    }

    /// Those of one view version.
    pub fn truncates_of(&self, view_id: u32) -> impl Iterator<Item = &Arc<TruncateRecord>> {
        self.truncates.range((view_id, 0)..=(view_id, u64::MAX)).map(|(_, truncate)| truncate)
    }

    /// The import of this content with these options, if there was one.
    pub fn import(&self, view_id: u32, digest: &str, options_digest: &str) -> Option<&Arc<ImportRecord>> {
        self.imports.get(&import_key(view_id, digest, options_digest))
    }

    /// The import ledger.
    pub fn imports(&self) -> impl Iterator<Item = &Arc<ImportRecord>> {
        self.imports.values()
    }

    /// Named snapshots by name.
    pub fn snapshots(&self) -> impl Iterator<Item = &Arc<SnapshotRecord>> {
        self.snapshots.values()
    }

    /// A named snapshot.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn snapshot(&self, name: &str) -> Result<&Arc<SnapshotRecord>> {
        self.snapshots.get(name).ok_or_else(|| {
            let error = Error::not_found(format!("no snapshot is called {name}"));
            match nearest(name, self.snapshots.keys().map(String::as_str)) {
                Some(near) => error.remedy(format!("did you mean {near}?")),
                None => error.remedy("asof snapshot list shows what there is"),
            }
        })
    }

    /// Files that hold the wall-clock times of sealed commits, oldest first.
    pub fn clocks(&self) -> impl DoubleEndedIterator<Item = &Arc<ClockRecord>> {
        self.clocks.values()
    }

    /// Commits that went past the log, by seq.
    pub fn commits(&self) -> impl DoubleEndedIterator<Item = &Arc<CommitRecord>> {
        self.commits.values()
    }

    /// The name behind a row's source id.
    pub fn source_name(&self, id: u32) -> Option<&str> {
        self.sources.get(&id).map(|source| source.name.as_str())
    }

    /// How many sources there are.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// The id of a source by name.
    pub fn source_id(&self, name: &str) -> Option<u32> {
        self.sources.values().find(|source| source.name == name).map(|source| source.id)
    }

    /// API keys by id, those included that were revoked.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.keys.values()
    }

    /// A record's bytes, whatever its kind.
    pub fn raw(&self, key: &str) -> Option<&Bytes> {
        self.records.get(key)
    }

    /// The state after `changes`, which is one generation on.
    pub(super) fn after(&self, changes: &BTreeMap<String, Option<Bytes>>) -> Result<RegistryState> {
        let mut next = self.clone();
        next.generation += 1;
        for (key, value) in changes {
            next.take(key, value.clone())?;
        }
        Ok(next)
    }

    /// Takes one record in, or out.
    fn take(&mut self, key: &str, value: Option<Bytes>) -> Result<()> {
        let json = value.as_ref();
        match key.split('/').next().unwrap_or_default() {
            "meta" => self.meta = parsed(key, json)?.ok_or_else(|| damaged_record(key, "it cannot be removed"))?,
            "project" => self.project = parsed(key, json)?.unwrap_or_default(),
            "view" => put(&mut self.views, key, json, |r: &ViewRecord| (r.id, r.revision), view_of_key(key))?,
            "service" => {
                let at = name_of_key(key);
                put(&mut self.services, key, json, |r: &ServiceRecord| (r.name.clone(), r.revision), at)?;
            }
            "entity" => {
                let at = name_of_key(key);
                put(&mut self.entities, key, json, |r: &EntityRecord| (r.name.clone(), r.revision), at)?;
            }
            "run" => put(&mut self.runs, key, json, |r: &RunRecord| r.id, last_of_key(key))?,
            "truncate" => {
                put(&mut self.truncates, key, json, |r: &TruncateRecord| (r.view_id, r.seq), truncate_of_key(key))?;
            }
            "import" => put(&mut self.imports, key, json, ImportRecord::key, Some(key.to_owned()))?,
            "snapshot" => put(&mut self.snapshots, key, json, |r: &SnapshotRecord| r.name.clone(), last_of_key(key))?,
            "clock" => put(&mut self.clocks, key, json, |r: &ClockRecord| r.id, last_of_key(key))?,
            "commit" => put(&mut self.commits, key, json, |r: &CommitRecord| r.seq_last, last_of_key(key))?,
            "key" => put(&mut self.keys, key, json, |r: &KeyRecord| r.id.clone(), last_of_key(key))?,
            "source" => put(&mut self.sources, key, json, |r: &SourceRecord| r.id, last_of_key(key))?,
            // A later release's: kept as it is.
            _ => {}
        }
        match value {
            Some(value) => self.records.insert(key.to_owned(), value),
            None => self.records.remove(key),
        };
        Ok(())
    }
}

/// A change under way. Nothing of it counts until [`super::Proposed::commit`] returns.
#[derive(Debug)]
pub struct Change<'a> {
    before: &'a RegistryState,
    meta: Option<Meta>,
    changes: BTreeMap<String, Option<Bytes>>,
}

impl<'a> Change<'a> {
    pub(super) fn new(before: &'a RegistryState) -> Self {
        Change { before, meta: None, changes: BTreeMap::new() }
    }

    /// What the registry says before the change. No other commit can come between.
    pub fn before(&self) -> &'a RegistryState {
        self.before
    }

    /// Counters and positions, to be changed in place.
    pub fn meta(&mut self) -> &mut Meta {
        self.meta.get_or_insert_with(|| self.before.meta().clone())
    }

    /// Writes a record, in place of any under the same key.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<()> {
        let key = record.key();
        let json = serde_json::to_vec(record)
            .map_err(|source| Error::invalid("the record cannot be written as JSON").at(&key).caused_by(source))?;
        self.changes.insert(key, Some(Bytes::from(json)));
        Ok(())
    }

    /// Removes a record; no error when there is none.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.changes.insert(key.into(), None);
    }

    pub(super) fn finish(mut self) -> Result<BTreeMap<String, Option<Bytes>>> {
        if let Some(meta) = self.meta.take() {
            self.put(&meta)?;
        }
        Ok(self.changes)
    }
}

/// Puts the record that `json` holds under the place its contents name, which must be the place its key
/// names; without `json`, removes what is there.
fn put<R: Record, K: Ord>(
    map: &mut BTreeMap<K, Arc<R>>,
    key: &str,
    json: Option<&Bytes>,
    place_of: impl Fn(&R) -> K,
    place: Option<K>,
) -> Result<()> {
    let place = place.ok_or_else(|| damaged_record(key, "it is no key of its kind"))?;
    match parsed::<R>(key, json)? {
        Some(record) => {
            if record.key() != key || place_of(&record) != place {
                return Err(damaged_record(key, "the record belongs under another key"));
            }
            map.insert(place, record);
        }
        None => {
            map.remove(&place);
        }
    }
    Ok(())
}

fn parsed<R: Record>(key: &str, json: Option<&Bytes>) -> Result<Option<Arc<R>>> {
    let parse = |json: &Bytes| serde_json::from_slice::<R>(json).map(Arc::new);
    json.map(parse).transpose().map_err(|source| damaged_record(key, &source.to_string()))
}

fn damaged_record(key: &str, what: &str) -> Error {
    Error::damaged(Path::new("registry"), format!("record {key}: {what}"))
}

/// The number or name after the first slash, to the end.
fn last_of_key<T: std::str::FromStr>(key: &str) -> Option<T> {
    key.split_once('/')?.1.parse().ok()
}

/// `view/ID/rev/N`
fn view_of_key(key: &str) -> Option<(u32, u32)> {
    let (id, revision) = key.strip_prefix("view/")?.split_once("/rev/")?;
    Some((id.parse().ok()?, revision.parse().ok()?))
}

/// `truncate/VIEW/SEQ`
fn truncate_of_key(key: &str) -> Option<(u32, u64)> {
    let (view, seq) = key.strip_prefix("truncate/")?.split_once('/')?;
    Some((view.parse().ok()?, seq.parse().ok()?))
}

/// `KIND/NAME/rev/N`
fn name_of_key(key: &str) -> Option<(String, u32)> {
    let (name, revision) = key.split_once('/')?.1.split_once("/rev/")?;
    Some((name.to_owned(), revision.parse().ok()?))
}

fn newest_of<'a, R>(revisions: &'a BTreeMap<(String, u32), Arc<R>>, name: &str) -> Option<&'a Arc<R>> {
    revisions.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX)).next_back().map(|(_, record)| record)
}
