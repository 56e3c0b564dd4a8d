//! Rows that are written with all their features at once.

use super::*;

/// All features, as the definition names them, and the other way around.
const WHOLE: [&str; 2] = ["temp 7 visib 8.5 sky clear flights 3", "flights 3 sky clear visib 8.5 temp 7"];
/// What is there before; `ID` is the entity.
const BEFORE: [&str; 8] = [
    "PING",
    "HSET weather:ID temp 1",
    "HSET weather:ID temp 1 visib 2 sky a flights 4",
    "HSET weather:ID temp 1 sky b|HDEL weather:ID sky",
    "HSET weather:ID temp 1|DEL weather:ID",
    "HSET weather:ID temp 1|EXPIRE weather:ID 100",
    "HSET weather:ID temp 1 visib 2|HEXPIRE weather:ID 50 FIELDS 1 visib",
    "HSET weather:ID temp 1 visib 2|EXPIRE weather:ID 0",
];

#[test]
fn a_row_that_is_written_whole_is_what_it_is_feature_by_feature() {
    let served = serve();
    let mut peer = served.peer();
    let mut ask = |command: &str, count: usize| -> Vec<String> {
        peer.send(&format!("{command}|"));
        (0..count).map(|_| peer.answer()).collect()
    };
    for (number, before) in BEFORE.iter().enumerate() {
        // Committed before, or written by the same group.
        for (is_one_group, name) in [(false, "alone"), (true, "together")] {
            let seen = WHOLE.map(|pairs| {
                let id = format!("{name}-{number}-{}", pairs.len() + usize::from(pairs.starts_with('f')));
                let commands = before.replace("ID", &id);
                let (count, set) = (commands.split('|').count(), format!("HSET weather:{id} {pairs}"));
                let answered = match is_one_group {
                    false => {
                        ask(&commands, count);
                        ask(&set, 1).remove(0)
                    }
                    true => {
                        let answers = ask(&format!("MULTI|{commands}|{set}|EXEC"), count + 3).pop().unwrap();
                        answers.rsplit([' ', '[']).next().unwrap().trim_end_matches(']').to_owned()
                    }
                };
                let now = ask(&format!("HGETALL weather:{id}|TTL weather:{id}|HTTL weather:{id} FIELDS 1 visib"), 3);
                (answered, now)
            });
            assert_eq!(seen[0], seen[1], "after {before}, {name}");
            assert_eq!(seen[0].1[0], "[temp, 7.0, visib, 8.5, sky, clear, flights, 3]", "after {before}, {name}");
        }
    }
    let set = format!("HSET weather:alone-0-{} {}", WHOLE[0].len(), WHOLE[0]);
    assert_eq!(ask(&set, 1), [":0"]);
}
