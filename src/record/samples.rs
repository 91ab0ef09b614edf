//! `ctxprof.samples/1`: a run's raw samples, from which the same report can be worked out again.

use serde::{Deserialize, Serialize};

use crate::record::Document;
use crate::record::settings::RunSettings;
use crate::sample::RunSamples;

pub const SCHEMA: &str = "ctxprof.samples/1";

pub type SamplesDocument = Document<RunSettings, SamplesBody>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplesBody {
    pub seen: RunSamples,
}
