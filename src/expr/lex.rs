//! Source → tokens, one at a time.

use super::{Fault, ast::Span, literal};
use crate::diagnostic::Code;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    End,
    Name(String),
    /// A name in back-ticks; only a field may be written so.
    Quoted(String),
    /// The magnitude; `i64::MIN` has none of its own, so the sign is applied by the parser.
    Int(u64),
    Uint(u64),
    Double(f64),
    Str(String),
    Bytes(Vec<u8>),
    Symbol(&'static str),
}

/// Longest first where one begins another.
const SYMBOLS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=",
];

pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

pub(super) fn fault(span: Span, message: impl Into<String>) -> Fault {
    Fault::new(Code::ExpressionSyntax, span, message)
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    /// The next token and where it stands.
    pub(super) fn next(&mut self) -> Result<(Token, Span), Fault> {
        self.skip_space();
        let start = self.at;
        let rest = &self.source[start..];
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, Span { start, end: start }));
        };
        let second = rest.as_bytes().get(1).copied().unwrap_or_default();
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' => match literal::string_prefix(rest) {
                Some(length) => self.string(length)?,
                None => {
                    let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
                    self.at += end;
                    Token::Name(rest[..end].to_owned())
                }
            },
            '0'..='9' => self.number()?,
            '.' if second.is_ascii_digit() => self.number()?,
            '"' | '\'' => self.string(0)?,
            '`' => {
                let Some(length) = rest[1..].find('`') else {
                    return Err(fault(Span { start, end: start + 1 }, "a back-tick is not closed"));
                };
                self.at += length + 2;
                Token::Quoted(rest[1..=length].to_owned())
            }
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(&"=") => {
                    let span = Span { start, end: start + 1 };
                    return Err(fault(span, "`=` is no operator").help("compare with `==`"));
                }
                Some(symbol) => {
                    self.at += symbol.len();
                    Token::Symbol(symbol)
                }
                None => {
                    let span = Span { start, end: start + first.len_utf8() };
                    let fault = fault(span, format!("`{}` means nothing here", first.escape_debug()));
                    return Err(match first {
                        '&' => fault.help("write `&&`"),
                        '|' => fault.help("write `||`"),
                        _ => fault,
                    });
                }
            },
        };
        Ok((token, Span { start, end: self.at }))
    }

    fn skip_space(&mut self) {
        loop {
            let rest = &self.source[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn string(&mut self, prefix: usize) -> Result<Token, Fault> {
        let (value, length) = literal::string(&self.source[self.at..], prefix).map_err(|error| {
            let start = self.at + error.offset;
            fault(Span { start, end: (start + error.len).min(self.source.len()) }, error.message)
        })?;
        self.at += length;
        Ok(match value {
            literal::Text::Str(text) => Token::Str(text),
            literal::Text::Bytes(bytes) => Token::Bytes(bytes),
        })
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let rest = &self.source[self.at..];
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
        let mut end =
            if hex { 2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count() } else { digits(0) };
        let mut double = false;
        if !hex {
            if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
                double = true;
                end += 1 + digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                let exponent = bytes.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
                if exponent > 0 {
                    double = true;
                    end += 1 + sign + exponent;
                }
            }
        }
        let unsigned = !double && matches!(bytes.get(end), Some(b'u' | b'U'));
        let text = &rest[..end];
        let total = end + usize::from(unsigned);
        let span = Span { start: self.at, end: self.at + total };
        if rest[total..].starts_with(is_name) {
            return Err(fault(span, "a number ends in letters"));
        }
        self.at += total;
        if double {
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Token::Double(value)),
                _ => Err(fault(span, "the number is beyond float64")),
            };
        }
        let value = if hex { u64::from_str_radix(&text[2..], 16) } else { text.parse() };
        match value {
            Ok(value) if unsigned => Ok(Token::Uint(value)),
            Ok(value) if value <= 1 << 63 => Ok(Token::Int(value)),
            _ if hex && text.len() == 2 => Err(fault(span, "hexadecimal digits are missing")),
            _ => Err(fault(span, "the integer is beyond 64 bits").help("an unsigned literal ends in `u`")),
        }
    }
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
