//! When this version was made: earlier times that a clock shows are wrong.

use crate::model::time::Wall;

/// When this version was released; a test keeps it beside the version in Cargo.toml. No build script: a build that sets
/// `SOURCE_DATE_EPOCH` (packages, images) brings a later date in.
const RELEASED: (&str, i64) = ("0.1.0", 1_795_219_200_000);

/// It is not earlier than this.
#[must_use]
pub fn build_date() -> Wall {
    let built = option_env!("SOURCE_DATE_EPOCH").and_then(|epoch| epoch.parse::<i64>().ok());
    Wall(built.map_or(RELEASED.1, |seconds| seconds.saturating_mul(1000).max(RELEASED.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_date_goes_up_with_the_version() {
        assert_eq!(RELEASED.0, env!("CARGO_PKG_VERSION"), "a new version: set RELEASED in released.rs to it and today");
        assert!(build_date() >= Wall::parse_rfc3339("2026-11-21T00:00:00Z").expect("a time"));
    }
}
