//! Memory shared between a process and those that it forks.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use libc::c_void;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A value in its own memory that stays shared across fork.
#[derive(Debug)]
pub struct Shared<T: Sync> {
    value: NonNull<T>,
}

impl<T: Sync> Shared<T> {
    /// # Errors
    /// `ENOMEM` when there is no memory or there are too many mappings.
    pub fn new(value: T) -> io::Result<Shared<T>> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0, "a mapping starts at a page") };
        let place = map_shared(size_of::<T>())?.cast::<T>();
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

/// Several values in their own memory that stays shared across fork.
#[derive(Debug)]
pub struct SharedSlice<T: Sync> {
    values: NonNull<[T]>,
}

impl<T: Sync + Default> SharedSlice<T> {
    /// # Errors
    /// `ENOMEM` when there is no memory or there are too many mappings; of no values at all, `EINVAL`.
    pub fn new(count: usize) -> io::Result<SharedSlice<T>> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0, "a mapping starts at a page") };
        let place = map_shared(size_of::<T>().checked_mul(count).ok_or(Errno::ENOMEM)?)?.cast::<T>();
        for at in 0..count {
            // SAFETY: the mapping is writable, page-aligned, large enough for `count` values, and known to nobody else yet.
            unsafe { place.add(at).write(T::default()) };
        }
        Ok(SharedSlice { values: NonNull::slice_from_raw_parts(place, count) })
    }
}

// SAFETY: only shared references to the values are given out, and T: Sync says that those may be used from any thread.
unsafe impl<T: Sync> Send for SharedSlice<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for SharedSlice<T> {}

impl<T: Sync> Deref for SharedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds this many initialized values until this is dropped.
        unsafe { self.values.as_ref() }
    }
}

impl<T: Sync> Drop for SharedSlice<T> {
    fn drop(&mut self) {
        // The values are not dropped: another process may be using them. What is shared is atomics, which need no drop.
        // SAFETY: the mapping was made with this length, and no reference to it outlives its owner.
        let _ = unsafe { munmap(self.values.cast(), size_of_val(&**self)) };
    }
}

/// Returns a new mapping of this many bytes that stays shared across fork.
fn map_shared(bytes: usize) -> io::Result<NonNull<c_void>> {
    let length = NonZeroUsize::new(bytes).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let place =
        unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)? };
    Ok(place)
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

    #[test]
    fn so_are_several_values() {
        let _alone = crate::test_lock();
        let words = SharedSlice::<AtomicU32>::new(3000).unwrap();
        let partner = Partner::fork(|| {
            words[2999].store(7, Ordering::SeqCst);
            0
        })
        .unwrap();
        partner.wait().unwrap();
        assert_eq!((words.len(), words[0].load(Ordering::SeqCst), words[2999].load(Ordering::SeqCst)), (3000, 0, 7));
        assert!(SharedSlice::<AtomicU32>::new(0).is_err() && SharedSlice::<AtomicU32>::new(usize::MAX).is_err());
    }
}
