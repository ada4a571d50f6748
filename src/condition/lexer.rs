//! Text to tokens.

use super::number;
use super::{ConditionError, MAX_NAME};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    Number(f64),
    Nil,
    Compare(super::Comparison),
    And,
    Or,
    Open,
    Close,
    End,
}

impl Token<'_> {
    /// For "found …".
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("the name {name:?}"),
            Token::Number(value) => format!("the number {value}"),
            Token::Nil => "nil".into(),
            Token::Compare(op) => format!("{:?}", op.as_str()),
            Token::And => "\"&&\"".into(),
            Token::Or => "\"||\"".into(),
            Token::Open => "\"(\"".into(),
            Token::Close => "\")\"".into(),
            Token::End => "the end".into(),
        }
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { text, at: 0 }
    }

    /// The column of a byte offset, in characters from 1.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> ConditionError {
        let column = self.text.get(..at).map_or(1, |before| before.chars().count().saturating_add(1));
        ConditionError { column, message: message.into() }
    }

    /// The next token and the byte offset at which it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), ConditionError> {
        use super::Comparison as C;
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let begin = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok((begin, Token::End)) };
        let pairs = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("==", Token::Compare(C::Equal)),
            ("!=", Token::Compare(C::NotEqual)),
            ("<=", Token::Compare(C::AtMost)),
            (">=", Token::Compare(C::AtLeast)),
            ("<", Token::Compare(C::Below)),
            (">", Token::Compare(C::Above)),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        if let Some((text, token)) = pairs.into_iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            return Ok((begin, token));
        }
        match first {
            '0'..='9' | '-' => self.number(begin),
            'A'..='Z' | 'a'..='z' | '_' => self.word(begin),
            '=' => Err(self.error(begin, "found \"=\"; to compare, write \"==\"")),
            '&' => Err(self.error(begin, "found \"&\"; write \"&&\" or \"and\"")),
            '|' => Err(self.error(begin, "found \"|\"; write \"||\" or \"or\"")),
            '!' => Err(self.error(begin, "found \"!\"; there is no \"not\", only \"!=\"")),
            other => Err(self.error(begin, format!("found {other:?}, which has no meaning in a condition"))),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn word(&mut self, begin: usize) -> Result<(usize, Token<'a>), ConditionError> {
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| is_name_byte(*b)).count();
        let word = rest.get(..length).unwrap_or_default();
        self.at += length;
        let token = match word {
            "and" => Token::And,
            "or" => Token::Or,
            "nil" => Token::Nil,
            _ if word.len() > MAX_NAME => {
                return Err(self.error(begin, format!("a metric's name has at most {MAX_NAME} bytes")));
            }
            _ => Token::Name(word),
        };
        Ok((begin, token))
    }

    fn number(&mut self, begin: usize) -> Result<(usize, Token<'a>), ConditionError> {
        let (number, length) =
            number::read_prefix(self.rest(), &["and", "or"]).map_err(|why| self.error(begin, why))?;
        self.at += length;
        Ok((begin, Token::Number(number.value)))
    }
}

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}
