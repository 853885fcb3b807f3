//! Host, method, path and predicates → route.
//!
//! An exact host comes before `*.example.com` (the longest suffix first) before no host; segment by
//! segment a literal before `{capture}` before `{rest...}`; then more predicates first. If the
//! predicates or the method of one fail, the next candidate is tried. Compile has refused ties.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use http::{HeaderMap, Method};

use crate::{
    form,
    id::RouteId,
    plan::{Match, Route, Segment},
};

/// The index over a plan's routes. Built once, never changed.
#[derive(Debug, Default)]
pub struct Router {
    exact: HashMap<String, Tree>,
    /// `.example.com`, longest first.
    suffixes: Vec<(String, Tree)>,
    any: Tree,
}

/// A radix of one host: node 0 is the root.
#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, u32, BuildHasherDefault<Fnv>>,
    capture: Option<u32>,
    /// Routes that end here, more predicates first.
    ends: Vec<Candidate>,
    /// Routes that take the rest from here.
    rests: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    route: RouteId,
    /// Shared by all hosts of the route.
    matching: Arc<Match>,
}

/// FNV-1a: segments are short, and the keys are the configuration's, so that a client can send what it
/// likes and never makes two of them collide.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// What a request brings to matching.
#[derive(Debug)]
pub struct Target<'a> {
    /// Lower case, without port.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The canonical path.
    pub path: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// The outcome of matching.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The route and the raw (still encoded) text of its captures, in the pattern's order.
    Route(RouteId, Captures),
    /// The path is known, the method is not; these are.
    MethodNotAllowed(Vec<Method>),
    /// No route has this host and path.
    Nothing,
}

/// Captured parts of the canonical path, as byte ranges.
pub type Captures = Vec<(u32, u32)>;

// === impl Router ===

impl Router {
    /// Indexes the routes of a plan.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut router = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let id = RouteId::from(index);
            let matching = &Arc::new(route.matching.clone());
            if matching.hosts.is_empty() {
                router.any.insert(id, matching);
            }
            for host in &matching.hosts {
                match host.strip_prefix('*') {
                    None => router.exact.entry(host.clone()).or_default().insert(id, matching),
                    Some(suffix) => {
                        let at = router.suffixes.iter().position(|(known, _)| known == suffix);
                        let at = at.unwrap_or_else(|| {
                            router.suffixes.push((suffix.to_owned(), Tree::default()));
                            router.suffixes.len() - 1
                        });
                        router.suffixes[at].1.insert(id, matching);
                    }
                }
            }
        }
        router.suffixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        let trees = router.suffixes.iter_mut().map(|(_, tree)| tree);
        // Order within one node depends on that node alone.
        #[allow(clippy::iter_over_hash_type, reason = "each tree is sorted by itself")]
        for tree in router.exact.values_mut().chain(trees).chain([&mut router.any]) {
            tree.sort();
        }
        router
    }

    /// Finds the route of a request.
    #[must_use]
    pub fn find(&self, target: &Target<'_>) -> Found {
        let mut search = Search { target, captures: Captures::new(), allowed: Vec::new(), path_known: false };
        let exact = if self.exact.is_empty() { None } else { self.exact.get(target.host) };
        let suffixes = self
            .suffixes
            .iter()
            .filter(|(suffix, _)| target.host.len() > suffix.len() && target.host.ends_with(suffix.as_str()))
            .map(|(_, tree)| tree);
        for tree in exact.into_iter().chain(suffixes).chain([&self.any]) {
            if let Some(route) = search.walk(tree, 0, Some(1)) {
                return Found::Route(route, search.captures);
            }
        }
        if search.path_known {
            search.allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            search.allowed.dedup();
            return Found::MethodNotAllowed(search.allowed);
        }
        Found::Nothing
    }
}

// === impl Tree ===

