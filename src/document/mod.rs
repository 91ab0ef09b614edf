//! Envelope of every saved document: a schema with a version, when and where it was made, and warnings.
//!
//! Every command's document has the same envelope. A new optional field keeps the version; a changed meaning raises
//! it; readers ignore what they do not know.

pub(crate) mod conditions;
pub(crate) mod headline;
pub(crate) mod invocation;
pub mod metrics;
pub mod reader;
pub(crate) mod warnings;

use serde::{Deserialize, Serialize};

use crate::host::facts::Facts;

/// A command's settings `S` and body `B` in the envelope of all documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document<S, B> {
    /// `ctxprof.<command>/<version>`.
    pub schema: String,
    pub tool: Tool,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub host: Facts,
    pub settings: S,
    #[serde(flatten)]
    pub body: B,
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// Program that wrote a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
    /// True if built without optimization: its loops are then not worth timing.
    #[serde(default)]
    pub debug_build: bool,
}

impl Tool {
    pub fn this() -> Tool {
        Tool {
            name: env!("CARGO_PKG_NAME").to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// End of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Complete,
    /// Ended by the signal of this number.
    Interrupted(i32),
    /// A workload failed, with this error.
    Failed(String),
}

/// A warning: a name that scripts can look for, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: String,
    pub message: String,
}

impl Warning {
    pub fn new(code: &str, message: impl Into<String>) -> Warning {
        Warning { code: code.to_string(), message: message.into() }
    }
}
