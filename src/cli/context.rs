//! What every command works on: the project, its store, and where to print.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Cli, Format};
use super::failure::Failure;
use super::output::{Sheet, lines};
use crate::definition::Definitions;
use crate::disk::RealDisk;
use crate::engine::check::{CheckProgress, CheckReport};
use crate::error::{Error, Result};
use crate::identity;
use crate::store::{Store, StoreBuilder};

/// The definitions file of a project.
pub const DEFINITIONS_FILE: &str = "asof.toml";
/// Where the store lies in a project that does not say.
const STORE_PATH_DEFAULT: &str = "store";

/// A command's surroundings.
pub struct Context {
    /// The project's folder.
    pub project: PathBuf,
    /// How data is printed.
    pub format: Format,
    /// Where data is printed.
    pub out: Box<dyn Write>,
}

impl Context {
    /// The surroundings that the command line names.
    pub fn new(cli: &Cli, out: Box<dyn Write>) -> Context {
        Context { project: cli.project.clone(), format: cli.format, out }
    }

    /// Reads the project's definitions.
    ///
    /// # Errors
    /// There are none, or they hold mistakes.
    pub fn project(&self) -> Result<Project> {
        Project::load(&self.project)
    }

    /// Prints a sheet in the format asked for.
    ///
    /// # Errors
    /// The output cannot be written to.
    pub fn print(&mut self, sheet: &Sheet) -> Result<(), Failure> {
        Ok(sheet.print(self.format, &mut self.out)?)
    }

    /// Prints a sheet for people and as CSV, and all that is known of the same as JSON.
    ///
    /// # Errors
    /// The output cannot be written to.
    pub fn print_with(&mut self, sheet: &Sheet, all: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(all).map_err(std::io::Error::from)?;
                writeln!(self.out, "{text}")?;
                Ok(())
            }
            _ => self.print(sheet),
        }
    }

    /// Prints text for people, of one line or more.
    ///
    /// # Errors
    /// The output cannot be written to.
    pub fn say(&mut self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{}", lines(&text.to_string()))?)
    }

    /// Tells people something beside the answer, on standard error. Where that cannot be written to it is lost, and nothing else.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr(), "note: {}", lines(&text.to_string()));
    }

    /// Prints what one action did: for people the sentence, for programs the sheet, whose one row is a JSON object.
    ///
    /// # Errors
    /// The output cannot be written to.
    pub fn report(&mut self, sentence: &str, sheet: &Sheet) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.say(sentence)?,
            Format::Json => sheet.print_object(&mut self.out)?,
            Format::Csv => sheet.print(Format::Csv, &mut self.out)?,
        }
        Ok(())
    }
}

/// A project's folder and definitions.
pub struct Project {
    /// What asof.toml says.
    pub definitions: Definitions,
    folder: PathBuf,
}

impl Project {
    /// Reads the definitions of the project in `folder`.
    ///
    /// # Errors
    /// There are none, or they hold mistakes.
    pub fn load(folder: &Path) -> Result<Project> {
        let definitions = Definitions::from_file(&beside(folder, Path::new(DEFINITIONS_FILE)))?;
        Ok(Project { definitions, folder: folder.to_path_buf() })
    }

    /// The folder, as paths begin with it: the present one goes unsaid.
    pub fn folder(&self) -> &Path {
        if self.folder == Path::new(".") { Path::new("") } else { &self.folder }
    }

    /// A path that asof.toml names, which is relative to it.
    pub fn path(&self, named: &Path) -> PathBuf {
        beside(&self.folder, named)
    }

    /// The store's directory.
    pub fn store_path(&self) -> PathBuf {
        self.path(self.definitions.store.path.as_deref().unwrap_or(Path::new(STORE_PATH_DEFAULT)))
    }

    /// Whether there is a store already.
    ///
    /// # Errors
    /// The folder holds something that is no store.
    pub fn has_store(&self) -> Result<bool> {
        let path = self.store_path();
        if identity::exists(&RealDisk, &path)? {
            return Ok(true);
        }
        if path.exists() {
            identity::check_vacant(&RealDisk, &path)?;
        }
        Ok(false)
    }

    /// Opens the store for writing; makes it where there is none yet.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn create_or_open(&self) -> Result<Store> {
        self.builder().listen(false).open_or_forward(self.store_path())
    }

    /// Opens the store for writing.
    ///
    /// # Errors
    /// There is none yet; as [`Store::open`].
    pub fn open_for_writing(&self) -> Result<Store> {
        self.require_store()?;
        self.builder().listen(false).open_or_forward(self.store_path())
    }

    /// Opens the store for writing, and holds it: commands of other processes are taken from them.
    ///
    /// # Errors
    /// There is none yet, or another process holds it; as [`Store::open`].
    pub fn open_and_hold(&self) -> Result<Store> {
        self.require_store()?;
        self.builder().open(self.store_path())
    }

    /// Opens the store for reading, beside a process that writes to it or without one.
    ///
    /// # Errors
    /// There is none yet; it is damaged, or of a newer format.
    pub fn open_for_reading(&self) -> Result<Store> {
        self.require_store()?;
        self.builder().open_read_only(self.store_path())
    }

    /// Checks the store without opening it.
    ///
    /// # Errors
    /// There is none yet; the disk refuses to read. What is damaged is in the report.
    pub fn check(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<CheckReport> {
        self.require_store()?;
        self.builder().check(self.store_path(), progress)
    }

    fn require_store(&self) -> Result<()> {
        if self.has_store()? {
            return Ok(());
        }
        Err(Error::not_found("there is no store yet")
            .at(self.store_path().display())
            .remedy("`asof apply` makes it, as asof.toml says"))
    }

    fn builder(&self) -> StoreBuilder {
        let settings = &self.definitions.store;
        let mut builder = Store::builder();
        if let Some(durability) = settings.durability {
            builder = builder.durability(durability);
        }
        if let Some(us) = settings.max_future_skew_us {
            builder = builder.max_future_skew_us(us);
        }
        builder
    }
}

/// `named` in `folder`; the present folder goes unsaid, so that messages are short.
fn beside(folder: &Path, named: &Path) -> PathBuf {
    if folder == Path::new(".") { named.to_path_buf() } else { folder.join(named) }
}
