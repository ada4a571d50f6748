//! What the owner of a broker decides and sees: who comes in, who may say and hear what, and every message.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

/// Where a connection comes from. What is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address, if the stream has one.
    pub address: Option<SocketAddr>,
    /// Whom the stream itself proves: the common name of a TLS client's certificate, say.
    pub identity: Option<Arc<str>>,
}

/// A client, for as long as one connection lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id; one that the broker made up begins with `$`.
    pub id: Arc<str>,
    /// The user name of its CONNECT, as it claims; [`Rights::may_connect`] saw the password.
    pub name: Option<Arc<str>>,
    /// Where it comes from.
    pub peer: Peer,
}

/// What a client shows at the door.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Who it says it is.
    pub client: &'a Client,
    /// The password of its CONNECT.
    pub password: Option<&'a [u8]>,
}

/// Why a client does not come in: what its CONNACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Return code 4.
    BadCredentials,
    /// Return code 5.
    NotAuthorized,
}

/// Who may do what. Asked for each login, publish (wills too) and subscription, in the connection's task: be quick.
pub trait Rights: Send + Sync + 'static {
    /// Whether the client may come in.
    ///
    /// # Errors
    /// What it is told.
    fn may_connect(&self, _login: &Login<'_>) -> Result<(), Denied> {
        Ok(())
    }
    /// Whether the client may publish to the topic. If not, the message is acknowledged, counted and dropped.
    fn may_publish(&self, client: &Client, topic: &str) -> bool;
    /// Whether the client may subscribe to the filter. If not, it gets 0x80 in the SUBACK.
    fn may_subscribe(&self, client: &Client, filter: &str) -> bool;
}

/// A message from a client, as the tap sees it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// A valid topic: no wildcards, no `$` in front, within the limits.
    pub topic: &'a str,
    /// May be a slice of a read buffer: copy what is to be kept for long.
    pub payload: &'a Bytes,
    /// 0, 1 or 2, as published.
    pub qos: u8,
    /// The retain flag, as published.
    pub retain: bool,
    /// The sender.
    pub client: &'a Client,
}

/// Sees publishes of clients that the rights allow, before subscribers do, and before they are acknowledged. Called in
/// the connection's task: the time it takes is back-pressure on that one client.
pub trait Tap: Send + Sync + 'static {
    /// Whether [`Tap::take`] is to be called for this topic.
    fn wants(&self, topic: &str) -> bool;
    /// Takes the message; subscribers get it as well.
    fn take(&self, message: &Message<'_>);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Everybody may do everything.
    pub(crate) struct Everybody;

    impl Rights for Everybody {
        fn may_publish(&self, _client: &Client, _topic: &str) -> bool {
            true
        }
        fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
            true
        }
    }

    /// Wants nothing.
    pub(crate) struct Nowhere;

    impl Tap for Nowhere {
        fn wants(&self, _topic: &str) -> bool {
            false
        }
        fn take(&self, _message: &Message<'_>) {}
    }
}
