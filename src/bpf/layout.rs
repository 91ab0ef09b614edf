//! Memory layout of the object's data: records of off-CPU periods, and the state of a thread.

/// Slots of threads; the first means none.
pub const SLOTS: usize = 32768;

/// Bytes of a record, of a thread, of a ring's ends, and of other shared data.
pub const RECORD: usize = 64;
pub const THREAD: usize = 192;
pub const RING: usize = 128;
pub const CONTROL: usize = 192;

/// Offsets within a thread, a ring and the shared data that this side writes or polls.
pub(super) const THREAD_WAITS: usize = 62;
pub(super) const RING_HEAD: usize = 0;
pub(super) const RING_LOST: usize = 8;
pub(super) const RING_TAIL: usize = 64;
pub(super) const FREE_TAIL: usize = 64;
pub(super) const ROOT_WANTED: usize = 72;
pub(super) const ROOT_SLOT: usize = 80;
pub(super) const ENDED_HEAD: usize = 128;
pub(super) const UNFOLLOWED: usize = 136;

/// A duration that was not measured.
const NOT_MEASURED: u32 = u32::MAX;

/// Reasons why a thread left the CPU, as bits of [`Record::left`].
pub mod left {
    /// By the kernel's accounting.
    pub const VOLUNTARILY: u16 = 1 << 0;
    pub const IN_32_BIT_CALL: u16 = 1 << 1;
    pub const FOR_IO: u16 = 1 << 2;
    pub const THROTTLED: u16 = 1 << 3;
    pub const FROZEN: u16 = 1 << 4;
    pub const FOR_MEMORY: u16 = 1 << 5;
    /// A worker of io_uring or vhost, which has no system call of its own.
    pub const AS_WORKER: u16 = 1 << 6;
    /// To a thread that was queued while it ran.
    pub const TO_WOKEN: u16 = 1 << 7;
    /// Within the kernel.
    pub const PREEMPTED: u16 = 1 << 8;
    /// It has ended.
    pub const FOR_GOOD: u16 = 1 << 9;
    /// It was to sleep in a call, and was woken before it did.
    pub const WOKEN: u16 = 1 << 10;
}

/// Kind of waker that ended an off-CPU period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakerKind {
    /// No wake-up was needed.
    None,
    Thread,
    Itself,
    Interrupt,
    SoftInterrupt,
    /// A thread, or an interrupt while it ran: this kernel does not report which.
    Unknown,
}

/// Kind of the file that is a call's first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Unknown,
    Pipe,
    Socket,
    Eventfd,
    Timerfd,
    Signalfd,
    Inotify,
    Regular,
    Directory,
    Device,
    Terminal,
    Other,
}

impl WakerKind {
    const ALL: [WakerKind; 6] = [
        WakerKind::None,
        WakerKind::Thread,
        WakerKind::Itself,
        WakerKind::Interrupt,
        WakerKind::SoftInterrupt,
        WakerKind::Unknown,
    ];
}

impl FileKind {
    const ALL: [FileKind; 12] = [
        FileKind::Unknown,
        FileKind::Pipe,
        FileKind::Socket,
        FileKind::Eventfd,
        FileKind::Timerfd,
        FileKind::Signalfd,
        FileKind::Inotify,
        FileKind::Regular,
        FileKind::Directory,
        FileKind::Device,
        FileKind::Terminal,
        FileKind::Other,
    ];
}

/// A thread's name in the kernel, at most 15 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name([u8; 16]);

impl Name {
    /// Returns the bytes up to the first 0; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

/// A completed off-CPU period, or the one that began when the thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its end, by the run queues' clock; the beginning of the last one.
    pub at_ns: u64,
    pub off_ns: u64,
    /// Part of it in which the thread was runnable.
    pub queue_ns: u64,
    /// Time from the wake-up to the run queue of an idle CPU.
    pub wakeup_ns: Option<u32>,
    pub slot: u32,
    pub cpu: u16,
    pub waker: u32,
    /// System call number; below 0: none.
    pub call: i16,
    /// The kernel's state of the thread.
    pub state: u16,
    /// Bits of [`left`].
    pub left: u16,
    pub file: FileKind,
    pub waker_kind: WakerKind,
    /// Place of a wait in the kernel's code, from its beginning.
    pub place: Option<u32>,
    pub waker_name: Name,
}

