//! What is saved and exchanged: typed documents with a version, and where they are kept.
//!
//! Every command's document has the same envelope. A new optional field keeps the version; a changed meaning raises
//! it; readers ignore what they do not know.

pub mod compare;
pub mod diff;
pub mod doctor;
pub mod history;
pub mod list;
pub mod memory;
pub mod pace;
pub mod price;
pub mod reader;
pub mod run;
pub mod samples;
pub mod settings;
pub mod stat;
pub mod store;
pub mod sweep;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::host::facts::Facts;
use crate::summary::Warning;

/// What all documents share, around a command's settings `S` and body `B`.
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

/// What wrote a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
    /// Whether it was built without optimization: its loops are then not worth timing.
    #[serde(default)]
    pub debug_build: bool,
}

impl Tool {
    /// This program.
    pub fn this() -> Tool {
        Tool {
            name: env!("CARGO_PKG_NAME").to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// A moment as documents write it.
pub fn timestamp(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}
