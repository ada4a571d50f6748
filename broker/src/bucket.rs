//! How much a client may say: so many messages a second, and as many at once.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u32,
    /// Messages are paid for until then: at most one second ahead.
    paid_until: Instant,
}

impl Bucket {
    /// `per_second` 0: no limit.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Bucket { per_second, paid_until: now }
    }

    /// Until when the client has to wait, if it has.
    pub fn wait(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        if self.per_second == 0 {
            return None;
        }
        let now = now();
        let horizon = now + Duration::from_secs(1);
        (self.paid_until >= horizon).then(|| now + (self.paid_until - horizon) + Duration::from_millis(10))
    }

    /// A message was taken.
    pub fn pay(&mut self, now: impl FnOnce() -> Instant) {
        if self.per_second > 0 {
            self.paid_until = self.paid_until.max(now()) + Duration::from_secs(1) / self.per_second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, start);
        let burst = |bucket: &mut Bucket, now| {
            let one = || {
                bucket.wait(|| now).is_none() && {
                    bucket.pay(|| now);
                    true
                }
            };
            std::iter::repeat_with(one).take(1000).take_while(|taken| *taken).count()
        };
        assert_eq!(burst(&mut bucket, start), 100);
        assert!(bucket.wait(|| start).is_some_and(|at| at > start));
        assert_eq!(burst(&mut bucket, start + Duration::from_millis(500)), 50);
        assert_eq!(burst(&mut Bucket::new(0, start), start), 1000);
    }
}