/// State of a thread at its last switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    pub slot: u32,
    pub tid: u32,
    pub tgid: u32,
    pub name: Name,
    /// True if it has run since it is followed, and if it has made its last switch.
    pub ran: bool,
    pub ended: bool,
    /// Current off-CPU period; `at_ns` is its beginning, and its duration is not known.
    pub off: Option<Record>,
    /// Switches that were seen, and ends of off-CPU periods whose beginning was not.
    pub switches: u64,
    pub missed: u64,
    /// Run-queue wait that was seen, and the part of it before the thread first ran.
    pub queue_ns: u64,
    pub first_queue_ns: u64,
    /// The kernel's accounting since the thread is followed.
    pub voluntary: u64,
    pub involuntary: u64,
    pub run_delay_ns: u64,
    pub cpu_ns: u64,
}

impl Record {
    pub fn read(words: &[u64; RECORD / 8]) -> Record {
        let [at_ns, off_ns, queue_ns, w3, w4, w5, name @ ..] = *words;
        let wakeup = low(w3);
        let [waker, call_state] = halves(w4);
        let [left_file_kind, place] = halves(w5);
        let (slot, cpu) = shorts(halves(w3)[1]);
        let (call, state) = shorts(call_state);
        let [_, _, file, waker_kind] = left_file_kind.to_ne_bytes();
        Record {
            at_ns,
            off_ns,
            queue_ns,
            wakeup_ns: (wakeup != NOT_MEASURED).then_some(wakeup),
            slot: slot.into(),
            cpu,
            waker,
            call: call as i16,
            state,
            left: shorts(left_file_kind).0,
            file: FileKind::ALL.get(usize::from(file)).copied().unwrap_or(FileKind::Unknown),
            waker_kind: WakerKind::ALL.get(usize::from(waker_kind)).copied().unwrap_or(WakerKind::Unknown),
            place: (place != 0).then_some(place),
            waker_name: name_of(name),
        }
    }

    pub fn has(&self, bit: u16) -> bool {
        self.left & bit != 0
    }
}

impl Thread {
    pub fn read(words: &[u64; THREAD / 8]) -> Thread {
        let at = |byte: usize| words[byte / 8];
        let [.., slot] = halves(at(88));
        let [tid, tgid] = halves(at(120));
        let [waker, call_state] = halves(at(48));
        let (call, state) = shorts(call_state);
        let [left_low, left_high, file, waker_kind, ran, _is_root, _waits, ended] = at(56).to_ne_bytes();
        let (left_at, ended) = (at(0), ended != 0);
        let off = Record {
            at_ns: left_at,
            off_ns: 0,
            queue_ns: 0,
            wakeup_ns: None,
            slot,
            cpu: 0,
            waker,
            call: call as i16,
            state,
            left: u16::from_ne_bytes([left_low, left_high]),
            file: FileKind::ALL.get(usize::from(file)).copied().unwrap_or(FileKind::Unknown),
            waker_kind: WakerKind::ALL.get(usize::from(waker_kind)).copied().unwrap_or(WakerKind::Unknown),
            place: None,
            waker_name: name_of([at(96), at(104)]),
        };
        Thread {
            slot,
            tid,
            tgid,
            name: name_of([at(168), at(176)]),
            ran: ran != 0,
            ended,
            off: (left_at != 0 && !ended).then_some(off),
            switches: at(64),
            missed: at(112),
            queue_ns: at(72),
            first_queue_ns: at(160),
            voluntary: at(24).saturating_sub(at(136)),
            involuntary: at(32).saturating_sub(at(144)),
            run_delay_ns: at(16).saturating_sub(at(128)),
            cpu_ns: at(40).saturating_sub(at(152)),
        }
    }
}

/// Returns the two halves of a word, in memory order.
fn halves(word: u64) -> [u32; 2] {
    let bytes = word.to_ne_bytes();
    let half = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [half(0), half(4)]
}

fn low(word: u64) -> u32 {
    halves(word)[0]
}

fn shorts(half: u32) -> (u16, u16) {
    let [a, b, c, d] = half.to_ne_bytes();
    (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
}

fn name_of(words: [u64; 2]) -> Name {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&words[0].to_ne_bytes());
    bytes[8..].copy_from_slice(&words[1].to_ne_bytes());
    Name(bytes)
}

