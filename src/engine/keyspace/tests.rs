//! The keyspace on disk: what was acknowledged is there again after whatever came between.

mod checkpoint;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::LiveKeyspace;
use crate::definition::{Definitions, FeatureView};
use crate::disk::{CrashMode, Disk, FaultyDisk, MemDisk, Operation, Random, Verdict};
use crate::engine::Engine;
use crate::error::ErrorKind;
use crate::identity::{FEATURE_KEYSPACE, Identity};
use crate::keyspace::{Key, KeyValue, Keyspace};
use crate::options::Sizes;
use crate::request::ApplyOptions;
use crate::store::{Row, Store};
use crate::time::{ManualClock, Timestamp};
use crate::value::DataType;

const DIR: &str = "/keys";
const NOW: i64 = 1_000_000;

/// A key's deadline, and its fields with values and deadlines; of a string, one field without a name.
type Held = (Option<i64>, BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>);
type Dump = BTreeMap<(u8, Vec<u8>), Held>;

fn held(key: &Key, now: i64) -> Held {
    let held = match &key.value {
        KeyValue::String(string) => BTreeMap::from([(Vec::new(), (string.bytes.clone(), None))]),
        KeyValue::Hash(hash) => {
            let fields = hash.iter(now);
            fields.map(|(name, value)| ([b"f:", name].concat(), (value.to_vec(), hash.deadline(name)))).collect()
        }
    };
    (key.deadline, held)
}

fn dump(keyspace: &Keyspace, now: i64) -> Dump {
    let mut dump = Dump::new();
    for database in 0..16 {
        for key in keyspace.iter(database, now) {
            let held = match &key.value {
                KeyValue::String(string) => BTreeMap::from([(Vec::new(), (string.bytes.clone(), None))]),
                KeyValue::Hash(hash) => {
                    let fields = hash.iter(now);
                    fields
                        .map(|(name, value)| ([b"f:", name].concat(), (value.to_vec(), hash.deadline(name))))
                        .collect()
                }
            };
            dump.insert((database, key.name.to_vec()), (key.deadline, held));
        }
    }
    dump
}

fn open(disk: Arc<dyn Disk>) -> Store {
    // Segments so small that a few groups fill one, and checkpoints after a few.
    let (segment_bytes, checkpoint_bytes_min) = (16 << 10, 4 << 10);
    let sizes = Sizes { segment_bytes, checkpoint_bytes_min, table_reserve_bytes: 1 << 20, ..Sizes::default() };
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    Store::builder().sizes(sizes).clock(clock).background(false).disk(disk).open(DIR).unwrap()
}

fn live(store: &Store) -> (&Arc<Engine>, &Arc<LiveKeyspace>) {
    let engine = store.engine().unwrap();
    (engine, engine.keyspace().unwrap())
}

fn dump_of(store: &Store) -> Dump {
    dump(&live(store).1.read(), NOW)
}

/// A few random changes.
fn change(keyspace: &mut Keyspace, random: &mut Random, now: i64) {
    for _ in 0..=random.below(3) {
        let name = random.below(6).to_string().into_bytes();
        let key = (u8::try_from(random.below(2)).unwrap(), &*name);
        let value = vec![b'v'; usize::try_from(random.below(700)).unwrap()];
        keyspace.forget_expired(key, now);
        let is_string = matches!(keyspace.get(key, now).map(|key| &key.value), Some(KeyValue::String(_)));
        let deadline = (random.below(2) == 0).then(|| now + 1 + i64::try_from(random.below(50)).unwrap());
        match random.below(8) {
            0 => drop(keyspace.set_string(key, value, deadline)),
            1 if is_string => drop(keyspace.write_string(key, 5, &value)),
            2 if is_string => drop(keyspace.remove(key)),
            3 => keyspace.set_deadline(key, deadline),
            4 => drop(keyspace.rename(key, (key.0, b"renamed"))),
            5 => drop(keyspace.copy(key, (1 - key.0, &name))),
            6 if random.below(10) == 0 => keyspace.truncate(key.0),
            7 if !is_string => {
                keyspace.set_field(key, b"timed", &value);
                keyspace.set_field_deadline(key, b"timed", deadline);
            }
            _ if !is_string => drop(keyspace.set_field(key, &random.below(4).to_le_bytes(), &value)),
            _ => drop(keyspace.set_string(key, value, None)),
        }
    }
}

