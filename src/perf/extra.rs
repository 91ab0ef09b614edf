//! Counters that need a pass of their own: tracepoints of the scheduler, and probes on a program's functions.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use object::{Object, ObjectSegment, ObjectSymbol};
use perf_event::events::{Event, EventData};
use perf_event_open_sys::bindings::perf_event_attr;

use crate::perf::counting::{CountingMode, PROBE, TO_IDLE, WAKE_UPS};
use crate::perf::meter::{Attached, Extra};
use crate::perf::meters::{self, Sum};
use crate::perf::open::OpenCounter;
use crate::perf::refusal::{self, Refused};
use crate::perf::tracefs::tracepoint;

/// Attaches the requested counter to these CPUs.
///
/// # Errors
/// [`Refused::Absent`] with the reason: no permission, no tracefs, no such function.
pub(super) fn attach(extra: &Extra<'_>, cpus: &[usize]) -> Result<Attached, Refused> {
    match extra {
        Extra::UserMode => Err(Refused::NotNeeded),
        Extra::WakeUps => on_each(WAKE_UPS, cpus, None, || tracepoint("sched/sched_waking")),
        // The idle threads of all CPUs have the id 0. Switches to them are counted, not those from them, which on this
        // kernel (6.18) are not seen on any CPU but the first; there are as many.
        Extra::ToIdle => on_each(TO_IDLE, cpus, Some(c"next_pid == 0"), || tracepoint("sched/sched_switch")),
        Extra::Probe { program, function } => {
            let offset = offset_of(program, function).map_err(|reason| Refused::absent(PROBE, reason))?;
            on_each(PROBE, cpus, None, || FileProbe::new(program, offset))
        }
    }
}

/// Opens one counter on each CPU; returns a meter of their sum.
fn on_each<E: Event>(
    name: &str,
    cpus: &[usize],
    filter: Option<&CStr>,
    event: impl Fn() -> Result<E, String>,
) -> Result<Attached, Refused> {
    let absent = |reason: String| Refused::absent(name, reason);
    let explain = |error: io::Error| absent(refusal::explain(CountingMode::Cpu, &error));
    let open = |&cpu: &usize| OpenCounter::open_event(name, event().map_err(absent)?, filter, cpu).map_err(explain);
    let (first, others) = cpus.split_first().ok_or(Refused::NotNeeded)?;
    let first = open(first)?;
    let counters = others.iter().map(open).collect::<Result<_, _>>()?;
    Ok(meters::attached(Sum::of(first, counters), CountingMode::Cpu))
}

/// A probe at an offset in a program's file, which the perf crate defines and cannot open.
#[derive(Debug, Clone)]
struct FileProbe {
    pmu: u32,
    path: CString,
    offset: u64,
}

impl FileProbe {
    fn new(program: &Path, offset: u64) -> Result<FileProbe, String> {
        let pmu = fs::read_to_string("/sys/bus/event_source/devices/uprobe/type").ok();
        let pmu = pmu.and_then(|number| number.trim().parse().ok()).ok_or("this kernel has no uprobes for perf")?;
        let path = CString::new(program.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        Ok(FileProbe { pmu, path, offset })
    }
}

impl Event for FileProbe {
    fn update_attrs(self, _: &mut perf_event_attr) {
        unreachable!("the builder prefers the method below, which keeps the path alive")
    }

    fn update_attrs_with_data(self, attributes: &mut perf_event_attr) -> Option<Arc<dyn EventData>> {
        attributes.type_ = self.pmu;
        attributes.config = 0;
        attributes.uprobe_path = self.path.as_ptr() as usize as u64;
        attributes.probe_offset = self.offset;
        // A CString's buffer does not move with the CString.
        Some(Arc::new(self.path))
    }
}

/// Returns the offset of a function in a program's file.
fn offset_of(program: &Path, function: &str) -> Result<u64, String> {
    let reason = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let bytes = fs::read(program).map_err(|error| reason(&error))?;
    offset_in(&bytes, function).map_err(|error| reason(&error))
}

/// Returns the offset of a function in the bytes of a program.
///
/// # Errors
/// The bytes are no readable program, or have no such function, or not in the file.
pub(crate) fn offset_in(program: &[u8], function: &str) -> Result<u64, String> {
    let file = object::File::parse(program).map_err(|error| error.to_string())?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(function));
    let address = symbol.map(|symbol| symbol.address()).ok_or_else(|| format!("has no function {function}"))?;
    // Addresses of a damaged file may be out of range.
    let place = |segment: object::Segment<'_, '_>| {
        let within = address.checked_sub(segment.address()).filter(|within| *within < segment.size())?;
        within.checked_add(segment.file_range().0)
    };
    file.segments().find_map(place).ok_or_else(|| format!("{function} is in no segment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_in_a_programs_file() {
        let program = std::env::current_exe().unwrap();
        let offset = offset_of(&program, "main").unwrap();
        assert!(offset > 0 && offset < fs::metadata(&program).unwrap().len());
        assert!(offset_of(&program, "no.such.function").unwrap_err().contains("has no function"));
        assert!(offset_of(Path::new("/proc/self/status"), "main").is_err());
        assert!(offset_of(Path::new("/nowhere"), "main").unwrap_err().contains("/nowhere"));
    }
}
