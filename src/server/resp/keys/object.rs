//! `OBJECT` and `MEMORY`: how a key lies in memory.

use crate::keyspace::{HashEncoding, KeyValue, StringValue};
use crate::server::resp::command::{Arguments, Outcome, Reader, Refusal};
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::ReplyBuffer;

/// Strings up to here Redis keeps beside what it knows of them.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Longer texts are no integers to Redis.
const INTEGER_BYTES_MAX: usize = 20;
/// Redis has the integers below this once for all keys, and answers the greatest number there is as how often.
const SHARED_INTEGERS: i64 = 10_000;
/// What it answers of them.
const REFERENCES_OF_SHARED: i64 = 2_147_483_647;
/// So many fields of a large hash are looked at for its size.
const SAMPLES_DEFAULT: usize = 5;

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> <key>. Subcommands are:",
    "ENCODING",
    "    By which of Redis's encodings the value would be kept.",
    "FREQ",
    "    How often the key is used: not tracked.",
    "IDLETIME",
    "    For how many seconds the key was not used.",
    "REFCOUNT",
    "    How many keys share the value.",
    "HELP",
    "    This text.",
];

const MEMORY_HELP: &[&str] = &[
    "MEMORY <subcommand> [<argument> ...]. Subcommands are:",
    "USAGE <key> [SAMPLES <count>]",
    "    How many bytes a key takes in memory, about.",
    "HELP",
    "    This text.",
];

/// `OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key`, `OBJECT HELP`
pub fn object(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let subcommand = arguments.at(1).to_ascii_lowercase();
    let arity = match subcommand.as_slice() {
        b"help" => 2,
        b"encoding" | b"freq" | b"idletime" | b"refcount" => 3,
        _ => return Err(Refusal::subcommand("OBJECT", arguments.at(1))),
    };
    if arguments.len() != arity {
        return Err(Refusal::arity(&format!("object|{}", subcommand.escape_ascii())));
    }
    if arity == 2 {
        answer_help(reply, OBJECT_HELP);
        return Ok(());
    }
    let Some(key) = keys.key(arguments.at(2)) else {
        reply.null();
        return Ok(());
    };
    match subcommand.as_slice() {
        b"encoding" => reply.bulk(encoding(&key.value).as_bytes()),
        b"idletime" => reply.integer(key.used.idle_seconds(keys.now)),
        b"refcount" => reply.integer(match &key.value {
            KeyValue::String(string) if is_shared(string) => REFERENCES_OF_SHARED,
            _ => 1,
        }),
        _ => {
            return Err(Refusal::fixed(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
    }
    Ok(())
}

/// `MEMORY USAGE key [SAMPLES count]`, `MEMORY HELP`
pub fn memory(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    if arguments.is_word(1, "HELP") {
        if arguments.len() != 2 {
            return Err(Refusal::arity("memory|help"));
        }
        answer_help(reply, MEMORY_HELP);
        return Ok(());
    }
    if !arguments.is_word(1, "USAGE") {
        return Err(Refusal::subcommand("MEMORY", arguments.at(1)));
    }
    if arguments.len() < 3 {
        return Err(Refusal::arity("memory|usage"));
    }
    let samples = read_samples(arguments)?;
    match keys.key(arguments.at(2)) {
        Some(key) => reply.integer(i64::try_from(key.memory_bytes(samples)).unwrap_or(i64::MAX)),
        None => reply.null(),
    }
    Ok(())
}

fn read_samples(arguments: Arguments<'_>) -> Result<usize, Refusal> {
    let mut samples = SAMPLES_DEFAULT;
    for at in (3..arguments.len()).step_by(2) {
        if !arguments.is_word(at, "SAMPLES") || at + 1 == arguments.len() {
            return Err(Refusal::SYNTAX);
        }
        samples = match usize::try_from(arguments.integer(at + 1)?) {
            // All of them.
            Ok(0) => usize::MAX,
            Ok(samples) => samples,
            Err(_) => return Err(Refusal::SYNTAX),
        };
    }
    Ok(samples)
}

fn answer_help(reply: &mut ReplyBuffer, lines: &[&str]) {
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple(line));
}

fn encoding(value: &KeyValue) -> &'static str {
    match value {
        KeyValue::String(string) if string.is_in_parts => "raw",
        KeyValue::String(string) if integer(string).is_some() => "int",
        KeyValue::String(string) if string.bytes.len() <= EMBEDDED_BYTES_MAX => "embstr",
        KeyValue::String(_) => "raw",
        KeyValue::Hash(hash) => match hash.encoding() {
            HashEncoding::Listpack => "listpack",
            HashEncoding::ListpackEx => "listpackex",
            HashEncoding::Hashtable => "hashtable",
        },
    }
}

fn integer(string: &StringValue) -> Option<i64> {
    if string.bytes.len() <= INTEGER_BYTES_MAX { parse_i64(&string.bytes) } else { None }
}

fn is_shared(string: &StringValue) -> bool {
    !string.is_in_parts && integer(string).is_some_and(|number| (0..SHARED_INTEGERS).contains(&number))
}
