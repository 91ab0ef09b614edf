//! taskstats exit records: the kernel's accounting of every thread that ends on this machine, sent by the thread as it exits.
//!
//! A thread has no cost while it runs. When it ends on a CPU with a listener, it fills in one record and puts it into the
//! listener's socket (2 µs), before a waiter (join, wait) can know that it has ended.
//!
//! ```text
//! datagram   nlmsghdr │ genlmsghdr │ AGGR_PID ────────────────────── │ AGGR_TGID ──────────────── with the last thread
//!            16 bytes │ 4 bytes    │  PID: the thread │ STATS: all   │  TGID │ STATS: few sums     of a group of several
//! ```
#![allow(unsafe_code)]

use std::fs;
use std::io::IoSliceMut;
use std::iter;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, send, setsockopt, socket,
    sockopt,
};
use nix::unistd::gettid;

use crate::sys::affinity::CpuList;

// <linux/taskstats.h>, which libc does not have.
const TASKSTATS_GENL_NAME: &[u8] = b"TASKSTATS\0";
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_NEW: u8 = 2;
const TASKSTATS_CMD_ATTR_REGISTER_CPUMASK: u16 = 3;
const TASKSTATS_TYPE_PID: u16 = 1;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_PID: u16 = 4;

const NETLINK_HEADER: usize = mem::size_of::<libc::nlmsghdr>();
const GENERIC_HEADER: usize = mem::size_of::<libc::genlmsghdr>();
const ATTRIBUTE_HEADER: usize = mem::size_of::<libc::nlattr>();

/// Requested buffer for records that wait to be drained. The kernel doubles that and charges 2304 bytes for a record (1280 for the
/// only thread of a process): room for 29,000. It takes memory only for queued records.
const RECEIVE_BUFFER: usize = 32 << 20;
/// Room for one datagram: two structs of 560 bytes each in Linux 6.18, which grow with every few versions.
const DATAGRAM_LIMIT: usize = 8192;

/// Exit record of a thread: its accounting up to the release of its memory and files. Its last switch, away from the CPU for good,
/// is not included, and in rusage (wait4(2)) only if it came in time.
///
/// # References
/// `struct taskstats` in <linux/taskstats.h>; Documentation/accounting/taskstats.rst and delay-accounting.rst of Linux; the
/// latter's fields used below are filled in with `kernel.task_delayacct=0` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRecord {
    /// The thread's TID. If it called `execve` and was not its process's leader, it has the leader's by now: two records with one TID
    /// follow each other then, and there is none with its former TID.
    pub tid: i32,
    /// Its process; `None` before Linux 5.19.
    pub pid: Option<i32>,
    /// Parent of its process at that time, not the one that started it if that one ended first; 0 if none.
    pub parent: i32,
    /// Its name at the end: at most 15 bytes, with U+FFFD for what is not UTF-8.
    pub name: String,
    /// Switches at which it blocked.
    pub voluntary: u64,
    /// Switches while it was runnable.
    pub involuntary: u64,
    /// Time on a CPU, a lower bound. It is accounted at ticks and switches, and the time after the last of them is missing: up to one
    /// tick (1 to 10 ms), nine tenths of what `/bin/true` takes. For a thread that never blocked, `elapsed_ns` less
    /// `run_queue_wait_ns` is more exact.
    pub on_cpu_ns: u64,
    /// User and system time in microseconds, on most kernels by sampling at ticks.
    pub user_us: u64,
    pub sys_us: u64,
    pub run_queue_wait_ns: u64,
    /// Page faults that needed no disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// Time from its creation to its end, across execve; to the microsecond.
    pub elapsed_ns: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Threads whose records arrived.
    pub taken: u64,
    /// Threads whose records are known to be lost, because the buffer was full or they could not be read.
    pub lost: u64,
}

/// A listener for the exit records of all threads of this machine, also in containers, under their TIDs outside. Once it is
/// dropped, the kernel forgets it on each CPU with the next thread that ends there.
#[derive(Debug)]
pub struct ExitRecords {
    socket: OwnedFd,
    family: u16,
    buffer: Vec<u8>,
    drops_seen: u32,
}

