//! Tracepoints of the kernel, by their files.

use std::fs;

use perf_event::events::Tracepoint;

/// A tracepoint of the kernel, by the number that it has since the machine started.
pub(super) fn tracepoint(name: &str) -> Result<Tracepoint, String> {
    let id = event_file(name, "id")?;
    let id = id.trim().parse().map_err(|_| format!("{name} has no number in tracefs"))?;
    Ok(Tracepoint::with_id(id))
}

/// What a file of a tracepoint's folder says.
pub(super) fn event_file(name: &str, file: &str) -> Result<String, String> {
    const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let text = MOUNTS.iter().find_map(|mount| fs::read_to_string(format!("{mount}/events/{name}/{file}")).ok());
    text.ok_or_else(|| {
        format!("{name} is not in /sys/kernel/tracing; is it mounted? mount -t tracefs nodev /sys/kernel/tracing")
    })
}
