use std::collections::BTreeMap;

use proptest::prelude::*;

use super::testing::Client;
use super::{COMMANDS, Run};
use crate::disk::Random;
use crate::keyspace::{DATABASES, KeyValue};

/// Words that mean something somewhere, and some that do not.
const WORDS: &str = "a b c h 0 1 2 -1 3 7 10 100 1000 -9223372036854775808 9223372036854775807 1.5 inf abc '' * ? h* EX PX EXAT PXAT \
    NX XX GT LT GET KEEPTTL PERSIST FIELDS WITHVALUES MATCH COUNT TYPE NOVALUES string hash DB REPLACE ENCODING USAGE SAMPLES ASYNC";

/// A field's value and deadline; of a string, that of no field.
type Value = BTreeMap<Option<Vec<u8>>, (Vec<u8>, Option<i64>)>;

/// All that is there: by database and name the value, and the deadline.
fn contents(client: &Client) -> BTreeMap<(u8, Vec<u8>), (Value, Option<i64>)> {
    let value = |value: &KeyValue| match value {
        KeyValue::String(string) => Value::from([(None, (string.bytes.clone(), None))]),
        KeyValue::Hash(hash) => {
            let fields = hash.iter(client.now);
            fields.map(|(field, value)| (Some(field.to_vec()), (value.to_vec(), hash.deadline(field)))).collect()
        }
    };
    let keys = (0..DATABASES as u8)
        .flat_map(|database| client.keyspace.iter(database, client.now).map(move |key| (database, key)));
    keys.map(|(database, key)| ((database, key.name.to_vec()), (value(&key.value), key.deadline))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_refused_changes_nothing_and_what_is_undone_was_never_there(seed: u64) {
        let mut random = Random::new(seed);
        let mut below = |bound: usize| random.below(bound as u64) as usize;
        let words: Vec<&[u8]> =
            WORDS.split_whitespace().map(|word| if word == "''" { &b""[..] } else { word.as_bytes() }).collect();
        let mut client = Client::default();
        for _ in 0..300 {
            let command = &COMMANDS[below(COMMANDS.len())];
            let least = command.arity.unsigned_abs() as usize;
            let count = least + if command.arity < 0 { below(4) } else { 0 };
            // The first is a key mostly.
            let mut line = vec![command.name.as_bytes(), words[below(5)]];
            line.extend((2..count).map(|_| words[below(words.len())]));
            line.truncate(count);
            client.now += below(2_000_000) as i64;
            let before = contents(&client);
            client.events();
            let answer = client.run(&line);
            let after = contents(&client);
            let told = client.events().iter().any(|event| !event.starts_with("Expired") && !event.ends_with("hexpired"));
            if answer.starts_with('-') || matches!(command.run, Run::Read(_)) {
                prop_assert_eq!(&after, &before, "{:?} {}", line, answer);
                prop_assert!(!told, "{:?} {}", line, answer);
            }
            prop_assert!(told || after == before || command.name.starts_with("flush"), "{:?} told nobody", line);
            if below(3) == 0 {
                client.keyspace.undo();
                prop_assert_eq!(contents(&client), before, "{:?} {}", line, answer);
            } else {
                client.keyspace.keep();
            }
        }
    }
}
