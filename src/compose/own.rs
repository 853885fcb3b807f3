//! `self`: the step's own answer, in `ensure`.

use super::{output::Received, state::State};
use crate::expr::{AnswerField, Data, EvalError, Slot, Value};

/// The state with `self`.
pub(super) struct Own<'a> {
    pub(super) state: &'a State,
    pub(super) received: &'a Received,
}

impl Data for Own<'_> {
    fn seed(&self) -> [u8; 16] {
        self.state.seed()
    }

    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        let Slot::Own(field) = slot else {
            return self.state.read(slot);
        };
        Ok(Some(match field {
            AnswerField::Status => Value::Int(self.received.status.as_u16().into()),
            AnswerField::Headers => Value::Object(&self.received.headers),
            AnswerField::Body => self.received.content.value(),
        }))
    }
}
