//! Two processes, one word in shared memory that says whose turn it is, and futex(2) to wait for it.
//!
//! The no-switch cost: one thread changes the word and wakes nobody, twice.

use crate::sys::futex::Scope;
use crate::workload::handoff::Alone;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::process::ProcessPair;
use crate::workload::process::ring::{self, ProcessRing};
use crate::workload::ring::RingOfOne;
use crate::workload::thread::futex::{BETWEEN, FutexHandoff, SlotHandoff};
use crate::workload::{NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-futex",
    kind: Kind::Process,
    brief: "futex(2) on a word in shared memory",
    summary: "two processes wait with futex(2) for a word in shared memory to say that it is their turn",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ProcessPair::prepare(setting, || FutexHandoff::pair(Scope::Shared)),
    no_switch: Some(NoSwitch {
        summary: "one thread changes the word by itself: two wakes that find nobody, no switch",
        prepare: |_| Alone::prepare(|| FutexHandoff::pair(Scope::Shared)),
    }),
    ring: Some(Ring {
        prepare: ProcessRing::<SlotHandoff<BETWEEN>>::prepare,
        no_switch: RingOfOne::<SlotHandoff<BETWEEN>>::prepare,
        needs: ring::NEEDS,
    }),
    ..Workload::EMPTY
};
