//! What can be typed: commands, their flags, and their help with examples.

#![expect(missing_docs, reason = "the help of each command stands at its variant of `Command`")]

mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::api_key::Scope;

pub use serve::{SETTINGS, Serve};

/// An embedded feature store: the latest value of every feature, and every value there ever was.
#[derive(Debug, Parser)]
#[command(name = "asof", version, propagate_version = true, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused or damage found.\n\n\
    Start with:  asof demo        the quickstart on real data\n             \
    asof init DIR    a new project")]
pub struct Cli {
    /// The project's folder, which holds asof.toml.
    #[arg(long, global = true, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath, env = "ASOF_PROJECT",
        value_parser = OsStringValueParser::new().map(project_folder), help_heading = GLOBAL)]
    pub project: PathBuf,
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, help_heading = GLOBAL)]
    pub format: Format,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command stand apart from a command's own.
const GLOBAL: &str = "Options of every command";

/// A variable that is set to nothing, as a script may leave it, names the present folder too.
fn project_folder(text: OsString) -> PathBuf {
    if text.is_empty() { PathBuf::from(".") } else { PathBuf::from(text) }
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// JSON, the same from release to release.
    Json,
    /// Comma-separated, with a header.
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The quickstart: a project from a year of real flights, end to end.
    #[command(after_help = "Example:\n  asof demo\n  asof demo --dir /tmp/flights")]
    Demo(Demo),
    /// Makes a new project with a commented asof.toml.
    #[command(after_help = "Example:\n  asof init churn && cd churn && asof apply")]
    Init(Init),
    /// Shows what would change, then makes the store match asof.toml.
    #[command(after_help = "Examples:\n  asof apply --dry-run\n  asof apply\n\n\
        What asof.toml no longer names stays in the store, unless --prune drops it.")]
    Apply(Apply),
    /// Imports files into a view: Parquet, CSV, JSON Lines or Arrow; or the hashes of a Redis into views.
    #[command(
        after_help = "Examples:\n  asof import weather data/weather.parquet\n  asof import --all --bad-rows quarantine\n  \
        asof import weather late.csv --bad-rows quarantine\n  asof import weather@2 --from-version 1\n  \
        asof import --redis redis://localhost:6379/0 --layout feast\n\n\
        All of the files or nothing; --all goes view by view, and keeps the views that were done when one fails. A file imported before is skipped. Every other row is compared with those the store has, \
        written or imported: one that is equal in key, times and all values is left out, as often as the store has it, and counted as \
        skipped; so a file that grew adds what it gained. --append adds every row."
    )]
    Import(Import),
    /// The features of one entity, now or at any moment.
    #[command(after_help = "Examples:\n  asof get --features weather:temp,weather:visib origin=JFK\n  \
        asof get --service departure_delay origin=JFK dest=LAX tailnum=N14228 --at 2013-06-01T12:00:00Z\n  \
        asof get --features weather:temp origin=JFK --known-at before_backfill")]
    Get(Get),
    /// Joins features to the rows of a file, each as of its own time: a training set.
    #[command(after_help = "Examples:\n  asof history --spine data/flights.parquet --service departure_delay \\\n    \
        --timestamp scheduled_departure --full-names --out training.parquet\n  \
        asof history --spine labels.csv --features weather:temp --timestamp asked_at --out training.csv\n\n\
        Every row of the spine stays, in its order. --known-at a snapshot gives the same bytes every time.")]
    History(History),
    /// Deletes an entity's features from a moment on; what was before stays readable.
    #[command(after_help = "Example:\n  asof delete weather origin=JFK --at 2013-12-31T00:00:00Z")]
    Delete(Delete),
    /// Writes all rows of a view to Parquet files that import reads back, or pushes latest values into a Redis.
    #[command(after_help = "Examples:\n  asof export weather --out dump\n  \
        asof export weather --out by_day --partition-by date --from 2013-01-01 --to 2013-02-01\n  \
        asof export --redis redis://localhost:6379/0\n  \
        asof export --redis redis://localhost:6379/0 --layout feast weather plane\n\n\
        Into a Redis, or a Redis Cluster, go the latest values of the views named, or of all. An export that was interrupted goes on when \
        it is started again within a day.")]
    Export(Export),
    /// What is in the store: views, entities, services, runs, the store itself, or one view or service in full.
    #[command(
        after_help = "Examples:\n  asof show\n  asof show runs\n  asof show weather\n  asof show departure_delay"
    )]
    Show(Show),
    /// Where a value came from: view and revision, clocks, seq, file or log position, checksum, source.
    #[command(after_help = "Example:\n  asof explain weather:temp origin=JFK --at 2013-06-01T12:00:00Z")]
    Explain(Explain),
    /// Serves the store over the Redis protocol and HTTP, until ctrl-c or SHUTDOWN.
    #[command(
        after_help = "Examples:\n  asof serve\n  asof serve --redis 127.0.0.1:0 --print-address\n  asof serve --http 127.0.0.1:6566\n\n\
        While it runs, writing commands of this project go to it. Port 0 takes a free one. Once the store has had a key (asof key \
        create), clients show one: as their password, or in Authorization: Bearer KEY. An address that other machines reach takes a key, or TLS."
    )]
    Serve(Serve),
    /// API keys: who may use the store over the network, for what.
    #[command(
        after_help = "Examples:\n  asof key create feast --scope read --scope write\n  asof key create dashboard --view weather\n  \
        asof key list\n  asof key revoke dashboard\n\n\
        Once there has been a key, servers of this store ask for one: over the Redis protocol it is the password. A key is shown once, when it is \
        made. One that is revoked opens nothing any more, within a second, in servers that run too."
    )]
    Key(Key),
    /// Names this moment's state of knowledge, for --known-at.
    #[command(after_help = "Examples:\n  asof snapshot before_backfill\n  asof snapshot list")]
    Snapshot(Snapshot),
    /// Reads everything and compares it with its checksums.
    #[command(after_help = "Example:\n  asof check\n\nExit status 3 when damage was found.")]
    Check(Check),
    /// Prints a completion script for a shell.
    #[command(after_help = "Example:\n  asof completions bash > /etc/bash_completion.d/asof")]
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the project is made; must not exist yet, or be an earlier demo.
    #[arg(long, value_name = "DIR", default_value = "demo", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Init {
    /// The folder to make.
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// Only show what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Drop what asof.toml no longer names.
    #[arg(long)]
    pub prune: bool,
}

