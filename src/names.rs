//! Addresses of hosts by their names, asked of the system as everybody on the device does.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

use tokio::sync::Semaphore;

/// One look-up at a time: a name server that does not answer keeps a thread for half a minute, and there are few.
#[derive(Debug)]
pub(crate) struct Lookups(Semaphore);

impl Lookups {
    /// For a static: those who look names up for one purpose wait for each other, and for nobody else.
    pub const fn new() -> Lookups {
        Lookups(Semaphore::const_new(1))
    }

    /// All addresses of a host; an address is its own.
    pub async fn find(&'static self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let permit = self.0.acquire().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            // Given up by whoever asked or not, the thread is busy until the system answers.
            let _until_it_is_answered = permit;
            (host.as_str(), 0).to_socket_addrs().map(|all| all.map(|one| one.ip()).collect())
        });
        found.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn names_are_looked_up_one_at_a_time_so_that_a_dead_name_server_does_not_take_every_thread() {
        static LOOKUPS: Lookups = Lookups::new();
        let busy = LOOKUPS.0.acquire().await.expect("free");
        let mut second = pin!(LOOKUPS.find("localhost"));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(LOOKUPS.find("192.0.2.1").await.expect("an address"), [IpAddr::from([192, 0, 2, 1])]);
        drop(busy);
        second.await.expect("its turn came");
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_what_is_none_is_an_error() {
        static LOOKUPS: Lookups = Lookups::new();
        let found = LOOKUPS.find("localhost").await.expect("every machine has it");
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
        assert!(LOOKUPS.find("not a name").await.is_err());
        assert!(LOOKUPS.find("localhost").await.is_ok(), "the next one is looked up");
    }
}
