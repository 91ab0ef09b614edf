//! What the allocator holds of the kernel's memory.
#![allow(unsafe_code)]

/// Gives back to the kernel what has been freed. glibc keeps freed blocks of up to 32 MiB for later, and twice as much at the top of
/// its heaps; other allocators are left as they are.
///
/// # References
/// malloc_trim(3), mallopt(3) on the dynamic threshold of mmap.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, returns one, and takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
