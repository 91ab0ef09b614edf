//! Mapped memory of a file descriptor that the kernel writes to concurrently, as that of BPF maps.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use libc::c_void;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A mapping read and written in whole words, each atomically: nothing is borrowed from it, since it changes concurrently.
#[derive(Debug)]
pub struct Mapped {
    place: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Mapped {
    /// Maps the first `length` bytes.
    ///
    /// # Errors
    /// The errno of mmap(2): `ENOMEM`, or `EPERM` and `EINVAL` if it cannot be mapped; `EINVAL` for no bytes.
    pub fn new(fd: impl AsFd, length: usize) -> io::Result<Mapped> {
        let length = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let place = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, fd, 0)? };
        Ok(Mapped { place, length })
    }

    /// Returns the word at byte `at`; what its writer wrote before it is visible from here on.
    ///
    /// # Panics
    /// Beyond the end, or not aligned to a word.
    pub fn load(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Acquire)
    }

    /// Writes a word, after all that was read and written before.
    ///
    /// # Panics
    /// As [`Mapped::load`].
    pub fn store(&self, at: usize, value: u64) {
        self.word(at).store(value, Ordering::Release);
    }

    /// Writes a byte.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn store_byte(&self, at: usize, value: u8) {
        assert!(at < self.length.get(), "{at} of {} bytes", self.length);
        // SAFETY: the byte lies within the mapping, which lives as long as this; other writers are atomic or BPF.
        unsafe { AtomicU8::from_ptr(self.place.as_ptr().cast::<u8>().add(at)) }.store(value, Ordering::Release);
    }

    /// Copies whole words from byte `at` on into `words`.
    ///
    /// # Panics
    /// As [`Mapped::load`], of any of them.
    pub fn copy(&self, at: usize, words: &mut [u64]) {
        for (place, word) in (at..).step_by(size_of::<u64>()).zip(words) {
            *word = self.word(place).load(Ordering::Relaxed);
        }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let is_within = at % size_of::<u64>() == 0 && at + size_of::<u64>() <= self.length.get();
        assert!(is_within, "a word at {at} of {} bytes", self.length);
        // SAFETY: the word lies within the mapping, aligned since mappings start at a page, and the mapping lives as long as this.
        // Others write it in whole words, or in smaller parts that are read as they come.
        unsafe { AtomicU64::from_ptr(self.place.as_ptr().cast::<u8>().add(at).cast()) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing that borrows from it outlives its owner.
        let _ = unsafe { munmap(self.place, self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    #[test]
    fn words_are_those_of_the_file_and_go_back_to_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1_u64, 2, 3].map(u64::to_ne_bytes).concat()).unwrap();
        let mapped = Mapped::new(&file, 24).unwrap();
        let mut words = [0; 2];
        mapped.copy(8, &mut words);
        assert_eq!((mapped.load(0), words), (1, [2, 3]));
        mapped.store(16, 7);
        mapped.store_byte(0, 9);
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [9_u64, 2, 7].map(u64::to_ne_bytes).concat());
    }

    #[test]
    #[should_panic(expected = "a word at 24 of 24 bytes")]
    fn there_is_nothing_beyond_the_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        Mapped::new(&file, 24).unwrap().load(24);
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        let null = File::open("/proc/self/stat").unwrap();
        assert!(Mapped::new(&null, 4096).is_err() && Mapped::new(&null, 0).is_err());
    }
}