/// What becomes of rows that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BadRowsArg {
    /// Nothing of the file is imported.
    Fail,
    /// They are set aside in quarantine/ with their reasons; the others are imported.
    Quarantine,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The view, or a version of it such as weather@2.
    #[arg(required_unless_present_any = ["all", "redis"])]
    pub view: Option<String>,
    /// Files to read, in order; with --redis, further views.
    #[arg(required_unless_present_any = ["all", "from_version", "redis"], value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub from_redis: OfRedis,
    /// Every view that names a source path, from that path.
    #[arg(long, conflicts_with_all = ["view", "files", "redis"])]
    pub all: bool,
    /// Copy the features that both versions have from this version of the view; values of another type are converted.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["all", "files", "bad_rows", "allow_future", "append", "redis"]
    )]
    pub from_version: Option<u32>,
    /// What becomes of rows that cannot be stored.
    #[arg(long, value_enum, default_value_t = BadRowsArg::Fail)]
    pub bad_rows: BadRowsArg,
    /// Take event timestamps far ahead of the clock.
    #[arg(long)]
    pub allow_future: bool,
    /// Add every row, even those the store has, and files imported before.
    #[arg(long, conflicts_with = "redis")]
    pub append: bool,
}

/// Which features.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Features by reference, separated by commas: view:feature, view@2:feature, view:*.
    #[arg(long, value_name = "REFS", value_delimiter = ',')]
    pub features: Vec<String>,
    /// A feature service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
}

/// The value of an option that takes times, those before 1970 as well: `-1us`.
fn no_option(text: &str) -> Result<String, &'static str> {
    if text.starts_with('-') && !text[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Err("a value is wanted before the next option");
    }
    Ok(text.to_owned())
}

/// By when known.
#[derive(Debug, Args)]
pub struct Known {
    /// Only what was committed by then: a snapshot's name, a time, or a seq.
    #[arg(long, value_name = "K", allow_hyphen_values = true, value_parser = no_option)]
    pub known_at: Option<String>,
    /// With --known-at, today's definitions instead of those of then.
    #[arg(long, value_enum, value_name = "WHICH", requires = "known_at")]
    pub definitions: Option<DefinitionsArg>,
}

/// Which definitions a read with `--known-at` follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DefinitionsArg {
    /// Those in force now.
    Current,
}

