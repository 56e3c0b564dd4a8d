//! Random commands against asof and against a real Redis beside it, answer by answer: all commands that both know, with arguments that
//! are right, nearly right and wrong, keys of every type and age, alone and in transactions, over both protocols.
//!
//! `ASOF_REDIS_COMMANDS` says how many commands, `ASOF_REDIS_SEED` where to begin. A difference is told with its seed and with what
//! was asked before.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod both;
mod commands;
mod compare;
mod words;

use std::time::SystemTime;

use asof_clients::{Random, Server};

use both::Both;
use words::Words;

/// Commands of a run, over both protocols together.
const COMMANDS: usize = 40_000;

fn number_of(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}

fn run(protocol: &'static str) {
    let commands = number_of("ASOF_REDIS_COMMANDS").map_or(COMMANDS, |commands| usize::try_from(commands).unwrap()) / 2;
    let seed = number_of("ASOF_REDIS_SEED").unwrap_or(1);
    println!("seed {seed}, {commands} commands over RESP{protocol}");
    let (asof, redis) = (Server::asof(), Server::redis());
    let mut both = Both::new(&asof, &redis, protocol, seed);
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut words = Words { random: Random::new(seed), began: i64::try_from(began).unwrap(), relative: 0 };
    while both.compared < commands {
        if words.random.percent(5) {
            let database = *words.random.choose(&[b"0".as_slice(), b"0", b"0", b"1", b"2", b"15"]);
            both.select(database);
        }
        let count = *words.random.choose(&[1, 20, 50]);
        let batch: Vec<_> = (0..count).map(|_| words.command()).collect();
        match words.random.below(10) {
            0 => both.transaction(&batch[..count.min(5)], "exec"),
            1 => both.transaction(&batch, "exec"),
            2 => both.transaction(&batch[..count.min(5)], "discard"),
            _ => both.batch(&batch),
        }
        both.compare_events();
        if words.random.percent(2) {
            both.let_keys_go(&mut words);
            both.compare_events();
        }
        if words.random.percent(5) {
            both.compare_state(&mut words);
        }
    }
    both.compare_state(&mut words);
    println!("{} answers compared, {} of them errors", both.compared, both.errors);
    assert!(
        both.errors * 20 > both.compared && both.errors * 2 < both.compared,
        "too few errors, or too many, to tell much"
    );
    both.finish();
}

#[test]
fn random_commands_are_answered_alike_over_resp2() {
    run("2");
}

#[test]
fn random_commands_are_answered_alike_over_resp3() {
    run("3");
}
