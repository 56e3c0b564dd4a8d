//! What was asked for, and what its features are called in answers.

use std::ops::Deref;
use std::sync::OnceLock;

use super::json::push_string;
use crate::error::{Error, Result};
use crate::store::{AnswerColumn, Resolution};

/// What a request asks for. Its names are put together once, however often it is asked.
#[derive(Debug)]
pub(super) struct Asked {
    resolution: Resolution,
    /// Short ones, and those that begin with the view's.
    names: [OnceLock<Names>; 2],
}

/// What the features are called in an answer.
#[derive(Debug)]
pub(super) struct Names {
    /// The names.
    pub plain: Vec<String>,
    /// Each as JSON, with the colon behind it.
    pub members: Vec<Vec<u8>>,
}

impl Deref for Asked {
    type Target = Resolution;

    fn deref(&self) -> &Resolution {
        &self.resolution
    }
}

impl Asked {
    pub(super) fn new(resolution: Resolution) -> Asked {
        Asked { resolution, names: Default::default() }
    }

    /// What the features are called, beside the join keys.
    ///
    /// # Errors
    /// Two are called the same.
    pub(super) fn names(&self, full: bool) -> Result<&Names> {
        let known = &self.names[usize::from(full)];
        match known.get() {
            Some(names) => Ok(names),
            None => {
                let names = Names::new(&self.resolution, full)?;
                Ok(known.get_or_init(|| names))
            }
        }
    }
}

impl Names {
    fn new(asked: &Resolution, full: bool) -> Result<Names> {
        let name = |column: &AnswerColumn| match full {
            true => format!("{}__{}", column.view, column.feature),
            false => column.feature.clone(),
        };
        let plain: Vec<String> = asked.columns.iter().map(name).collect();
        let mut sorted: Vec<&str> = asked.join_keys.iter().map(|key| key.column.as_str()).collect();
        // Views may call it by several names.
        sorted.sort_unstable();
        sorted.dedup();
        sorted.extend(plain.iter().map(String::as_str));
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let error = Error::invalid(format!("two columns of the answer would be called {}", pair[0]));
            return Err(error.remedy(match full {
                true => "ask for each feature once",
                false => "ask for full names, which begin with the view's",
            }));
        }
        let member = |name: &String| {
            let mut member = Vec::new();
            push_string(name, &mut member);
            member.push(b':');
            member
        };
        Ok(Names { members: plain.iter().map(member).collect(), plain })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.plain.len()
    }
}