impl Tree {
    fn insert(&mut self, route: RouteId, matching: &Arc<Match>) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0usize;
        for segment in &matching.path.segments {
            let fresh = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let next = match segment {
                Segment::Literal(text) => {
                    *self.nodes[at].literals.entry(text.as_str().into()).or_insert(fresh)
                }
                Segment::Capture(_) => *self.nodes[at].capture.get_or_insert(fresh),
                Segment::Rest(_) => {
                    self.nodes[at].rests.push(Candidate { route, matching: Arc::clone(matching) });
                    return;
                }
            };
            if next == fresh {
                self.nodes.push(Node::default());
            }
            at = next as usize;
        }
        self.nodes[at].ends.push(Candidate { route, matching: Arc::clone(matching) });
    }

    fn sort(&mut self) {
        for node in &mut self.nodes {
            for candidates in [&mut node.ends, &mut node.rests] {
                candidates.sort_by_key(|candidate| {
                    let predicates = candidate.matching.headers.len() + candidate.matching.query.len();
                    (std::cmp::Reverse(predicates), candidate.route)
                });
            }
        }
    }
}

/// RFC 3986 §6.2.2.1: `%c3` and `%C3` are the same. A path goes on as it is spelt, so only what is compared changes.
fn upper_encodings(segment: &str) -> String {
    let mut digits = 0;
    let upper = |c: char| match c {
        '%' => {
            digits = 2;
            c
        }
        c if digits > 0 => {
            digits -= 1;
            c.to_ascii_uppercase()
        }
        c => c,
    };
    segment.chars().map(upper).collect()
}

struct Search<'a> {
    target: &'a Target<'a>,
    captures: Captures,
    allowed: Vec<Method>,
    path_known: bool,
}

impl Search<'_> {
    /// `start` is the byte after the slash before the next segment; `None` when the path has ended.
    /// Depth is bounded by the longest pattern, work by the number of nodes: each is reached one way.
    fn walk(&mut self, tree: &Tree, at: usize, start: Option<usize>) -> Option<RouteId> {
        let node = tree.nodes.get(at)?;
        let path = self.target.path;
        let Some(start) = start else {
            return self.choose(&node.ends);
        };
        let slash = path.as_bytes()[start..].iter().position(|byte| *byte == b'/');
        let end = slash.map_or(path.len(), |offset| start + offset);
        let next = (end < path.len()).then_some(end + 1);
        let segment = &path[start..end];
        let literal = node.literals.get(segment).or_else(|| {
            segment.contains('%').then(|| node.literals.get(upper_encodings(segment).as_str())).flatten()
        });
        if let Some(child) = literal
            && let Some(route) = self.walk(tree, *child as usize, next)
        {
            return Some(route);
        }
        if let Some(child) = node.capture.filter(|_| !segment.is_empty()) {
            self.captures.push((start as u32, end as u32));
            if let Some(route) = self.walk(tree, child as usize, next) {
                return Some(route);
            }
            self.captures.pop();
        }
        if !node.rests.is_empty() {
            self.captures.push((start as u32, path.len() as u32));
            if let Some(route) = self.choose(&node.rests) {
                return Some(route);
            }
            self.captures.pop();
        }
        None
    }

    fn choose(&mut self, candidates: &[Candidate]) -> Option<RouteId> {
        for candidate in candidates {
            if !self.predicates_hold(&candidate.matching) {
                continue;
            }
            if allows(&candidate.matching.methods, self.target.method) {
                return Some(candidate.route);
            }
            self.path_known = true;
            self.allowed.extend(candidate.matching.methods.iter().cloned());
            if candidate.matching.methods.contains(&Method::GET) {
                self.allowed.push(Method::HEAD);
            }
        }
        None
    }

    fn predicates_hold(&self, matching: &Match) -> bool {
        matching
            .headers
            .iter()
            .all(|(name, value)| self.target.headers.get_all(name).iter().any(|sent| sent == value))
            && matching.query.iter().all(|(name, value)| {
                form::pairs(self.target.query.unwrap_or_default())
                    .find(|(sent, _)| sent == name)
                    .is_some_and(|(_, sent)| sent == *value)
            })
    }
}

