//! A compiled condition.

use std::fmt;

use super::MAX_DEPTH;

/// How a metric is compared with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        }
    }

    #[expect(clippy::float_cmp, reason = "the user's own == on the user's own numbers")]
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Below => left < right,
            Comparison::AtMost => left <= right,
            Comparison::Above => left > right,
            Comparison::AtLeast => left >= right,
        }
    }
}

/// One step of a program; metrics by their index in [`Program::metrics`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// Push `metric op value`; false where the metric is nil.
    Compare {
        /// Which metric.
        metric: u16,
        /// How.
        op: Comparison,
        /// With what.
        value: f64,
    },
    /// Push `metric == nil`.
    IsNil(u16),
    /// Push `metric != nil`.
    IsSet(u16),
    /// Both of the last two.
    And,
    /// One of the last two.
    Or,
}

/// Each open parenthesis can leave an `||` and an `&&` waiting for their right side.
const STACK: usize = 2 * MAX_DEPTH + 4;

/// A compiled condition: postfix, without allocation when it is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    code: Box<[Instruction]>,
    metrics: Box<[String]>,
}

impl Program {
    pub(super) fn new(code: Vec<Instruction>, metrics: Vec<String>) -> Program {
        Program { code: code.into(), metrics: metrics.into() }
    }

    /// The metrics it uses, each once, in the order in which they first appear.
    #[must_use]
    pub fn metrics(&self) -> &[String] {
        &self.metrics
    }

    /// Whether it holds; `value_of` gives the metric with that index in [`Program::metrics`], `None` for nil.
    pub fn eval(&self, value_of: impl Fn(usize) -> Option<f64>) -> bool {
        let mut stack = [false; STACK];
        let mut top = 0usize;
        for instruction in &*self.code {
            let value = match *instruction {
                Instruction::Compare { metric, op, value } => {
                    value_of(usize::from(metric)).is_some_and(|held| op.holds(held, value))
                }
                Instruction::IsNil(metric) => value_of(usize::from(metric)).is_none(),
                Instruction::IsSet(metric) => value_of(usize::from(metric)).is_some(),
                Instruction::And | Instruction::Or => {
                    top = top.saturating_sub(2);
                    let left = stack.get(top).copied().unwrap_or(false);
                    let right = stack.get(top + 1).copied().unwrap_or(false);
                    if *instruction == Instruction::And { left && right } else { left || right }
                }
            };
            // The parser keeps within STACK.
            if let Some(slot) = stack.get_mut(top) {
                *slot = value;
            }
            top += 1;
        }
        stack.first().copied().unwrap_or(false)
    }
}

/// What the expression was understood as.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each entry with whether it is an `||` at its top, which needs parentheses beside `&&`.
        let mut stack: Vec<(String, bool)> = Vec::new();
        let name = |metric: u16| self.metrics.get(usize::from(metric)).map_or("?", String::as_str);
        for instruction in &*self.code {
            let entry = match *instruction {
                Instruction::Compare { metric, op, value } => {
                    (format!("{} {} {value}", name(metric), op.as_str()), false)
                }
                Instruction::IsNil(metric) => (format!("{} == nil", name(metric)), false),
                Instruction::IsSet(metric) => (format!("{} != nil", name(metric)), false),
                Instruction::And | Instruction::Or => {
                    let right = stack.pop().unwrap_or_default();
                    let left = stack.pop().unwrap_or_default();
                    if *instruction == Instruction::Or {
                        (format!("{} || {}", left.0, right.0), true)
                    } else {
                        let shown = |(text, or): (String, bool)| if or { format!("({text})") } else { text };
                        (format!("{} && {}", shown(left), shown(right)), false)
                    }
                }
            };
            stack.push(entry);
        }
        f.write_str(&stack.pop().unwrap_or_default().0)
    }
}
