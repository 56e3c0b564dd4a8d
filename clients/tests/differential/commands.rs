//! Random commands: each with arguments that it takes, that it nearly takes, and now and then too few or too many.

use super::words::{Form, Unit, Word, Words};

/// Commands that are asked, each as often as its number says in proportion.
const COMMANDS: &[(&str, usize)] = &[
    ("get", 10),
    ("set", 40),
    ("setex", 10),
    ("psetex", 10),
    ("setnx", 10),
    ("getset", 10),
    ("getdel", 6),
    ("getex", 20),
    ("mget", 10),
    ("mset", 10),
    ("msetnx", 10),
    ("append", 10),
    ("strlen", 10),
    ("incr", 10),
    ("decr", 10),
    ("incrby", 10),
    ("decrby", 10),
    ("incrbyfloat", 10),
    ("getrange", 10),
    ("substr", 4),
    ("setrange", 10),
    ("hset", 40),
    ("hmset", 10),
    ("hsetnx", 10),
    ("hget", 10),
    ("hmget", 10),
    ("hgetall", 10),
    ("hdel", 10),
    ("hexists", 10),
    ("hlen", 10),
    ("hkeys", 10),
    ("hvals", 10),
    ("hstrlen", 10),
    ("hincrby", 10),
    ("hincrbyfloat", 10),
    ("hrandfield", 10),
    ("hscan", 10),
    ("del", 7),
    ("unlink", 7),
    ("exists", 10),
    ("touch", 10),
    ("type", 10),
    ("expire", 20),
    ("pexpire", 20),
    ("expireat", 20),
    ("pexpireat", 20),
    ("ttl", 10),
    ("pttl", 10),
    ("expiretime", 10),
    ("pexpiretime", 10),
    ("persist", 10),
    ("keys", 5),
    ("scan", 10),
    ("randomkey", 5),
    ("rename", 10),
    ("renamenx", 10),
    ("copy", 10),
    ("move", 5),
    ("object", 15),
    ("memory", 5),
    ("dbsize", 5),
    ("flushdb", 1),
    ("flushall", 1),
    ("ping", 2),
    ("echo", 2),
    ("client", 5),
    ("publish", 3),
    ("pubsub", 3),
    ("time", 1),
    ("wait", 1),
    ("lastsave", 1),
    ("watch", 3),
    ("unwatch", 2),
    ("config", 3),
    ("nosuch", 2),
    ("command", 1),
    ("info", 1),
    ("select", 3),
    ("hello", 1),
    ("auth", 1),
    ("reset", 1),
];

/// One command: its name, in lower case, and all its words.
#[derive(Clone, Debug)]
pub struct Command {
    pub name: &'static str,
    pub words: Vec<Word>,
}

impl Words {
    pub fn command(&mut self) -> Command {
        let all: usize = COMMANDS.iter().map(|(_, often)| often).sum();
        let mut at = self.random.below(all);
        let (name, _) = COMMANDS
            .iter()
            .find(|(_, often)| at.checked_sub(*often).map(|left| at = left).is_none())
            .unwrap_or(&COMMANDS[0]);
        let mut words = vec![self.keyword(&name.to_ascii_uppercase())];
        words.append(&mut self.arguments(name));
        match self.random.below(1_000) {
            0..20 => words.truncate(1 + self.random.below(words.len())),
            20..35 => words.push(self.value()),
            35..40 => {
                let at = 1 + self.random.below(words.len());
                words.insert(at, self.value());
            }
            _ => {}
        }
        // Nothing that makes half a gigabyte, or answers one.
        if let ("setrange", Some(offset)) = (*name, words.get_mut(2)) {
            bound(offset, 1_000_000, 536_870_900, b"77");
        }
        if let ("hrandfield", Some(count)) = (*name, words.get_mut(2)) {
            bound(count, i64::MIN + 1, -1_000, b"-7");
        }
        Command { name, words }
    }

