//! The same bytes to both servers, what came back compared, and the story told when it differs.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use asof_clients::wire::{encode, shown_command};
use asof_clients::{Connection, Reply, Server};

use super::commands::Command;
use super::compare::{are_same, pairs, sorted};
use super::words::{KEYS, Word, Words};

/// Commands that are remembered for the story.
const REMEMBERED: usize = 400;
/// Commands that are told.
const TOLD: usize = 30;
/// What is told of keys: all but `expired`, which each server tells when it notices.
const EVENTS: &str = "Eg$hszxetdn";

pub struct Both<'a> {
    ours: Connection,
    theirs: Connection,
    our_events: Connection,
    their_events: Connection,
    servers: [&'a Server; 2],
    protocol: &'static str,
    seed: u64,
    history: VecDeque<Vec<Word>>,
    database: Word,
    pub compared: usize,
    pub errors: usize,
}

impl<'a> Both<'a> {
    pub fn new(ours: &'a Server, theirs: &'a Server, protocol: &'static str, seed: u64) -> Both<'a> {
        let [our_events, their_events] = [ours, theirs].map(|server| {
            let mut connection = server.connect();
            assert_eq!(connection.words("FLUSHALL").text(), "OK");
            assert_eq!(connection.words(&format!("CONFIG SET notify-keyspace-events {EVENTS}")).text(), "OK");
            connection.words("PSUBSCRIBE __keyevent@*__:*");
            connection
        });
        let [ours_to_ask, theirs_to_ask] = [ours, theirs].map(|server| {
            let mut connection = server.connect();
            connection.words(&format!("HELLO {protocol}"));
            connection
        });
        Both {
            ours: ours_to_ask,
            theirs: theirs_to_ask,
            our_events,
            their_events,
            servers: [ours, theirs],
            protocol,
            seed,
            history: VecDeque::new(),
            database: b"0".to_vec(),
            compared: 0,
            errors: 0,
        }
    }

    /// One command, whose answers have to be equal.
    pub fn ask(&mut self, words: &[&[u8]]) -> Reply {
        let words: Vec<Word> = words.iter().map(|word| word.to_vec()).collect();
        let (ours, theirs) = (self.ours.ask(&words), self.theirs.ask(&words));
        self.remember(&words);
        if ours != theirs {
            self.tell(&words, &ours, &theirs);
        }
        ours
    }

    /// Goes to a database, in the protocol of this run: a command may have left it.
    pub fn select(&mut self, database: &[u8]) {
        let hello = [&b"HELLO"[..], self.protocol.as_bytes()].map(<[u8]>::to_vec).to_vec();
        self.batch(&[Command { name: "hello", words: hello }]);
        self.ask(&[b"SELECT", database]);
        self.database = database.to_vec();
    }

    /// A pipeline.
    pub fn batch(&mut self, commands: &[Command]) {
        self.send(commands.iter().map(|command| &command.words));
        for command in commands {
            self.compare(command);
        }
    }

    /// A transaction, left in one way or the other. Some of its commands are refused when they are queued.
    pub fn transaction(&mut self, commands: &[Command], end: &'static str) {
        let word = |word: &'static str| Command { name: word, words: vec![word.as_bytes().to_vec()] };
        let (multi, end) = (word("multi"), word(end));
        self.send([&multi].into_iter().chain(commands).chain([&end]).map(|command| &command.words));
        self.compare(&multi);
        let queued: Vec<&Command> = commands.iter().filter(|command| !self.compare(command).is_error()).collect();
        let (ours, theirs) = (self.ours.reply().unwrap(), self.theirs.reply().unwrap());
        self.remember(&end.words);
        self.compared += 1;
        if ours == theirs {
            return;
        }
        let (our_items, their_items) = (ours.items(), theirs.items());
        if our_items.len() != their_items.len() || ours.kind != theirs.kind || our_items.len() != queued.len() {
            self.tell(&end.words, &ours, &theirs);
        }
        for (command, (ours, theirs)) in queued.into_iter().zip(our_items.iter().zip(their_items)) {
            if !are_same(command, ours, theirs) {
                self.tell(&command.words, ours, theirs);
            }
        }
    }

    fn send<'w>(&mut self, commands: impl Iterator<Item = &'w Vec<Word>>) {
        let mut bytes = Vec::new();
        commands.for_each(|words| encode(words, &mut bytes));
        // Redis first: its answers wait in the socket, and asof's are asked for in the meantime.
        self.theirs.send(&bytes).unwrap();
        self.ours.send(&bytes).unwrap();
    }