/// One entity, at a moment.
#[derive(Debug, Args)]
pub struct EntityAt {
    /// Join keys and their values.
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// As of this time; now when absent.
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = no_option)]
    pub at: Option<String>,
    #[command(flatten)]
    pub known: Known,
}

#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub asked: EntityAt,
}

#[derive(Debug, Args)]
pub struct History {
    /// The rows to join to: Parquet, CSV, JSON Lines or Arrow.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub spine: PathBuf,
    #[command(flatten)]
    pub which: Which,
    /// The spine column with each row's time.
    #[arg(long, value_name = "COL", default_value = "event_timestamp")]
    pub timestamp: String,
    #[command(flatten)]
    pub known: Known,
    /// Only rows created by the spine row's time, in views that declare a created timestamp.
    #[arg(long)]
    pub created_cutoff: bool,
    /// Call columns view__feature.
    #[arg(long)]
    pub full_names: bool,
    /// Where the training set goes: .parquet, .arrow, .csv, .tsv or .jsonl.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Delete {
    /// The view.
    pub view: String,
    /// Join keys and their values.
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// From this time on; now when absent.
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = no_option)]
    pub at: Option<String>,
    /// Take a time far ahead of the clock.
    #[arg(long)]
    pub allow_future: bool,
}

/// How an export is cut into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Partition {
    /// A folder for each day of the event time.
    Date,
}

/// How entities lie in a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// A hash for each entity of a view, as asof serves it.
    Plain,
    /// As Feast's Redis store has it.
    Feast,
}

/// A Redis, and how it is used.
#[derive(Debug, Args)]
pub struct OfRedis {
    /// A Redis or Redis Cluster: `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS.
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// How entities lie there.
    #[arg(long, value_enum, default_value_t = LayoutArg::Plain, requires = "redis")]
    pub layout: LayoutArg,
    /// Feast's name of the project, where it is not that of asof.toml.
    #[arg(long, value_name = "NAME", requires = "redis")]
    pub feast_project: Option<String>,
    /// Take it for a cluster without asking.
    #[arg(long, requires = "redis")]
    pub cluster: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The view; with --redis any number of them, none for all.
    #[arg(value_name = "VIEW", required_unless_present = "redis")]
    pub views: Vec<String>,
    /// The folder that DIR/VIEW/v1/... is made in.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "redis", conflicts_with = "redis")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub to_redis: OfRedis,
    /// Push everything, even where an export into this Redis was interrupted.
    #[arg(long, requires = "redis")]
    pub restart: bool,
    /// One folder per day of the event time.
    #[arg(long, value_enum, value_name = "BY", conflicts_with = "redis")]
    pub partition_by: Option<Partition>,
    /// Only rows with an event time of at least this.
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = no_option, conflicts_with = "redis")]
    pub from: Option<String>,
    /// Only rows with an event time before this.
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = no_option, conflicts_with = "redis")]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub struct Show {
    /// views, entities, services, runs, store, or the name of a view or service.
    #[arg(default_value = "views")]
    pub what: String,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The feature, as view:feature.
    pub feature: String,
    #[command(flatten)]
    pub asked: EntityAt,
}

#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a key and prints it, this once.
    #[command(after_help = "Example:\n  asof key create feast --scope read --scope write")]
    Create {
        /// What to call it: a letter, then letters, digits or _.
        name: String,
        /// What it may be used for; again for more. write does not include read, admin includes both.
        #[arg(long = "scope", value_name = "SCOPE", value_enum, value_delimiter = ',', default_values = ["read"])]
        scopes: Vec<ScopeArg>,
        /// A view that it opens; again for more, _keyspace for the keys of no view. Without any it opens all there is.
        #[arg(long = "view", value_name = "VIEW", value_delimiter = ',')]
        views: Vec<String>,
    },
    /// The keys that were made, those included that were revoked.
    List,
    /// From now on a key opens nothing.
    #[command(after_help = "Example:\n  asof key revoke feast")]
    Revoke {
        /// Its name, its id, or the key itself.
        key: String,
    },
}

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// To look at values.
    Read,
    /// To change values, without being told any.
    Write,
    /// To run the server, and everything else.
    Admin,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Scope {
        match scope {
            ScopeArg::Read => Scope::Read,
            ScopeArg::Write => Scope::Write,
            ScopeArg::Admin => Scope::Admin,
        }
    }
}

#[derive(Debug, Args)]
pub struct Snapshot {
    /// The name to give, or `list`.
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Check {}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
