//! The words of the session: exchanges, answers, phases and what follows from them.

/// One exchange with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// Directive `enrolment`, with the registration certificate.
    Enrol,
    /// Directive `registration`, with the registration certificate.
    Register,
    /// Directive `registration`, with the device's own certificate.
    Renew,
    /// The configuration.
    Get,
    /// Directive `heartbeat`.
    Heartbeat,
    /// The control channel.
    Control,
}

impl Exchange {
    /// Every one.
    pub const ALL: [Exchange; 6] =
        [Exchange::Enrol, Exchange::Register, Exchange::Renew, Exchange::Get, Exchange::Heartbeat, Exchange::Control];

    /// For sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Exchange::Enrol => "enrolment",
            Exchange::Register => "registration",
            Exchange::Renew => "renewal",
            Exchange::Get => "configuration",
            Exchange::Heartbeat => "heartbeat",
            Exchange::Control => "control channel",
        }
    }
}

/// What came of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// 200, and what came with it is usable.
    Accepted,
    /// 208.
    Already,
    /// The control channel's `disconnect`.
    Disconnect,
    /// Any other status, without a body: the server's own handlers send none.
    Status(u16),
    /// Any other status with a body: from something in front of the handlers, so it says nothing about this device.
    Page(u16),
    /// 200, and what came with it is not usable: garbage, cut off, too large.
    Unusable,
    /// The connection ended after the request and before a status: the server may have crashed over it.
    Aborted,
    /// No connection, or no answer in time.
    Unreachable,
}

/// How the device stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It has no certificate of its own and has not been enrolled.
    Unenrolled,
    /// The server knows of it.
    Enrolled,
    /// The server knows of it, and nobody has approved it yet.
    PendingApproval,
    /// The server gave it a certificate once, and it has none.
    NeedsAdministrator,
    /// The server takes neither its id nor its registration certificate.
    Refused,
    /// It has a certificate that has not been used with success yet.
    Proving,
    /// All is well.
    Registered,
    /// All is well, and a new certificate is asked for.
    Renewing,
    /// It has a certificate that the server refuses.
    Distrusted,
    /// The server has removed it.
    Removed,
}

/// What has to be done about an answer, beside what is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new certificate works: it is the one from now on.
    Promote,
    /// The new certificate is refused: back to the one before.
    GoBack,
    /// The server has removed this device.
    Removed,
}

/// How much a message holds: less after the server has refused more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// All that is asked for.
    #[default]
    Full,
    /// Without the hardware.
    NoHardware,
    /// Heartbeat: without the events too.
    Least,
}

/// Which certificates there are, at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// None of its own.
    Nothing,
    /// One that has worked.
    Proven,
    /// One that has not worked yet; `true`: and one before it that has.
    Candidate(bool),
}
