//! The contract, capture by capture: what the request says about ours, and what the answer brings about.
//!
//! A reaction is written as "answer: verdict! phase, what is asked next and when". Nothing is said about what runs, since
//! nothing but a configuration changes that, and a removal: see `configurations`.

use flotta_agent::source::flotta::session::Exchange::{self, Control, Enrol, Get, Heartbeat, Register, Renew};

use super::life::At;
use Request::{Like, Never, Nothing, Several, State};

/// What a captured request says about ours.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// The server accepted it: ours of this kind has its shape.
    Like(Exchange),
    /// As good as an accepted one: what the server knows of the device decides, or what it lacks.
    State(Exchange),
    /// It has this, and no request of ours ever does. The server refused it, or took it and made nothing good of it.
    Never(&'static str),
    /// Several exchanges: see `sequences`.
    Several,
    /// It says nothing about a client: why.
    Nothing(&'static str),
}

/// In a situation, what the contract says, and a few words of what a person is told; none: nothing is wrong.
#[derive(Debug)]
pub struct Reaction(pub At, pub &'static str, pub &'static str);

#[derive(Debug)]
pub struct Row {
    pub number: &'static str,
    pub request: Request,
    /// None where we never ask what was asked.
    pub reactions: &'static [Reaction],
}

const fn row(number: &'static str, request: Request, reactions: &'static [Reaction]) -> Row {
    Row { number, request, reactions }
}

// API 3.1, 3.2
const ENROLLED: &str = "Accepted: Enrolled, Register at once";
const PENDING: &str = "Status(404): PendingApproval, Enrol in seconds";
const ISSUED: &str = "Accepted: Proving, Get+Heartbeat at once";
const PROVEN: &str = "Accepted: Promote! Registered, Get+Heartbeat after a period";
const KEY: &str = "Status(400): Renewing, Renew soon";
// API 3.3 to 3.5
const GOOD: &str = "Accepted: Registered, Get+Heartbeat after a period";
const EXPIRED: &str = "Status(401): Registered, Renew at once";
const DISTRUSTED: &str = "Status(403): Distrusted, Enrol at once";
const MAYBE: &str = "Status(404): Registered, Control at once";
const REMOVED: &str = "Status(404): Removed! Removed, Enrol in minutes";
const CUT: &str = "Aborted: Registered, Get soon";
// API 3.6
const WRONG: &str = "Page(404): Registered, Control at once";

#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("01", Like(Enrol), &[Reaction(At::New, ENROLLED, "")]),
    row("02", Like(Register), &[Reaction(At::Enrolled, ISSUED, "")]),
    row("03", Like(Enrol), &[Reaction(At::New, "Already: Enrolled, Register at once", "")]),
    row("04", Like(Enrol), &[Reaction(At::DistrustedEnrol, "Already: Distrusted, Register at once", "")]),
    row("05", Like(Get), &[Reaction(At::Get, GOOD, "")]),
    row("06", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("07", Like(Control), &[Reaction(At::Control, GOOD, "")]),
    row("08", Never("a message to the control channel"), &[]),
    row("09", Like(Renew), &[Reaction(At::Renew, ISSUED, "")]),
    row("10", Like(Get), &[Reaction(At::NewGet, PROVEN, "")]),
    row("11", Like(Get), &[Reaction(At::OldGet, GOOD, "")]),
    row("12", State(Register), &[Reaction(At::Enrolled, "Status(500): NeedsAdministrator, Enrol in minutes", "an administrator has to"), Reaction(At::DistrustedRegister, "Status(500): Distrusted, Renew soon", "administrator")]),
    row("20", Never("no client certificate"), &[Reaction(At::Get, CUT, "ended the connection")]),
    row("21", Never("GET with the registration certificate"), &[Reaction(At::Get, EXPIRED, "401")]),
    row("22", Never("heartbeat with the registration certificate"), &[Reaction(At::Heartbeat, DISTRUSTED, "not lab-dev-1's")]),
    row("23", Never("another device's certificate"), &[Reaction(At::Get, DISTRUSTED, "not lab-dev-1's")]),
    row("24", Never("another device's certificate"), &[Reaction(At::Heartbeat, DISTRUSTED, "not lab-dev-1's")]),
    row("25", Never("another device's certificate"), &[Reaction(At::Control, DISTRUSTED, "not lab-dev-1's")]),
    row("26", Never("another device's certificate"), &[]),
    row("26b", Never("GET with the registration certificate"), &[Reaction(At::Control, EXPIRED, "401")]),
    row("26c", Never("a message to the control channel"), &[]),
    row("27", Never("a certificate of another CA"), &[Reaction(At::Get, EXPIRED, "another CA signed it")]),
    row("28", Never("a certificate of another CA"), &[Reaction(At::Heartbeat, "Status(401): Distrusted, Enrol at once", "not signed by this server's CA")]),
    row("29", Never("a certificate of another CA"), &[Reaction(At::New, "Status(401): Refused, Enrol in minutes", "take CERT and KEY of this server")]),
    row("30", Never("GET with an expired certificate"), &[Reaction(At::Get, EXPIRED, "has expired")]),
    row("31", Never("GET with an expired certificate"), &[Reaction(At::Control, EXPIRED, "has expired")]),
    row("32", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("33", Like(Renew), &[Reaction(At::Renew, ISSUED, "")]),
    row("33b", Several, &[]),
    row("34", Like(Enrol), &[Reaction(At::New, ENROLLED, "")]),
    row("35", Never("GET with a certificate that is not valid yet"), &[Reaction(At::Get, EXPIRED, "401"), Reaction(At::NewGet, "Status(401): GoBack! Renewing, Get+Heartbeat at once", "401")]),
    row("36", Like(Get), &[Reaction(At::Get, GOOD, "")]),
    row("37", Never("an id that is no lower-case name"), &[Reaction(At::Get, MAYBE, "last configuration stays in force")]),
    row("38", Never("a certificate of another namespace"), &[Reaction(At::Get, MAYBE, "last configuration stays in force")]),
    row("38b", Like(Get), &[Reaction(At::Get, GOOD, "")]),
    row("40", State(Get), &[Reaction(At::Get, MAYBE, "last configuration stays in force")]),
    row("41", State(Heartbeat), &[Reaction(At::Heartbeat, REMOVED, "has removed this device")]),
    row("42", Like(Control), &[Reaction(At::Control, "Disconnect: Removed! Removed, Enrol in minutes", "")]),
    row("43", State(Register), &[Reaction(At::Enrolled, PENDING, "waits for approval")]),
    row("44", State(Renew), &[Reaction(At::Renew, "Status(404): Renewing, Control at once", "does not know this device")]),
    row("50", Never("an unknown directive"), &[Reaction(At::Heartbeat, "Status(400): Registered, Get+Heartbeat after a period", "400")]),
    row("50b", Never("an unknown directive"), &[Reaction(At::Enrolled, "Status(403): Refused, Enrol in minutes", "403")]),
    row("51", Never("no directive"), &[Reaction(At::Heartbeat, "Status(400): Registered, Get+Heartbeat after a period", "400")]),
    row("52", Never("a body that is not JSON"), &[Reaction(At::Heartbeat, "Page(400): Registered, Get+Heartbeat after a period", "parsing message body")]),
    row("53", Never("an empty body"), &[Reaction(At::Heartbeat, "Page(422): Registered, Get+Heartbeat after a period", "message in body is required")]),
    row("54", Never("a Content-Type that is not JSON"), &[Reaction(At::Heartbeat, "Page(415): Registered, Get+Heartbeat after a period", "unsupported media type")]),
    row("55", Never("no Content-Type"), &[Reaction(At::Heartbeat, "Page(415): Registered, Get+Heartbeat after a period", "unsupported media type")]),
    row("55b", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("56", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("56b", Never("a GET that does not accept JSON"), &[Reaction(At::Get, "Page(406): Registered, Get+Heartbeat after a period", "unsupported media type requested")]),
    row("57", Never("a type outside of the enum"), &[Reaction(At::Heartbeat, "Page(422): Registered, Get+Heartbeat after a period", "type in body should be one of")]),
    row("58", Never("a sent that is no time"), &[Reaction(At::Heartbeat, "Page(400): Registered, Get+Heartbeat after a period", "parsing message body")]),
    row("58b", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("59", Never("a status that is no text"), &[Reaction(At::Heartbeat, "Status(400): Registered, Get+Heartbeat after a period", "400")]),
    row("60", Never("a content that is no object"), &[Reaction(At::Heartbeat, "Status(400): Registered, Get+Heartbeat after a period", "400")]),
    row("61", Never("a heartbeat without content"), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("62", Never("a status outside of the enum"), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("63", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("64", Never("a null"), &[Reaction(At::Heartbeat, "Aborted: Registered, Heartbeat soon", "ended the connection")]),
    row("65", Never("an unknown field"), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("66", Never("a configuration version that is no text"), &[Reaction(At::Heartbeat, "Status(400): Registered, Get+Heartbeat after a period", "400")]),
    row("67", Never("an empty last_data_upload"), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("68", Never("a message version that is no integer"), &[Reaction(At::Heartbeat, "Page(400): Registered, Get+Heartbeat after a period", "cannot unmarshal string")]),
    row("69", Never("a sent of another century"), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("70", Never("a request with an RSA key"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("71", Like(Renew), &[Reaction(At::Renew, ISSUED, "")]),
    row("72", Never("a request with an Ed25519 key"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("73", Never("a request that is not PEM"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("74", Never("a registration without a request"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("75", Like(Renew), &[Reaction(At::Renew, ISSUED, "")]),
    row("76", Never("a request with a wrong signature"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("77", Never("a request that is no text"), &[Reaction(At::Renew, KEY, "ECDSA P-256")]),
    row("80", Never("an enrolment without features"), &[Reaction(At::New, "Aborted: Unenrolled, Enrol soon", "ended the connection")]),
    row("81", Never("an enrolment without content"), &[Reaction(At::New, "Aborted: Unenrolled, Enrol soon", "ended the connection")]),
    row("82", Never("an enrolment without hardware"), &[Reaction(At::New, ENROLLED, "")]),
    row("83", Never("an id that is no lower-case name"), &[Reaction(At::New, "Status(400): Refused, Enrol in minutes", "is DEVICE_ID a name of lower-case letters")]),
    row("84", Like(Enrol), &[Reaction(At::New, ENROLLED, "")]),
    row("84b", State(Register), &[Reaction(At::Enrolled, PENDING, "waits for approval")]),
    row("85", Never("features that are no object"), &[Reaction(At::New, "Status(400): Refused, Enrol in minutes", "400")]),
    row("90", Never("an unknown path"), &[Reaction(At::Get, WRONG, "is SERVER the address")]),
    row("91", Never("a method that is neither GET nor POST"), &[Reaction(At::Heartbeat, "Page(405): Registered, Get+Heartbeat after a period", "is SERVER the address")]),
    row("92", Never("a GET of what is only posted to"), &[Reaction(At::Get, "Page(405): Registered, Get+Heartbeat after a period", "is SERVER the address")]),
    row("93", Never("an unknown path"), &[Reaction(At::Get, WRONG, "is SERVER the address")]),
    row("94", Never("an unknown path"), &[Reaction(At::Get, WRONG, "is SERVER the address")]),
    row("95", Never("TLS 1.2"), &[Reaction(At::Get, "Unreachable: Registered, Get soon", "cannot be reached")]),
    row("96", Never("a path with a slash too many"), &[Reaction(At::Get, GOOD, "")]),
    row("a0", Like(Enrol), &[Reaction(At::New, ENROLLED, "")]),
    row("a1", Like(Enrol), &[Reaction(At::PendingEnrol, "Accepted: PendingApproval, Register at once", "")]),
    row("a2", State(Register), &[Reaction(At::Enrolled, PENDING, "waits for approval"), Reaction(At::PendingRegister, PENDING, "waits for approval")]),
    row("a3", Like(Enrol), &[Reaction(At::PendingEnrol, "Already: PendingApproval, Register at once", "")]),
    row("a4", Like(Register), &[Reaction(At::PendingRegister, ISSUED, "")]),
    row("a5", Like(Get), &[Reaction(At::FirstGet, PROVEN, "")]),
    row("a6", State(Get), &[Reaction(At::Get, MAYBE, "last configuration stays in force")]),
    row("a7", State(Heartbeat), &[Reaction(At::Heartbeat, REMOVED, "has removed this device")]),
    row("a8", Like(Control), &[Reaction(At::Control, "Disconnect: Removed! Removed, Enrol in minutes", "")]),
    row("a9", State(Renew), &[Reaction(At::Renew, "Status(404): Renewing, Control at once", "does not know this device")]),
    row("a10", Like(Enrol), &[Reaction(At::RemovedEnrol, "Accepted: Removed, Register at once", "")]),
    row("b0", Like(Get), &[Reaction(At::Get, GOOD, "")]),
    row("b1", Like(Get), &[Reaction(At::Get, GOOD, "")]),
    row("b2", Like(Heartbeat), &[Reaction(At::Heartbeat, GOOD, "")]),
    row("b3", Nothing("an EdgeDevice as Kubernetes stores it: what the server made of b2, no exchange"), &[]),
    row("b4", State(Get), &[Reaction(At::Get, CUT, "literal env value (use valueFrom)")]),
    row("b5", State(Get), &[Reaction(At::Get, "Status(500): Registered, Get+Heartbeat after a period", "last configuration stays in force")]),
    row("b6", State(Get), &[Reaction(At::Get, MAYBE, "secret of an image registry is missing")]),
    row("b7", State(Get), &[Reaction(At::Get, "Status(500): Registered, Get+Heartbeat after a period", "last configuration stays in force")]),
    row("b8", State(Get), &[Reaction(At::Get, "Status(500): Registered, Get+Heartbeat after a period", "last configuration stays in force")]),
    row("b9", State(Get), &[Reaction(At::Get, "Status(500): Registered, Get+Heartbeat after a period", "last configuration stays in force")]),
    row("c0", Several, &[]),
    row("c1", Several, &[]),
];