#[test]
fn keys_are_as_they_were_after_closing_sealing_merging_and_a_kill() {
    let disk = MemDisk::new();
    let mut random = Random::new(1);
    let mut store = open(Arc::new(disk.clone()));
    for round in 0..60 {
        let (engine, keyspace) = live(&store);
        for _ in 0..5 {
            engine.change_keyspace(keyspace, |keyspace, now| change(keyspace, &mut random, now)).unwrap();
        }
        let expected = dump_of(&store);
        match round % 4 {
            0 => drop(store.seal().unwrap()),
            1 => store.compact().unwrap(),
            2 => store.close().unwrap(),
            _ => {
                engine.checkpoint_if_due().unwrap();
                let killed = open(Arc::new(disk.kill_image()));
                assert_eq!(dump_of(&killed), expected, "killed in round {round}");
            }
        }
        drop(store);
        store = open(Arc::new(disk.clone()));
        assert_eq!(dump_of(&store), expected, "round {round}");
    }
    assert!(dump_of(&store).len() > 3, "there was something to compare");
    assert!(live(&store).0.reads().picture().views[&0].runs.iter().any(|run| run.record.level > 0), "some were merged");
}

#[test]
fn a_power_failure_at_any_moment_leaves_what_was_acknowledged_or_the_group_under_way() {
    let disk = MemDisk::new();
    let mut random = Random::new(7);
    // What was acknowledged, and what will be next.
    let shared: Arc<Mutex<(Dump, Dump)>> = Arc::default();
    let images: Arc<Mutex<Vec<(MemDisk, Dump, Dump)>>> = Arc::default();
    let store = open(Arc::new(disk.clone()));
    {
        let (shared, images) = (Arc::clone(&shared), Arc::clone(&images));
        let mut dice = Random::new(9);
        disk.on_operation(move |operation| {
            if dice.below(4) == 0 {
                let (before, after) = shared.lock().unwrap().clone();
                let image = operation.disk.crash_image(CrashMode::Random(dice.bits()));
                images.lock().unwrap().push((image, before, after));
            }
        });
    }
    // A twin without a disk says beforehand what a group leaves.
    let mut twin = Keyspace::new(3);
    for ticket in 0..300 {
        let (engine, keyspace) = live(&store);
        let mut same = random.clone();
        twin.begin(ticket, NOW);
        change(&mut twin, &mut same, NOW);
        twin.keep();
        let after = dump(&twin, NOW);
        shared.lock().unwrap().1 = after.clone();
        engine.change_keyspace(keyspace, |keyspace, now| change(keyspace, &mut random, now)).unwrap();
        assert_eq!(dump_of(&store), after);
        shared.lock().unwrap().0 = after;
        if ticket % 40 == 39 {
            store.seal().unwrap();
        }
        if ticket % 7 == 0 {
            engine.checkpoint_if_due().unwrap();
        }
    }
    store.close().unwrap();
    disk.on_operation(|_| {});
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() > 200, "{} images", images.len());
    for (number, (image, before, after)) in images.into_iter().enumerate() {
        let found = dump_of(&open(Arc::new(image)));
        assert!(found == before || found == after, "image {number}: {found:?} is neither {before:?} nor {after:?}");
    }
}

