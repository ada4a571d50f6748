//! Waiting for a file descriptor that the kernel makes readable: pidfds, inotify; or tells an exception on.

use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor to be waited for.
///
/// # Errors
/// Of the kernel's: too many watched descriptors.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor; an OwnedFd never does"
)]
pub(crate) fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// The same, for files of the kernel's that tell a change as an exception: `/proc/self/mountinfo`.
///
/// # Errors
/// As [`readable`].
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor; an OwnedFd never does"
)]
pub(crate) fn exceptional(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::PRIORITY)
}
