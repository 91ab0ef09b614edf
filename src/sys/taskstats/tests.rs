//! Made-up datagrams, and the kernel's own.

use std::collections::HashMap;
use std::process::{Command, id};
use std::time::Duration;

use proptest::prelude::*;

use crate::machine::{Ability, missing};
use crate::sys::taskstats::*;
use crate::sys::usage::{SwitchCount, of_calling_thread};
use crate::test_lock;

const FAMILY: u16 = 29;
const TASKSTATS_TYPE_TGID: u16 = 2;
const TASKSTATS_TYPE_AGGR_TGID: u16 = 5;
const TASKSTATS_TYPE_NULL: u16 = 6;

/// Returns the struct of version 16, each field at its offset according to offsetof(3) and <linux/taskstats.h>.
fn accounting() -> Vec<u8> {
    let mut accounting = vec![0; 560];
    write(&mut accounting, 0, &16_u16.to_ne_bytes());
    for (at, value) in
        [(24, 5_000_u64), (72, 6_000), (144, 7), (152, 12), (160, 13), (168, 8), (176, 9), (272, 10), (280, 11)]
    {
        write(&mut accounting, at, &value.to_ne_bytes());
    }
    for (at, value) in [(128, 1234_i32), (132, 1), (368, 1230)] {
        write(&mut accounting, at, &value.to_ne_bytes());
    }
    write(&mut accounting, 80, b"worker\xff\0rest");
    accounting
}