impl ExitRecords {
    /// Listens from now on. Starts and ends a thread of its own to check that records arrive.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN`, or in another user namespace than the initial one; `EINVAL` in another PID namespace;
    /// `ENOENT` in a kernel without `CONFIG_TASKSTATS`, and one before 4.12 cannot report losses. In another network namespace the
    /// kernel does not refuse, but no record arrives.
    pub fn listen() -> Result<ExitRecords> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkGeneric)
            .context("opening a generic netlink socket")?;
        // A process that may not exceed net.core.rmem_max may not listen either: that refusal has the better reason.
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER))
            .context("enlarging a netlink socket's buffer")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("binding a netlink socket")?;
        let drops_seen = drops(&socket)?;
        let mut records = ExitRecords { socket, family: 0, buffer: vec![0; DATAGRAM_LIMIT], drops_seen };
        records.family = records.find_family()?;
        records.register()?;
        records.prove()?;
        Ok(records)
    }

    /// Takes all records without waiting, in the order in which they were sent. Those of a process come in any order: a leader that
    /// ends the process is usually the first.
    ///
    /// Records that the kernel could not send for lack of memory are neither taken nor known to be lost.
    ///
    /// # Errors
    /// The socket fails, which has not been seen.
    pub fn drain(&mut self, mut each: impl FnMut(ExitRecord)) -> Result<Drained> {
        let mut drained = Drained::default();
        while let Some(datagram) = self.receive()? {
            let Some(datagram) = datagram else {
                drained.lost += 1;
                continue;
            };
            for record in records(&self.buffer[..datagram], self.family) {
                match record {
                    Some(record) => {
                        drained.taken += 1;
                        each(record);
                    }
                    None => drained.lost += 1,
                }
            }
        }
        let drops = drops(&self.socket)?;
        drained.lost += u64::from(drops.wrapping_sub(self.drops_seen));
        self.drops_seen = drops;
        Ok(drained)
    }

    fn find_family(&mut self) -> Result<u16> {
        let name = (libc::CTRL_ATTR_FAMILY_NAME as u16, TASKSTATS_GENL_NAME);
        let answer = self
            .ask(libc::GENL_ID_CTRL as u16, libc::CTRL_CMD_GETFAMILY as u8, name)
            .map_err(|errno| anyhow!("looking for the kernel's taskstats: {}", refusal(errno)))?;
        let id = answer.as_deref().and_then(|answer| attribute(answer, libc::CTRL_ATTR_FAMILY_ID as u16));
        id.and_then(|id| u16_at(id, 0)).context("looking for the kernel's taskstats: the answer has no family number")
    }

    /// Registers on all possible CPUs: a record goes to the listeners of the CPU where the thread ended.
    fn register(&mut self) -> Result<()> {
        let path = "/sys/devices/system/cpu/possible";
        let cpus: CpuList = fs::read_to_string(path).with_context(|| format!("reading {path}"))?.parse()?;
        let cpus = format!("{cpus}\0");
        let mask = (TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, cpus.as_bytes());
        self.ask(self.family, TASKSTATS_CMD_GET, mask)
            .map(drop)
            .map_err(|errno| anyhow!("listening for the kernel's exit records: {}", refusal(errno)))
    }

    /// Starts and ends a thread. Its record is in the socket before `join` returns, or never.
    fn prove(&mut self) -> Result<()> {
        let tid = thread::Builder::new().spawn(|| gettid().as_raw()).context("starting a thread")?.join();
        let mut found = false;
        let drained = self.drain(|record| found |= tid.as_ref().is_ok_and(|tid| *tid == record.tid))?;
        match drained {
            _ if found => Ok(()),
            Drained { taken: 0, lost: 0 } => bail!(
                "listening for the kernel's exit records: a thread ended and none came: the kernel sends them to the initial \
                 network namespace only; run outside the container, or start it with the host's network"
            ),
            _ => bail!("listening for the kernel's exit records: this kernel's cannot be read ({drained:?})"),
        }
    }

    /// Sends a request with one attribute. The kernel has carried it out when `send` returns, and its acknowledgement is in
    /// the socket, behind the answer's attributes if there is an answer, and maybe among records.
    fn ask(&mut self, family: u16, command: u8, attribute: (u16, &[u8])) -> Result<Option<Vec<u8>>, Errno> {
        send(self.socket.as_raw_fd(), &request(family, command, attribute), MsgFlags::empty())?;
        let mut answer = None;
        while let Some(datagram) = self.receive()? {
            for (kind, payload) in messages(&self.buffer[..datagram.unwrap_or(0)]) {
                if kind == libc::NLMSG_ERROR as u16 {
                    return match i32_at(payload, 0).ok_or(Errno::EBADMSG)? {
                        0 => Ok(answer),
                        errno => Err(Errno::from_raw(errno.wrapping_neg())),
                    };
                }
                if kind == family {
                    answer = payload.get(GENERIC_HEADER..).map(Vec::from);
                }
            }
        }
        Err(Errno::ENODATA)
    }

    /// Returns the length of the kernel's next datagram in the buffer, `Some(None)` if it is longer; `None` if there is none.
    fn receive(&mut self) -> Result<Option<Option<usize>>, Errno> {
        loop {
            let mut room = [IoSliceMut::new(&mut self.buffer)];
            match recvmsg::<NetlinkAddr>(self.socket.as_raw_fd(), &mut room, None, MsgFlags::empty()) {
                // Another process may send here too.
                Ok(message) if message.address.is_none_or(|sender| sender.pid() != 0) => {}
                Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => return Ok(Some(None)),
                Ok(message) => return Ok(Some(Some(message.bytes))),
                Err(Errno::EAGAIN) => return Ok(None),
                // The buffer was full: losses are counted, and what came before is still there.
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Returns the kernel's answer, the reason, and a remedy.
fn refusal(errno: Errno) -> String {
    let reason = match errno {
        Errno::EPERM => "this needs CAP_NET_ADMIN, and not a container's; run with sudo",
        Errno::EINVAL => "the kernel sends them to the initial PID namespace only; run outside the container",
        Errno::ENOENT => "this kernel is built without CONFIG_TASKSTATS",
        _ => "see Documentation/accounting/taskstats.rst of Linux",
    };
    format!("{errno:?} ({}): {reason}", errno.desc())
}

/// Returns the number of datagrams that the kernel has dropped at a full buffer since the socket was opened; it wraps.
fn drops(socket: &OwnedFd) -> Result<u32> {
    let mut values = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut length = mem::size_of_val(&values) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the array, which has as many.
    let answer = unsafe {
        let place = values.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, place, &raw mut length)
    };
    Errno::result(answer).context("asking for a netlink socket's lost messages (SO_MEMINFO, Linux 4.12)")?;
    Ok(values[libc::SK_MEMINFO_DROPS as usize])
}

fn request(family: u16, command: u8, (kind, value): (u16, &[u8])) -> Vec<u8> {
    let attribute_length = ATTRIBUTE_HEADER + value.len();
    let length = NETLINK_HEADER + GENERIC_HEADER + attribute_length.next_multiple_of(4);
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend([family.to_ne_bytes(), flags.to_ne_bytes()].concat());
    // Sequence number, not used, and sender, which the kernel knows.
    bytes.extend([0; 8]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend([(attribute_length as u16).to_ne_bytes(), kind.to_ne_bytes()].concat());
    bytes.extend(value);
    bytes.resize(length, 0);
    bytes
}

/// Returns the exit records in a datagram, at most one in current kernels; `None` for one that cannot be read.
pub(crate) fn records(datagram: &[u8], family: u16) -> impl Iterator<Item = Option<ExitRecord>> {
    messages(datagram)
        .filter(move |(kind, payload)| *kind == family && payload.first() == Some(&TASKSTATS_CMD_NEW))
        .flat_map(|(_, payload)| attributes(payload.get(GENERIC_HEADER..).unwrap_or_default()))
        .filter(|(kind, _)| *kind == TASKSTATS_TYPE_AGGR_PID)
        .map(|(_, nest)| ExitRecord::read(nest))
}

/// Returns types and payloads of the messages in a datagram, up to the first that is incomplete.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    chunks(datagram, NETLINK_HEADER, |header| Some((u32_at(header, 0)? as usize, u16_at(header, 4)?)))
}

/// Returns types and values of attributes, up to the first that is incomplete.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mask = libc::NLA_TYPE_MASK as u16;
    chunks(bytes, ATTRIBUTE_HEADER, move |header| Some((u16_at(header, 0)?.into(), u16_at(header, 2)? & mask)))
}

/// Returns the chunks whose lengths (header included) and types `header_of` finds, each on a boundary of 4 bytes.
fn chunks(
    mut bytes: &[u8],
    header: usize,
    header_of: impl Fn(&[u8]) -> Option<(usize, u16)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    iter::from_fn(move || {
        let (length, kind) = header_of(bytes)?;
        let payload = bytes.get(header..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

impl ExitRecord {
    /// Returns `None` unless every field is where it is expected: both TIDs must agree.
    fn read(nest: &[u8]) -> Option<ExitRecord> {
        let tid = i32_at(attribute(nest, TASKSTATS_TYPE_PID)?, 0)?;
        let accounting = attribute(nest, TASKSTATS_TYPE_STATS)?;
        let version = u16_at(accounting, 0)?;
        // Version 15 (Linux 6.14) put a maximum and a minimum behind each delay; version 16 moved them to the end.
        let (shift, pid_shift) = if version == 15 { (48, 96) } else { (0, 0) };
        let number = |at| u64_at(accounting, shift + at);
        let name = accounting.get(shift + 80..shift + 112)?.split(|&byte| byte == 0).next()?;
        let record = ExitRecord {
            tid: i32_at(accounting, shift + 128)?,
            pid: if version < 12 { None } else { Some(i32_at(accounting, pid_shift + 368)?) },
            parent: i32_at(accounting, shift + 132)?,
            name: String::from_utf8_lossy(name).into_owned(),
            voluntary: number(272)?,
            involuntary: number(280)?,
            // cpu_run_virtual_total, the scheduler's own sum: cpu_run_real_total is in whole ticks on most kernels.
            on_cpu_ns: number(72)?,
            user_us: number(152)?,
            sys_us: number(160)?,
            run_queue_wait_ns: u64_at(accounting, 24)?,
            minor_faults: number(168)?,
            major_faults: number(176)?,
            elapsed_ns: number(144)?.saturating_mul(1000),
        };
        (record.tid == tid).then_some(record)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
