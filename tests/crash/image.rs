//! What is done with one image: spoil it perhaps, open it, examine it, write to it, crash it again.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use asof::disk::{CrashMode, Disk, MemDisk, Random};
use asof::options::{Durability, Sizes};
use asof::time::{ManualClock, Timestamp};
use asof::{ApplyOptions, ErrorKind, Features, GetOptions, KnownAt, Status, Store, StoreBuilder};

use super::examine::{Trouble, batch, entity, examine};
use super::faults::{self, Expect, Older};
use super::model::{Act, Defined, KEYS, Kind, Loss, Model, Outcome, Presence, Row, RowValue, View};

pub const STORE: &str = "/crash";

thread_local! {
    /// This thread is within [`check`], which catches panics.
    pub static IS_CHECKING: Cell<bool> = const { Cell::new(false) };
}

/// How the stores of a life are opened.
#[derive(Clone, Debug)]
pub struct Manner {
    pub durability: Durability,
    pub sizes: Sizes,
}

impl Manner {
    pub fn builder(&self, disk: Arc<dyn Disk>, clock: &Arc<ManualClock>) -> StoreBuilder {
        let clock: Arc<ManualClock> = Arc::clone(clock);
        let builder = Store::builder().durability(self.durability).sizes(self.sizes.clone());
        builder.clock(clock).disk(disk).background(false)
    }

    pub fn open(&self, disk: Arc<dyn Disk>, clock: &Arc<ManualClock>) -> asof::Result<Store> {
        self.builder(disk, clock).open(STORE)
    }
}

/// Everything an image is held against.
pub struct Scene<'a> {
    pub manner: &'a Manner,
    pub model: &'a Model,
    pub loss: Loss,
    /// Older copies of files, where files may be spoilt.
    pub older: Option<&'a Mutex<Older>>,
    /// The image is one of a process that was killed.
    pub is_killed: bool,
    /// Nobody looks at the log's checksums.
    pub checks_are_off: bool,
    /// Files of it were lost or damaged beyond what a crash does: a reader is not asked then.
    pub is_spoilt: bool,
    /// A file of it is of an earlier day.
    pub is_earlier_day: bool,
}

/// How an image is drawn.
pub fn draw(disk: &MemDisk, dice: &mut Random, just_synced: bool) -> (MemDisk, Loss, String) {
    match dice.below(8) {
        0 => (disk.kill_image(), Loss::Process, "killed".to_owned()),
        1 => (disk.crash_image(CrashMode::KeepAll), Loss::Power, "everything kept".to_owned()),
        // What is durable changes only with a sync: otherwise the image was seen before.
        2 if just_synced => (disk.crash_image(CrashMode::DropAll), Loss::Power, "nothing kept".to_owned()),
        _ => {
            let seed = dice.bits();
            (disk.crash_image(CrashMode::Random(seed)), Loss::Power, format!("some kept, seed {seed}"))
        }
    }
}

