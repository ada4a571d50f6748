//! What wakes the shim: signals, output, a deadline.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/// The signals the shim hears.
pub struct Signals {
    wake: PipeReader,
    stop: Arc<AtomicBool>,
}

/// What there is to do after a wait.
pub struct Woken {
    /// A child has ended, or a stop was asked for.
    pub signal: bool,
    /// There is output, or its end.
    pub output: bool,
}

impl Signals {
    /// From here on a TERM is a wish to stop, and what a terminal or a careless hand sends is let pass. All are handled, not
    /// ignored: an ignored signal would stay ignored in the command.
    pub fn install() -> io::Result<Signals> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, notify) = io::pipe()?;
        rustix::io::ioctl_fionbio(&wake, true)?;
        signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
        signal_hook::low_level::pipe::register(SIGTERM, notify.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGCHLD, notify)?;
        for passed in [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2] {
            signal_hook::flag::register(passed, Arc::new(AtomicBool::new(false)))?;
        }
        Ok(Signals { wake, stop })
    }

    /// Whether a stop was asked for.
    pub fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sleeps until there is something to do; without a timeout for ever.
    pub fn wait(&self, output: Option<&PipeReader>, timeout_ms: Option<u64>) -> Woken {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if let Some(output) = output {
            fds.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        // An interrupted wait is one with a signal: it is in the pipe.
        let _ = poll(&mut fds, timeout_ms.map(timespec).as_ref());
        let woken = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let woken = Woken { signal: woken(0), output: woken(1) };
        if woken.signal {
            let mut bytes = [0; 64];
            while (&self.wake).read(&mut bytes).is_ok_and(|n| n == bytes.len()) {}
        }
        woken
    }
}

/// Sleeps.
pub fn pause(ms: u64) {
    let _ = poll(&mut [], Some(&timespec(ms)));
}

/// Milliseconds since the boot, suspend included.
pub fn mono_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1000).saturating_add(millis(now.tv_nsec).unsigned_abs())
}

/// Milliseconds since 1970 UTC.
pub fn wall_ms() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1000).saturating_add(millis(now.tv_nsec))
}

fn millis(nanos: i64) -> i64 {
    nanos / 1_000_000
}

fn timespec(ms: u64) -> Timespec {
    let tv_sec = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::try_from(ms % 1000).unwrap_or(0).saturating_mul(1_000_000) }
}
