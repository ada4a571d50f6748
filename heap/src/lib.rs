//! Gives freed memory back to the system: a device is small, and what a busy minute took should not stay for months.
//!
//! The C library keeps what is freed, for the next allocation; only what happens to lie at the end of its heap goes back by
//! itself. It has a call that gives back every free page. This crate is apart from the others because that call is foreign
//! code and so `unsafe` to make: it is the only such place, and everything else forbids it.

/// Gives back what is free. Takes about a millisecond for 10 MiB, in which other threads may wait for memory. With
/// another C library than GNU's it does nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "malloc_trim takes a number, is safe from any thread at any time, and touches free memory only"
    )]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn memory_that_is_free_in_the_midst_of_used_memory_comes_back() {
        let mut blocks: Vec<Option<Vec<u8>>> = (0..20_000).map(|_| Some(vec![1; 2_000])).collect();
        // One in a hundred stays, so that the heap cannot shrink from its end.
        blocks.iter_mut().enumerate().filter(|(i, _)| i % 100 != 99).for_each(|(_, block)| *block = None);
        let before = resident_kib();
        super::give_back();
        let after = resident_kib();
        assert!(after + 20_000 < before, "{before} KiB, then {after} KiB");
        drop(blocks);
    }
}
