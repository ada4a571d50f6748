//! What is wrong with the expressions of a device's profiles.

use crate::condition;
use crate::model::problem::Problem;
use crate::model::profile::ProfileSpec;
use crate::source::reading::tree::{short, shortened};

/// How many characters of an expression a problem shows.
const EXPRESSION_SHOWN: usize = 400;

/// One problem for each expression that cannot be understood. `place` is where the profiles stand.
pub(crate) fn wrong_expressions(profiles: &[ProfileSpec], place: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for profile in profiles {
        for condition in &profile.conditions {
            if let Err(why) = condition::compile(&condition.expression) {
                let (profile, name) = (short(&profile.name), short(&condition.name));
                let expression = shortened(&condition.expression, EXPRESSION_SHOWN);
                let message = format!("profile {profile}, condition {name} ({expression}): {why}; it counts as false");
                problems.push(Problem::new(place, message));
            }
        }
    }
    problems
}
