//! Tokens → tree: the whole grammar of CEL, by precedence climbing.
//!
//! Both nesting and the height of the tree are bounded, because `1+1+…` nests nothing and still makes
//! a tall tree: everything after the parser may recurse over it, its drop included.

use super::{
    Fault,
    ast::{Element, Entry, Kind, Node, Operator, Span},
    lex::{Lexer, Token, fault},
};
use crate::diagnostic::Code;

/// The longest source, in bytes.
pub(super) const MAX_SOURCE: usize = 64 * 1024;
/// The deepest nesting of brackets and operators.
const MAX_NESTING: u16 = 32;
/// The tallest tree.
const MAX_HEIGHT: u16 = 128;

/// Names that CEL keeps for itself; they may be fields but not variables or functions.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether CEL keeps a name for itself, so that no step, variable or loop variable can have it.
#[must_use]
pub fn is_keyword(name: &str) -> bool {
    RESERVED.contains(&name) || matches!(name, "true" | "false" | "null" | "in")
}

pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    if source.len() > MAX_SOURCE {
        let span = Span { start: MAX_SOURCE, end: MAX_SOURCE + 1 };
        return Err(Fault::new(Code::ExpressionTooLarge, span, "the expression is longer than 64 KiB"));
    }
    let mut lexer = Lexer::new(source);
    let (token, span) = lexer.next()?;
    let mut parser = Parser { lexer, token, span, nesting: 0 };
    if parser.token == Token::End {
        return Err(fault(Span { start: 0, end: source.len().max(1) }, "the expression is empty"));
    }
    let node = parser.expression()?;
    if parser.token == Token::End { Ok(node) } else { Err(parser.unexpected("an operator")) }
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    token: Token,
    span: Span,
    nesting: u16,
}

type Parsed = Result<Node, Fault>;

