//! Waiting by the kernel's timers: one that goes on through suspend, and one that tells when the wall clock is set.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::model::time::Mono;
use crate::readiness::readable;

/// The furthest a timer is set ahead, in seconds since 1970 or boot: the kernel takes no more than 2^63 ns.
const FAR: i64 = 9_000_000_000;

/// Waits until the boot-time clock shows `at`; time in suspend counts.
///
/// # Errors
/// The kernel gives no timer (too many open files).
pub async fn sleep_until(at: Mono) -> io::Result<()> {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(FAR).min(FAR);
    // A timer of zero is one that is off.
    let nanos = i64::try_from(at.0 % 1000).unwrap_or(0).saturating_mul(1_000_000).max(1);
    let timer = armed(TimerfdClockId::Boottime, TimerfdTimerFlags::ABSTIME, (seconds, nanos))?;
    loop {
        let mut ready = timer.readable().await?;
        match ready.try_io(|timer| drained(timer.get_ref())) {
            Ok(rung) => return rung.map_err(io::Error::from),
            Err(_would_block) => {}
        }
    }
}

/// The wall clock being set: by a person, by NTP's first step. Slewing is none.
#[derive(Debug)]
pub struct Steps {
    timer: AsyncFd<OwnedFd>,
}

impl Steps {
    /// Listens from now on: a step between two calls of [`Steps::next`] is not missed.
    ///
    /// # Errors
    /// The kernel gives no timer (too many open files).
    pub fn listen() -> io::Result<Steps> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        armed(TimerfdClockId::Realtime, flags, (FAR, 0)).map(|timer| Steps { timer })
    }

    /// Resolves when the clock was set. May be dropped and called again.
    ///
    /// # Errors
    /// Of the kernel's.
    pub async fn next(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.try_io(|timer| drained(timer.get_ref())) {
                // A clock set beyond the furthest: the timer rings, once. It is armed again to hear the next step.
                Ok(Ok(())) => {
                    drop(ready);
                    *self = Steps::listen()?;
                    return Ok(());
                }
                Ok(Err(why)) if why.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => return Ok(()),
                Ok(Err(why)) => return Err(why),
                Err(_would_block) => {}
            }
        }
    }
}

fn armed(clock: TimerfdClockId, flags: TimerfdTimerFlags, at: (i64, i64)) -> io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let once = Itimerspec { it_interval: never, it_value: Timespec { tv_sec: at.0, tv_nsec: at.1 } };
    timerfd_settime(&timer, flags, &once)?;
    readable(timer)
}

fn drained(timer: &OwnedFd) -> io::Result<()> {
    let mut rung = [0; 8];
    rustix::io::read(timer, &mut rung)?;
    Ok(())
}
