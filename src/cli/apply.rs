//! `asof apply`: the plan, then the store as asof.toml wants it.

use serde_json::{Value as Json, json};

use super::args::{Apply, Format};
use super::context::{Context, DEFINITIONS_FILE};
use super::failure::Failure;
use super::output::Sheet;
use crate::definition::{Action, Plan, PlanItem, Registered, plan};
use crate::error::{Error, ErrorKind};
use crate::request::ApplyOptions;

pub(super) fn run(args: &Apply, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let options = ApplyOptions { prune: args.prune };
    let wanted = &project.definitions;
    // What cannot be applied makes no store either.
    let planned = match project.has_store()? {
        true => match project.open_for_reading().and_then(|store| store.plan(wanted, options)) {
            // What only a writer can mend is mended by opening for writing: the plan is then the store's own.
            Err(error) if error.kind() == ErrorKind::Damaged && !args.dry_run => None,
            planned => Some(planned?),
        },
        false => Some(plan(&Registered::default(), wanted, args.prune)),
    };
    if let Some(planned) = planned
        && (args.dry_run || planned.is_refused())
    {
        return show_only(&planned, context);
    }
    let store = project.create_or_open()?;
    let planned = store.plan(wanted, options)?;
    if planned.is_refused() {
        let shown = show_only(&planned, context);
        store.close()?;
        return shown;
    }
    let done = store.apply(wanted, options)?;
    let told = print(&done, true, context);
    // What took place is told, whatever becomes of the close.
    store.close()?;
    told
}

/// Shows a plan that is not carried out. Why changes are refused stands in it.
fn show_only(planned: &Plan, context: &mut Context) -> Result<(), Failure> {
    // Refused is refused, whoever reads of it.
    let printed = print(planned, false, context);
    let refused = match planned.with_action(Action::Refuse).count() {
        0 => return printed,
        1 => "a change is refused".to_owned(),
        changes => format!("{changes} changes are refused"),
    };
    let error = Error::refused(format!("nothing is applied: {refused}")).at(DEFINITIONS_FILE);
    Err(error.remedy("the plan says why, and what to do instead").into())
}

fn print(plan: &Plan, applied: bool, context: &mut Context) -> Result<(), Failure> {
    match context.format {
        Format::Table => {
            context.say(plan)?;
            if applied && !plan.is_empty() {
                context.say(format_args!("applied to project {}", plan.project))?;
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
