//! `asof serve` killed at random moments while several clients write pipelines: what was acknowledged is there afterwards, and what is
//! there is what one client had sent up to some command, without holes.
//!
//! `ASOF_REDIS_KILLS` says how often, `ASOF_REDIS_SEED` where to begin.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::time::Duration;

use asof_clients::server::make_project;
use asof_clients::wire::encode;
use asof_clients::{Connection, Folder, Random, Server};

const KILLS: u64 = 12;
const WRITERS: usize = 4;
/// Keys and fields of each writer.
const KEYS: usize = 10;

/// Something that a client sends in one go. Numbers are of the step that writes them, so that no two write the same.
#[derive(Clone, Copy, Debug)]
enum Step {
    Set(usize),
    Delete(usize),
    SetField(usize),
    DeleteField(usize),
    Increment,
    /// MULTI and EXEC around two keys.
    SetBoth,
    Rename,
}

/// What the keys of one writer are, by name; fields are called `h/f3`.
type State = BTreeMap<String, String>;

impl Step {
    fn random(random: &mut Random) -> Step {
        let which = random.below(KEYS);
        match random.below(12) {
            0..4 => Step::Set(which),
            4 => Step::Delete(which),
            5..8 => Step::SetField(which),
            8 => Step::DeleteField(which),
            9 => Step::Increment,
            10 => Step::SetBoth,
            _ => Step::Rename,
        }
    }

    /// The commands, and how many answers they have.
    fn encode(self, writer: usize, number: usize, into: &mut Vec<u8>) -> usize {
        let name = |what: &str, which: usize| format!("w{writer}:{what}{which}");
        let number = number.to_string();
        let commands: Vec<Vec<String>> = match self {
            Step::Set(which) => vec![vec!["SET".into(), name("k", which), number]],
            Step::Delete(which) => vec![vec!["DEL".into(), name("k", which)]],
            Step::SetField(which) => vec![vec!["HSET".into(), name("h", 0), format!("f{which}"), number]],
            Step::DeleteField(which) => vec![vec!["HDEL".into(), name("h", 0), format!("f{which}")]],
            Step::Increment => vec![vec!["INCR".into(), name("n", 0)]],
            Step::SetBoth => vec![
                vec!["MULTI".into()],
                vec!["SET".into(), name("left", 0), number.clone()],
                vec!["SET".into(), name("right", 0), number],
                vec!["EXEC".into()],
            ],
            // Of a key that may not be there: then that is answered, and nothing done.
            Step::Rename => vec![vec!["RENAME".into(), name("k", 0), name("k", 1)]],
        };
        commands.iter().for_each(|command| encode(command, into));
        commands.len()
    }

    /// What it does to the state.
    fn apply(self, number: usize, state: &mut State) {
        let number = number.to_string();
        match self {
            Step::Set(which) => drop(state.insert(format!("k{which}"), number)),
            Step::Delete(which) => drop(state.remove(&format!("k{which}"))),
            Step::SetField(which) => drop(state.insert(format!("h0/f{which}"), number)),
            Step::DeleteField(which) => drop(state.remove(&format!("h0/f{which}"))),
            Step::Increment => {
                let counter = state.entry("n0".to_owned()).or_insert_with(|| "0".to_owned());
                *counter = (counter.parse::<i64>().unwrap() + 1).to_string();
            }
            Step::SetBoth => {
                state.insert("left0".to_owned(), number.clone());
                state.insert("right0".to_owned(), number);
            }
            Step::Rename => {
                if let Some(value) = state.remove("k0") {
                    state.insert("k1".to_owned(), value);
                }
            }
        }
    }
}

/// What one client did until the server was gone.
struct Life {
    steps: Vec<Step>,
    acknowledged: usize,
}

/// Writes pipelines until nobody answers any more.
fn write(mut connection: Connection, writer: usize, mut random: Random) -> Life {
    let mut life = Life { steps: Vec::new(), acknowledged: 0 };
    loop {
        let mut bytes = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..1 + random.below(40) {
            let step = Step::random(&mut random);
            answers.push(step.encode(writer, life.steps.len(), &mut bytes));
            life.steps.push(step);
        }
        if connection.send(&bytes).is_err() {
            return life;
        }
        for count in answers {
            for _ in 0..count {
                match connection.reply() {
                    // Of all that is sent only a RENAME of nothing may be refused.
                    Ok(reply) if reply.is_error() => assert_eq!(reply.text(), "ERR no such key"),
                    Ok(_) => {}
                    Err(_) => return life,
                }
            }
            life.acknowledged += 1;
        }
    }
}

fn read(connection: &mut Connection, writer: usize) -> State {
    let mut state = State::new();
    let mut put = |name: String, reply: asof_clients::Reply| {
        if !reply.is_null() {
            state.insert(name, reply.text());
        }
    };
    for which in 0..KEYS {
        put(format!("k{which}"), connection.words(&format!("GET w{writer}:k{which}")));
        put(format!("h0/f{which}"), connection.words(&format!("HGET w{writer}:h0 f{which}")));
    }
    for name in ["n0", "left0", "right0"] {
        put(name.to_owned(), connection.words(&format!("GET w{writer}:{name}")));
    }
    state
}

/// The state after so many steps as were acknowledged, or some more, and never fewer.
fn check(seed: u64, writer: usize, mut state: State, life: &Life, found: &State) {
    for (number, step) in life.steps.iter().enumerate() {
        if number >= life.acknowledged && state == *found {
            return;
        }
        step.apply(number, &mut state);
    }
    if state != *found {
        let mut acknowledged = State::new();
        life.steps[..life.acknowledged]
            .iter()
            .enumerate()
            .for_each(|(number, step)| step.apply(number, &mut acknowledged));
        panic!(
            "seed {seed}: writer {writer} had {} of {} steps acknowledged, and what is there is no state since\n  found {found:?}\n  \
             these steps alone make {acknowledged:?}",
            life.acknowledged,
            life.steps.len()
        );
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let number = |variable: &str, default| std::env::var(variable).map_or(default, |value| value.parse().unwrap());
    let (kills, seed) = (number("ASOF_REDIS_KILLS", KILLS), number("ASOF_REDIS_SEED", 1));
    let folder = Folder::new();
    let project = folder.path().join("project");
    make_project(&project, "fsync");
    let mut states = vec![State::new(); WRITERS];
    let (mut steps, mut acknowledged) = (0, 0);
    for round in 0..kills {
        let mut random = Random::new(seed + (round << 32));
        let server = Server::asof_of(&project);
        let moment = Duration::from_millis(20 + u64::try_from(random.below(200)).unwrap());
        let lives: Vec<Life> = std::thread::scope(|scope| {
            let start = |writer: usize| {
                let (connection, random) = (server.connect(), Random::new(random.clone().number() ^ (writer as u64)));
                scope.spawn(move || write(connection, writer, random))
            };
            let writers: Vec<_> = (0..WRITERS).map(start).collect();
            std::thread::sleep(moment);
            server.kill();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let again = Server::asof_of(&project);
        let mut connection = again.connect();
        for (writer, life) in lives.iter().enumerate() {
            let found = read(&mut connection, writer);
            let before = std::mem::replace(&mut states[writer], found.clone());
            check(seed, writer, before, life, &found);
            steps += life.steps.len();
            acknowledged += life.acknowledged;
        }
    }
    println!("{kills} kills, {steps} steps sent, {acknowledged} acknowledged, none lost");
    assert!(acknowledged > 100 * usize::try_from(kills).unwrap(), "too few to tell anything");
    assert!(steps > acknowledged, "every kill came when nothing was under way");
}