fn expected() -> ExitRecord {
    ExitRecord {
        tid: 1234,
        pid: Some(1230),
        parent: 1,
        name: "worker\u{fffd}".to_string(),
        voluntary: 10,
        involuntary: 11,
        on_cpu_ns: 6_000,
        user_us: 12,
        sys_us: 13,
        run_queue_wait_ns: 5_000,
        minor_faults: 8,
        major_faults: 9,
        elapsed_ns: 7_000,
    }
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nest(accounting: &[u8]) -> Vec<u8> {
    let pid = attribute(TASKSTATS_TYPE_PID, &1234_i32.to_ne_bytes());
    attribute(TASKSTATS_TYPE_AGGR_PID, &[pid, attribute(TASKSTATS_TYPE_STATS, accounting)].concat())
}

fn datagram(attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(NETLINK_HEADER + GENERIC_HEADER + attributes.len()).unwrap();
    let header = [&length.to_ne_bytes()[..], &FAMILY.to_ne_bytes(), &[0; 10], &[TASKSTATS_CMD_NEW, 1, 0, 0]];
    [&header.concat(), attributes].concat()
}

fn check(datagram: &[u8], expect: &[Option<ExitRecord>]) {
    assert_eq!(records(datagram, FAMILY).collect::<Vec<_>>(), expect);
}

#[test]
fn every_field_is_read_from_its_place() {
    check(&datagram(&nest(&accounting())), &[Some(expected())]);
    let two = [datagram(&nest(&accounting())), datagram(&nest(&accounting()))].concat();
    check(&two, &[Some(expected()), Some(expected())]);
}

#[test]
fn older_and_newer_versions_are_read_as_far_as_they_go() {
    let mut old = accounting();
    write(&mut old, 0, &8_u16.to_ne_bytes());
    check(&datagram(&nest(&old[..328])), &[Some(ExitRecord { pid: None, ..expected() })]);
    let mut new = [accounting(), vec![1; 500]].concat();
    write(&mut new, 0, &99_u16.to_ne_bytes());
    check(&datagram(&nest(&new)), &[Some(expected())]);
}

#[test]
fn version_15_has_its_fields_elsewhere() {
    let accounting = accounting();
    // Two numbers behind each of three delays, and behind each of three more in front of the process.
    let mut moved = [
        &accounting[..32],
        &[7; 16],
        &accounting[32..48],
        &[7; 16],
        &accounting[48..64],
        &[7; 16],
        &accounting[64..328],
    ]
    .concat();
    moved.extend(
        [&[7; 16], &accounting[328..344], &[7; 16], &accounting[344..368], &[7; 16], &accounting[368..]].concat(),
    );
    write(&mut moved, 0, &15_u16.to_ne_bytes());
    check(&datagram(&nest(&moved)), &[Some(expected())]);
    // The same as version 16 would be of another thread.
    write(&mut moved, 0, &16_u16.to_ne_bytes());
    check(&datagram(&nest(&moved)), &[None]);
}

#[test]
fn the_sums_of_a_process_are_not_taken_for_a_thread() {
    let tgid = attribute(TASKSTATS_TYPE_TGID, &1234_i32.to_ne_bytes());
    let sums = attribute(TASKSTATS_TYPE_AGGR_TGID, &[tgid, attribute(TASKSTATS_TYPE_STATS, &accounting())].concat());
    check(&datagram(&sums), &[]);
    check(&datagram(&[nest(&accounting()), sums].concat()), &[Some(expected())]);
}

#[test]
fn what_is_unknown_is_passed_over() {
    let odd = attribute(777, b"odd");
    let pid = attribute(TASKSTATS_TYPE_PID | libc::NLA_F_NESTED as u16, &1234_i32.to_ne_bytes());
    let inside =
        [odd.clone(), pid, attribute(TASKSTATS_TYPE_NULL, b""), attribute(TASKSTATS_TYPE_STATS, &accounting())];
    let outside = [odd, attribute(TASKSTATS_TYPE_AGGR_PID, &inside.concat())].concat();
    let good = datagram(&outside);
    check(&good, &[Some(expected())]);
    assert_eq!(records(&good, FAMILY + 1).count(), 0);
    let mut other_command = good;
    other_command[NETLINK_HEADER] = TASKSTATS_CMD_GET;
    check(&other_command, &[]);
}

#[test]
fn what_is_cut_off_is_no_record() {
    let whole = datagram(&nest(&accounting()));
    for length in 0..whole.len() {
        check(&whole[..length], &[]);
    }
    for length in 0..372 {
        check(&datagram(&nest(&accounting()[..length])), &[None]);
    }
    check(&datagram(&nest(&accounting()[..372])), &[Some(expected())]);
}

#[test]
fn a_request_is_laid_out_as_the_kernel_reads_it() {
    let bytes = request(FAMILY, TASKSTATS_CMD_GET, (TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, b"0-1\0"));
    let (kind, payload) = messages(&bytes).next().unwrap();
    assert_eq!((bytes.len(), kind, payload[0]), (28, FAMILY, TASKSTATS_CMD_GET));
    let found: Vec<_> = attributes(&payload[GENERIC_HEADER..]).collect();
    assert_eq!(found, [(TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, &b"0-1\0"[..])]);
}

#[test]
fn every_refusal_names_its_error_and_a_remedy_or_reason() {
    for (errno, words) in [
        (Errno::EPERM, ["EPERM", "CAP_NET_ADMIN"]),
        (Errno::EINVAL, ["EINVAL", "container"]),
        (Errno::ENOENT, ["ENOENT", "CONFIG_TASKSTATS"]),
        (Errno::ENOMEM, ["ENOMEM", "taskstats.rst"]),
    ] {
        assert!(words.iter().all(|word| refusal(errno).contains(word)), "{}", refusal(errno));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        records(&bytes, FAMILY).for_each(drop);
        ExitRecord::read(&bytes);
        records(&datagram(&bytes), FAMILY).for_each(drop);
    }

    #[test]
    fn no_damage_panics(damage in prop::collection::vec((0..600_usize, any::<u8>()), 0..8)) {
        let mut bytes = datagram(&nest(&accounting()));
        let length = bytes.len();
        damage.iter().for_each(|&(at, value)| bytes[at % length] = value);
        records(&bytes, FAMILY).for_each(drop);
    }
}

/// Returns a listener, where this machine allows one.
fn listener() -> Option<ExitRecords> {
    match ExitRecords::listen() {
        Ok(records) => Some(records),
        Err(error) => {
            missing(Ability::ExitRecords, &format!("{error:#}"));
            None
        }
    }
}

/// Returns the records of all threads, by TID.
fn drain(records: &mut ExitRecords) -> HashMap<i32, ExitRecord> {
    let mut found = HashMap::new();
    let drained = records
        .drain(|record| {
            found.insert(record.tid, record);
        })
        .unwrap();
    assert_eq!(drained.lost, 0);
    found
}

#[test]
fn a_thread_that_has_ended_is_found_with_its_own_counts() {
    let _alone = test_lock();
    let Some(mut records) = listener() else { return };
    let sleeps = || -> (i32, SwitchCount) {
        (0..10).for_each(|_| thread::sleep(Duration::from_millis(1)));
        (gettid().as_raw(), of_calling_thread().unwrap())
    };
    let (tid, own) = thread::Builder::new().name("sleeper".to_string()).spawn(sleeps).unwrap().join().unwrap();
    let record = drain(&mut records).remove(&tid).unwrap();
    assert!(own.voluntary >= 10);
    // On its way out it may meet a lock, or another thread that is more urgent.
    assert!((own.voluntary..own.voluntary + 5).contains(&record.voluntary), "{own:?} {record:?}");
    assert!((own.involuntary..own.involuntary + 5).contains(&record.involuntary), "{own:?} {record:?}");
    assert_eq!(record.name, "sleeper");
    assert_eq!(record.pid.unwrap_or(id() as i32), id() as i32);
    assert!(record.on_cpu_ns > 0 && record.on_cpu_ns + 10_000_000 <= record.elapsed_ns, "{record:?}");
    assert!(!drain(&mut records).contains_key(&tid), "it came twice");
}

#[test]
fn a_child_process_is_found_with_its_parent_and_the_name_that_it_executed() {
    let _alone = test_lock();
    let Some(mut records) = listener() else { return };
    let mut child = Command::new("sleep").arg("0.01").spawn().unwrap();
    let pid = child.id() as i32;
    child.wait().unwrap();
    let record = drain(&mut records).remove(&pid).unwrap();
    assert_eq!((record.parent, record.name.as_str()), (id() as i32, "sleep"));
    assert_eq!(record.pid.unwrap_or(pid), pid);
    assert!(record.voluntary >= 1 && record.minor_faults > 0 && record.elapsed_ns >= 10_000_000, "{record:?}");
}

#[test]
fn what_finds_the_buffer_full_is_counted_as_lost() {
    let _alone = test_lock();
    let Some(mut records) = listener() else { return };
    setsockopt(&records.socket, sockopt::RcvBuf, &(32 << 10)).unwrap();
    for _ in 0..2 {
        (0..200).for_each(|_| thread::spawn(|| ()).join().unwrap());
        let drained = records.drain(drop).unwrap();
        assert!(drained.taken > 0 && drained.lost > 0 && drained.taken + drained.lost >= 200, "{drained:?}");
    }
}