fn allows(methods: &[Method], method: &Method) -> bool {
    methods.is_empty()
        || methods.contains(method)
        || (*method == Method::HEAD && methods.contains(&Method::GET))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile::compile, config::Tree};

    /// Routes named `r0`, `r1` … with these `match` maps, and what each request finds.
    fn check(matches: &[&str], requests: &[(&str, &str, &str, Option<usize>)]) {
        let gateway = "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: g, owner: t}\n\
                       listeners: [{name: h, address: \"127.0.0.1:0\"}]\n";
        let routes: Vec<String> = matches
            .iter()
            .enumerate()
            .map(|(index, matching)| {
                format!(
                    "apiVersion: segue/v1\nkind: Route\nmetadata: {{name: r{index}, owner: t}}\n\
                     match: {matching}\nstatic: {{status: 204}}\n"
                )
            })
            .collect();
        let routes = routes.join("---\n");
        let tree = Tree::from_texts([("policies/g.yaml", gateway), ("routes/u/r.yaml", routes.as_str())]);
        let (plan, findings) = compile(&tree);
        let plan = plan.unwrap_or_else(|| panic!("{:#?}", findings.items()));
        let router = Router::new(&plan.routes);
        for (host, method, target, expected) in requests {
            let (path, query) =
                target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let headers = HeaderMap::new();
            let found = router.find(&Target { host, method: &method, path, query, headers: &headers });
            let found = match found {
                Found::Route(id, _) => Some(&*plan.routes[id.index()].name),
                Found::MethodNotAllowed(_) | Found::Nothing => None,
            };
            let expected = expected.map(|index| format!("u/r{index}"));
            assert_eq!(found, expected.as_deref(), "{host} {method} {target}");
        }
    }

    #[test]
    fn a_literal_beats_a_capture_beats_the_rest_and_a_dead_end_goes_back() {
        check(
            &[
                "{path: /a/b}",
                "{path: '/{x}/c'}",
                "{path: '/a/{rest...}'}",
                "{path: '/a/{y}/d'}",
                "{path: /}",
            ],
            &[
                ("", "GET", "/a/b", Some(0)),
                ("", "GET", "/z/c", Some(1)),
                // Under the literal `a` only the rest takes `c`, and that is tried before another branch.
                ("", "GET", "/a/c", Some(2)),
                ("", "GET", "/a/", Some(2)),
                ("", "GET", "/a", None),
                ("", "GET", "/a/q/d", Some(3)),
                ("", "GET", "/a/q/e", Some(2)),
                ("", "GET", "/z/d", None),
                ("", "GET", "//c", None),
                ("", "GET", "/", Some(4)),
            ],
        );
    }

    #[test]
    fn many_hosts_of_a_route_share_what_it_matches() {
        let hosts: Vec<String> = (0..20_000).map(|number| format!("h{number}.example.com")).collect();
        check(
            &[&format!("{{hosts: [{}], path: /a}}", hosts.join(", "))],
            &[("h19999.example.com", "GET", "/a", Some(0)), ("h20000.example.com", "GET", "/a", None)],
        );
    }

    #[test]
    fn hosts_methods_and_predicates_fall_through_to_the_next_candidate() {
        check(
            &[
                "{hosts: [api.example.com], methods: [POST], path: /x}",
                "{hosts: ['*.example.com'], path: /x, query: {beta: 'true'}}",
                "{hosts: ['*.example.com'], path: /x}",
                "{methods: [GET], path: /x}",
            ],
            &[
                ("api.example.com", "POST", "/x", Some(0)),
                ("api.example.com", "GET", "/x?beta=true", Some(1)),
                ("api.example.com", "GET", "/x?beta=no", Some(2)),
                ("example.com", "HEAD", "/x", Some(3)),
                ("example.com", "POST", "/x", None),
            ],
        );
    }
}
