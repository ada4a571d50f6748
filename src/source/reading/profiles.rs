//! What is wrong with the expressions of a device's profiles.

use crate::condition;
use crate::model::problem::Problem;
use crate::model::profile::ProfileSpec;

/// One problem for each expression that cannot be understood. `place` is where the profiles stand.
pub(crate) fn wrong_expressions(profiles: &[ProfileSpec], place: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for profile in profiles {
        for condition in &profile.conditions {
            if let Err(why) = condition::compile(&condition.expression) {
                let message = format!(
                    "profile {}, condition {} ({}): {why}; it counts as false",
                    profile.name, condition.name, condition.expression
                );
                problems.push(Problem::new(place, message));
            }
        }
    }
    problems
}
