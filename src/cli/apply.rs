//! `asof apply`: the plan, then the store as asof.toml wants it.

use serde_json::{Value as Json, json};

use super::args::{Apply, Format};
use super::context::Context;
use super::failure::Failure;
use super::output::Sheet;
use crate::definition::{Plan, PlanItem, Registered, plan};
use crate::request::ApplyOptions;

pub(super) fn run(args: &Apply, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let options = ApplyOptions { prune: args.prune };
    let wanted = &project.definitions;
    // What cannot be applied makes no store either.
    let planned = match project.has_store()? {
        true => project.open_for_reading()?.plan(wanted, options)?,
        false => plan(&Registered::default(), wanted, args.prune),
    };
    if args.dry_run || planned.is_refused() {
        print(&planned, false, context)?;
        planned.outcome()?;
        return Ok(());
    }
    let store = project.create_or_open()?;
    let done = store.apply(wanted, options)?;
    store.close()?;
    print(&done, true, context)
}

fn print(plan: &Plan, applied: bool, context: &mut Context) -> Result<(), Failure> {
    match context.format {
        Format::Table => {
            writeln!(context.out, "{plan}")?;
            if applied && !plan.is_empty() {
                writeln!(context.out, "applied to project {}", plan.project)?;
            }
        }
        Format::Json => {
            let object = json!({ "project": plan.project, "applied": applied, "items": plan.items });
            writeln!(context.out, "{object:#}")?;
        }
        Format::Csv => {
            let mut sheet = Sheet::new(["action", "subject", "name", "details", "way_out"]);
            for item in &plan.items {
                sheet.push(row(item));
            }
            context.print(&sheet)?;
        }
    }
    Ok(())
}

fn row(item: &PlanItem) -> [Json; 5] {
    [json!(item.action), json!(item.subject), json!(item.name), json!(item.details.join("; ")), json!(item.way_out)]
}
