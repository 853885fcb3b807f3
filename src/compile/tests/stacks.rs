//! Generated stacks of bindings and Policies against a naive model: no mandate is lost or loosened, and
//! what explains a value names where it stands.

mod lines;

use std::time::Duration;

use proptest::prelude::*;

use super::GATEWAY;
use crate::{
    compile::{
        compile,
        explained::{Explained, explain},
    },
    config::Tree,
    diagnostic::Code,
    policy::headers,
};

/// What a generated Policy says; each part may be absent.
#[derive(Clone, Debug)]
struct Given {
    timeout: Option<u64>,
    max_bytes: Option<u64>,
    concurrency: Option<u32>,
    rate: Option<Rate>,
    keyed: bool,
    anonymous: bool,
    /// What is done to which field of answers: set, or else removed.
    header: Option<(usize, bool)>,
    /// The same for requests.
    asked: Option<(usize, bool)>,
    priority: Option<usize>,
    /// `deny`, or else `allow`.
    deny: Option<bool>,
    cors: Option<Cors>,
    compress: bool,
    sample: Option<u32>,
    error_body: bool,
}

/// A limit named `calls`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    limit: u32,
    burst: Option<u32>,
    /// For some of the requests.
    gold: bool,
}

/// Which routes a binding is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Select {
    All,
    Unit(bool),
    UnitLabel(bool),
    Route(bool),
    /// Of the route, where a default selects; a mandate may not.
    Label(bool),
    /// By the unit, which is the route's, and by name.
    Both(bool),
}

/// How many seconds browsers remember a preflight that does not say it.
const BROWSERS: u64 = 5;

/// What a generated `cors` says: which of the words below it lists, as bits.
#[derive(Clone, Copy, Debug)]
struct Cors {
    /// The first stands for any.
    origins: usize,
    methods: usize,
    headers: usize,
    expose: usize,
    credentials: bool,
    max_age: Option<u64>,
}

/// Who names a Policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Mandate,
    Own,
    Default,
    Nobody,
}

#[derive(Clone, Debug)]
struct Stack {
    policies: Vec<(Given, Who, Select)>,
    timeout: Option<u64>,
    max_bytes: Option<u64>,
}

const HEADERS: [&str; 3] = ["x-a", "x-b", "x-c"];
/// The last one is the first to servers that turn `-` into `_`.
const EDITED: [&str; 3] = ["x-a", "x-b", "x_a"];
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "critical"];
const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "https://c.example"];
const METHODS: [&str; 3] = ["GET", "PUT", "DELETE"];
/// All origins.
const ANY: usize = 8;

/// Of which the route is.
const UNIT: &str = "apiVersion: segue/v1\nkind: Unit\nmetadata: {name: team, owner: it}\nowns: [{prefix: /r}]\nlabels: {tier: a}\n";

impl Select {
    /// `select` of a binding.
    fn text(self, who: Who) -> String {
        let all =
            |selects: bool, yes: &str, no: &str| format!("select: {{{}}}\n", if selects { yes } else { no });
        match self {
            Self::Label(_) if who == Who::Mandate => String::new(),
            Self::All => String::new(),
            Self::Unit(yes) => all(yes, "units: [other, team]", "units: [other]"),
            Self::UnitLabel(yes) => all(yes, "unitLabels: {tier: a}", "unitLabels: {tier: b}"),
            Self::Route(yes) => all(yes, "routes: [\"*/r\"]", "routes: [\"team/*x\", other/r]"),
            Self::Label(yes) => all(yes, "labels: {kind: a}", "labels: {kind: b}"),
            Self::Both(yes) => all(yes, "units: [team], routes: [team/r]", "units: [team], routes: [team/s]"),
        }
    }

    fn holds(self, who: Who) -> bool {
        match self {
            Self::All => true,
            Self::Label(yes) => yes || who == Who::Mandate,
            Self::Unit(yes) | Self::UnitLabel(yes) | Self::Route(yes) | Self::Both(yes) => yes,
        }
    }
}

