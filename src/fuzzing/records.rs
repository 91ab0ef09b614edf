//! Records of perf's ring buffers: each as it lies in the buffer, and the recording of a play.

use crate::bench::figures::recorded::breakdown::breakdown;
use crate::bench::figures::recorded::timeline::timelines;
use crate::bench::sample::records::{Event, OtherThread, RecordedPlay, Recording};
use crate::perf::records::What;
use crate::perf::records::parse::{Parsed, Samples, parse};
use crate::sched::timeline::{RecordSource, Run};

/// A record is an event, a number of lost ones, or nothing. Its first bytes are its kind, its flags, and the offset of the woken
/// thread's id by the format.
pub(super) fn ring_record(bytes: &[u8]) {
    let [kind, low, high, id_at, record @ ..] = bytes else { return };
    let misc = u16::from_le_bytes([*low, *high]);
    for samples in [Samples::None, Samples::Yield, Samples::Waking { id_at: usize::from(*id_at) }] {
        if let Parsed::Record(read) = parse((*kind).into(), misc, record, samples) {
            assert!(record.len() >= 20, "{read:?} out of {} bytes", record.len());
        }
    }
}

/// The breakdown is a partition of the time of its ops, however the records contradict each other.
pub(super) fn recording(bytes: &[u8]) {
    let Some(recording) = made_up(bytes) else { return };
    if let Some(breakdown) = breakdown(&recording, Some(1000.0)) {
        let played: usize = recording.plays.iter().map(|play| play.ops_ns.len()).sum();
        assert!(breakdown.ops + breakdown.ops_left_out == played, "{breakdown:?} of {played} ops");
    }
    for timeline in timelines(&recording) {
        let within = |run: &Run| run.from_ns <= run.to_ns && run.to_ns <= timeline.duration_ns;
        assert!(timeline.run_slices.iter().all(within), "{timeline:?}");
    }
}

/// Makes a recording out of bytes: the number of ops, their duration, then six bytes an event.
fn made_up(bytes: &[u8]) -> Option<Recording> {
    let [ops, op_ns, participants, events @ ..] = bytes else { return None };
    let mut at_ns: u64 = 0;
    let events = events.chunks_exact(6).map(|event| {
        at_ns = at_ns.saturating_add(u64::from(u16::from_le_bytes([event[0], event[1]])));
        let what = [What::In, What::Out, What::OutRunnable, What::Waking, What::Yield][usize::from(event[2]) % 5];
        let [cpu, thread, by] = [event[3], event[4], event[5]].map(|byte| u32::from(byte % 8));
        Event { at_ns, cpu, what, thread, by }
    });
    let play = RecordedPlay {
        repetition: 0,
        began_at_ns: 0,
        ops_ns: vec![u64::from(*op_ns) * 16; usize::from(ops % 16)],
        events: events.collect(),
        lost: 0,
    };
    Some(Recording {
        source: RecordSource::Cpu,
        buffer_bytes: 4096,
        absent: Vec::new(),
        participants: u32::from(participants % 4),
        leader_cpu: 0,
        others: vec![OtherThread { id: 0, name: None }, OtherThread { id: 4711, name: None }],
        plays: vec![play],
        no_switch_ns: vec![500],
    })
}
