//! `status --watch`: shown again on every event of the agent, or every two seconds where it has no events.

use std::io::Write;
use std::time::Duration;

use super::args::Output;
use super::client::{Agent, Events};
use super::{Screen, Trouble, status};

/// Without events; and between attempts while the agent is away.
const UNASKED: Duration = Duration::from_secs(2);
/// With events: ages and problems move without one.
const QUIET: Duration = Duration::from_secs(10);
/// A burst of events is one redraw.
const BURST: Duration = Duration::from_millis(100);

/// Shows the status until nobody reads it any more. An agent that is not there at first is an error; one that goes away
/// later is waited for.
pub(super) async fn status(agent: &Agent, output: Output, screen: Screen, out: &mut dyn Write) -> Result<(), Trouble> {
    let mut first = true;
    let mut events = agent.events().await;
    loop {
        let shown = match output {
            Output::Table => status::table(agent, screen).await,
            Output::Json => status::objects(agent).await.map(|objects| format!("{objects}\n")),
        };
        let shown = match shown {
            Err(away @ Trouble::Unreachable(_)) if !first => {
                events = None;
                (output == Output::Table).then(|| format!("{away}\nwaiting for it…\n"))
            }
            shown => Some(shown?),
        };
        if let Some(shown) = shown {
            draw(&shown, output, screen, first, out)?;
        }
        first = false;
        wait(agent, &mut events).await;
    }
}

fn draw(shown: &str, output: Output, screen: Screen, first: bool, out: &mut dyn Write) -> std::io::Result<()> {
    match (output, screen.width) {
        // To the top left, and clear what is below.
        (Output::Table, Some(_)) => write!(out, "\x1b[H\x1b[J{shown}")?,
        (Output::Table, None) if !first => write!(out, "\n{shown}")?,
        _ => out.write_all(shown.as_bytes())?,
    }
    out.flush()
}

async fn wait(agent: &Agent, events: &mut Option<Events>) {
    let Some(stream) = events else {
        tokio::time::sleep(UNASKED).await;
        *events = agent.events().await;
        return;
    };
    match tokio::time::timeout(QUIET, stream.next()).await {
        Ok(true) => {
            // Either the burst is over in time, or the stream is, which the next wait finds.
            let _ = tokio::time::timeout(BURST, async { while stream.next().await {} }).await;
        }
        Ok(false) => {
            *events = None;
            tokio::time::sleep(UNASKED).await;
        }
        Err(_) => {}
    }
}
