//! Kernel texts about processes and threads: /proc, and the exit records of taskstats.

use procfs::FromRead;
use procfs::process::Schedstat;

use crate::host::{ceilings, memory};
use crate::program::process::poll;
use crate::sys::{taskstats, usage};

/// No text of /proc makes a reader panic, and no other text is read as a number.
pub(super) fn text(bytes: &[u8]) {
    let _ = usage::parse_status(bytes);
    let _ = (poll::migrations(bytes), poll::ignores_children(bytes));
    let _ = Schedstat::from_read(bytes);
    let _ = poll::parse_stat(bytes).map(|stat| poll::lifetime_ns(&stat));
    let text = String::from_utf8_lossy(bytes);
    let _ = ceilings::may_exceed_nproc(&text);
    if let Some(family) = memory::family(&text, &text) {
        assert_eq!(family.pss_bytes % 1024, 0, "{family:?}");
    }
}

/// A datagram parses into thread records and unreadable parts, and ends. The first byte is the number of the kernel's taskstats.
pub(super) fn exit_record(bytes: &[u8]) {
    let Some((&family, datagram)) = bytes.split_first() else { return };
    let most = datagram.len() / 4;
    assert!(taskstats::records(datagram, family.into()).count() <= most, "more records than would fit");
}