    fn arguments(&mut self, name: &str) -> Vec<Word> {
        match name {
            "get" | "strlen" | "incr" | "decr" | "getdel" | "hgetall" | "hlen" | "hkeys" | "hvals" | "type" | "ttl"
            | "pttl" | "expiretime" | "pexpiretime" | "persist" => vec![self.key()],
            "set" => self.set(),
            "setex" => vec![self.key(), self.deadline(Unit::Seconds, Form::Relative), self.value()],
            "psetex" => vec![self.key(), self.deadline(Unit::Milliseconds, Form::Relative), self.value()],
            "setnx" | "getset" | "append" => vec![self.key(), self.value()],
            "getex" => self.getex(),
            "mget" | "del" | "unlink" | "exists" | "touch" | "watch" => self.several(Words::key),
            "mset" | "msetnx" => self.pairs(Words::key),
            "incrby" | "decrby" => vec![self.key(), self.integer()],
            "incrbyfloat" => vec![self.key(), self.number()],
            "getrange" | "substr" => vec![self.key(), self.integer(), self.integer()],
            "setrange" => {
                let near = self.random.below(60).to_string().into_bytes();
                let offset = if self.random.percent(60) { near } else { self.integer() };
                vec![self.key(), offset, self.value()]
            }
            "hset" | "hmset" => self.hset(),
            "hsetnx" => vec![self.key(), self.field(), self.value()],
            "hget" | "hexists" | "hstrlen" => vec![self.key(), self.field()],
            "hmget" | "hdel" => [vec![self.key()], self.several(Words::field)].concat(),
            "hincrby" => vec![self.key(), self.field(), self.integer()],
            "hincrbyfloat" => vec![self.key(), self.field(), self.number()],
            "hrandfield" => self.hrandfield(),
            "hscan" => [vec![self.key(), self.cursor()], self.scan_options(false)].concat(),
            "scan" => [vec![self.cursor()], self.scan_options(true)].concat(),
            "expire" => self.expire(Unit::Seconds, Form::Relative),
            "pexpire" => self.expire(Unit::Milliseconds, Form::Relative),
            "expireat" => self.expire(Unit::Seconds, Form::Absolute),
            "pexpireat" => self.expire(Unit::Milliseconds, Form::Absolute),
            "keys" => vec![self.pattern()],
            "rename" | "renamenx" => vec![self.key(), self.key()],
            "copy" => self.copy(),
            "move" => vec![self.key(), self.database()],
            "object" => self.object(),
            "memory" => self.memory(),
            "flushdb" | "flushall" if self.random.percent(50) => vec![self.one_of(&[b"ASYNC", b"sync", b"foo", b""])],
            "ping" if self.random.percent(50) => vec![self.value()],
            "echo" => vec![self.value()],
            "client" => self.client(),
            "publish" => vec![self.key(), self.value()],
            "pubsub" => self.pubsub(),
            "wait" => vec![self.one_of(&[b"0", b"0", b"abc"]), self.one_of(&[b"0", b"1", b"-1", b"x"])],
            "config" => self.config(),
            "nosuch" => self.several(Words::value),
            "command" => {
                vec![self.keyword("GETKEYS"), self.keyword("MSET"), self.key(), self.value(), self.key(), self.value()]
            }
            "select" => vec![self.database()],
            "hello" => self.hello(),
            "auth" => self.several(Words::value),
            "info" => vec![self.one_of(&[b"nosuch", b"keyspace", b"server", b"everything"])],
            _ => Vec::new(),
        }
    }

    fn several(&mut self, word: fn(&mut Words) -> Word) -> Vec<Word> {
        let count = *self.random.choose(&[1, 1, 2, 3, 6]);
        (0..count).map(|_| word(self)).collect()
    }

    fn pairs(&mut self, word: fn(&mut Words) -> Word) -> Vec<Word> {
        let count = *self.random.choose(&[1, 1, 1, 2, 3, 5]);
        (0..count).flat_map(|_| [word(self), self.value()]).collect()
    }

    fn time_option(&mut self) -> [Word; 2] {
        let option = *self.random.choose(&["EX", "PX", "EXAT", "PXAT"]);
        let unit = if option.starts_with('P') { Unit::Milliseconds } else { Unit::Seconds };
        let form = if option.ends_with("AT") { Form::Absolute } else { Form::Relative };
        [self.keyword(option), self.deadline(unit, form)]
    }

    fn set(&mut self) -> Vec<Word> {
        let mut words = vec![self.key(), self.value()];
        for _ in 0..*self.random.choose(&[0, 0, 1, 1, 1, 2, 2, 3, 4]) {
            match self.random.below(100) {
                0..35 => words.extend(self.time_option()),
                35..50 => words.push(self.keyword("NX")),
                50..65 => words.push(self.keyword("XX")),
                65..80 => words.push(self.keyword("GET")),
                80..90 => words.push(self.keyword("KEEPTTL")),
                _ => words.push(self.one_of(&[b"PERSIST", b"foo", b"", b"EX", b"NXX"])),
            }
        }
        words
    }

    fn getex(&mut self) -> Vec<Word> {
        let mut words = vec![self.key()];
        for _ in 0..*self.random.choose(&[0, 1, 1, 1, 1, 2, 3]) {
            match self.random.below(100) {
                0..60 => words.extend(self.time_option()),
                60..85 => words.push(self.keyword("PERSIST")),
                _ => words.push(self.one_of(&[b"KEEPTTL", b"foo", b"NX", b"EX"])),
            }
        }
        words
    }

    fn expire(&mut self, unit: Unit, form: Form) -> Vec<Word> {
        let mut words = vec![self.key(), self.deadline(unit, form)];
        for _ in 0..*self.random.choose(&[0, 0, 0, 1, 1, 1, 2, 2, 3]) {
            match self.random.below(20) {
                0 => words.push(self.one_of(&[b"foo", b"", b"N", b"a\r\nb"])),
                _ => {
                    let term = *self.random.choose(&["NX", "XX", "GT", "LT"]);
                    words.push(self.keyword(term));
                }
            }
        }
        words
    }

    fn hset(&mut self) -> Vec<Word> {
        let mut words = vec![self.key()];
        if self.random.percent(2) {
            let count = 100 + self.random.below(600);
            words.extend((0..count).flat_map(|_| [self.other_field(), b"v".to_vec()]));
        } else {
            words.append(&mut self.pairs(Words::field));
        }
        words
    }

