//! Two processes, two pipes: the round trip that `perf bench sched pipe` times.
//!
//! The no-switch cost is that of the threads: one thread writes and reads both pipes by itself.

use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::process::ProcessPair;
use crate::workload::process::ring::{self, ProcessRing};
use crate::workload::ring::RingOfOne;
use crate::workload::thread::pipe::{NO_SWITCH, PipeHandoff};
use crate::workload::{ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-pipe",
    kind: Kind::Process,
    brief: "two pipes, as perf bench sched pipe",
    summary: "two processes hand a token to and fro through two pipes, as `perf bench sched pipe` does",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    apart: true,
    prepare: |setting| ProcessPair::prepare(setting, PipeHandoff::pair),
    no_switch: Some(NO_SWITCH),
    ring: Some(Ring {
        prepare: ProcessRing::<PipeHandoff>::prepare,
        no_switch: RingOfOne::<PipeHandoff>::prepare,
        needs: ring::NEEDS,
    }),
    ..Workload::EMPTY
};
