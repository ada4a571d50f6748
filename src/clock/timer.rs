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
    let timer = armed(TimerfdClockId::Boottime, TimerfdTimerFlags::ABSTIME, moment(at))?;
    loop {
        let mut ready = timer.readable().await?;
        match ready.try_io(|timer| drained(timer.get_ref())) {
            Ok(rung) => return rung,
            Err(_would_block) => {}
        }
    }
}

/// One timer that is set again and again: for a loop that waits for the boot-time clock.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    at: Mono,
}

impl Alarm {
    /// Set to never.
    ///
    /// # Errors
    /// The kernel gives no timer (too many open files).
    pub fn new() -> io::Result<Alarm> {
        let timer = armed(TimerfdClockId::Boottime, TimerfdTimerFlags::ABSTIME, (FAR, 0))?;
        Ok(Alarm { timer, at: Mono(u64::MAX) })
    }

    /// Waits until the boot-time clock shows `at`; time in suspend counts. May be dropped and called again.
    ///
    /// # Errors
    /// Of the kernel's.
    pub async fn rings(&mut self, at: Mono) -> io::Result<()> {
        if self.at != at {
            set(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, moment(at))?;
            self.at = at;
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.try_io(|timer| drained(timer.get_ref())) {
                Ok(rung) => {
                    // Once rung it is off.
                    self.at = Mono(u64::MAX);
                    return rung;
                }
                Err(_would_block) => {}
            }
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
    set(&timer, flags, at)?;
    readable(timer)
}

fn set(timer: &OwnedFd, flags: TimerfdTimerFlags, at: (i64, i64)) -> io::Result<()> {
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let once = Itimerspec { it_interval: never, it_value: Timespec { tv_sec: at.0, tv_nsec: at.1 } };
    timerfd_settime(timer, flags, &once)?;
    Ok(())
}

/// Seconds and nanoseconds, as the kernel takes them.
fn moment(at: Mono) -> (i64, i64) {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(FAR).min(FAR);
    // A timer of zero is one that is off.
    (seconds, i64::try_from(at.0 % 1000).unwrap_or(0).saturating_mul(1_000_000).max(1))
}

fn drained(timer: &OwnedFd) -> io::Result<()> {
    let mut rung = [0; 8];
    rustix::io::read(timer, &mut rung)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;
    use crate::clock;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_timer_of_the_boot_time_clock_rings_not_before_its_time_and_at_once_when_it_has_passed() {
        let at = clock::mono().plus(Duration::from_millis(30));
        tokio::time::timeout(DEADLINE, sleep_until(at)).await.expect("in time").expect("a timer");
        assert!(clock::mono() >= at);
        for past in [Mono(0), Mono(1), at] {
            tokio::time::timeout(DEADLINE, sleep_until(past)).await.expect("in time").expect("a timer");
        }
    }

    #[tokio::test]
    async fn one_alarm_rings_again_and_again_also_after_it_was_put_off() {
        let mut alarm = Alarm::new().expect("a timer");
        for _ in 0..3 {
            {
                let mut never = std::pin::pin!(alarm.rings(Mono(u64::MAX)));
                assert!(never.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            let at = clock::mono().plus(Duration::from_millis(20));
            tokio::time::timeout(DEADLINE, alarm.rings(at)).await.expect("in time").expect("a timer");
            assert!(clock::mono() >= at);
            tokio::time::timeout(DEADLINE, alarm.rings(at)).await.expect("for what is past too").expect("a timer");
        }
    }

    #[tokio::test]
    async fn a_timer_for_the_end_of_time_is_set_and_does_not_ring() {
        let mut never = std::pin::pin!(sleep_until(Mono(u64::MAX)));
        assert!(matches!(never.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }

    /// Only that it waits: to set the clock of whoever runs the tests is not a test's business.
    #[tokio::test]
    async fn a_clock_that_nobody_sets_wakes_nobody() {
        let mut steps = Steps::listen().expect("a timer");
        let mut next = std::pin::pin!(steps.next());
        assert!(matches!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }

    #[test]
    fn a_boot_has_a_name() {
        assert_eq!(clock::boot_id().len(), 36);
        assert_eq!(clock::boot_id(), clock::boot_id());
    }
}
