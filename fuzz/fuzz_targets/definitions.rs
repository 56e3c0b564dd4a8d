//! Definitions files: parsed, checked, planned; a plan carried out leaves nothing to do.
#![no_main]

use asof::definition::{Definitions, Registered, plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(definitions) = Definitions::parse(text, "asof.toml").inspect_err(|error| drop(error.to_string())) else {
        return;
    };
    definitions.check().expect("what was parsed was checked");
    let first = plan(&Registered::default(), &definitions, false);
    let _ = first.to_string();
    if let Ok(outcome) = first.outcome() {
        for prune in [false, true] {
            let again = plan(outcome, &definitions, prune);
            assert!(again.is_empty(), "applied twice: {again}");
        }
        let _ = plan(outcome, &Definitions::default(), true).to_string();
    }
});
