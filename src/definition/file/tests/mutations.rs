//! Whatever is done to a definitions file, reading it ends in definitions or in mistakes that can
//! be shown.

use proptest::prelude::*;

use super::EVERYTHING;
use crate::definition::{Definitions, Registered, plan, template};

fn read(text: &str) {
    match Definitions::parse(text, "asof.toml") {
        Ok(definitions) => {
            definitions.check().unwrap();
            for view in &definitions.views {
                view.key_schema();
            }
            let plan = plan(&Registered::default(), &definitions, false);
            // A store may keep the version that a service names; this one has none.
            if let Err(error) = plan.outcome() {
                assert!(error.to_string().contains("which is not defined"), "{error}");
            }
        }
        Err(error) => assert!(error.to_string().starts_with("asof.toml:"), "{error}"),
    }
}

/// Pieces that mean something to the reader.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    "=",
    "\n",
    ",",
    ".",
    "#",
    "'",
    "0",
    "-1",
    "99999999999999999999",
    "1e400",
    "nan",
    "true",
    "[]",
    "{}",
    "\"\"",
    "views",
    "features",
    "entities",
    "weather",
    "weather@2",
    "\"weather@2\"",
    "@",
    ":*",
    "*",
    "_x",
    "event_id",
    "min",
    "one_of",
    "dtype",
    "\"decimal(38,38)\"",
    "\"vector<3>\"",
    "\u{e9}",
    "\t",
    "\r",
    "\0",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "0x_f",
    "0b1",
    "\\u00e9",
    "\"\"\"",
    "[[views]]",
    "a.b.c = 1\n",
];

#[test]
fn a_cut_at_any_byte_never_panics() {
    for text in [EVERYTHING, template::template("p").as_str()] {
        for (cut, _) in text.char_indices() {
            read(&text[..cut]);
        }
    }
}

#[test]
fn a_line_left_out_or_moved_never_panics() {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    for i in 0..lines.len() {
        let mut without = lines.clone();
        let line = without.remove(i);
        read(&without.join("\n"));
        without.insert((i * 7) % without.len(), line);
        read(&without.join("\n"));
        without.insert(i, line);
        read(&without.join("\n"));
    }
}

#[test]
fn deep_nesting_never_overflows_the_stack() {
    for open in ["[", "{a=", "{a=[", "a."] {
        read(&format!("x = {}", open.repeat(100_000)));
        read(&format!("{}x = 1", open.repeat(20_000)));
    }
}

/// Every value in turn replaced by a value of every TOML type.
#[test]
fn a_value_of_any_other_type_never_panics() {
    let starts: Vec<usize> = EVERYTHING.match_indices(" = ").map(|(at, _)| at + 3).collect();
    for &start in &starts {
        let end = EVERYTHING[start..].find([',', '\n', '}']).map_or(EVERYTHING.len(), |len| start + len);
        for value in
            ["0", "-1.5", "nan", "true", "\"\"", "\"x\"", "[]", "[1]", "[[\"a\"]]", "{}", "{ a = 1 }", "2013-01-01"]
        {
            read(&format!("{}{value}{}", &EVERYTHING[..start], &EVERYTHING[end..]));
        }
    }
}

proptest! {
    #[test]
    fn pieces_put_anywhere_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..6), 1..6)) {
        let mut text = EVERYTHING.to_owned();
        for (place, piece, removed) in edits {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let start = place.index(places.len());
            let end = (start + removed).min(places.len() - 1);
            text.replace_range(places[start]..places[end], PIECES[piece.index(PIECES.len())]);
        }
        read(&text);
    }
}
