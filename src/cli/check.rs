//! `asof check`: everything read and compared with its checksums.

use serde_json::{Value as Json, json};

use super::args::{Check, Format};
use super::context::Context;
use super::failure::Failure;
use super::output::{Sheet, human_bytes, human_count};
use super::progress::Meter;
use crate::engine::check::{CheckReport, Severity};

pub(super) fn run(_args: &Check, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let meter = Meter::new("check");
    let tell = meter.of_bytes();
    // Not by opening: a store that no longer opens is the one to check.
    let report = project.check(&mut |progress| tell(progress.bytes, progress.bytes_total))?;
    drop(meter);
    let printed = print(&report, context);
    let damaged = report.problems.iter().filter(|problem| problem.severity == Severity::Damage).count();
    match damaged {
        0 => printed,
        1 => Err(Failure::Damage("damage was found, in one place".to_owned())),
        places => Err(Failure::Damage(format!("damage was found, in {places} places"))),
    }
}

fn print(report: &CheckReport, context: &mut Context) -> Result<(), Failure> {
    let mut sheet = Sheet::new(["severity", "file", "what", "remedy"]);
    for problem in &report.problems {
        let file = json!(problem.file.to_string_lossy());
        sheet.push([json!(problem.severity), file, json!(problem.what), json!(problem.remedy)]);
    }
    match context.format {
        Format::Table => {
            if !report.problems.is_empty() {
                context.print(&sheet)?;
                writeln!(context.out)?;
            }
            for passed_over in &report.passed_over {
                context.say(format_args!("passed over: {passed_over}"))?;
            }
            context.say(sentence(report))
        }
        _ => context.print_with(&sheet, &all(report)),
    }
}

fn all(report: &CheckReport) -> Json {
    json!({
        "is_sound": report.is_sound(),
        "files": report.files,
        "bytes": report.bytes,
        "rows": report.rows,
        "latest_compared": report.latest_compared,
        "problems": report.problems,
        "passed_over": report.passed_over,
    })
}

fn sentence(report: &CheckReport) -> String {
    let CheckReport { files, bytes, rows, latest_compared, problems, .. } = report;
    let verdict = match (report.is_sound(), problems.is_empty()) {
        (true, true) => "sound",
        (true, false) => "sound, but for what is made anew or left over",
        (false, _) => "damaged",
    };
    format!(
        "{verdict}: {} files, {}, {} rows; {} latest values compared with them",
        human_count(*files),
        human_bytes(*bytes),
        human_count(*rows),
        human_count(*latest_compared)
    )
}
