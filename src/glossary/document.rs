//! `ctxprof.explain/1`: what words mean.

use serde::{Deserialize, Serialize};

use crate::document::Tool;
use crate::glossary::Entry;

pub const SCHEMA: &str = "ctxprof.explain/1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainDocument {
    pub schema: String,
    pub tool: Tool,
    /// The word or subject asked for; null if all were.
    pub asked: Option<String>,
    pub entries: Vec<Entry>,
}
