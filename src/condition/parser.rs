//! Tokens to a postfix program, with a stack of our own: nesting costs no recursion.

use super::lexer::{Lexer, Token};
use super::program::{Instruction, Program};
use super::{Comparison, ConditionError, MAX_ATOMS, MAX_DEPTH};

#[derive(Clone, Copy, PartialEq)]
enum Pending {
    And,
    Or,
    Open(usize),
}

pub(super) fn parse(text: &str) -> Result<Program, ConditionError> {
    let mut lexer = Lexer::new(text);
    let mut out = Builder::default();
    let mut pending: Vec<Pending> = Vec::new();
    let mut depth = 0usize;
    loop {
        // Here a comparison begins.
        let (at, token) = lexer.next()?;
        match token {
            Token::Open => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(lexer.error(at, format!("more than {MAX_DEPTH} parentheses inside each other")));
                }
                pending.push(Pending::Open(at));
                continue;
            }
            Token::Name(name) => out.comparison(&mut lexer, at, name)?,
            Token::Number(value) => {
                let message = format!("found the number {value}; the metric stands on the left: write x > {value}");
                return Err(lexer.error(at, message));
            }
            other => {
                let message = format!("expected a metric's name or \"(\", found {}", other.describe());
                return Err(lexer.error(at, message));
            }
        }
        // Here one has ended.
        loop {
            let (at, token) = lexer.next()?;
            match token {
                Token::Close => {
                    out.unwind(&mut pending, |top| matches!(top, Pending::Open(_)));
                    if pending.pop().is_none() {
                        return Err(lexer.error(at, "found \")\" without a \"(\" before it"));
                    }
                    depth -= 1;
                }
                Token::And => {
                    out.unwind(&mut pending, |top| top != Pending::And);
                    pending.push(Pending::And);
                    break;
                }
                Token::Or => {
                    out.unwind(&mut pending, |top| matches!(top, Pending::Open(_)));
                    pending.push(Pending::Or);
                    break;
                }
                Token::End => {
                    out.unwind(&mut pending, |top| matches!(top, Pending::Open(_)));
                    if let Some(Pending::Open(open)) = pending.pop() {
                        return Err(lexer.error(open, "this \"(\" is never closed"));
                    }
                    return Ok(Program::new(out.code, out.metrics));
                }
                other => {
                    let message = format!("expected \"&&\", \"||\" or the end, found {}", other.describe());
                    return Err(lexer.error(at, message));
                }
            }
        }
    }
}

#[derive(Default)]
struct Builder {
    code: Vec<Instruction>,
    metrics: Vec<String>,
    atoms: usize,
}

impl Builder {
    fn unwind(&mut self, pending: &mut Vec<Pending>, stop: impl Fn(Pending) -> bool) {
        while let Some(top) = pending.last().copied().filter(|top| !stop(*top)) {
            pending.pop();
            self.code.push(if top == Pending::And { Instruction::And } else { Instruction::Or });
        }
    }

    fn comparison(&mut self, lexer: &mut Lexer<'_>, begin: usize, name: &str) -> Result<(), ConditionError> {
        self.atoms += 1;
        if self.atoms > MAX_ATOMS {
            return Err(lexer.error(begin, format!("more than {MAX_ATOMS} comparisons")));
        }
        let known = self.metrics.iter().position(|metric| metric == name);
        let index = known.unwrap_or_else(|| {
            self.metrics.push(name.to_owned());
            self.metrics.len() - 1
        });
        // At most MAX_ATOMS names, so it fits.
        let metric = u16::try_from(index).unwrap_or(u16::MAX);
        let (at, token) = lexer.next()?;
        let Token::Compare(op) = token else {
            let message =
                format!("expected one of == != < <= > >= after the metric {name:?}, found {}", token.describe());
            return Err(lexer.error(at, message));
        };
        let (at, token) = lexer.next()?;
        self.code.push(match (token, op) {
            (Token::Number(value), op) => Instruction::Compare { metric, op, value },
            (Token::Nil, Comparison::Equal) => Instruction::IsNil(metric),
            (Token::Nil, Comparison::NotEqual) => Instruction::IsSet(metric),
            (Token::Nil, op) => {
                let message = format!("nil can be compared with == and != only, not with {}", op.as_str());
                return Err(lexer.error(at, message));
            }
            (other, op) => {
                let message = format!("expected a number or nil after {}, found {}", op.as_str(), other.describe());
                return Err(lexer.error(at, message));
            }
        });
        Ok(())
    }
}