    fn hrandfield(&mut self) -> Vec<Word> {
        let mut words = vec![self.key()];
        match self.random.below(5) {
            0 => {}
            1 => words.push(self.count()),
            2 => words.extend([self.count(), self.keyword("WITHVALUES")]),
            3 => words.extend([self.count(), b"foo".to_vec()]),
            _ => words.extend([self.count(), b"withvalues".to_vec(), b"x".to_vec()]),
        }
        words
    }

    fn scan_options(&mut self, typed: bool) -> Vec<Word> {
        let mut words = Vec::new();
        for _ in 0..*self.random.choose(&[0, 1, 1, 2, 3]) {
            match self.random.below(100) {
                0..40 => words.extend([self.keyword("MATCH"), self.pattern()]),
                40..75 => words.extend([
                    self.keyword("COUNT"),
                    self.one_of(&[b"1", b"5", b"10", b"1000", b"0", b"-1", b"abc", b""]),
                ]),
                75..90 if typed => words.extend([
                    self.keyword("TYPE"),
                    self.one_of(&[b"string", b"hash", b"STRING", b"list", b"foo", b""]),
                ]),
                _ => words.push(self.one_of(&[b"foo", b"MATCH", b"COUNT"])),
            }
        }
        words
    }

    fn copy(&mut self) -> Vec<Word> {
        let mut words = vec![self.key(), self.key()];
        if self.random.percent(30) {
            words.extend([self.keyword("DB"), self.database()]);
        }
        if self.random.percent(40) {
            words.push(self.keyword("REPLACE"));
        }
        if self.random.percent(5) {
            words.push(self.one_of(&[b"foo", b"DB"]));
        }
        words
    }

    fn object(&mut self) -> Vec<Word> {
        match self.random.below(10) {
            0 => vec![self.keyword("REFCOUNT"), self.key()],
            1 => vec![self.keyword("IDLETIME"), self.key()],
            2 => vec![self.keyword("FREQ"), self.key()],
            3 => vec![self.one_of(&[b"foo", b"", b"foo\r\nbar"]), self.key()],
            _ => vec![self.keyword("ENCODING"), self.key()],
        }
    }

    fn memory(&mut self) -> Vec<Word> {
        match self.random.below(4) {
            0 => vec![self.keyword("USAGE"), self.key()],
            1 => vec![self.keyword("USAGE"), self.key(), self.keyword("SAMPLES"), self.integer()],
            2 => vec![self.keyword("USAGE"), self.key(), b"foo".to_vec()],
            _ => vec![b"foo".to_vec()],
        }
    }

    fn client(&mut self) -> Vec<Word> {
        match self.random.below(6) {
            0 => vec![self.keyword("GETNAME")],
            1 => vec![self.keyword("SETNAME"), self.one_of(&[b"name", b"", b"a b", b"x\n", b"\xff"])],
            2 => vec![self.keyword("KILL"), self.keyword("ID"), self.one_of(&[b"99999999", b"0", b"-1", b"x"])],
            3 => vec![self.keyword("NO-EVICT"), self.one_of(&[b"on", b"off", b"maybe"])],
            4 => vec![self.keyword("UNBLOCK"), self.one_of(&[b"99999999", b"x"])],
            _ => vec![self.one_of(&[b"foo", b"", b"GETREDIR"])],
        }
    }

    fn hello(&mut self) -> Vec<Word> {
        let version = self.one_of(&[b"2", b"3", b"3", b"4", b"x"]);
        match self.random.below(4) {
            0 => vec![version, self.keyword("SETNAME"), self.one_of(&[b"name", b"a b", b""])],
            1 => vec![version, self.keyword("AUTH"), self.one_of(&[b"default", b"nobody"]), self.value()],
            2 => vec![version, b"foo".to_vec()],
            _ => vec![version],
        }
    }

    fn pubsub(&mut self) -> Vec<Word> {
        match self.random.below(4) {
            0 => vec![self.keyword("CHANNELS"), self.pattern()],
            1 => [vec![self.keyword("NUMSUB")], self.several(Words::key)].concat(),
            2 => vec![self.keyword("NUMPAT")],
            _ => vec![b"foo".to_vec()],
        }
    }

    fn config(&mut self) -> Vec<Word> {
        match self.random.below(3) {
            0 => vec![
                self.keyword("GET"),
                self.one_of(&[b"hz", b"nosuch", b"maxmemory", b"databases", b"timeout", b"hash-max-listpack-value"]),
            ],
            1 => vec![
                self.keyword("SET"),
                self.one_of(&[b"hz", b"timeout", b"nosuch"]),
                self.one_of(&[b"10", b"abc", b"-1", b""]),
            ],
            _ => vec![b"foo".to_vec()],
        }
    }
}

/// Another number in place of one between these.
fn bound(word: &mut Word, low: i64, high: i64, instead: &[u8]) {
    if std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .is_some_and(|number| (low..=high).contains(&number))
    {
        *word = instead.to_vec();
    }
}
