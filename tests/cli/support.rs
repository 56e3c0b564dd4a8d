//! A project in a temporary folder, and the program run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use asof::exchange::create_sink;
use serde_json::Value as Json;

/// Two state views and a service; what most tests need.
pub const SHOP: &str = r#"
[project]
name = "shop"

[entities.customer]
join_keys = { customer_id = "int64" }

[views.profile]
entities = ["customer"]
[views.profile.features]
country = "string"
age = { dtype = "int32", min = 0 }

[views.basket]
entities = ["customer"]
ttl = "1d"
[views.basket.features]
value = "float64"

[services.churn]
features = ["profile:country", "profile:age", "basket:value"]
"#;

pub const PROFILES: &str = "customer_id,event_timestamp,country,age\n\
    1,2024-01-01T00:00:00Z,NO,31\n\
    1,2024-03-01T00:00:00Z,SE,32\n\
    2,2024-01-01T00:00:00Z,,\n";

/// A project folder of its own, removed when it is dropped.
pub struct Project {
    pub dir: PathBuf,
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Project {
    /// An empty folder.
    pub fn empty() -> Project {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("asof-cli-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Project { dir }
    }

    /// A folder with these definitions.
    pub fn defined(definitions: &str) -> Project {
        let project = Project::empty();
        project.put("asof.toml", definitions);
        project
    }

    /// The shop, applied.
    pub fn shop() -> Project {
        let project = Project::defined(SHOP);
        project.run(&["apply"]).done();
        project
    }

    /// The shop with three profiles.
    pub fn shop_with_profiles() -> Project {
        let project = Project::shop();
        project.put("profiles.csv", PROFILES);
        project.run(&["import", "profile", "profiles.csv"]).done();
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    pub fn put_columns(&self, name: &str, columns: &[(&str, ArrayRef)]) {
        write_columns(&self.path(name), columns);
    }

    /// The command as it would be typed in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asof"));
        command.current_dir(&self.dir).args(arguments).stdin(Stdio::null()).env_remove("ASOF_PROJECT");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran { what: arguments.join(" "), output }
    }

    /// The command with a standard output whose reader has gone.
    pub fn run_unread(&self, arguments: &[&str]) -> Ran {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = self.command(arguments).stdout(writer).output().unwrap();
        Ran { what: format!("{} | true", arguments.join(" ")), output }
    }

    /// What `get` says now of each feature: value and status.
    pub fn get(&self, arguments: &[&str]) -> Vec<(Json, String)> {
        let ran = self.run(&[&["--format", "json", "get"], arguments].concat()).done();
        let answers = ran.json();
        let answers = answers.as_array().unwrap().iter();
        answers.map(|answer| (answer["value"].clone(), answer["status"].as_str().unwrap().to_owned())).collect()
    }

    /// Every file below the folder, with its contents, but for those that a mere opening for writing touches. What a
    /// registry says stands in MANIFEST as well, and what a latest table says in log and runs.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if !path.ends_with("store/latest") {
                        folders.push(path);
                    }
                } else if !["LOCK", "HEAD", "registry.redb"].iter().any(|name| path.ends_with(name)) {
                    let bytes = fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        found.sort();
        found
    }
}

/// A file of the format that its extension names.
pub fn write_columns(path: &Path, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, column)| (*name, Arc::clone(column)))).unwrap();
    let mut sink = create_sink(path, &batch.schema(), Vec::new()).unwrap();
    sink.write(&batch).unwrap();
    sink.finish().unwrap();
}

/// A command that ended.
pub struct Ran {
    pub what: String,
    pub output: Output,
}

impl Ran {
    pub fn status(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.what, self.stdout()))
    }

    /// Asserts that the command did what it was asked, without a word on standard error.
    pub fn done(self) -> Ran {
        assert_eq!(self.status(), 0, "asof {}\n{}", self.what, self.stderr());
        assert_eq!(self.stderr(), "", "asof {}", self.what);
        self
    }

    /// Asserts that the command failed with this status, saying all of `texts` on standard error.
    pub fn fails(self, status: i32, texts: &[&str]) -> Ran {
        let stderr = self.stderr();
        assert_eq!(self.status(), status, "asof {}\n{stderr}", self.what);
        assert!(!stderr.contains("panicked"), "asof {}\n{stderr}", self.what);
        for text in texts {
            assert!(stderr.contains(text), "asof {} should say '{text}':\n{stderr}", self.what);
        }
        self
    }
}
