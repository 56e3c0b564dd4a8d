//! Programs that are started: where they are, and folders for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder for one server, removed when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "it makes a folder on the disk")]
    pub fn new() -> Folder {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("asof-clients-{}-{number}", std::process::id()));
        // What a process of the same number left that was killed.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left for a look where a test failed.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The `asof` to test: the one that `ASOF_BINARY` names, or that of this checkout, built as `cargo test` builds it, and for a benchmark
/// as `cargo build --release` does.
pub fn asof() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("ASOF_BINARY") {
        Some(binary) => PathBuf::from(binary),
        None => build(),
    })
}

fn build() -> PathBuf {
    // Tests lie in DIR/debug/deps, binaries of the same profile in DIR/debug.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(env!("CARGO"));
    if folder.ends_with("release") {
        build.args(["build", "--quiet", "--release", "--package", "asof", "--target-dir"]);
    } else {
        // A test that runs the binary, and not the binary alone: that would be built anew, without what tests depend on.
        build.args(["test", "--quiet", "--no-run", "--package", "asof", "--test", "cli", "--target-dir"]);
    }
    build.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success(), "asof does not build");
    folder.join("asof")
}

/// The path of a program of Redis.
///
/// # Panics
/// It is not installed; the message names the package of Debian that has it.
pub fn of_redis(program: &str) -> PathBuf {
    let package = if program == "redis-server" { "redis-server" } else { "redis-tools" };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed: apt-get install {package}"))
}
