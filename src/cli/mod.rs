//! The command line: what is typed, what is printed, exit codes.
//!
//! Each command is a file of its own with a `run` that takes its arguments and a `Context`, prints on the
//! context's output and fails with a `Failure`. Only this file knows the process: its arguments, its standard
//! output, its exit status.

mod apply;
pub mod args;
mod check;
mod completions;
mod context;
mod delete;
mod demo;
mod explain;
mod export;
mod failure;
mod get;
mod history;
mod import;
mod init;
mod inputs;
mod key;
pub mod output;
mod progress;
mod serve;
mod settings;
mod show;
mod snapshot;

use std::io::Write;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use tracing::level_filters::LevelFilter;

use self::args::{Cli, Command, SETTINGS};
use self::context::Context;
use self::failure::Failure;
use crate::caught::is_caught;
use crate::definition::{LogFormat, LogLevel};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no failure; clap knows which. Nobody is left to
            // tell when even that cannot be written.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { failure::DONE });
        }
    };
    // A server is told by its project how much to tell.
    if !matches!(cli.command, Command::Serve(_)) {
        tell(LogLevel::Warn, LogFormat::Text);
    }
    tell_panics();
    let stdout = std::io::stdout();
    let mut context = Context::new(&cli, Box::new(stdout.lock()));
    let outcome = run(&cli.command, &mut context).and_then(|()| Ok(context.out.flush()?));
    match outcome {
        Ok(()) => ExitCode::from(failure::DONE),
        Err(failure) => {
            if let Some(text) = failure.text() {
                // The same: there is no other place to say it.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            ExitCode::from(failure.status())
        }
    }
}

/// Reads the command line, and which settings the environment has.
fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Command::Serve(serve), Some((_, given))) = (&mut cli.command, matches.subcommand()) {
        let is_of_environment = |name: &&str| given.value_source(name) == Some(ValueSource::EnvVariable);
        serve.of_environment.extend(SETTINGS.into_iter().filter(is_of_environment));
    }
    Ok(cli)
}

/// What the store and its servers have to tell on their way goes to standard error: a registry that was rebuilt, a table that is behind.
fn tell(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level);
    // Where standard error cannot be written to, a warning is lost, and nothing else.
    let lines = lines.with_ansi(false).with_target(false).log_internal_errors(false);
    match format {
        // People see when they see it; a log is read later.
        LogFormat::Text if level <= LevelFilter::WARN => lines.without_time().init(),
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
}

/// A panic of a library over damaged bytes is told as the damage that it is; any other is told as one.
fn tell_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_caught() {
            usual(panic);
        }
    }));
}

fn run(command: &Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args, context),
        Command::Init(args) => init::run(args, context),
        Command::Apply(args) => apply::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::Get(args) => get::run(args, context),
        Command::History(args) => history::run(args, context),
        Command::Delete(args) => delete::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Serve(args) => serve::run(args, context),
        Command::Key(args) => key::run(args, context),
        Command::Snapshot(args) => snapshot::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Completions(args) => completions::run(args, context),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use clap::Parser as _;

    use super::*;
    use crate::disk::{MapAccess, RealDisk};
    use crate::head::{Head, Trust};
    use crate::identity::Identity;
    use crate::store::Store;

    /// Standard output, which looks whether the store was closed when something is printed.
    struct Watching {
        store: PathBuf,
        was_closed: Arc<Mutex<Vec<bool>>>,
    }

    impl Write for Watching {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let uuid = Identity::read(&RealDisk, &self.store).unwrap().uuid;
            let head = Head::open(&RealDisk, &self.store, &uuid, MapAccess::Read).unwrap().unwrap();
            self.was_closed.lock().unwrap().push(head.read_trusted().1 == Trust::Clean);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_command_changed_is_told_before_the_store_is_closed() {
        // A close that failed once hid that a row had been deleted, or a snapshot been named.
        let folder = Store::temporary().unwrap();
        let project = folder.path().with_file_name("project");
        std::fs::create_dir(&project).unwrap();
        let definitions = "[project]\nname = \"p\"\n[entities.thing]\njoin_keys = { id = \"int64\" }\n\
            [views.v]\nentities = [\"thing\"]\n[views.v.features]\nx = \"int64\"\n";
        std::fs::write(project.join("asof.toml"), definitions).unwrap();
        let rows = project.join("rows.csv");
        std::fs::write(&rows, "id,event_timestamp,x\n1,2024-03-01T13:00:00Z,1\n").unwrap();
        for (number, format) in ["table", "json", "csv"].into_iter().enumerate() {
            let name = format!("s{number}");
            for words in [
                &["apply"][..],
                &["import", "v", rows.to_str().unwrap()],
                &["delete", "v", "id=1"],
                &["snapshot", &name],
            ] {
                let before = ["asof", "--project", project.to_str().unwrap(), "--format", format];
                let cli = Cli::try_parse_from(before.iter().chain(words)).unwrap();
                let was_closed: Arc<Mutex<Vec<bool>>> = Arc::default();
                let out = Watching { store: project.join("store"), was_closed: Arc::clone(&was_closed) };
                run(&cli.command, &mut Context::new(&cli, Box::new(out))).map_err(|failure| failure.text()).unwrap();
                let was_closed = was_closed.lock().unwrap();
                assert!(!was_closed.is_empty() && !was_closed.contains(&true), "{words:?} as {format}: {was_closed:?}");
            }
        }
    }
}
