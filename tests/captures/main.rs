//! What was captured of real servers, against the agent: for each exchange, our request has the shape that the server
//! accepted, and our reaction to its answer is the contract's ("API" is that contract).
//!
//! ```text
//!  standin/captures/*.json ─► capture ─┬─► requests (sent, shape, never) ◄── recording: the built binary and a server
//!                                      ├─► answers: meaning and session ─► `table`, one line for each capture
//!                                      ├─► configurations: desired
//!                                      └─► sequences: the captures of several exchanges
//! ```

#[path = "../common/device.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod device;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../pods/service.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod service;
#[path = "../flotta/site.rs"]
#[allow(dead_code, unused_imports, reason = "each test program uses its part")]
mod site;
#[path = "../flotta/tools.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod tools;
#[path = "../flotta/wanted.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod wanted;

mod answers;
mod capture;
mod configurations;
mod known;
mod life;
mod never;
mod recording;
mod requests;
mod sent;
mod sequences;
mod table;

use std::collections::BTreeSet;

use table::Request;

#[test]
fn every_capture_is_classified_once() {
    let files: Vec<&str> = capture::all().iter().map(|capture| capture.number.as_str()).collect();
    let rows: Vec<&str> = table::TABLE.iter().map(|row| row.number).collect();
    let (there, known): (BTreeSet<&str>, BTreeSet<&str>) =
        (files.iter().copied().collect(), rows.iter().copied().collect());
    let new: Vec<_> = there.difference(&known).collect();
    assert!(new.is_empty(), "captures that are not in tests/captures/table.rs: {new:?}");
    let gone: Vec<_> = known.difference(&there).collect();
    assert!(gone.is_empty(), "no file standin/captures/<number>-*.json: {gone:?}");
    assert_eq!((files.len(), rows.len()), (there.len(), known.len()), "a number twice");
    assert!(files.len() >= 97, "{}", files.len());
    let requests = |is: fn(&Request) -> bool| table::TABLE.iter().filter(|row| is(&row.request)).count();
    let shapes = requests(|request| matches!(request, Request::Like(_) | Request::State(_)));
    let refused = requests(|request| matches!(request, Request::Never(_)));
    let several = requests(|request| matches!(request, Request::Several));
    let reactions: usize = table::TABLE.iter().map(|row| row.reactions.len()).sum();
    println!(
        "{} captures: {shapes} requests like ours, {refused} as ours never are, {several} files of several",
        files.len()
    );
    println!("{reactions} reactions to their answers");
    for row in table::TABLE {
        match row.request {
            Request::Nothing(why) => println!("{} says nothing about a client: {why}", row.number),
            Request::Several => assert!(row.reactions.is_empty(), "{}: see sequences.rs", row.number),
            _ => {
                let asked = !row.reactions.is_empty() || ["08", "26", "26c"].contains(&row.number);
                assert!(asked, "{}: no reaction to its answer", row.number);
            }
        }
    }
}