/// The words that bits stand for.
fn words(bits: usize, words: [&'static str; 3]) -> Vec<&'static str> {
    (0..3).filter(|bit| bits & (1 << bit) != 0).map(|bit| words[bit]).collect()
}

fn cors() -> impl Strategy<Value = Cors> {
    (1usize..=ANY, 0usize..8, 0usize..8, 0usize..8, any::<bool>(), prop::option::of(1u64..60)).prop_map(
        |(origins, methods, headers, expose, credentials, max_age)| {
            // Every origin with credentials is a finding of its own.
            Cors { origins, methods, headers, expose, credentials: credentials && origins != ANY, max_age }
        },
    )
}

fn given() -> impl Strategy<Value = Given> {
    let maybe = |most: u64| prop::option::of(1..most);
    (
        maybe(60),
        maybe(6),
        prop::option::of(1u32..6),
        prop::option::of((1u32..6, prop::option::of(1u32..6), prop::bool::weighted(0.3))),
        any::<bool>(),
        prop::bool::weighted(0.1),
        [(); 2].map(|()| prop::option::of((0..EDITED.len(), any::<bool>()))),
        prop::option::weighted(0.3, 0..PRIORITIES.len()),
    )
        .prop_flat_map(
            |(timeout, max_bytes, concurrency, rate, keyed, anonymous, [header, asked], priority)| {
                let rate = rate.map(|(limit, burst, gold)| Rate { limit, burst, gold });
                let others = (
                    prop::option::weighted(0.4, any::<bool>()),
                    prop::option::weighted(0.4, cors()),
                    prop::bool::weighted(0.3),
                    prop::option::weighted(0.3, 1u32..10),
                    prop::bool::weighted(0.3),
                );
                others.prop_map(move |(deny, cors, compress, sample, error_body)| Given {
                    timeout,
                    max_bytes,
                    concurrency,
                    rate,
                    keyed,
                    anonymous,
                    header,
                    asked,
                    priority,
                    deny,
                    cors,
                    compress,
                    sample,
                    error_body,
                })
            },
        )
}

fn stack() -> impl Strategy<Value = Stack> {
    let who = prop_oneof![Just(Who::Mandate), Just(Who::Own), Just(Who::Default), Just(Who::Nobody)];
    let select = prop_oneof![
        3 => Just(Select::All),
        1 => any::<bool>().prop_map(Select::Unit),
        1 => any::<bool>().prop_map(Select::UnitLabel),
        1 => any::<bool>().prop_map(Select::Route),
        1 => any::<bool>().prop_map(Select::Label),
        1 => any::<bool>().prop_map(Select::Both),
    ];
    let policies = prop::collection::vec((given(), who, select), 0..5);
    (policies, prop::option::of(1u64..60), prop::option::of(1u64..6))
        .prop_map(|(policies, timeout, max_bytes)| Stack { policies, timeout, max_bytes })
}

/// Its documents. A Policy's values stand one a line, so that a place tells which one is meant.
fn texts(stack: &Stack) -> (String, String) {
    let mut it = UNIT.to_owned();
    let mut own = Vec::new();
    for (index, (given, who, select)) in stack.policies.iter().enumerate() {
        it.push_str(&format!(
            "---\napiVersion: segue/v1\nkind: Policy\nmetadata: {{name: p{index}, owner: it}}\n"
        ));
        let mut line = |text: String| it.push_str(&text);
        if let Some(timeout) = given.timeout {
            line(format!("timeout: {timeout}s\n"));
        }
        if let Some(bytes) = given.max_bytes {
            line(format!("body: {{maxBytes: {bytes}KiB}}\n"));
        }
        if let Some(max) = given.concurrency {
            line(format!("concurrency: {{max: {max}}}\n"));
        }
        if let Some(rate) = given.rate {
            let burst = rate.burst.map_or(String::new(), |burst| format!(", burst: {burst}"));
            let when = if rate.gold { ", when: '${ request.method == \"PUT\" }'" } else { "" };
            line(format!("rateLimit: [{{name: calls, limit: {}, window: 1s{burst}{when}}}]\n", rate.limit));
        }
        if given.keyed {
            line(format!("authenticate: {{apiKey: {{}}, anonymous: {}}}\n", given.anonymous));
        }
        let edit = |(header, set): (usize, bool)| {
            let name = EDITED[header];
            if set { format!("set: {{{name}: p{index}}}") } else { format!("remove: [{name}]") }
        };
        if given.header.is_some() || given.asked.is_some() {
            line("headers:\n".to_owned());
        }
        if let Some(header) = given.header {
            line(format!("  response: {{{}}}\n", edit(header)));
        }
        if let Some(header) = given.asked {
            line(format!("  request: {{{}}}\n", edit(header)));
        }
        if let Some(priority) = given.priority {
            line(format!("priority: {}\n", PRIORITIES[priority]));
        }
        if let Some(deny) = given.deny {
            let word = if deny { "deny" } else { "allow" };
            line(format!("authorize: [{{{word}: '${{ request.method == \"p{index}\" }}'}}]\n"));
        }
        if let Some(cors) = given.cors {
            let age = cors.max_age.map_or(String::new(), |age| format!(", maxAge: {age}s"));
            line(format!(
                "cors: {{origins: [{}], methods: [{}], headers: [{}], expose: [{}], credentials: {}{age}}}\n",
                cors.part("origins").replace("none", "").replace('*', "\"*\""),
                cors.part("methods").replace("none", ""),
                cors.part("headers").replace("none", ""),
                cors.part("expose").replace("none", ""),
                cors.credentials,
            ));
        }
        if given.compress {
            line(format!("compress: {{types: [text/p{index}], minBytes: 1KiB}}\n"));
        }
        if let Some(sample) = given.sample {
            line(format!("tracing: {{sample: 0.{sample}}}\n"));
        }
        if given.error_body {
            line(format!(
                "errorBody: {{code: '${{ error.code }}'}}\nerrorContentType: application/p{index}+json\n"
            ));
        }
        let mode = match who {
            Who::Mandate => "mandatory",
            Who::Default => "default",
            Who::Own => {
                own.push(format!("p{index}"));
                continue;
            }
            Who::Nobody => continue,
        };
        it.push_str(&format!(
            "---\napiVersion: segue/v1\nkind: PolicyBinding\nmetadata: {{name: b{index}, owner: it}}\nmode: {mode}\n{}policies: [p{index}]\n",
            select.text(*who)
        ));
    }
    let mut route =
        "apiVersion: segue/v1\nkind: Route\nmetadata: {name: r, owner: team, labels: {kind: a}}\nmatch: {path: /r}\n".to_owned();
    if !own.is_empty() {
        route.push_str(&format!("policies: [{}]\n", own.join(", ")));
    }
    if let Some(timeout) = stack.timeout {
        route.push_str(&format!("timeout: {timeout}s\n"));
    }
    if let Some(bytes) = stack.max_bytes {
        route.push_str(&format!("request: {{body: {{maxBytes: {bytes}KiB}}}}\n"));
    }
    route.push_str("respond: {body: \"${ request.body }\"}\n");
    (it, route)
}

impl Cors {
    /// A part as `explain` shows it.
    fn part(&self, name: &str) -> String {
        let list = |words: Vec<&str>| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
        match name {
            "origins" if self.origins == ANY => "*".to_owned(),
            "origins" => list(words(self.origins, ORIGINS)),
            "methods" => list(words(self.methods, METHODS)),
            "headers" => list(words(self.headers, HEADERS)),
            "expose" => list(words(self.expose, HEADERS)),
            "credentials" => self.credentials.to_string(),
            _ => format!("{}s", self.max_age.unwrap_or(BROWSERS)),
        }
    }
}

impl Stack {
    fn said<T: Copy>(&self, who: Who, get: impl Fn(&Given) -> Option<T>) -> Vec<(usize, T)> {
        let of = |(index, (given, named, select)): (usize, &(Given, Who, Select))| {
            (*named == who && (who == Who::Own || select.holds(who)))
                .then(|| get(given))
                .flatten()
                .map(|value| (index, value))
        };
        self.policies.iter().enumerate().filter_map(of).collect()
    }

    /// Whether an own value is above the least mandate.
    fn exceeds<T: Copy + Ord>(&self, get: impl Fn(&Given) -> Option<T>, key: Option<T>) -> bool {
        let floor = self.said(Who::Mandate, &get).into_iter().map(|(_, value)| value).min();
        let own = self.said(Who::Own, &get).into_iter().map(|(_, value)| value).chain(key);
        floor.is_some_and(|floor| own.max().is_some_and(|own| own > floor))
    }

    /// The least of mandates and own, or the first default.
    fn least<T: Copy + Ord>(&self, get: impl Fn(&Given) -> Option<T>, key: Option<T>) -> Option<T> {
        let held = self.said(Who::Mandate, &get).into_iter().chain(self.said(Who::Own, &get));
        let held = held.map(|(_, value)| value).chain(key).min();
        held.or_else(|| self.said(Who::Default, &get).first().map(|(_, value)| *value))
    }

    fn loosens(&self) -> bool {
        let keyed = |given: &Given| given.keyed.then_some(());
        let open = |given: &Given| (given.keyed && given.anonymous).then_some(());

        self.exceeds(|given| given.timeout, self.timeout)
            || self.exceeds(|given| given.max_bytes, self.max_bytes)
            || self.exceeds(|given| given.concurrency, None)
            || self.rates_exceed()
            || (!self.said(Who::Mandate, keyed).is_empty() && !self.said(Who::Own, open).is_empty())
            || self.edits_conflict(|given| given.header)
            || self.edits_conflict(|given| given.asked)
    }

    /// Whether an own limit is above the least mandate that counts the same requests, or any if none does.
    fn rates_exceed(&self) -> bool {
        let mandates = self.said(Who::Mandate, |given| given.rate);
        self.said(Who::Own, |given| given.rate).into_iter().any(|(_, own)| {
            let alike: Vec<Rate> =
                mandates.iter().map(|(_, rate)| *rate).filter(|rate| rate.gold == own.gold).collect();
            let all = mandates.iter().map(|(_, rate)| *rate).collect();
            let counting = if alike.is_empty() { all } else { alike };
            let limit = counting.iter().map(|rate| rate.limit).min();
            let burst = counting.iter().map(|rate| rate.burst.unwrap_or(rate.limit)).min();
            limit.is_some_and(|limit| own.limit > limit)
                || own.burst.zip(burst).is_some_and(|(own_burst, burst)| own_burst > burst)
        })
    }

    /// The mandate that says something of a field first, of one of that very name before others that are read as it.
    fn mandated(&self, get: impl Fn(&Given) -> Option<(usize, bool)>, name: usize) -> Option<(usize, bool)> {
        let mandates = self.said(Who::Mandate, get);
        let plain = |name: usize| EDITED[name].replace('_', "-");
        let exact = mandates.iter().find(|(_, (known, _))| *known == name);
        let alike = mandates.iter().find(|(_, (known, _))| plain(*known) == plain(name));
        exact.or(alike).map(|(index, (_, set))| (*index, *set))
    }

    /// Whether the route sets what a mandate sets or removes, or removes what it sets.
    fn edits_conflict(&self, get: impl Fn(&Given) -> Option<(usize, bool)> + Copy) -> bool {
        self.said(Who::Own, get).into_iter().any(|(_, (own, set))| {
            self.mandated(get, own).is_some_and(|(_, mandated_set)| set || mandated_set)
        })
    }

    /// Whether one mandate sets what another removes.
    fn contradicts(&self, get: impl Fn(&Given) -> Option<(usize, bool)> + Copy) -> bool {
        let mandates = self.said(Who::Mandate, get);
        mandates.iter().any(|(_, (name, set))| mandates.iter().any(|(_, other)| *other == (*name, !set)))
    }

    /// A mandate's, else the route's own, else a default's.
    fn first<T: Copy>(&self, get: impl Fn(&Given) -> Option<T>) -> Option<(usize, T)> {
        let all = [Who::Mandate, Who::Own, Who::Default].map(|who| self.said(who, &get).first().copied());
        all.into_iter().flatten().next()
    }

    /// Whether an own value stands beside a mandate's, so that it has no effect.
    fn void(&self, get: impl Fn(&Given) -> Option<()>) -> bool {
        !self.said(Who::Mandate, &get).is_empty() && !self.said(Who::Own, &get).is_empty()
    }

    /// What holds of a field of which each layer's counts: mandates and own, or the first default.
    fn held<T: Copy>(&self, get: impl Fn(&Given) -> Option<T>) -> Vec<(usize, T)> {
        let mut all = self.said(Who::Mandate, &get);
        all.extend(self.said(Who::Own, &get));
        if all.is_empty() {
            all.extend(self.said(Who::Default, &get).first());
        }
        all
    }

    /// What all of them allow.
    fn cors(&self) -> Option<Cors> {
        let held = self.held(|given| given.cors);
        let all =
            |of: fn(&Cors) -> usize| held.iter().map(|(_, cors)| of(cors)).fold(7, |met, one| met & one);
        let open = held.iter().all(|(_, cors)| cors.origins == ANY);
        let origins = all(|cors| if cors.origins == ANY { 7 } else { cors.origins });
        (!held.is_empty()).then(|| Cors {
            origins: if open { ANY } else { origins },
            methods: all(|cors| cors.methods),
            headers: all(|cors| cors.headers),
            expose: all(|cors| cors.expose),
            credentials: held.iter().all(|(_, cors)| cors.credentials),
            max_age: held
                .iter()
                .map(|(_, cors)| cors.max_age)
                .min_by_key(|age| age.unwrap_or(BROWSERS))
                .flatten(),
        })
    }

    fn timeout(&self) -> u64 {
        let bound = !self.said(Who::Mandate, |given| given.timeout).is_empty()
            || !self.said(Who::Own, |given| given.timeout).is_empty();
        match self.least(|given| given.timeout, self.timeout) {
            Some(found) if self.timeout.is_none() && bound => found.min(30),
            Some(found) => found,
            None => 30,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_stack_loses_or_loosens_a_mandate_and_every_origin_is_true(stack in stack()) {
        let (it, route) = texts(&stack);
        let files = [
            ("policies/gateway.yaml", GATEWAY),
            ("policies/it.yaml", it.as_str()),
            ("routes/team/r.yaml", route.as_str()),
        ];
        let tree = Tree::from_texts(files);
        let (plan, findings) = compile(&tree);
        let loosened = findings.items().iter().any(|finding| finding.code == Code::LoosensMandate);
        prop_assert_eq!(loosened, stack.loosens(), "{}\n{}\n{:#?}", it, route, findings);
        // Whoever loosens is never served; of the rest only mandates that contradict each other are an error.
        let contradicts = stack.contradicts(|given| given.header) || stack.contradicts(|given| given.asked);
        prop_assert_eq!(plan.is_none(), loosened || contradicts, "{}\n{}\n{:#?}", it, route, findings);
        let Some(plan) = plan else { return Ok(()) };
        let found = &plan.routes[0];
        prop_assert_eq!(found.timeout, Duration::from_secs(stack.timeout()), "{}\n{}", it, route);
        let bytes = stack.least(|given| given.max_bytes, stack.max_bytes).map(|kib| kib * 1024);
        prop_assert_eq!(found.policies.max_bytes, bytes);
        let least = |all: Vec<u32>| all.into_iter().min();
        let max = least(found.policies.concurrency.iter().map(|one| one.max).collect());
        prop_assert_eq!(max, stack.least(|given| given.concurrency, None));
        let rate = found.policies.rate_limits.iter().map(|one| one.limit).min();
        let limit = |given: &Given| given.rate.map(|rate| rate.limit);
        prop_assert_eq!(rate, stack.least(limit, None).map(u64::from));
        prop_assert_eq!(found.policies.rate_limits.len(), stack.held(|given| given.rate).len());
        // Every mandate counts under its own name, so that none is merged away.
        for (index, _) in stack.said(Who::Mandate, |given| given.rate) {
            let name = format!("p{index}");
            prop_assert!(found.policies.rate_limits.iter().any(|one| *one.policy == *name));
        }
        let keyed = |who| stack.said(who, |given| given.keyed.then_some(()));
        let (mandates, own) = (keyed(Who::Mandate).len(), keyed(Who::Own).len());
        let keys = if mandates + own > 0 { mandates + own } else { keyed(Who::Default).len().min(1) };
        prop_assert_eq!(found.policies.authenticate.len(), keys);
        let edits = |get: fn(&headers::Settings) -> &headers::Edits| found.policies.headers.as_deref().map(get);
        edited(&stack, edits(|it| &it.response), |given| given.header)?;
        edited(&stack, edits(|it| &it.request), |given| given.asked)?;
        let policies = &found.policies;
        let rules = policies.authorize.as_ref().map_or(0, |it| it.layers.iter().map(|rules| rules.len()).sum());
        prop_assert_eq!(rules, stack.held(|given| given.deny).len(), "each layer's rules are judged");
        match (&policies.cors, stack.cors()) {
            (Some(found), Some(met)) => {
                let texts = |items: &[http::HeaderName]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
                let origins = if met.origins == ANY { vec!["*"] } else { words(met.origins, ORIGINS) };
                prop_assert_eq!(&found.origins, &origins);
                let methods: Vec<String> = found.methods.iter().map(ToString::to_string).collect();
                prop_assert_eq!(methods, words(met.methods, METHODS));
                prop_assert_eq!(texts(&found.headers), words(met.headers, HEADERS));
                prop_assert_eq!(texts(&found.expose), words(met.expose, HEADERS));
                prop_assert_eq!(found.credentials, met.credentials);
                prop_assert_eq!(found.max_age, met.max_age.map(Duration::from_secs));
            }
            (found, met) => prop_assert_eq!(found.is_some(), met.is_some()),
        }
        let compress = stack.first(|given| given.compress.then_some(()));
        let types = policies.compress.as_ref().map(|it| it.types.join(" "));
        prop_assert_eq!(types, compress.map(|(index, ())| format!("text/p{index}")));
        let sample = policies.tracing.as_ref().and_then(|it| it.sample);
        prop_assert_eq!(sample, stack.first(|given| given.sample).map(|(_, tenths)| f64::from(tenths) / 10.0));
        let priority = stack.first(|given| given.priority).map_or("normal", |(_, which)| PRIORITIES[which]);
        prop_assert_eq!(policies.priority.as_str(), priority);
        let errors = stack.first(|given| given.error_body.then_some(()));
        let kind = policies.error_body.as_ref().map(|it| it.content_type.to_str().expect("it is text").to_owned());
        prop_assert_eq!(kind, errors.map(|(index, ())| format!("application/p{index}+json")));
        let void = stack.void(|given| given.compress.then_some(()))
            || stack.void(|given| given.sample.map(|_| ()))
            || stack.void(|given| given.priority.map(|_| ()))
            || stack.void(|given| given.error_body.then_some(()));
        let told = findings.items().iter().any(|finding| finding.code == Code::VoidLimit);
        prop_assert!(told || !void, "what has no effect is said to have none\n{}\n{}", it, route);
        lines::hold(&tree, &stack, &it, &route)?;
    }
}

/// Every field that a mandate edits is edited as the first of them says, and nobody sets another that is read as it.
fn edited(
    stack: &Stack,
    edits: Option<&headers::Edits>,
    get: impl Fn(&Given) -> Option<(usize, bool)> + Copy,
) -> Result<(), TestCaseError> {
    let mandates = stack.said(Who::Mandate, get);
    for (_, (header, _)) in &mandates {
        let (index, set) = stack.mandated(get, *header).expect("it is mandated");
        let (edits, name) = (edits.expect("a mandate edits"), EDITED[*header]);
        if set {
            let value =
                edits.set.iter().find(|(known, _)| known == name).map(|(_, text)| format!("{text:?}"));
            prop_assert_eq!(value, Some(format!("Literal(\"p{index}\")")));
            prop_assert!(edits.mandated.iter().any(|known| known == name));
        } else {
            prop_assert!(edits.remove.iter().any(|known| known == name));
            prop_assert!(edits.withheld.iter().any(|known| known == name));
            prop_assert!(!edits.set.iter().any(|(known, _)| known == name));
        }
    }
    // What is set without a mandate is not read as what a mandate edits.
    for (name, _) in edits.iter().flat_map(|edits| &edits.set) {
        let header = EDITED.iter().position(|known| name == *known).expect("it is one of them");
        let exact = mandates.iter().any(|(_, (known, _))| *known == header);
        prop_assert!(exact || stack.mandated(get, header).is_none(), "{} is set beside a mandate", name);
    }
    Ok(())
}
