//! The registry as a whole, over a disk in memory.

mod crash;
mod definitions;
mod open_rules;

use std::path::Path;
use std::sync::Arc;

use super::records::{Meta, ProjectRecord, RunRecord, RunSource, SnapshotRecord, run_key};
use super::*;
use crate::disk::{MemDisk, OpenMode};
use crate::manifest;

const UUID: [u8; 16] = *b"0123456789abcdef";

fn dir() -> &'static Path {
    Path::new("/store")
}

/// A disk with a folder for a store.
fn disk() -> (MemDisk, Arc<dyn Disk>) {
    let disk = MemDisk::new();
    disk.create_dir(dir()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    (disk.clone(), Arc::new(disk))
}

/// A new registry, published: generation 1.
fn created(disk: &Arc<dyn Disk>) -> Registry {
    let meta = Meta { created_at_us: 1, next_view_id: 1, next_run_id: 1, ..Meta::default() };
    let project = ProjectRecord { name: "flights".to_owned() };
    let registry = Registry::create(disk, dir(), UUID, &meta, &project).unwrap();
    publish(disk, &registry);
    registry
}

fn publish(disk: &Arc<dyn Disk>, registry: &Registry) {
    manifest::publish(&**disk, dir(), &registry.state().to_manifest()).unwrap();
}

fn open(disk: &Arc<dyn Disk>) -> Result<Opened> {
    Registry::open(disk, dir(), UUID, manifest::load(&**disk, dir(), &UUID))
}

/// A commit that leaves a mark: after it, meta says `seq`, and there is a snapshot of it.
fn commit_mark(registry: &Registry, seq: u64) -> Result<Arc<RegistryState>> {
    let proposed = registry.propose(|change| {
        change.meta().seq_max = seq;
        change.put(&snapshot(seq))
    })?;
    proposed.commit()
}

fn snapshot(seq: u64) -> SnapshotRecord {
    SnapshotRecord { name: format!("s{seq}"), seq, ingested_at_us: 0, created_at_us: 0 }
}

/// Which mark the registry has, all of it or an assertion fails.
fn mark(registry: &Registry) -> u64 {
    let state = registry.state();
    let seq = state.meta().seq_max;
    assert_eq!(state.snapshots().count() as u64, seq, "every mark left its snapshot");
    assert!(seq == 0 || state.snapshot(&format!("s{seq}")).unwrap().seq == seq);
    assert_eq!(state.generation(), seq + 1);
    assert_eq!(state.project().name, "flights");
    seq
}

fn run(id: u64) -> RunRecord {
    RunRecord {
        id,
        view_id: 1,
        group: id,
        level: 0,
        source: RunSource::Seal,
        hash_lo: 0,
        hash_hi: u64::MAX,
        rows: 10,
        entities: 2,
        event_min_us: -5,
        event_max_us: 5,
        seq_min: 1,
        seq_max: 10,
        seq_base: 0,
        data_bytes: 100,
        index_bytes: 50,
        index_crc: 7,
    }
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let (_, disk) = disk();
    let registry = created(&disk);
    let before = registry.state();
    let after = registry
        .propose(|change| {
            assert_eq!(change.before().runs().count(), 0);
            change.meta().next_run_id = 3;
            change.put(&run(1))?;
            change.put(&run(2))
        })
        .and_then(Proposed::commit)
        .unwrap();
    assert_eq!((before.generation(), after.generation()), (1, 2));
    assert_eq!(before.runs().count(), 0, "a state does not change under who holds it");
    registry
        .propose(|change| {
            change.delete(run_key(1));
            Ok(())
        })
        .and_then(Proposed::commit)
        .unwrap();
    publish(&disk, &registry);
    drop(registry);

    let state = open(&disk).unwrap().registry.state();
    assert_eq!(state.generation(), 3);
    assert_eq!(state.meta().next_run_id, 3);
    assert_eq!(state.runs().map(|run| run.as_ref().clone()).collect::<Vec<_>>(), [run(2)]);
    let read_by_others = manifest::load(&*disk, dir(), &UUID).unwrap().unwrap();
    assert_eq!(RegistryState::from_manifest(read_by_others).unwrap().to_manifest(), state.to_manifest());
}

#[test]
fn a_change_that_fails_leaves_nothing() {
    let (_, disk) = disk();
    let registry = created(&disk);
    let refused = registry.propose(|change| {
        change.put(&run(1))?;
        Err(Error::refused("no"))
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(registry.state().generation(), 1);
    commit_mark(&registry, 1).unwrap();
    assert_eq!(mark(&registry), 1);
}

#[test]
fn a_record_under_a_wrong_key_or_in_a_wrong_shape_is_damage() {
    let (_, disk) = disk();
    let sound = created(&disk).state().to_manifest();
    for (key, value) in [
        ("run/00000000000000000001", "{\"id\":1}"),
        ("run/x", "{}"),
        ("view/1", "{}"),
        ("snapshot/a", "{\"name\":\"b\",\"seq\":1,\"created_at_us\":0}"),
        ("meta", "[]"),
        ("service/a/rev/1", "{\"name\":\"a\",\"revision\":1,\"seq\":1,\"definition\":null}"),
    ] {
        let mut manifest = sound.clone();
        manifest.records.insert(key.to_owned(), value.into());
        assert_eq!(RegistryState::from_manifest(manifest).unwrap_err().kind(), ErrorKind::Damaged, "{key}");
    }
    let mut without_meta = sound;
    without_meta.records.remove("meta");
    assert!(RegistryState::from_manifest(without_meta).is_err());
}

/// A later release may keep more kinds of records and more fields; an older one carries them along.
#[test]
fn unknown_records_and_fields_are_kept_and_ignored() {
    let (_, disk) = disk();
    let mut manifest = created(&disk).state().to_manifest();
    manifest.records.insert("tile/1".to_owned(), "anything".into());
    let json = "{\"name\":\"a\",\"seq\":1,\"created_at_us\":0,\"colour\":\"red\"}";
    manifest.records.insert("snapshot/a".to_owned(), json.into());
    let state = RegistryState::from_manifest(manifest.clone()).unwrap();
    assert_eq!(state.snapshot("a").unwrap().seq, 1);
    assert_eq!(state.raw("tile/1").unwrap(), "anything");
    assert_eq!(state.to_manifest(), manifest);
}

#[test]
fn a_misspelt_snapshot_suggests_the_nearest() {
    let (_, disk) = disk();
    let registry = created(&disk);
    registry
        .propose(|change| change.put(&SnapshotRecord { name: "release".to_owned(), ..snapshot(4) }))
        .unwrap()
        .commit()
        .unwrap();
    let error = registry.state().snapshot("relaese").unwrap_err();
    assert_eq!(error.to_string(), "no snapshot is called relaese; did you mean release?");
}

#[test]
fn after_a_failed_commit_the_registry_takes_no_more() {
    let (memory, disk) = disk();
    let registry = created(&disk);
    memory.fail_after(memory.operations() + 2);
    assert_eq!(commit_mark(&registry, 1).unwrap_err().kind(), ErrorKind::Io);
    memory.fail_after(u64::MAX);
    assert_eq!(commit_mark(&registry, 1).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(mark(&registry), 0, "reads go on");
}