    fn compare(&mut self, command: &Command) -> Reply {
        let (ours, theirs) = (self.ours.reply(), self.theirs.reply());
        let (Ok(ours), Ok(theirs)) = (&ours, &theirs) else {
            panic!("seed {}: {}: asof {ours:?}, Redis {theirs:?}", self.seed, shown_command(&command.words));
        };
        self.remember(&command.words);
        self.compared += 1;
        self.errors += usize::from(theirs.is_error());
        if !are_same(command, ours, theirs) {
            self.tell(&command.words, ours, theirs);
        }
        theirs.clone()
    }

    fn remember(&mut self, words: &[Word]) {
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(words.to_vec());
    }

    /// The first difference, and the commands before that named one of the same keys.
    fn tell(&self, words: &[Word], ours: &Reply, theirs: &Reply) -> ! {
        let keys: Vec<&Word> = words.iter().skip(1).filter(|word| KEYS.contains(&word.as_slice())).collect();
        let is_of_it = |old: &&Vec<Word>| {
            let touches_all =
                old.first().is_some_and(|name| name.to_ascii_lowercase().starts_with(b"flush") || name == b"SELECT");
            keys.is_empty() || touches_all || old.iter().skip(1).any(|word| keys.contains(&word))
        };
        let before: Vec<String> =
            self.history.iter().rev().filter(is_of_it).take(TOLD).map(|old| shown_command(old)).collect();
        panic!(
            "seed {}, after {} commands, in database {}\n  {}\n  asof:  {ours:?}\n  Redis: {theirs:?}\nbefore, the last first:\n  {}",
            self.seed,
            self.compared,
            self.database.escape_ascii(),
            shown_command(words),
            before.join("\n  "),
        );
    }

