//! Samples as one line of figures.

use std::time::Duration;

/// Prints p50, p99 and the greatest; gives them, in milliseconds.
pub fn figures(what: &str, samples: &mut [Duration]) -> [f64; 3] {
    samples.sort();
    let at = |q: f64| samples[((samples.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let found = [at(0.5), at(0.99), at(1.0)];
    println!(
        "  {what:<46} p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms   ({})",
        found[0],
        found[1],
        found[2],
        samples.len()
    );
    found
}
