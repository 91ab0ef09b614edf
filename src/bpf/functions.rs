//! The kernel's functions by their places in its code, from /proc/kallsyms.
//!
//! A place is an address less that of `_stext`, modulo 2³²: all code of a kernel lies closer together.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::OnceLock;

const SYMBOLS: &str = "/proc/kallsyms";
const BEGINNING: &str = "_stext";

/// Returns the address where the kernel's code begins, if this process may know it.
pub fn beginning() -> Option<u64> {
    let lines = BufReader::new(File::open(SYMBOLS).ok()?).lines();
    let found = lines.map_while(Result::ok).find_map(|line| {
        let (address, name) = function(&line)?;
        (name == BEGINNING).then_some(address)
    });
    found.filter(|&address| address != 0)
}

/// Returns the name of the running kernel's function at a place. The first call reads all names, which takes some tens of ms.
pub fn name_at(place: u32) -> Option<&'static str> {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| Functions::read(&fs::read_to_string(SYMBOLS).unwrap_or_default())).at(place)
}

/// Functions in order of their places.
#[derive(Debug)]
struct Functions(Vec<(u32, Box<str>)>);

impl Functions {
    /// Reads /proc/kallsyms; there are none where it hides the addresses.
    fn read(text: &str) -> Functions {
        let functions = || text.lines().filter_map(function);
        let beginning = functions().find(|(_, name)| *name == BEGINNING).map_or(0, |(address, _)| address);
        if beginning == 0 {
            return Functions(Vec::new());
        }
        let mut all: Vec<(u32, Box<str>)> =
            functions().map(|(address, name)| (address.wrapping_sub(beginning) as u32, name.into())).collect();
        all.sort_by_key(|(place, _)| *place);
        Functions(all)
    }

    fn at(&self, place: u32) -> Option<&str> {
        let after = self.0.partition_point(|(start, _)| *start <= place);
        self.0.get(after.checked_sub(1)?).map(|(_, name)| &**name)
    }
}

/// Returns the address and the name of a line that is of a function: `ffffffff81000000 T _stext`, `… t name [module]`.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    matches!(kind, "t" | "T" | "w" | "W").then_some((u64::from_str_radix(address, 16).ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_within_the_function_that_begins_before_it() {
        let text = "0000000000000000 A per_cpu\nffffffff81000000 T _stext\nffffffff81000200 t waits\n\
                    ffffffff81000100 T first\nffffffff81000180 D data\nffffffffc0000010 t of_module\t[module]\n";
        let functions = Functions::read(text);
        assert_eq!(
            (functions.at(0), functions.at(0x1ff), functions.at(0x200)),
            (Some("_stext"), Some("first"), Some("waits"))
        );
        assert_eq!(functions.at(0x3f00_0010), Some("of_module"));
        // Code below the beginning.
        assert_eq!(
            Functions::read("ffff800010000000 T _stext\nffff80000f000000 t below\n").at(0xff00_0004),
            Some("below")
        );
    }

    #[test]
    fn hidden_addresses_are_no_places() {
        let functions = Functions::read("0000000000000000 T _stext\n0000000000000000 t waits\n");
        assert_eq!(functions.at(4), None);
        assert_eq!(Functions::read("nonsense\n\nffffffff81000200 t waits").at(4), None);
    }
}