    /// What changed since the last time was told in the same order by both.
    pub fn compare_events(&mut self) {
        let seed = self.seed;
        let [ours, theirs] = [&mut self.our_events, &mut self.their_events].map(|connection| {
            connection.send(b"PING\r\n").unwrap();
            let mut events = Vec::new();
            loop {
                let told = connection.reply().unwrap();
                match told.items() {
                    [_, _, channel, key] if !channel.bytes().ends_with(b":expired") => {
                        events.push((channel.text(), key.bytes().escape_ascii().to_string()));
                    }
                    [_, _, _, _] => {}
                    _ => return events,
                }
            }
        });
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
            let last: Vec<String> = self.history.iter().rev().take(TOLD).map(|old| shown_command(old)).collect();
            panic!(
                "seed {seed}: event {at} of the last batch: asof {:?}, Redis {:?}\nbefore, the last first:\n  {}",
                ours.get(at),
                theirs.get(at),
                last.join("\n  ")
            );
        }
    }

    /// Keys that go soon, commands that meet them on their last way, and then they are gone.
    pub fn let_keys_go(&mut self, words: &mut Words) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let soon = (now + 40).to_string().into_bytes();
        for _ in 0..5 {
            let key = words.key();
            let asked: &[&[u8]] = match words.random.below(6) {
                0 => &[b"PEXPIRE", &key, b"30"],
                1 => &[b"PSETEX", &key, b"25", b"v"],
                2 => &[b"PEXPIREAT", &key, &soon],
                3 => &[b"SET", &key, b"v", b"PX", b"20"],
                4 => &[b"GETEX", &key, b"PX", b"22"],
                _ => &[b"SET", &key, b"v", b"PXAT", &soon, b"GET"],
            };
            self.ask(asked);
        }
        // Nobody can say what a command meets between the two deadlines, so nothing is asked until both are past.
        std::thread::sleep(Duration::from_millis(60));
        for _ in 0..5 {
            let key = words.key();
            let asked: &[&[u8]] = match words.random.below(9) {
                0 => &[b"EXISTS", &key],
                1 => &[b"TYPE", &key],
                2 => &[b"PERSIST", &key],
                3 => &[b"APPEND", &key, b"x"],
                4 => &[b"RENAMENX", &key, b"a"],
                5 => &[b"COPY", &key, b"b"],
                6 => &[b"SETRANGE", &key, b"3", b"x"],
                7 => &[b"SET", &key, b"v", b"KEEPTTL"],
                _ => &[b"HGET", &key, b"f1"],
            };
            self.ask(asked);
        }
    }

    /// asof counts keys past their deadline until it sweeps them, which it does ten times a second.
    fn compare_sizes(&mut self) {
        for _ in 0..100 {
            if self.ours.words("DBSIZE") == self.theirs.words("DBSIZE") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.ask(&[b"DBSIZE"]);
    }

    /// Every key of every database that is used, with its value and its deadline.
    pub fn compare_state(&mut self, words: &mut Words) {
        let before = self.database.clone();
        for database in [&b"0"[..], b"1", b"2", b"15"] {
            self.select(database);
            // Looked at, a key past its deadline goes.
            self.ask(&[&[&b"EXISTS"[..]], KEYS].concat());
            self.compare_sizes();
            let count = *words.random.choose(&[&b"1"[..], b"3", b"1000"]);
            let [ours, theirs] =
                [&mut self.ours, &mut self.theirs].map(|connection| scan_all(connection, &[b"SCAN"], count));
            let keys: Vec<Word> = ours.iter().map(|key| key.bytes().to_vec()).collect();
            assert_eq!(ours, theirs, "seed {}: SCAN of database {}", self.seed, database.escape_ascii());
            for key in keys {
                match self.ask(&[b"TYPE", &key]).bytes() {
                    b"hash" => {
                        let command = Command { name: "hgetall", words: vec![b"HGETALL".to_vec(), key.clone()] };
                        self.batch(&[command]);
                        let [ours, theirs] = [&mut self.ours, &mut self.theirs]
                            .map(|connection| scan_all(connection, &[b"HSCAN", &key], count));
                        assert_eq!(ours, theirs, "seed {}: HSCAN {}", self.seed, key.escape_ascii());
                    }
                    _ => {
                        self.ask(&[b"GET", &key]);
                    }
                }
                self.batch(&[Command { name: "pttl", words: vec![b"PTTL".to_vec(), key] }]);
            }
        }
        self.select(&before);
    }

    /// Neither server was left with clients or memory that it should not have.
    pub fn finish(self) {
        drop((self.ours, self.theirs, self.our_events, self.their_events));
        for server in self.servers {
            assert_eq!(server.connect().words("PING").text(), "PONG");
        }
    }
}

/// Everything that a scan finds from its first to its last cursor.
fn scan_all(connection: &mut Connection, command: &[&[u8]], count: &[u8]) -> Vec<Reply> {
    let mut cursor = b"0".to_vec();
    let mut found = Vec::new();
    loop {
        let reply = connection.ask(&[command, &[&cursor, b"COUNT", count]].concat());
        let [next, page] = reply.items() else { panic!("{reply:?}") };
        if command.len() == 1 {
            found.extend(sorted(page))
        } else {
            found.extend(pairs(page).into_iter().map(|(field, _)| field))
        }
        cursor = next.bytes().to_vec();
        if cursor == b"0" {
            break;
        }
    }
    // An element may be found twice.
    found.sort();
    found.dedup();
    found
}