#[cfg(test)]
mod tests {
    use object::{Object, ObjectSection};

    use super::*;
    use crate::bpf::btf::KernelTypes;
    use crate::bpf::object::OBJECT;

    /// The object's own BTF has the offsets that this file reads.
    #[test]
    fn the_object_writes_where_this_reads() {
        let file = object::File::parse(OBJECT).unwrap();
        let types = file.section_by_name(".BTF").unwrap().data().unwrap();
        let types = KernelTypes::read(types).unwrap();
        let check = |structure: &str, members: &[(&str, u64)]| {
            for (member, at) in members {
                assert_eq!(types.member(structure, &[member]), Some(*at), "{structure}.{member}");
            }
        };
        let record =
            [("at", 0), ("off_ns", 8), ("queue_ns", 16), ("wakeup_ns", 24), ("slot", 28), ("waker", 32), ("call", 36)];
        check("record", &record);
        check(
            "record",
            &[
                ("state", 38),
                ("left", 40),
                ("file", 42),
                ("waker_kind", 43),
                ("cpu", 30),
                ("place", 44),
                ("waker_name", 48),
            ],
        );
        check("thread", &[("left_at", 0), ("delay", 16), ("voluntary", 24), ("involuntary", 32), ("cpu_ns", 40)]);
        check("thread", &[("waker", 48), ("call", 52), ("state", 54), ("left", 56), ("file", 58), ("waker_kind", 59)]);
        check(
            "thread",
            &[("ran", 60), ("waits", THREAD_WAITS as u64), ("ended", 63), ("switches", 64), ("queue_ns", 72)],
        );
        check("thread", &[("slot", 92), ("waker_name", 96), ("missed", 112), ("tid", 120), ("tgid", 124)]);
        check("thread", &[("delay_before", 128), ("voluntary_before", 136), ("involuntary_before", 144)]);
        check("thread", &[("cpu_before_ns", 152), ("first_queue_ns", 160), ("name", 168)]);
        check("ring", &[("head", RING_HEAD as u64), ("lost", RING_LOST as u64), ("tail", RING_TAIL as u64)]);
        check("control", &[("free_head", 0), ("free_tail", FREE_TAIL as u64), ("root_wanted", ROOT_WANTED as u64)]);
        check("control", &[("root_slot", ROOT_SLOT as u64), ("ended_head", ENDED_HEAD as u64)]);
        check("control", &[("unfollowed", UNFOLLOWED as u64)]);
    }

    #[test]
    fn a_record_is_read_as_it_lies_there() {
        let mut bytes = [0; RECORD];
        bytes[0..8].copy_from_slice(&77_u64.to_ne_bytes());
        bytes[8..16].copy_from_slice(&5_u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&3_u64.to_ne_bytes());
        bytes[24..28].copy_from_slice(&u32::MAX.to_ne_bytes());
        bytes[28..30].copy_from_slice(&12_u16.to_ne_bytes());
        bytes[30..32].copy_from_slice(&3_u16.to_ne_bytes());
        bytes[32..36].copy_from_slice(&4711_u32.to_ne_bytes());
        bytes[36..38].copy_from_slice(&(-1_i16).to_ne_bytes());
        bytes[38..40].copy_from_slice(&0x2001_u16.to_ne_bytes());
        bytes[40..42].copy_from_slice(&(left::VOLUNTARILY | left::FOR_IO).to_ne_bytes());
        bytes[42..44].copy_from_slice(&[2, 99]);
        bytes[44..48].copy_from_slice(&0x8000_1234_u32.to_ne_bytes());
        bytes[48..54].copy_from_slice(b"a\xffb\0zz");
        let words: Vec<u64> = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
        let record = Record::read(words.as_slice().try_into().unwrap());
        assert_eq!((record.at_ns, record.off_ns, record.queue_ns, record.wakeup_ns), (77, 5, 3, None));
        assert_eq!((record.slot, record.waker, record.call, record.state), (12, 4711, -1, 0x2001));
        assert!(record.has(left::VOLUNTARILY) && record.has(left::FOR_IO) && !record.has(left::FROZEN));
        assert_eq!((record.file, record.waker_kind, record.cpu), (FileKind::Socket, WakerKind::Unknown, 3));
        assert_eq!(record.place, Some(0x8000_1234));
        assert_eq!(record.waker_name.text(), "a\u{fffd}b");
    }
}