/// Opens an image and everything that follows from it; how many images were opened. `Err` says what is wrong.
pub fn check(image: &MemDisk, scene: &Scene<'_>, dice: &mut Random) -> Result<u64, String> {
    IS_CHECKING.set(true);
    #[cfg(debug_assertions)]
    asof::format::sector::knob::CHECKS_ARE_OFF.set(scene.checks_are_off);
    let checked = catch_unwind(AssertUnwindSafe(|| check_sound(image, scene, dice)));
    IS_CHECKING.set(false);
    #[cfg(debug_assertions)]
    asof::format::sector::knob::CHECKS_ARE_OFF.set(false);
    checked.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn check_sound(image: &MemDisk, scene: &Scene<'_>, dice: &mut Random) -> Result<u64, String> {
    let fault = scene.older.and_then(|older| faults::spoil(image, &mut older.lock().unwrap(), scene.is_killed, dice));
    let (expect, what) = fault.unwrap_or((Expect::Recover, String::new()));
    let loss = if expect == Expect::RefuseOrLoseTail { Loss::LogDamage } else { scene.loss };
    let context = |trouble: String| if what.is_empty() { trouble } else { format!("{what}: {trouble}") };
    // Where the opening is cut short in its turn.
    let again = (dice.below(6) == 0).then(|| (image.operations() + dice.below(30), dice.bits()));
    let second: Arc<Mutex<Option<(MemDisk, Loss, String)>>> = Arc::default();
    if let Some((at, seed)) = again {
        let second = Arc::clone(&second);
        image.on_operation(move |info| {
            if info.number == at {
                *second.lock().unwrap() = Some(draw(info.disk, &mut Random::new(seed), true));
            }
        });
    }
    let mut opened = 1;
    let is_earlier_day = expect == Expect::RecoverEarlierDay;
    let spoilt = Scene { loss, is_spoilt: !what.is_empty(), is_earlier_day, ..*scene };
    let outcome = live_on(image, &spoilt, dice, &mut opened);
    match (outcome, expect) {
        (Ok(()), Expect::Refuse) => return Err(context("it was opened".to_owned())),
        (Ok(()), _) => {}
        (Err(Trouble::Wrong(wrong)), _) => return Err(context(wrong)),
        (Err(Trouble::Refused(error)), Expect::Recover) => return Err(context(format!("refused: {error:?}"))),
        (Err(Trouble::Refused(error)), _) => {
            let is_clear = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Refused);
            if !is_clear || !error.to_string().contains(';') {
                return Err(context(format!("refused without saying what to do: {error:?}")));
            }
            return Ok(opened);
        }
    }
    let second = second.lock().unwrap().take();
    if let Some((image, mut loss, mode)) = second
        && expect == Expect::Recover
    {
        // What a power failure could take is gone, whatever becomes of the recovery.
        if scene.loss == Loss::Power {
            loss = Loss::Power;
        }
        let scene = Scene { loss, older: None, is_spoilt: !what.is_empty(), ..*scene };
        live_on(&image, &scene, dice, &mut opened).map_err(|trouble| {
            let text = match trouble {
                Trouble::Wrong(wrong) => wrong,
                Trouble::Refused(error) => format!("refused: {error:?}"),
            };
            context(format!("crashed again while it was opened ({mode}): {text}"))
        })?;
        opened += 1;
    }
    Ok(opened)
}

/// Opens, examines, writes, and now and then cuts the power and looks whether what was shown is still there.
fn live_on(image: &MemDisk, scene: &Scene<'_>, dice: &mut Random, opened: &mut u64) -> Result<(), Trouble> {
    let clock = Arc::new(ManualClock::new(Timestamp(scene.model.now_us)));
    let read = match dice.below(6) {
        0 => read_only(image, scene, &clock, dice)?,
        _ => None,
    };
    let store = scene.manner.open(Arc::new(image.clone()), &clock)?;
    // A second crash is one of the opening.
    image.on_operation(|_| {});
    let presence = examine(&store, scene.model, scene.loss, dice)?;
    // Who only reads cannot tell whether keys alone were changed.
    let told = scene.model.acts.iter().zip(&presence).map(|(act, found)| *found || !act.shows_rows());
    if let Some(read) = read
        && read.iter().zip(told).any(|(read, found)| *read && !found)
    {
        return Err(Trouble::Wrong("a reader without a writer saw what the writer did not find".to_owned()));
    }
    let mut model = scene.model.clone();
    if scene.is_earlier_day && scene.loss == Loss::Power {
        // Nothing that is left of the store knows of the others.
        model.shown = model.present(&presence, presence.len()).map(Act::seq).max().unwrap_or(0);
    }
    model.settle(&presence);
    if scene.loss == Loss::LogDamage {
        // The header that reserved the numbers may be what was lost.
        model.shown = 0;
    }
    let clock_goes_back = !scene.is_spoilt && dice.below(3) == 0;
    if clock_goes_back {
        clock.set(Timestamp(0));
    }
    write_on(&store, &mut model)?;
    clock.set(Timestamp(model.now_us));
    if clock_goes_back {
        check_learned_last(&store, &model)?;
    }
    match dice.below(16) {
        0 => drop(store.seal()?),
        1 => store.compact()?,
        2 => drop(store.snapshot("afterwards")?),
        _ => {}
    }
    if dice.below(8) == 0 {
        let (image, loss, mode) = draw(image, dice, true);
        drop(store);
        *opened += 1;
        let again = |trouble| match trouble {
            Trouble::Wrong(wrong) => Trouble::Wrong(format!("opened, written to, crashed again ({mode}): {wrong}")),
            refused @ Trouble::Refused(_) => refused,
        };
        let store = scene.manner.open(Arc::new(image), &clock)?;
        let presence = examine(&store, &model, loss, dice).map_err(again)?;
        model.settle(&presence);
        write_on(&store, &mut model).map_err(again)?;
    }
    Ok(())
}

