//! The condition language (SPEC "Conditions"): compiled once, evaluated in tens of nanoseconds.
//!
//! ```text
//!  "cpu<50% || x == nil" ─► lexer (limits) ─► parser (a stack, no recursion) ─► Program (postfix) ─► eval(values) ─► bool
//! ```
//! No input of any size may crash or stall the agent: the length is looked at first, and every limit below is checked
//! while reading, so that refusing costs no more than reading up to the limit.

mod lexer;
pub mod number;
mod parser;
pub mod payload;
mod program;
#[cfg(test)]
mod tests;

pub use program::{Comparison, Instruction, Program};

/// Longest expression, in bytes.
pub const MAX_BYTES: usize = 4_096;
/// Deepest nesting of parentheses.
pub const MAX_DEPTH: usize = 64;
/// Most comparisons in one expression.
pub const MAX_ATOMS: usize = 256;
/// Longest metric name, in bytes.
pub const MAX_NAME: usize = 256;

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ConditionError {
    /// Counts characters from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

/// Compiles an expression.
///
/// # Errors
/// The column, what was found there and what was expected.
pub fn compile(expression: &str) -> Result<Program, ConditionError> {
    if expression.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes; at most {MAX_BYTES} are allowed", expression.len());
        return Err(ConditionError { column: 1, message });
    }
    parser::parse(expression)
}
