//! `retry`: more attempts of a call that may be repeated.

use std::time::Duration;

use super::{
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional, required},
};
use crate::diagnostic::Place;

/// `retry`
pub(super) static RETRY: Object = Object {
    name: "retry",
    keys: &[
        required("attempts", Shape::Count(1, 10), "All attempts, the first counted."),
        optional(
            "on",
            Shape::List(&Shape::Word(REASONS)),
            "What is worth another attempt ([connect, reset, 502, 503, 504]).",
        ),
        optional("backoff", Shape::Object(&BACKOFF), "The wait between attempts; it doubles."),
    ],
    one_of: &[],
    open: false,
};

static BACKOFF: Object = Object {
    name: "backoff",
    keys: &[
        optional("initial", Shape::Duration, "The first wait (50ms)."),
        optional("max", Shape::Duration, "The longest wait (1s)."),
    ],
    one_of: &[],
    open: false,
};

const REASONS: &[&str] = &["connect", "reset", "timeout", "429", "500", "502", "503", "504"];

/// `retry`
#[derive(Clone, Debug)]
pub struct RetryTemplate {
    /// Where it stands.
    pub place: Place,
    /// `attempts`: all of them, the first counted.
    pub attempts: u32,
    /// `on`
    pub on: Reasons,
    /// `backoff.initial` (50ms)
    pub initial: Duration,
    /// `backoff.max` (1s)
    pub max: Duration,
}

/// What is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons(u8);

impl Default for Reasons {
    fn default() -> Self {
        let all = ["connect", "reset", "502", "503", "504"];
        Self(all.into_iter().filter_map(Self::bit).fold(0, |mask, bit| mask | bit))
    }
}

impl Reasons {
    fn bit(word: &str) -> Option<u8> {
        REASONS.iter().position(|reason| *reason == word).map(|at| 1 << at)
    }

    /// Whether this reason is among them: `connect`, `reset`, `timeout` or a status.
    #[must_use]
    pub fn has(self, word: &str) -> bool {
        Self::bit(word).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether an answer of this status is worth another attempt.
    #[must_use]
    pub fn has_status(self, status: http::StatusCode) -> bool {
        self.has(status.as_str())
    }
}

/// Decodes `retry`.
pub(super) fn retry(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<RetryTemplate> {
    let place = fields.key_place("retry").clone();
    let fields = &decoder.object(fields, "retry")?;
    let backoff = decoder.object(fields, "backoff");
    let mut on = Reasons(0);
    for node in decoder.list(fields, "on") {
        let Some(text) = decoder.text_of("on", node) else { continue };
        match Reasons::bit(&text) {
            Some(bit) => on.0 |= bit,
            None => decoder.invalid(
                &text.place,
                format!("`{}` is no reason for another attempt", text.value),
                format!("one of {}", REASONS.join(", ")),
            ),
        }
    }
    let mut wait = |key, default| {
        let found = backoff.as_ref().and_then(|backoff| decoder.duration(backoff, key));
        found.map_or(default, |found| found.value)
    };
    let (initial, max) = (wait("initial", Duration::from_millis(50)), wait("max", Duration::from_secs(1)));
    Some(RetryTemplate {
        place,
        attempts: decoder.count(fields, "attempts")?,
        on: if fields.get("on").is_some() { on } else { Reasons::default() },
        initial,
        max: max.max(initial),
    })
}
