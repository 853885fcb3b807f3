//! `principal`: who a request is from, as expressions read it.

use std::{borrow::Cow, rc::Rc};

use super::{PrincipalField, Value};
use crate::principal::Principal;

impl Principal {
    /// The value of a field; nothing for one that this principal does not have.
    #[must_use]
    pub fn read(&self, field: PrincipalField) -> Option<Value<'_>> {
        let text = |text| Value::Str(Cow::Borrowed(text));
        match field {
            PrincipalField::Id => self.id.as_deref().map(text),
            PrincipalField::Kind => Some(text(self.kind.as_str())),
            PrincipalField::Claims => Some(match &self.claims {
                Some(claims) => Value::Json(claims.root()),
                None => Value::Map(Rc::default()),
            }),
            PrincipalField::Scopes => {
                Some(Value::List(self.scopes.iter().map(|scope| text(scope)).collect()))
            }
            PrincipalField::Consumer => self.consumer.as_deref().map(|consumer| text(&consumer.name)),
            PrincipalField::Plan => {
                self.consumer.as_deref().and_then(|consumer| consumer.plan.as_deref()).map(text)
            }
        }
    }
}
