//! The running kernel's types: the part of BTF that decides how the object is loaded.
//!
//! ```text
//! header │ types: each 12 bytes, and more by its kind │ strings, each ended by a 0
//! ```
//!
//! # References
//! <https://docs.kernel.org/bpf/btf.html>

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};

/// The kernel's types. Type IDs begin at 1; 0 is void.
#[derive(Debug)]
pub struct KernelTypes<'b> {
    strings: &'b [u8],
    types: Vec<Type<'b>>,
}

#[derive(Debug, Clone, Copy)]
struct Type<'b> {
    name: u32,
    kind: u32,
    /// The type that it refers to; of a structure its size.
    refers_to: u32,
    /// Data after the header: members, parameters, variables.
    rest: &'b [u8],
    has_bits: bool,
}

/// Kinds, by their numbers in the format.
mod kind {
    pub const INTEGER: u32 = 1;
    pub const POINTER: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCTURE: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUMERATION: u32 = 6;
    pub const TYPE_NAME: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONSTANT: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const PROTOTYPE: u32 = 13;
    pub const VARIABLE: u32 = 14;
    pub const SECTION: u32 = 15;
    pub const DECLARATION_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUMERATION_64: u32 = 19;
}

/// Bytes of a member, of a parameter, of a variable in a section.
const MEMBER: usize = 12;
const PARAMETER: usize = 8;
const IN_SECTION: usize = 12;
/// Members within members, and names of names: no kernel nests as deep.
const DEEPEST: usize = 32;

impl<'b> KernelTypes<'b> {
    /// Reads the types of /sys/kernel/btf/vmlinux.
    ///
    /// # Errors
    /// The bytes are cut off, or are no BTF of this machine's byte order.
    pub fn read(bytes: &'b [u8]) -> Result<KernelTypes<'b>> {
        const MAGIC: u16 = 0xeb9f;
        let magic = bytes.get(..2).and_then(|magic| magic.try_into().ok()).map(u16::from_ne_bytes);
        ensure!(magic == Some(MAGIC), "no BTF");
        let field = |at: usize| word(bytes, at).map(|word| word as usize).context("BTF without a whole header");
        let (header, types_at, types_length) = (field(4)?, field(8)?, field(12)?);
        let (strings_at, strings_length) = (field(16)?, field(20)?);
        let part = |at: usize, length: usize| {
            let from = header.checked_add(at)?;
            bytes.get(from..from.checked_add(length)?)
        };
        let mut rest = part(types_at, types_length).context("BTF is cut off before its types' end")?;
        let strings = part(strings_at, strings_length).context("BTF is cut off before its strings' end")?;
        let mut types = Vec::with_capacity(rest.len() / 24);
        while !rest.is_empty() {
            let (read, after) = Type::read(rest).context("a type of BTF is cut off, or of an unknown kind")?;
            types.push(read);
            rest = after;
        }
        Ok(KernelTypes { strings, types })
    }

    /// Returns the number of parameters of the function that this type name points to, such as `btf_trace_sched_switch`.
    pub fn parameters(&self, name: &str) -> Option<usize> {
        let named = self.named(name, kind::TYPE_NAME)?;
        let function = self.plain(named.refers_to).filter(|pointed| pointed.kind == kind::PROTOTYPE)?;
        Some(function.rest.len() / PARAMETER)
    }

    /// Returns the offset of a variable in each CPU's area.
    pub fn per_cpu(&self, name: &str) -> Option<u64> {
        let section = self.named(".data..percpu", kind::SECTION)?;
        let variables = section.rest.chunks_exact(IN_SECTION);
        let is_it = |variable: &&[u8]| {
            let variable = word(variable, 0).and_then(|id| self.at(id));
            variable.is_some_and(|variable| variable.kind == kind::VARIABLE && self.is_called(variable.name, name))
        };
        variables.into_iter().find(is_it).and_then(|variable| word(variable, 4)).map(u64::from)
    }

    /// Returns the offset of a member in a structure, in bytes; members of nameless structures within count as its own.
    /// `["se", "cfs_rq"]` is a member of a member.
    pub fn member(&self, structure: &str, path: &[&str]) -> Option<u64> {
        let mut current = self.named(structure, kind::STRUCTURE)?;
        let mut bytes = 0;
        for (nth, name) in path.iter().enumerate() {
            let (bits, member) = self.member_of(current, name, 0, &mut HashSet::new())?;
            bytes += u64::from(bits) / 8;
            if nth + 1 < path.len() {
                current = self.plain(member).filter(|next| next.is_composite())?;
            }
        }
        Some(bytes)
    }

    /// Returns a member's offset in bits and its type. A structure is searched once: damaged types may be within themselves.
    fn member_of(
        &self,
        structure: Type<'b>,
        name: &str,
        depth: usize,
        searched: &mut HashSet<*const u8>,
    ) -> Option<(u32, u32)> {
        if depth > DEEPEST || !searched.insert(structure.rest.as_ptr()) {
            return None;
        }
        structure.rest.chunks_exact(MEMBER).find_map(|member| {
            let (named, of, place) = (word(member, 0)?, word(member, 4)?, word(member, 8)?);
            let place = if structure.has_bits { place & 0x00ff_ffff } else { place };
            if self.is_called(named, name) {
                return Some((place, of));
            }
            let nameless = self.plain(of).filter(|within| self.is_called(named, "") && within.is_composite())?;
            let (within, of) = self.member_of(nameless, name, depth + 1, searched)?;
            Some((place.checked_add(within)?, of))
        })
    }

    fn named(&self, name: &str, kind: u32) -> Option<Type<'b>> {
        self.types.iter().find(|each| each.kind == kind && self.is_called(each.name, name)).copied()
    }

