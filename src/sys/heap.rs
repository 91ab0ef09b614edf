//! Freed memory that the allocator keeps.
#![allow(unsafe_code)]

/// Returns freed memory to the kernel. glibc keeps freed blocks of up to 32 MiB for later, and twice as much at the top of its
/// heaps; other allocators are left alone.
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
