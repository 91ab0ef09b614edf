//! Things that are not available on this system.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Reason why something is not available on this host, and a remedy: a command, if one is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    pub reason: String,
    pub remedy: Option<String>,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.reason)?;
        self.remedy.iter().try_for_each(|remedy| write!(out, " ({remedy})"))
    }
}

impl Error for Unavailable {}

impl From<anyhow::Error> for Unavailable {
    fn from(error: anyhow::Error) -> Unavailable {
        Unavailable { reason: format!("{error:#}"), remedy: None }
    }
}