/// What a process sees that only reads, and recovers for itself; it changes nothing.
fn read_only(
    image: &MemDisk,
    scene: &Scene<'_>,
    clock: &Arc<ManualClock>,
    dice: &mut Random,
) -> Result<Option<Presence>, Trouble> {
    if scene.is_spoilt || !image.exists(&path("STORE"))? {
        return Ok(None);
    }
    let before = image.operations();
    let reader = scene.manner.builder(Arc::new(image.clone()), clock).open_read_only(STORE)?;
    let said = |trouble| match trouble {
        Trouble::Wrong(wrong) => Trouble::Wrong(format!("a reader without a writer: {wrong}")),
        refused @ Trouble::Refused(_) => refused,
    };
    let presence = examine(&reader, scene.model, scene.loss, dice).map_err(said)?;
    if image.operations() != before {
        return Err(Trouble::Wrong("a reader wrote".to_owned()));
    }
    Ok(Some(presence))
}

/// Whatever the clock said, what [`write_on`] wrote was learned when the rows before it were, or later.
fn check_learned_last(store: &Store, model: &Model) -> Result<(), Trouble> {
    let Some(last) = model.acts.iter().filter(|act| !act.rows.is_empty()).map(|act| act.clock_us).max() else {
        return Ok(());
    };
    let known_at = Some(KnownAt::Time(Timestamp(last - 1)));
    let before = GetOptions { known_at, definitions_current: true, ..GetOptions::default() };
    let answer = store.get(&Features::list(["v@1:number"])?, &entity(KEYS)[..1], &before)?;
    if answer[0].status != Status::NotFound {
        return Err(Trouble::Wrong(format!(
            "written under a clock that went back, known before {last}: {:?}",
            answer[0]
        )));
    }
    Ok(())
}

/// The store takes a row, gives it a number of its own, and answers it.
pub fn write_on(store: &Store, model: &mut Model) -> Result<(), Trouble> {
    let presence = vec![true; model.acts.len()];
    let defined = match model.defined(&presence, model.acts.len()) {
        Some(defined) => defined,
        None => {
            let defined =
                Defined { ttl_us: 0, has_text: false, has_second: false, has_service: false, has_created: false };
            store.apply(&defined.definitions(), ApplyOptions { prune: true })?;
            model.acts.push(Act {
                kind: Kind::Apply(defined),
                rows: Vec::new(),
                keys: Vec::new(),
                clock_us: model.now_us,
                outcome: Outcome::Found,
                is_concurrent: false,
                is_durable: true,
            });
            defined
        }
    };
    // A key of its own, which no question of the model is about.
    let value = RowValue::Values { number: Some(4_711), text: None };
    let row = Row { view: View::First, key: KEYS, event_ts: model.now_us, created: Some(model.now_us), value };
    let written = store.write(View::First.reference(), &batch(&[row], &defined))?;
    if written.first_seq <= model.shown {
        let (given, shown) = (written.first_seq, model.shown);
        return Err(Trouble::Wrong(format!("number {given} was given, and numbers up to {shown} were before")));
    }
    model.shown = written.first_seq;
    if model.acts.iter().any(|act| !act.keys.is_empty()) {
        // A key that no question of the model is about.
        store.keyspace()?.change(|keys, _| keys.set_string((1, b"afterwards"), Vec::new(), None))?;
        let seq = store.summary()?.seq;
        if seq <= model.shown {
            return Err(Trouble::Wrong(format!("a key was given number {seq}, and {} was given", model.shown)));
        }
        model.shown = seq;
    }
    let features = Features::list(["v@1:number"])?;
    let now = GetOptions { at: Some(Timestamp(model.now_us)), ..GetOptions::default() };
    let answer = store.get(&features, &entity(KEYS)[..1], &now)?;
    if answer[0].status != Status::Present {
        return Err(Trouble::Wrong(format!("what was just written is {:?}", answer[0])));
    }
    Ok(())
}

/// Where a file of the store lies.
pub fn path(name: &str) -> std::path::PathBuf {
    Path::new(STORE).join(name)
}
