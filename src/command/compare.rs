//! `ctxprof compare`: the tools that people quote, beside ours, with their switches counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::bench::plan::Effort;
use crate::cli::{ColorChoice, CompareArgs};
use crate::command::output::{self, deliver};
use crate::command::progress::Bar;
use crate::command::{Outcome, ended, place};
use crate::counter::ladder::{CounterChoice, Ladder};
use crate::host::probe;
use crate::peer::{PEERS, Peer, saved};
use crate::record::compare::{CompareBody, CompareDocument, CompareSettings, SCHEMA, SavedRow, row};
use crate::record::{Tool, store, timestamp};
use crate::sample::{LeftOut, Placement};
use crate::sys::signal;
use crate::versus::{self, VersusPlan};
use crate::workload;
use crate::workload::session::Setting;

/// Of our own workload in each round.
const OWN_TIME: Duration = Duration::from_millis(400);
const OWN_INCARNATIONS: u32 = 4;
/// What is read of a file with saved output.
const MOST_SAVED_BYTES: u64 = 16 * 1024 * 1024;

pub(super) fn execute(arguments: &CompareArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    for path in &arguments.output.output {
        store::check_writable(path)?;
    }
    let saved: Vec<Vec<SavedRow>> = arguments.with.iter().map(read_saved).collect::<Result<_>>()?;
    let started_at = timestamp(SystemTime::now());
    let (place, processors) = place(arguments.cpu)?;
    let host = probe::facts(Path::new("/"), Some(&place), &processors);
    let setting = Setting { spare_cpu: processors.spare(place.cpu), ..Setting::on(place.cpu) };
    let (peers, left_out) = available(arguments.quiet);
    if peers.is_empty() && saved.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        bail!("none of the tools is here to compare with: {}", reasons.join("; "));
    }
    let effort = Effort { time: Some(OWN_TIME), samples: None };
    let plan = VersusPlan { peers, rounds: arguments.rounds, setting, incarnations: OWN_INCARNATIONS, effort };
    let mut bar = Bar::new(!arguments.quiet);
    let mut ladder = Ladder::new(CounterChoice::Auto);
    let seen = versus::run(&plan, &mut ladder, &mut |progress| bar.show(progress))?;
    bar.finish();
    let document = CompareDocument {
        schema: SCHEMA.to_string(),
        tool: Tool::this(),
        started_at,
        host,
        settings: CompareSettings {
            rounds: arguments.rounds,
            with: arguments.with.iter().map(|file| file.display().to_string()).collect(),
        },
        body: CompareBody {
            rows: seen.peers.iter().map(row).collect(),
            saved: saved.into_iter().flatten().collect(),
            left_out,
            ending: seen.ending.clone(),
        },
        warnings: Vec::new(),
    };
    let something = document.body.rows.iter().any(|row| row.rounds > 0) || !document.body.saved.is_empty();
    let delivered = if something { deliver(&document, &arguments.output, color) } else { Ok(()) };
    ended(seen.ending, delivered.map(|()| Outcome::Done))
}

/// The peers that are here and whose own workload can be measured, and why the others are not.
fn available(quiet: bool) -> (Vec<&'static Peer>, Vec<LeftOut>) {
    let (mut peers, mut left_out) = (Vec::new(), Vec::new());
    for peer in PEERS {
        let mut leave_out = |reason, remedy| {
            left_out.push(LeftOut {
                workload: peer.name.to_string(),
                placement: Placement::Same,
                ring: None,
                reason,
                remedy,
            });
        };
        let own = workload::meant_by(peer.own_workload);
        let say = |what: &str| output::say_unless(quiet, what);
        let provided = || (peer.provide)(&say).and_then(|()| own.iter().try_for_each(|own| (own.provide)(&say)));
        match (peer.available)() {
            Err(missing) => leave_out(missing.reason, missing.remedy),
            Ok(()) => match provided() {
                Ok(()) => peers.push(peer),
                Err(error) => leave_out(format!("{error:#}"), None),
            },
        }
    }
    (peers, left_out)
}

fn read_saved(file: &PathBuf) -> Result<Vec<SavedRow>> {
    let reading = || format!("reading {}", file.display());
    let size = fs::metadata(file).with_context(reading)?.len();
    if size > MOST_SAVED_BYTES {
        bail!("{} has {size} bytes, more than any benchmark prints", file.display());
    }
    let text = fs::read_to_string(file).with_context(reading)?;
    let claims = saved::parse(&text).with_context(|| file.display().to_string())?;
    let row = |claim: saved::SavedClaim| SavedRow {
        file: file.display().to_string(),
        what: claim.what,
        claimed_ns_per_op: claim.ns_per_op,
    };
    Ok(claims.into_iter().map(row).collect())
}
