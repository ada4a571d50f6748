//! Sessions of chance: valid ones with flipped bits, cuts, insertions, wrong lengths, parts of others, and plain noise.

use super::arena::Arena;
use super::dice::{Dice, number};
use super::memory::Bound;
use super::mqtt::Client;
use super::mutations::Script;

const SESSIONS: u64 = 50_000;
const AT_ONCE: u64 = 8;

#[test]
fn fifty_thousand_sessions_of_chance_hurt_nobody() {
    let (sessions, seed) = (number("HOSTILE_SESSIONS", SESSIONS), number("HOSTILE_SEED", 1));
    println!("{sessions} sessions from HOSTILE_SEED={seed}");
    let arena = Arena::open("sessions of chance");
    let before = arena.metric("flotta_broker_connected_total");
    std::thread::scope(|scope| {
        for n in 0..AT_ONCE {
            let broker = arena.broker();
            scope.spawn(move || {
                // Each of them follows from seed and n alone.
                let mut dice = Dice(seed.wrapping_mul(AT_ONCE).wrapping_add(n));
                for session in 0..sessions / AT_ONCE {
                    let valid = Script::valid(&mut dice);
                    let bytes = valid.mutated(&mut dice);
                    if let Err(why) = play(broker, &bytes, dice.below(8) == 0) {
                        panic!("seed {seed}, session {session} of {n}: {why}: {bytes:?}");
                    }
                }
            });
        }
    });
    let welcome = arena.metric("flotta_broker_connected_total") - before;
    assert!(welcome > sessions as f64 / 4.0, "mutations behind CONNECT, too, are to be read: {welcome} were let in");
    let note = format!("{sessions} sessions, {welcome} of them let in, {AT_ONCE} at a time");
    arena.close(Bound::RETAINED, &["protocol", "client_id", "version", "publish_rights", "publish_topic"], &note);
}

/// Plays a session to its end. An error is one that no client may get.
fn play(broker: &str, bytes: &[u8], abruptly: bool) -> std::io::Result<()> {
    let mut client = Client::open(broker)?;
    // The broker may close at any byte, and is right.
    let _ = client.send(bytes);
    if abruptly {
        return Ok(());
    }
    if client.ends() { Ok(()) } else { Err(std::io::Error::other("kept, though the client has ended it")) }
}
