//! How much may be called: `rateLimit`, `concurrency`.

use std::sync::Arc;

use super::{
    super::{
        explain::{self, Line},
        part::RateLimit,
    },
    Lattice, Said, Voice,
};
use crate::{
    config::policy::disagreement,
    diagnostic::Code,
    policy::{concurrency, rate_limit},
};

impl<'l> Lattice<'l> {
    /// All admit. Limits of one name agree in window and key, and the least of them is what a client meets;
    /// each still counts what it counts on other routes.
    pub(super) fn rate_limits(&mut self) -> Vec<Arc<rate_limit::Settings>> {
        let ranks =
            self.ranks(|part| (!part.rate_limits.is_empty()).then_some((&part.rate_limits, &part.place)));
        let mut all: Vec<(Said<'l, Arc<rate_limit::Settings>>, &RateLimit)> = Vec::new();
        for said in ranks.holding() {
            for entry in said.value {
                let one = Said { layer: said.layer, value: &entry.settings, place: &entry.place };
                let alike = all.iter().find(|(known, _)| known.value.name == one.value.name);
                if let Some((first, known)) = alike {
                    self.agree(first, &one, known.key == entry.key);
                }
                all.push((one, entry));
            }
        }
        for (said, entry) in &all {
            if matches!(said.layer.voice, Voice::Own(_)) {
                self.judge_rate(said, entry, &all);
            }
            let name = format!("rateLimit.{}", said.value.name);
            self.line(name, |field| Line::of(field, explain::rate_limit(said.value), said));
        }
        all.into_iter().map(|(said, _)| Arc::clone(said.value)).collect()
    }

    fn agree(
        &mut self,
        first: &Said<'l, Arc<rate_limit::Settings>>,
        second: &Said<'l, Arc<rate_limit::Settings>>,
        same_key: bool,
    ) {
        // Within one Policy it is told where that is read.
        if Arc::ptr_eq(&first.layer.part, &second.layer.part) {
            return;
        }
        let what = if first.value.window != second.value.window {
            "window"
        } else if !same_key {
            "key"
        } else {
            return;
        };
        let name = &second.value.name;
        if let Voice::Own(_) = second.layer.voice {
            let message = format!(
                "the limit `{name}` of the Policy `{}` ({}) has another `{what}` than that of `{}` ({})",
                second.layer.part.name, second.place, first.layer.part.name, first.place
            );
            if matches!(first.layer.voice, Voice::Mandate(_)) {
                self.loosens(second.at(), message, first.layer);
            } else {
                let help =
                    "limits of one name agree in `window` and `key`; name one of the Policies, or ask IT";
                self.note(Code::InvalidValue, second.at(), message, help, first.layer);
            }
        } else {
            let found = disagreement(name, second.place, (second.value.window, first.value.window), what);
            self.findings.push(found.related(first.place.clone(), "the first one"));
        }
    }

    /// A route's own limit against those that are mandated.
    fn judge_rate(
        &mut self,
        own: &Said<'l, Arc<rate_limit::Settings>>,
        entry: &RateLimit,
        all: &[(Said<'l, Arc<rate_limit::Settings>>, &RateLimit)],
    ) {
        let when = |said: &Said<'l, Arc<rate_limit::Settings>>| {
            said.value.when.as_ref().map(|when| when.source().trim().to_owned())
        };
        let mandates = || all.iter().filter(|(said, _)| matches!(said.layer.voice, Voice::Mandate(_)));
        let named: Vec<_> = mandates().filter(|(said, _)| said.value.name == own.value.name).collect();
        let alike = named.iter().any(|(said, _)| when(said) == when(own));
        let counting = || named.iter().map(|(said, _)| said).filter(|said| !alike || when(said) == when(own));
        let limit = counting().min_by_key(|said| said.value.limit);
        let burst = counting().min_by_key(|said| said.value.burst);
        if let Some((limit, burst)) = limit.zip(burst) {
            // A burst that is not written says nothing of its own.
            let over = if own.value.limit > limit.value.limit {
                Some(("limit", own.value.limit, limit.value.limit, limit))
            } else {
                let over = entry.bursts && own.value.burst > burst.value.burst;
                over.then_some(("burst", own.value.burst, burst.value.burst, burst))
            };
            if let Some((what, value, most, floor)) = over {
                let message = format!(
                    "`{what}: {value}` of `{}` in the Policy `{}` is more than the {most} that `{}` mandates ({})",
                    own.value.name, own.layer.part.name, floor.layer.part.name, floor.place
                );
                self.loosens(own.at(), message, floor.layer);
                return;
            }
        }
        let never = mandates().find(|(said, mandated)| {
            said.value.when.is_none()
                && said.value.window == own.value.window
                && mandated.key == entry.key
                && said.value.limit <= own.value.limit
                && said.value.burst <= own.value.burst
        });
        if let Some((mandate, _)) = never {
            let message = format!(
                "the limit `{}` of the Policy `{}` is never reached: `{}` mandates {} ({})",
                own.value.name,
                own.layer.part.name,
                mandate.layer.part.name,
                explain::rate_limit(mandate.value),
                mandate.place
            );
            self.void_limit(own.at(), message, (own.layer, mandate.layer));
        }
    }

    /// All admit; the least is what counts.
    pub(super) fn concurrency(&mut self) -> Vec<Arc<concurrency::Settings>> {
        let ranks = self.ranks(|part| part.concurrency.as_ref().map(|it| (&it.value, &it.place)));
        if let Some(floor) = ranks.mandates.iter().min_by_key(|said| said.value.max) {
            for said in &ranks.own {
                let (own, most) = (said.value.max, floor.value.max);
                let mandate = format!("`{}` mandates ({})", floor.layer.part.name, floor.place);
                if own > most {
                    let message = format!(
                        "`concurrency.max: {own}` of the Policy `{}` is more than the {most} that {mandate}",
                        said.layer.part.name
                    );
                    self.loosens(said.at(), message, floor.layer);
                } else if own == most && explain::key(&said.value.key) == explain::key(&floor.value.key) {
                    let message = format!(
                        "`concurrency` of the Policy `{}` is never reached: it is what {mandate}",
                        said.layer.part.name
                    );
                    self.void_limit(said.at(), message, (said.layer, floor.layer));
                }
            }
        }
        let mut all = Vec::new();
        for said in ranks.holding() {
            self.line("concurrency", |field| Line::of(field, explain::concurrency(said.value), said));
            all.push(Arc::clone(said.value));
        }
        all
    }
}
