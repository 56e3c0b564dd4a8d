//! The house rules that a machine can hold. ARCHITECTURE.md's floors table is read, not repeated.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test that reads it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// Every Rust file of the project, by path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files_below(&root(), "rs", &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The code of a source file before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap()
}

/// Module -> floor, as ARCHITECTURE.md's table says: rows of `| floor | `module` `module` | ... |`.
fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, floor, modules, ..] = cells[..]
            && let Ok(floor) = floor.parse::<u32>()
        {
            for module in modules.split('`').skip(1).step_by(2) {
                floors.insert(module.to_owned(), floor);
            }
        }
    }
    assert!(floors.len() > 15, "ARCHITECTURE.md has no floors table any more: {floors:?}");
    floors
}

/// The top module that a file of `src` belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Whether the file holds unit tests only. They may compare a module with its neighbours.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// What a source names of the crate, each with its line: `crate::store`, and `store` and `time` of `crate::{store, time::Clock}`.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let code: String = text
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let number = 1 + code[..at].matches('\n').count();
        let after = &code[at + "crate::".len()..];
        let names = match after.strip_prefix('{') {
            Some(group) => first_names(group),
            None => vec![first_word(after)],
        };
        used.extend(names.into_iter().filter(|name| !name.is_empty()).map(|name| (number, name)));
    }
    used
}

/// The first word of each part of a group such as `{store::Store, time::{Clock, Timestamp}}`, its opening brace left out.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut begin) = (1, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names.push(first_word(group[begin..at].trim_start()));
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn what_a_group_imports_counts_too() {
    let source =
        "use crate::{lock, manifest::{load, publish},\n    store};\n// crate::cli\nlet x = crate::time::now();\n";
    let used = used_modules(source);
    let used: Vec<(usize, &str)> = used.iter().map(|(number, name)| (*number, name.as_str())).collect();
    assert_eq!(used, [(1, "lock"), (1, "manifest"), (1, "store"), (4, "time")]);
}

#[test]
fn imports_run_downward_and_sideways_on_floor_0_alone() {
    let floors = floors();
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src/")) {
        let module = module_of(path);
        if module == "lib" || is_test(path) {
            continue;
        }
        let Some(&floor) = floors.get(module) else {
            wrong.push(format!("{path}: module `{module}` stands on no floor of ARCHITECTURE.md"));
            continue;
        };
        for (number, used) in used_modules(without_tests(text)) {
            if used == module {
                continue;
            }
            match floors.get(&used) {
                Some(&other) if other < floor || (other, floor) == (0, 0) => {}
                Some(&other) => {
                    wrong.push(format!("{path}:{number}: `{module}` on floor {floor} uses `{used}` on floor {other}"));
                }
                None if used == "Error" || used == "Result" || used == "ErrorKind" => {}
                None => wrong.push(format!("{path}:{number}: `crate::{used}` stands on no floor")),
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not run downward:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_one_file() {
    for (path, text) in sources() {
        // A peer is opened through its own crate, which wants it so.
        if ["src/disk/map.rs", "tests/tidy.rs", "peers/src/lmdb.rs"].contains(&path.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(!words.any(|word| word == "unsafe"), "{path}:{}: unsafe belongs in src/disk/map.rs", number + 1);
        }
    }
}

#[test]
fn no_source_holds_unfinished_work_or_other_than_ascii() {
    let markers = ["todo!", "unimplemented!", "dbg!(", "TODO", "FIXME", "XXX"];
    for (path, text) in sources() {
        if path == "tests/tidy.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            assert!(line.is_ascii(), "{path}:{}: other than ASCII: {line}", number + 1);
            for marker in markers {
                assert!(!line.contains(marker), "{path}:{}: {marker}", number + 1);
            }
        }
    }
}

/// No file is longer: what is has more than one idea.
const FILE_LINES_MAX: usize = 450;

#[test]
fn files_stay_one_idea_long() {
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src/")) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
    }
    assert!(wrong.is_empty(), "split by idea:\n{}", wrong.join("\n"));
}

/// An oracle that is longer is a second engine, with mistakes of its own.
const ORACLE_LINES_MAX: usize = 75;

#[test]
fn the_oracle_of_the_model_stays_naive() {
    let text = fs::read_to_string(root().join("tests/model/oracle.rs")).unwrap();
    let code = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).count();
    assert!(code <= ORACLE_LINES_MAX, "tests/model/oracle.rs: {code} lines, at most {ORACLE_LINES_MAX}");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut documents = Vec::new();
    files_below(&root(), "md", &mut documents);
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "benches/", "examples/", "fuzz/", "peers/", ".ci/"]
                .iter()
                .any(|folder| quoted.starts_with(folder));
            let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && plain && !root().join(quoted).exists() {
                missing.push(format!("{}: {quoted}", document.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert!(missing.is_empty(), "documents name what is not there:\n{}", missing.join("\n"));
}
