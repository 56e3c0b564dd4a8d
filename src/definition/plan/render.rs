//! A plan as people read it: one line a definition, then a count.

use std::fmt;

use super::{Action, Plan, PlanItem, Subject};

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Subject::Project => "project",
            Subject::Entity => "entity",
            Subject::View => "view",
            Subject::Service => "service",
        })
    }
}

impl fmt::Display for PlanItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlanItem { subject, name, .. } = self;
        let details = self.details.join("; ");
        match self.action {
            Action::Add => write!(f, "+ {subject} {name} ({})", self.details.join(", ")),
            Action::Change => write!(f, "~ {subject} {name}: {details}"),
            Action::Unchanged => write!(f, "= {subject} {name}"),
            Action::Keep => {
                write!(f, "  {subject} {name}: not in the file, kept (apply --prune drops it)")?;
                if details.is_empty() { Ok(()) } else { write!(f, "; {details}") }
            }
            Action::Drop => write!(f, "- {subject} {name}"),
            Action::Refuse => {
                write!(f, "! refused {subject} {name}: {details}")?;
                self.way_out.as_ref().map_or(Ok(()), |way_out| write!(f, "; {way_out}"))
            }
        }
    }
}

impl fmt::Display for Plan {
    /// What is unchanged is only counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.items.iter().filter(|item| item.action != Action::Unchanged) {
            writeln!(f, "{item}")?;
        }
        let mut counts = Vec::new();
        for (action, text) in [
            (Action::Add, "to add"),
            (Action::Change, "to change"),
            (Action::Drop, "to drop"),
            (Action::Keep, "kept"),
            (Action::Unchanged, "unchanged"),
            (Action::Refuse, "refused"),
        ] {
            let count = self.with_action(action).count();
            if count > 0 {
                counts.push(format!("{count} {text}"));
            }
        }
        if counts.is_empty() {
            counts.push("nothing defined".to_owned());
        }
        f.write_str(&counts.join(", "))
    }
}
