//! Operators: which operands can never work together.

use super::{Lowered, Op, Resolver, Span, Type};
use crate::expr::ast::Operator;

impl Resolver<'_> {
    pub(super) fn binary(
        &mut self,
        operator: Operator,
        span: Span,
        left: Lowered,
        right: Lowered,
    ) -> Lowered {
        use Operator::{
            Add, Divide, Equal, Greater, GreaterEqual, In, Less, LessEqual, Multiply, NotEqual, Remainder,
            Subtract,
        };
        let (a, b) = (left.1, right.1);
        let result = match operator {
            Add => sum(a, b),
            Subtract => difference(a, b),
            Multiply | Divide | Remainder => both(a, b, Type::Number),
            // Equality is defined for every two values.
            Equal | NotEqual => Some(Type::Bool),
            Less | LessEqual | Greater | GreaterEqual => {
                let ordered =
                    [Type::Number, Type::Str, Type::Bool, Type::Bytes, Type::Timestamp, Type::Duration];
                let comparable = a == Type::Any || b == Type::Any || a == b;
                (comparable && a.may_be(&ordered) && b.may_be(&ordered)).then_some(Type::Bool)
            }
            In => b.may_be(&[Type::List, Type::Map]).then_some(Type::Bool),
        };
        if result.is_none() {
            let symbol = operator.symbol();
            self.mismatch(span, format!("`{symbol}` cannot take {} and {}", a.name(), b.name()));
        }
        self.push(Op::Binary(operator, left.0, right.0), result.unwrap_or(Type::Any))
    }
}

fn both(a: Type, b: Type, needed: Type) -> Option<Type> {
    (a.may_be(&[needed]) && b.may_be(&[needed])).then_some(needed)
}

/// `+` joins numbers, texts, bytes and lists, and moves points in time.
fn sum(a: Type, b: Type) -> Option<Type> {
    use Type::{Any, Bytes, Duration, List, Number, Str, Timestamp};
    match (a, b) {
        (Any, Duration | Timestamp) | (Duration | Timestamp, Any) | (Any, Any) => Some(Any),
        (Any, known) | (known, Any) => matches!(known, Number | Str | Bytes | List).then_some(known),
        (Timestamp, Duration) | (Duration, Timestamp) => Some(Timestamp),
        (Duration, Duration) => Some(Duration),
        (a, b) => (a == b && matches!(a, Number | Str | Bytes | List)).then_some(a),
    }
}

fn difference(a: Type, b: Type) -> Option<Type> {
    use Type::{Any, Duration, Number, Timestamp};
    match (a, b) {
        (Any | Number, Number) | (Number, Any) => Some(Number),
        (Any, Any | Duration | Timestamp) | (Timestamp | Duration, Any) => Some(Any),
        (Timestamp, Timestamp) | (Duration, Duration) => Some(Duration),
        (Timestamp, Duration) => Some(Timestamp),
        _ => None,
    }
}
