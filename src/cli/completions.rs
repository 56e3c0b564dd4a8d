//! `asof completions`: a completion script for a shell.

use clap::CommandFactory;

use super::args::{Cli, Completions};
use super::context::Context;
use super::failure::Failure;

pub(super) fn run(args: &Completions, context: &mut Context) -> Result<(), Failure> {
    // clap_complete panics where its writer fails; into memory it cannot.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "asof", &mut script);
    context.out.write_all(&script)?;
    Ok(())
}