impl Parser<'_> {
    /// Takes the current token and moves on.
    fn bump(&mut self) -> Result<(Token, Span), Fault> {
        let (token, span) = self.lexer.next()?;
        Ok((std::mem::replace(&mut self.token, token), std::mem::replace(&mut self.span, span)))
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(&self.token, Token::Symbol(found) if *found == symbol)
    }

    fn take(&mut self, symbol: &str) -> Result<bool, Fault> {
        let found = self.is(symbol);
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    fn expect(&mut self, symbol: &str) -> Result<Span, Fault> {
        if !self.is(symbol) {
            return Err(self.unexpected(&format!("`{symbol}`")));
        }
        Ok(self.bump()?.1)
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let span = Span { start: self.span.start, end: self.span.end.max(self.span.start + 1) };
        let found = match &self.token {
            Token::End => return fault(span, format!("the expression ends where {expected} was expected")),
            Token::Name(name) => format!("`{name}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::Quoted(_) => "a name in back-ticks".to_owned(),
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "a number".to_owned(),
            Token::Str(_) => "a string".to_owned(),
            Token::Bytes(_) => "bytes".to_owned(),
        };
        fault(span, format!("{found} stands where {expected} was expected"))
    }

    /// Makes a node over children of this height.
    fn node(&self, kind: Kind, span: Span, below: u16) -> Parsed {
        if below >= MAX_HEIGHT {
            return Err(Fault::new(
                Code::ExpressionTooLarge,
                span,
                "the expression has too many operations in a row",
            )
            .help("split it over several `vars`"));
        }
        Ok(Node { kind, span, height: below + 1 })
    }

    fn expression(&mut self) -> Parsed {
        // The expression itself is no nesting.
        if self.nesting > MAX_NESTING {
            let message = format!("the expression nests deeper than {MAX_NESTING}");
            return Err(Fault::new(Code::ExpressionTooLarge, self.span, message));
        }
        self.nesting += 1;
        let condition = self.or()?;
        let node = if self.take("?")? {
            let then = self.or()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            let span = condition.span.to(otherwise.span);
            let height = condition.height.max(then.height).max(otherwise.height);
            self.node(Kind::Ternary(Box::new([condition, then, otherwise])), span, height)?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(node)
    }

    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        if !self.is("||") {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take("||")? {
            operands.push(self.and()?);
        }
        self.chain(operands, Kind::Or)
    }

    fn and(&mut self) -> Parsed {
        let first = self.binary(0)?;
        if !self.is("&&") {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take("&&")? {
            operands.push(self.binary(0)?);
        }
        self.chain(operands, Kind::And)
    }

    fn chain(&self, operands: Vec<Node>, kind: fn(Vec<Node>) -> Kind) -> Parsed {
        let (start, end) = (operands.first().map(|n| n.span), operands.last().map(|n| n.span));
        let span = start.unwrap_or_default().to(end.unwrap_or_default());
        let height = operands.iter().map(|n| n.height).max().unwrap_or(0);
        self.node(kind(operands), span, height)
    }

    /// The operator here and its level: relations 0, additions 1, multiplications 2.
    fn operator(&self) -> Option<(Operator, u8)> {
        Some(match &self.token {
            Token::Name(name) if name == "in" => (Operator::In, 0),
            Token::Symbol(symbol) => match *symbol {
                "==" => (Operator::Equal, 0),
                "!=" => (Operator::NotEqual, 0),
                "<" => (Operator::Less, 0),
                "<=" => (Operator::LessEqual, 0),
                ">" => (Operator::Greater, 0),
                ">=" => (Operator::GreaterEqual, 0),
                "+" => (Operator::Add, 1),
                "-" => (Operator::Subtract, 1),
                "*" => (Operator::Multiply, 2),
                "/" => (Operator::Divide, 2),
                "%" => (Operator::Remainder, 2),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn binary(&mut self, level: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some((operator, found)) = self.operator().filter(|(_, found)| *found >= level) {
            let (_, operator_span) = self.bump()?;
            let right = self.binary(found + 1)?;
            let (span, height) = (left.span.to(right.span), left.height.max(right.height));
            let kind = Kind::Binary { operator, operator_span, left: Box::new(left), right: Box::new(right) };
            left = self.node(kind, span, height)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            let (token, span) = self.bump()?;
            signs.push((token == Token::Symbol("!"), span));
        }
        // A sign right before an integer belongs to it, or the lowest int64 could not be written.
        let mut node = match (&self.token, signs.last()) {
            (Token::Int(value), Some((false, sign))) => {
                let value = 0i64.checked_sub_unsigned(*value);
                let (start, span) = (*sign, self.span);
                signs.pop();
                self.bump()?;
                let literal = self.node(Kind::Int(value.unwrap_or_default()), start.to(span), 0)?;
                self.member(literal)?
            }
            _ => {
                let primary = self.primary()?;
                self.member(primary)?
            }
        };
        while let Some((not, sign)) = signs.pop() {
            let (span, height) = (sign.to(node.span), node.height);
            let kind = if not { Kind::Not(Box::new(node)) } else { Kind::Negate(Box::new(node)) };
            node = self.node(kind, span, height)?;
        }
        Ok(node)
    }

    fn member(&mut self, mut node: Node) -> Parsed {
        loop {
            if self.take(".")? {
                let optional = self.take("?")?;
                let (field, field_span) = self.field()?;
                if !optional && self.is("(") {
                    let (arguments, end) = self.arguments()?;
                    let height = arguments.iter().map(|n| n.height).fold(node.height, u16::max);
                    let span = node.span.to(end);
                    let target = Some(Box::new(node));
                    let kind = Kind::Call { target, name: field, name_span: field_span, arguments };
                    node = self.node(kind, span, height)?;
                } else {
                    let (span, height) = (node.span.to(field_span), node.height);
                    node = self.node(
                        Kind::Select { base: Box::new(node), field, field_span, optional },
                        span,
                        height,
                    )?;
                }
            } else if self.take("[")? {
                let optional = self.take("?")?;
                let key = self.expression()?;
                let end = self.expect("]")?;
                let (span, height) = (node.span.to(end), node.height.max(key.height));
                node = self.node(
                    Kind::Index { base: Box::new(node), key: Box::new(key), optional },
                    span,
                    height,
                )?;
            } else if self.is("{") && matches!(node.kind, Kind::Name { .. } | Kind::Select { .. }) {
                return Err(
                    fault(self.span, "messages cannot be built here").help("write a map: `{\"key\": value}`")
                );
            } else {
                return Ok(node);
            }
        }
    }

    fn field(&mut self) -> Result<(String, Span), Fault> {
        match &self.token {
            Token::Name(name) if !matches!(name.as_str(), "in" | "true" | "false" | "null") => {}
            Token::Quoted(_) => {}
            _ => return Err(self.unexpected("a field name")),
        }
        match self.bump()? {
            (Token::Name(name) | Token::Quoted(name), span) => Ok((name, span)),
            (_, span) => Err(fault(span, "a field name was expected")),
        }
    }

    /// The arguments from `(` to `)`, and where `)` stands.
    fn arguments(&mut self) -> Result<(Vec<Node>, Span), Fault> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        if !self.is(")") {
            loop {
                arguments.push(self.expression()?);
                if !self.take(",")? {
                    break;
                }
            }
        }
        Ok((arguments, self.expect(")")?))
    }

    fn primary(&mut self) -> Parsed {
        let start = self.span;
        match &self.token {
            Token::Symbol("(") => {
                self.bump()?;
                let mut inner = self.expression()?;
                let end = self.expect(")")?;
                inner.span = start.to(end);
                return Ok(inner);
            }
            Token::Symbol("[") => return self.list(),
            Token::Symbol("{") => return self.map(),
            Token::Symbol(".") => {
                self.bump()?;
                return self.name(true);
            }
            Token::Name(name) if name == "in" => return Err(self.unexpected("a value")),
            Token::Name(_) => return self.name(false),
            Token::Symbol(_) | Token::Quoted(_) | Token::End => return Err(self.unexpected("a value")),
            _ => {}
        }
        let (token, span) = self.bump()?;
        let kind = match token {
            Token::Int(value) => match i64::try_from(value) {
                Ok(value) => Kind::Int(value),
                Err(_) => {
                    return Err(
                        fault(span, "the integer is beyond int64").help("an unsigned literal ends in `u`")
                    );
                }
            },
            Token::Uint(value) => Kind::Uint(value),
            Token::Double(value) => Kind::Double(value),
            Token::Bytes(value) => Kind::Bytes(value),
            Token::Str(value) => Kind::Str(value),
            _ => return Err(fault(span, "a value was expected")),
        };
        self.node(kind, span, 0)
    }

    fn name(&mut self, rooted: bool) -> Parsed {
        if !matches!(self.token, Token::Name(_)) {
            return Err(self.unexpected("a name"));
        }
        let (Token::Name(name), span) = self.bump()? else {
            return Err(self.unexpected("a name"));
        };
        let kind = match name.as_str() {
            "null" if !rooted => Kind::Null,
            "true" if !rooted => Kind::Bool(true),
            "false" if !rooted => Kind::Bool(false),
            "null" | "true" | "false" | "in" => return Err(fault(span, format!("`{name}` is no name"))),
            word if RESERVED.contains(&word) => {
                return Err(fault(span, format!("`{word}` is a reserved word")));
            }
            _ if self.is("(") => {
                let (arguments, end) = self.arguments()?;
                let height = arguments.iter().map(|n| n.height).max().unwrap_or(0);
                let kind = Kind::Call { target: None, name, name_span: span, arguments };
                return self.node(kind, span.to(end), height);
            }
            _ => Kind::Name { name, rooted },
        };
        self.node(kind, span, 0)
    }

    fn list(&mut self) -> Parsed {
        let start = self.expect("[")?;
        let mut elements: Vec<Element> = Vec::new();
        while !self.is("]") {
            let optional = self.take("?")?;
            elements.push(Element { optional, value: self.expression()? });
            if !self.take(",")? {
                break;
            }
        }
        let end = self.expect("]")?;
        let height = elements.iter().map(|e| e.value.height).max().unwrap_or(0);
        self.node(Kind::List(elements), start.to(end), height)
    }

    fn map(&mut self) -> Parsed {
        let start = self.expect("{")?;
        let mut entries: Vec<Entry> = Vec::new();
        while !self.is("}") {
            let optional = self.take("?")?;
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { optional, key, value: self.expression()? });
            if !self.take(",")? {
                break;
            }
        }
        let end = self.expect("}")?;
        let height = entries.iter().map(|e| e.key.height.max(e.value.height)).max().unwrap_or(0);
        self.node(Kind::Map(entries), start.to(end), height)
    }
}
