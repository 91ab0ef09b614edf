//! Tracepoints of the kernel, from their files in tracefs.

use std::fs;

use perf_event::events::Tracepoint;

/// Returns a tracepoint of the kernel, by its number since boot.
pub(super) fn tracepoint(name: &str) -> Result<Tracepoint, String> {
    let id = event_file(name, "id")?;
    let id = id.trim().parse().map_err(|_| format!("{name} has no number in tracefs"))?;
    Ok(Tracepoint::with_id(id))
}

/// Returns the content of a file of a tracepoint's folder.
pub(super) fn event_file(name: &str, file: &str) -> Result<String, String> {
    const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let text = MOUNTS.iter().find_map(|mount| fs::read_to_string(format!("{mount}/events/{name}/{file}")).ok());
    text.ok_or_else(|| {
        format!("{name} is not in /sys/kernel/tracing; is it mounted? mount -t tracefs nodev /sys/kernel/tracing")
    })
}