    fn at(&self, id: u32) -> Option<Type<'b>> {
        self.types.get((id as usize).checked_sub(1)?).copied()
    }

    /// Returns the type behind pointers, names and qualifiers.
    fn plain(&self, id: u32) -> Option<Type<'b>> {
        let mut current = self.at(id)?;
        for _ in 0..DEEPEST {
            match current.kind {
                kind::POINTER | kind::TYPE_NAME | kind::VOLATILE | kind::CONSTANT | kind::RESTRICT | kind::TYPE_TAG => {
                    current = self.at(current.refers_to)?
                }
                _ => return Some(current),
            }
        }
        None
    }

    fn is_called(&self, place: u32, name: &str) -> bool {
        let rest = self.strings.get(place as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&0))
    }
}

impl<'b> Type<'b> {
    /// Returns the first type of these bytes, and the bytes after it.
    fn read(bytes: &'b [u8]) -> Option<(Type<'b>, &'b [u8])> {
        let (name, info, refers_to) = (word(bytes, 0)?, word(bytes, 4)?, word(bytes, 8)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let length = match kind {
            kind::INTEGER | kind::VARIABLE | kind::DECLARATION_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCTURE | kind::UNION => count * MEMBER,
            kind::ENUMERATION => count * 8,
            kind::PROTOTYPE => count * PARAMETER,
            kind::SECTION => count * IN_SECTION,
            kind::ENUMERATION_64 => count * 12,
            1..=19 => 0,
            _ => return None,
        };
        let rest = bytes.get(12..12 + length)?;
        Some((Type { name, kind, refers_to, rest, has_bits: info >> 31 == 1 }, &bytes[12 + length..]))
    }

    fn is_composite(&self) -> bool {
        matches!(self.kind, kind::STRUCTURE | kind::UNION)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of these strings and types, each a list of words.
    fn made_up(strings: &str, types: &[&[u32]]) -> Vec<u8> {
        let types: Vec<u8> = types.concat().into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let words = [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        bytes.extend(types);
        bytes.extend(strings.as_bytes());
        bytes
    }

    const fn info(kind: u32, count: u32) -> u32 {
        kind << 24 | count
    }

    #[test]
    fn a_structure_within_itself_is_searched_once() {
        // Each of its members is itself: by all ways there are 32 to the 32nd power.
        let itself: Vec<u32> = [vec![1, info(kind::STRUCTURE, 32), 0], [0, 1, 0].repeat(32)].concat();
        let bytes = made_up("\0task\0", &[&itself]);
        let types = KernelTypes::read(&bytes).unwrap();
        assert_eq!((types.member("task", &["x"]), types.member("task", &[""])), (None, Some(0)));
    }

    #[test]
    fn members_variables_and_parameters_are_found() {
        let strings = "\0task\0se\0rq\0.data..percpu\0queues\0trace\0";
        let at = |name: &str| strings.find(&format!("\0{name}\0")).unwrap() as u32 + 1;
        let bytes = made_up(
            strings,
            &[
                // 1: struct { rq at byte 4 }, nameless; 2: struct task { int at 0; that at byte 8, nameless; se at byte 16: struct 1 }
                &[0, info(kind::STRUCTURE, 1), 8, at("rq"), 3, 32],
                &[at("task"), info(kind::STRUCTURE, 3), 32, 0, 3, 0, 0, 1, 64, at("se"), 1, 128],
                &[0, info(kind::INTEGER, 0), 4, 32],
                // 4: a variable; 5: its section, where it lies at 0x123
                &[at("queues"), info(kind::VARIABLE, 0), 3, 1],
                &[at(".data..percpu"), info(kind::SECTION, 1), 0, 4, 0x123, 8],
                // 6: void (*)(int, int); 7: a pointer to it; 8: its name
                &[0, info(kind::PROTOTYPE, 2), 0, 0, 3, 0, 3],
                &[0, info(kind::POINTER, 0), 6],
                &[at("trace"), info(kind::TYPE_NAME, 0), 7],
            ],
        );
        let types = KernelTypes::read(&bytes).unwrap();
        assert_eq!(types.member("task", &["se", "rq"]), Some(20));
        assert_eq!(types.member("task", &["rq"]), Some(12));
        assert_eq!((types.member("task", &["none"]), types.member("none", &["rq"])), (None, None));
        assert_eq!(types.member("task", &["se", "rq", "rq"]), None);
        assert_eq!((types.per_cpu("queues"), types.per_cpu("none")), (Some(0x123), None));
        assert_eq!((types.parameters("trace"), types.parameters("task")), (Some(2), None));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = made_up("\0a\0", &[&[1, info(kind::STRUCTURE, 1), 8, 0, 0, 0]]);
        assert!(KernelTypes::read(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(KernelTypes::read(&whole[..length]).is_err(), "{length}");
        }
        assert!(KernelTypes::read(&made_up("", &[&[0, info(31, 0), 0]])).is_err());
    }

    #[test]
    fn this_kernels_own_types_are_read() {
        let Ok(bytes) = std::fs::read(crate::bpf::KERNEL_TYPES) else { return };
        let types = KernelTypes::read(&bytes).unwrap();
        assert!(types.member("task_struct", &["sched_info", "run_delay"]).is_some());
        assert!(types.parameters("btf_trace_sched_switch").is_some_and(|count| count >= 4));
    }
}
