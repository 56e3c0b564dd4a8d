//! Commands done to a keyspace of their own, as tests write them: words, and what is answered to them.

use super::{Arguments, Event, Reader, Refusal, Run, Writer, find};
use crate::keyspace::Keyspace;
use crate::server::resp::protocol::{ReplyBuffer, Version};

/// Longest answer.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// A keyspace, and a connection to it whose clock stands still.
pub struct Client {
    pub keyspace: Keyspace,
    pub database: u8,
    pub now: i64,
    pub version: Version,
    events: Vec<Event>,
    ticket: u64,
    /// Of the last answer.
    pub depends_on: u64,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            keyspace: Keyspace::new(7),
            database: 0,
            now: 1_700_000_000_000_000,
            version: Version::Resp2,
            events: Vec::new(),
            ticket: 0,
            depends_on: 0,
        }
    }
}

impl Client {
    /// Sends the words of a line; `''` is an empty one. The answer with `|` for line ends.
    pub fn send(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> =
            line.split_whitespace().map(|word| if word == "''" { &[] } else { word.as_bytes() }).collect();
        self.send_words(&words)
    }

    /// Sends a command of any bytes.
    pub fn send_words(&mut self, words: &[&[u8]]) -> String {
        let answer = self.run(words);
        self.keyspace.keep();
        answer
    }

    /// Sends a command of any bytes, which can be undone until the next.
    pub fn run(&mut self, words: &[&[u8]]) -> String {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for word in words {
            ranges.push(bytes.len()..bytes.len() + word.len());
            bytes.extend_from_slice(word);
        }
        let arguments = Arguments::new(&bytes, &ranges);
        let mut reply = ReplyBuffer::default();
        reply.set_version(self.version);
        let command = find(words[0]).expect("a command there is");
        let outcome = match command.run {
            _ if !command.takes(words.len()) => Err(Refusal::arity(command.name)),
            Run::Read(run) => {
                let reader = Reader::new(&self.keyspace, self.database, self.now);
                reply.limit(REPLY_BYTES_MAX);
                let outcome = run(&reader, arguments, &mut reply);
                let outcome = if reply.lift_limit() { Err(Refusal::ANSWER_TOO_LONG) } else { outcome };
                self.depends_on = reader.depends_on();
                outcome
            }
            Run::Write(run) => {
                self.ticket += 1;
                self.keyspace.begin(self.ticket, self.now);
                let mut writer = Writer::new(&mut self.keyspace, self.database, self.now, &mut self.events);
                run(&mut writer, arguments, &mut reply)
            }
            Run::Session => panic!("{} needs a connection", command.name),
        };
        if let Err(refusal) = outcome {
            return format!("-{refusal}");
        }
        reply.bytes().escape_ascii().to_string().replace("\\r\\n", "|")
    }

    /// Sends lines one after the other and compares the answers.
    #[track_caller]
    pub fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(self.send(line), *expected, "{line}");
        }
    }

    /// What was told since the last time: `database:key event`, with the class's name in front.
    pub fn events(&mut self) -> Vec<String> {
        let shown = |event: Event| {
            let key = event.key.escape_ascii();
            format!("{:?} {}:{key} {}", event.class, event.database, event.event)
        };
        self.events.drain(..).map(shown).collect()
    }

    /// Lets time pass.
    pub fn wait_ms(&mut self, ms: i64) {
        self.now += ms * 1_000;
    }
}

/// Each case begins with a keyspace of its own: what is sent first, separated by `;`, a command, and what it is to tell of.
#[track_caller]
pub fn check_events(cases: &[(&str, &str, &[&str])]) {
    for (before, line, expected) in cases {
        let mut client = Client::default();
        before.split(';').filter(|line| !line.trim().is_empty()).for_each(|line| drop(client.send(line)));
        client.events();
        let answer = client.send(line);
        assert_eq!(client.events(), *expected, "{before}; {line} -> {answer}");
    }
}
