//! Memory that a process and those it forks have in common.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A value in memory of its own that stays shared across fork.
#[derive(Debug)]
pub struct Shared<T: Sync> {
    value: NonNull<T>,
}

impl<T: Sync> Shared<T> {
    /// # Errors
    /// `ENOMEM` when there is no memory or there are too many mappings.
    pub fn new(value: T) -> io::Result<Shared<T>> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0, "a mapping starts at a page") };
        let length = NonZeroUsize::new(size_of::<T>()).expect("asserted above");
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let page = unsafe {
            mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)?
        };
        let place = page.cast::<T>();
        // SAFETY: the mapping is writable, page-aligned, large enough for a T, and nobody else knows of it yet.
        unsafe { place.write(value) };
        Ok(Shared { value: place })
    }
}

// SAFETY: only shared references to the value are given out, and T: Sync says that those may be used from any thread.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Sync> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping holds an initialized T until this value is dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Sync> Drop for Shared<T> {
    fn drop(&mut self) {
        // The value is not dropped: another process may be using it. What is shared is atomics, which need no drop.
        // SAFETY: the mapping was made with this length, and no reference to it outlives its owner.
        let _ = unsafe { munmap(self.value.cast(), size_of::<T>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fork::Partner;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn what_a_forked_process_writes_is_seen_here() {
        let _alone = crate::test_lock();
        let word = Shared::new(AtomicU32::new(1)).unwrap();
        let partner = Partner::fork(|| {
            word.store(7, Ordering::SeqCst);
            0
        })
        .unwrap();
        partner.wait().unwrap();
        assert_eq!(word.load(Ordering::SeqCst), 7);
    }
}