#[test]
fn a_group_that_the_disk_has_no_room_for_is_undone_and_the_next_one_made() {
    let disk = MemDisk::new();
    let is_full = Arc::new(Mutex::new(false));
    let full = Arc::clone(&is_full);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
        let grows = matches!(operation, Operation::Allocate | Operation::Create | Operation::SetLen);
        let is_log = path.starts_with("/keys/log");
        if *full.lock().unwrap() && grows && is_log {
            Verdict::Fail(std::io::ErrorKind::StorageFull)
        } else {
            Verdict::Proceed
        }
    });
    let store = open(Arc::new(faulty));
    let (engine, keyspace) = live(&store);
    engine.change_keyspace(keyspace, |keyspace, _| keyspace.set_string((0, b"kept"), b"1".to_vec(), None)).unwrap();
    let before = dump_of(&store);
    *is_full.lock().unwrap() = true;
    // More than is left of a segment.
    let large = vec![b'x'; 64 << 10];
    let refused = engine.change_keyspace(keyspace, |keyspace, _| {
        keyspace.set_string((0, b"kept"), large.clone(), None);
        keyspace.set_field((0, b"new"), b"f", b"v");
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(dump_of(&store), before);
    assert_eq!(keyspace.settled(), keyspace.read().get((0, b"kept"), NOW).unwrap().changed + 1);
    *is_full.lock().unwrap() = false;
    engine.change_keyspace(keyspace, |keyspace, _| keyspace.set_string((0, b"kept"), large.clone(), None)).unwrap();
    drop(store);
    let store = open(Arc::new(disk));
    assert_eq!(dump_of(&store)[&(0, b"kept".to_vec())].1[&Vec::new()].0, large);
}

#[test]
fn what_became_of_a_group_is_known_to_who_asked_in_time_and_kept_for_nobody_else() {
    // The tickets of all groups that were ever undone were kept, and each waiting answer looked through them.
    let fails = Arc::new(Mutex::new(false));
    let is_failing = Arc::clone(&fails);
    let faulty = FaultyDisk::new(Arc::new(MemDisk::new()), move |operation, path| {
        let is_log = path.starts_with("/keys/log");
        match *is_failing.lock().unwrap() && is_log && operation == Operation::Sync {
            true => Verdict::Fail(std::io::ErrorKind::Other),
            false => Verdict::Proceed,
        }
    });
    let store = open(Arc::new(faulty));
    let (engine, keyspace) = live(&store);
    let write = || {
        let mut fate = None;
        let done = engine.change_keyspace(keyspace, |keys, _| {
            keys.set_string((0, b"k"), b"1".to_vec(), None);
            fate = Some(keyspace.fate());
        });
        (done.is_ok(), fate.unwrap())
    };
    let (is_kept, kept) = write();
    assert!(is_kept && !kept.was_undone());
    *fails.lock().unwrap() = true;
    let undone: Vec<_> = (0..3).map(|_| write()).collect();
    assert!(undone.iter().all(|(is_kept, fate)| !is_kept && fate.was_undone()));
    assert!(!kept.was_undone(), "it is each group's own");
    let held: Vec<usize> = undone.iter().map(|(_, fate)| Arc::strong_count(&fate.is_undone)).collect();
    assert_eq!(held, [1, 1, 2], "all but the last are known here alone");
}

#[test]
fn only_a_store_with_a_keyspace_asks_for_a_release_that_knows_it() {
    let disk = MemDisk::new();
    let store = open(Arc::new(disk.clone()));
    let required = || Identity::read(&disk, Path::new(DIR)).unwrap().required_features;
    let (engine, keyspace) = live(&store);
    engine.change_keyspace(keyspace, |keyspace, _| keyspace.remove((0, b"nothing"))).unwrap();
    assert_eq!(required(), 0, "nothing was changed");
    engine.change_keyspace(keyspace, |keyspace, _| keyspace.set_string((0, b"k"), Vec::new(), None)).unwrap();
    assert_eq!(required(), FEATURE_KEYSPACE);
}

#[test]
fn keys_and_views_live_side_by_side_and_no_listing_of_views_has_the_keyspace() {
    let disk = MemDisk::new();
    let store = open(Arc::new(disk.clone()));
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
    let definitions = Definitions::new("both").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let (engine, keyspace) = live(&store);
    engine.change_keyspace(keyspace, |keyspace, _| keyspace.set_string((0, b"v"), b"1".to_vec(), None)).unwrap();
    store.write_rows("v", [Row::new().at(Timestamp(NOW)).set("id", 1_i64).set("x", 2_i64)]).unwrap();
    store.compact().unwrap();
    assert!(store.plan(&definitions, ApplyOptions { prune: true }).unwrap().is_empty());
    assert_eq!(store.views().unwrap().len(), 1);
    engine.build_tables_or_warn();
    assert!(!disk.exists(&Path::new(DIR).join("latest/0-_keyspace@1")).unwrap());
    store.close().unwrap();
    drop(store);
    let report = Store::builder().disk(Arc::new(disk.clone())).check(DIR, &mut |_| {}).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(dump_of(&open(Arc::new(disk))).len(), 1);
}

/// Nobody could read such keys any more, and no training set would know of them.
#[test]
fn definitions_that_would_make_keys_a_views_are_refused() {
    let disk = MemDisk::new();
    let store = open(Arc::new(disk.clone()));
    let define = |view: FeatureView| {
        let view = view.entity("thing").feature("x", DataType::Int64);
        Definitions::new("both").entity("thing", [("id", DataType::Int64)]).view(view)
    };
    let with_template = || FeatureView::new("v").redis_key("user:{id}:x".parse().unwrap());
    let (engine, keyspace) = live(&store);
    let set = |database: u8, name: &[u8], deadline: Option<i64>| {
        let change = |keyspace: &mut Keyspace, _| keyspace.set_string((database, name), Vec::new(), deadline);
        engine.change_keyspace(keyspace, change).unwrap();
    };
    // Of another database, gone by now, or none of a view's.
    set(1, b"v:1", None);
    set(0, b"v:2", Some(NOW - 1));
    set(0, b"user:1", None);
    store.apply(&define(FeatureView::new("other")), ApplyOptions::default()).unwrap();

    let refusal = |view: FeatureView| {
        let wanted = define(view);
        let planned = store.plan(&wanted, ApplyOptions::default()).unwrap().outcome().unwrap_err();
        let error = store.apply(&wanted, ApplyOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.to_string(), planned.to_string());
        // Who only reads is told the same, and so is a process that has not asked for the keyspace yet.
        let reader = Store::builder().disk(Arc::new(disk.clone())).open_read_only(DIR).unwrap();
        assert_eq!(
            reader.plan(&wanted, ApplyOptions::default()).unwrap().outcome().unwrap_err().to_string(),
            error.to_string()
        );
        error.to_string()
    };
    let way_out = "rename or delete such keys of database 0, or choose another name or other redis_keys";
    set(0, b"user:z:x", None);
    set(0, b"user:7:x", None);
    // One that names no entity of the view would be refused to everybody too.
    assert_eq!(
        refusal(with_template()),
        format!("apply: view v: 2 keys of the Redis keyspace would be the view's, the first is 'user:7:x'; {way_out}")
    );
    set(0, b"v", None);
    assert_eq!(
        refusal(FeatureView::new("v")),
        format!("apply: view v: a key of the Redis keyspace would be the view's: 'v'; {way_out}")
    );
    assert_eq!(store.views().unwrap().len(), 1);

    engine
        .change_keyspace(keyspace, |keyspace, _| {
            for name in [&b"user:z:x"[..], b"user:7:x", b"v"] {
                keyspace.remove((0, name));
            }
        })
        .unwrap();
    store.apply(&define(with_template()), ApplyOptions::default()).unwrap();
    // What is a view's already keeps nothing from being applied.
    set(0, b"v:1", None);
    store.apply(&define(with_template().description("the same keys")), ApplyOptions::default()).unwrap();
    store.apply(&define(with_template().redis_key("u:{id}".parse().unwrap())), ApplyOptions::default()).unwrap();
    let unopened = {
        store.close().unwrap();
        drop(store);
        open(Arc::new(disk.clone()))
    };
    let error = unopened.apply(&define(FeatureView::new("user")), ApplyOptions::default()).unwrap_err();
    assert!(error.to_string().contains("'user:1'"), "{error}");
}

#[test]
fn every_key_can_be_read_as_of_every_group_there_was() {
    let disk = MemDisk::new();
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let sizes = Sizes { segment_bytes: 16 << 10, table_reserve_bytes: 1 << 20, ..Sizes::default() };
    let builder = Store::builder().sizes(sizes).clock(clock.clone()).background(false);
    let store = builder.disk(Arc::new(disk)).open(DIR).unwrap();
    let (engine, keyspace) = live(&store);
    let mut random = Random::new(11);
    // After each group: when it was, the last number, and what there was.
    let mut moments = Vec::new();
    for round in 0..250 {
        let now = NOW + round * 10;
        clock.set(Timestamp(now));
        engine.change_keyspace(keyspace, |keyspace, now| change(keyspace, &mut random, now)).unwrap();
        let seq = engine.reads().sight().unwrap().seq;
        moments.push((now, seq, dump(&keyspace.read(), now)));
        if round % 50 == 30 {
            store.compact().unwrap();
        }
    }
    let names: Vec<(u8, Vec<u8>)> = moments.iter().flat_map(|(_, _, dump)| dump.keys().cloned()).collect();
    let names: std::collections::BTreeSet<(u8, Vec<u8>)> = names.into_iter().collect();
    for (now, seq, expected) in &moments {
        // By number alone, by time alone, and by both.
        for (at, known_at) in [(i64::MAX, Some(*seq)), (*now, None), (*now, Some(*seq))] {
            for (database, name) in &names {
                let read_at = if at == i64::MAX { *now } else { at };
                let found = engine.reads().keyspace_key_at((*database, name), read_at, known_at).unwrap();
                let found = found.map(|key| held(&key, *now));
                assert_eq!(found.as_ref(), expected.get(&(*database, name.clone())), "{database} {name:?} at {at}");
            }
        }
    }
}

/// The time of a group was known to its process alone: the next one wrote rows before it, which no read as of now agreed with.
#[test]
fn no_row_is_given_a_time_before_those_that_an_earlier_process_gave() {
    let disk = MemDisk::new();
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let open = || {
        let builder = Store::builder().clock(clock.clone()).background(false).disk(Arc::new(disk.clone()));
        builder.open(DIR).unwrap()
    };
    let set = |store: &Store, value: &[u8]| {
        let keys = store.keyspace().unwrap();
        keys.change(|keyspace, _| keyspace.set_string((0, b"k"), value.to_vec(), None)).unwrap();
    };
    let store = open();
    // Somebody was told of this instant before the clock went back.
    assert_eq!(store.keyspace().unwrap().now(), Timestamp(NOW));
    clock.set(Timestamp(NOW / 2));
    set(&store, b"first");
    drop(store);
    let store = open();
    set(&store, b"second");
    let keys = store.keyspace().unwrap();
    assert_eq!(keys.now(), Timestamp(NOW));
    let found = keys.key_at((0, b"k"), keys.now(), None).unwrap().unwrap();
    assert_eq!(held(&found, NOW).1[&Vec::new()].0, b"second");
    assert!(keys.key_at((0, b"k"), Timestamp(NOW - 1), None).unwrap().is_none());
}
