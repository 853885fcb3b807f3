//! Regular expressions of `matches`: RE2's syntax, in time linear in the text.
//!
//! A lazy DFA does the search. Where its states would not pay for themselves, which a hostile pattern
//! can bring about, it gives up, and a simulation of the NFA goes on that takes a charge per state.
//! There is no back-tracking, and patterns are bounded in length, nesting and compiled size.

mod re2;

use std::fmt;

use regex_automata::{
    Input,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{Compiler, Config, WhichCaptures, pikevm::PikeVM},
    util::{pool::Pool, syntax},
};

use super::EvalError;
use crate::schema::bounds;

/// The longest pattern, in bytes.
const MAX_LENGTH: usize = 4096;
/// The largest compiled pattern, in bytes.
const MAX_SIZE: usize = 128 * 1024;
/// What the states of one search may take, in bytes.
const CACHE: usize = 64 * 1024;

/// What a state costs per byte where the lazy DFA has given up: a simulated one takes some nanoseconds,
/// and a whole expression's fuel should be spent within 50 ms.
const STATE: usize = 5;

type Caches = Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>;

/// A compiled pattern.
pub(super) struct Pattern {
    dfa: DFA,
    caches: Caches,
}

/// Why a pattern is refused.
pub(super) enum Refused {
    TooLong,
    /// Nested or repeated beyond what is compiled.
    TooLarge,
    Syntax(String),
    /// All patterns of the tree together are larger than they may be.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the pattern is longer than {MAX_LENGTH} bytes"),
            Self::TooLarge => f.write_str("the pattern repeats or nests too much"),
            Self::TooMany => {
                write!(f, "all patterns of the tree together are larger than {} MiB", bounds::PATTERNS >> 20)
            }
            Self::Syntax(words) => write!(f, "the pattern is not valid: {words}"),
        }
    }
}

impl Pattern {
    /// A pattern that stands in a template, which takes its share of what a tree may take.
    pub(super) fn literal(pattern: &str) -> Result<Self, Refused> {
        if !bounds::has_room_for_patterns() {
            return Err(Refused::TooMany);
        }
        let compiled = Self::new(pattern);
        if matches!(compiled, Err(Refused::TooLarge)) {
            // To find that out took as much.
            let _ = bounds::take_pattern(MAX_SIZE);
        }
        let compiled = compiled?;
        let fits = bounds::take_pattern(compiled.dfa.get_nfa().memory_usage());
        fits.then_some(compiled).ok_or(Refused::TooMany)
    }

    pub(super) fn new(pattern: &str) -> Result<Self, Refused> {
        if pattern.len() > MAX_LENGTH {
            return Err(Refused::TooLong);
        }
        let translated = re2::translate(pattern);
        let syntax = syntax::Config::new().nest_limit(64);
        let tree = syntax::parse_with(&translated, &syntax)
            .map_err(|error| Refused::Syntax(last_line(&error.to_string())))?;
        let config = Config::new()
            .nfa_size_limit(Some(MAX_SIZE))
            .which_captures(WhichCaptures::Implicit)
            .shrink(false);
        let nfa = Compiler::new().configure(config).build_from_hir(&tree).map_err(|_| Refused::TooLarge)?;
        let config = DFA::config()
            .cache_capacity(CACHE)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(3))
            .minimum_bytes_per_state(Some(256));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).map_err(|_| Refused::TooLarge)?;
        let maker = dfa.clone();
        Ok(Self { dfa, caches: Pool::new(Box::new(move || maker.create_cache())) })
    }

    /// Whether the pattern is found anywhere in the text. `work` takes a charge for looking at so many
    /// bytes before they are looked at.
    pub(super) fn is_in(
        &self,
        text: &str,
        mut work: impl FnMut(usize) -> Result<(), EvalError>,
    ) -> Result<bool, EvalError> {
        let states = self.dfa.get_nfa().states().len();
        work(text.len().saturating_mul(1 + states / 64))?;
        let found = {
            let mut cache = self.caches.get();
            self.dfa.try_search_fwd(&mut cache, &Input::new(text).earliest(true))
        };
        match found {
            Ok(found) => Ok(found.is_some()),
            Err(_) => {
                work(text.len().saturating_mul(states).saturating_mul(STATE))?;
                let Ok(slow) = PikeVM::new_from_nfa(self.dfa.get_nfa().clone()) else {
                    return Err(EvalError::Budget);
                };
                Ok(slow.is_match(&mut slow.create_cache(), text))
            }
        }
    }
}

/// The part of the parser's message that says what is wrong; the lines before it draw the pattern.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("states", &self.dfa.get_nfa().states().len()).finish()
    }
}
