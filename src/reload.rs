//! Changes of the tree: read → compile → build → swap, or keep what serves and say why.
//!
//! A reload either applies whole or changes nothing: the swap is the last step, and all that can fail
//! comes before it. The same bytes make no new generation.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{
    compile::compile,
    config::Tree,
    diagnostic::{Code, Diagnostic, Diagnostics, Severity, render},
    gateway::{Gateway, Surroundings},
    plan::Plan,
    server::{Shared, tls::Listeners},
    telemetry::access_log,
};

pub mod watch;

/// See the module.
#[derive(Debug)]
pub struct Reloader {
    root: PathBuf,
    around: Surroundings,
    state: Mutex<State>,
}

/// What serves, and what the last attempt to change it found.
#[derive(Clone, Debug)]
pub struct State {
    /// Counts up with every swap.
    pub generation: u64,
    /// Hash of the tree that serves.
    pub hash: String,
    /// When it began to serve.
    pub since: SystemTime,
    /// Files of the tree that serves in which templates stand.
    templates: HashSet<Arc<str>>,
    /// Hash of the tree that was read last; differs from `hash` when that was refused.
    seen: String,
    /// The other files of that tree, and those elsewhere that its templates name.
    stamps: Vec<Stamp>,
    /// Files elsewhere that the templates of the tree that serves name.
    elsewhere: Box<[String]>,
    /// The TLS of its listeners.
    tls: Arc<Listeners>,
    /// Findings of the tree that was read last.
    pub findings: Diagnostics,
    /// That tree, for rendering its findings.
    pub tree: Arc<Tree>,
}

/// What a reload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new tree serves.
    Applied,
    /// Nothing had changed.
    Unchanged,
    /// The tree has errors; what served before serves on.
    Rejected,
}

/// What changes when a file does: which it is, its size, when it was written.
type Stamp = Option<(u64, u64, i64, i64)>;

/// A first gateway, or the findings that prevent one.
pub type Loaded = Result<(Gateway, Reloader), Box<(Diagnostics, Tree)>>;

// === impl Reloader ===

impl Reloader {
    /// Loads a tree for the first time.
    pub fn load(root: PathBuf, around: Surroundings) -> Loaded {
        let (tree, mut findings, plan) = read(&root);
        let Some(plan) = plan else { return Err(Box::new((findings, tree))) };
        let hash = hash(&tree);
        let elsewhere = plan.elsewhere.clone();
        // Before what they are of is read: what changes in between is read again.
        let stamps = stamps(&root, &tree, &elsewhere);
        if unloggable(&root, &plan, &mut findings) {
            return Err(Box::new((findings, tree)));
        }
        let Some((gateway, tls)) = build(plan, 1, None, &around, &mut findings) else {
            return Err(Box::new((findings, tree)));
        };
        let state = State {
            generation: 1,
            seen: hash.clone(),
            stamps,
            elsewhere,
            tls: Arc::new(tls),
            hash,
            since: SystemTime::now(),
            templates: templates(&tree, &findings),
            findings,
            tree: Arc::new(tree),
        };
        Ok((gateway, Self { root, around, state: Mutex::new(state) }))
    }

    /// Adds a finding of what became of the tree that serves.
    pub fn note(&self, finding: Diagnostic) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).findings.push(finding);
    }

    /// The TLS of the listeners of what serves now.
    pub fn tls(&self) -> Arc<Listeners> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).tls)
    }

    /// Folders outside of the tree with files that its templates name.
    #[must_use]
    pub fn folders_elsewhere(&self) -> BTreeSet<PathBuf> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let files = state.elsewhere.iter().map(|path| self.root.join(path));
        files.filter_map(|path| path.parent().map(Path::to_owned)).collect()
    }

    /// Does something while no reload is under way. Blocks as long as one is.
    pub fn between<T>(&self, what: impl FnOnce() -> T) -> T {
        let _state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        what()
    }

    /// What serves now.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the tree again and, if it is good, makes it the one that serves. Blocks: it reads files.
    pub fn reload(&self, shared: &Shared) -> Outcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tree, mut findings, plan) = read(&self.root);
        half_written(&state.templates, &mut findings);
        let plan = plan.filter(|_| !findings.has_errors());
        let hash = hash(&tree);
        let elsewhere = plan.as_ref().map_or_else(|| state.elsewhere.clone(), |plan| plan.elsewhere.clone());
        let stamps = stamps(&self.root, &tree, &elsewhere);
        let repeated = hash == state.seen && stamps == state.stamps;
        if repeated && !findings.has_errors() && state.hash == hash {
            return Outcome::Unchanged;
        }
        let previous = shared.gateway.load_full();
        let built = match plan.filter(|plan| !unloggable(&self.root, plan, &mut findings)) {
            Some(plan) => {
                let before = Some((&*previous, &*state.tls));
                build(plan, state.generation + 1, before, &self.around, &mut findings)
            }
            None => None,
        };
        state.seen.clone_from(&hash);
        state.stamps = stamps;
        let outcome = match built {
            Some((gateway, tls)) => {
                state.tls = Arc::new(tls);
                state.elsewhere = elsewhere;
                shared.swap(gateway);
                shared.gateway.load().retain_series();
                state.generation += 1;
                state.hash = hash;
                state.templates = templates(&tree, &findings);
                state.since = SystemTime::now();
                tracing::info!(generation = state.generation, "reloaded");
                Outcome::Applied
            }
            None => {
                if !repeated {
                    let text = render::text(&findings, &|file| tree.text(file));
                    tracing::error!("the changed tree was refused, what served before serves on\n{text}");
                }
                Outcome::Rejected
            }
        };
        if !(repeated && outcome == Outcome::Rejected) {
            self.around.instruments.reloaded(outcome == Outcome::Applied);
        }
        state.findings = findings;
        state.tree = Arc::new(tree);
        outcome
    }
}

/// Reads and compiles the tree of a configuration directory: the one way in, for `check` as for `serve`.
#[must_use]
pub fn read(root: &Path) -> (Tree, Diagnostics, Option<Plan>) {
    let mut findings = Diagnostics::default();
    let tree = Tree::read(root, &mut findings);
    let (plan, more) = compile(&tree);
    findings.extend(more);
    if let Some(finding) = plan.as_ref().and_then(|plan| log(root, plan, access_log::obstacle)) {
        findings.push(finding);
    }
    findings.finish();
    // A file that cannot be read is not part of what was compiled, so the plan would lack it.
    let plan = plan.filter(|_| !findings.has_errors());
    (tree, findings, plan)
}

/// What is wrong with the file of the access log, if there is one and somebody has looked at it.
fn log(root: &Path, plan: &Plan, look: impl Fn(&Path) -> io::Result<()>) -> Option<Diagnostic> {
    let path = plan.gateway.telemetry.access_log.as_ref()?.file.as_ref()?;
    let error = look(&root.join(&path.value)).err()?;
    let message = format!("the access log `{}` cannot be opened: {error}", path.value);
    let help = "create the folder, or write another `path`; `serve` does not start without it";
    Some(Diagnostic::new(Code::CannotLog, path.place.clone(), message).help(help))
}

/// The same of one that serves, where it is an error and takes the place of the warning.
fn unloggable(root: &Path, plan: &Plan, findings: &mut Diagnostics) -> bool {
    let Some(mut finding) = log(root, plan, access_log::probe) else { return false };
    for known in std::mem::take(findings).items().iter().filter(|known| known.code != Code::CannotLog) {
        findings.push(known.clone());
    }
    finding.severity = Severity::Error;
    findings.push(finding);
    findings.finish();
    true
}

/// Makes a plan runnable: what serves requests, and what its listeners accept with. Either both, or
/// findings of either.
fn build(
    mut plan: Plan,
    generation: u64,
    before: Option<(&Gateway, &Listeners)>,
    around: &Surroundings,
    findings: &mut Diagnostics,
) -> Option<(Gateway, Listeners)> {
    plan.gateway.listeners.extend(around.listeners.iter().cloned());
    let (gateway, tls) = before.unzip();
    let tls = Listeners::load(&plan.gateway.listeners, tls, &*around.sources);
    let gateway = Gateway::build(plan, generation, gateway, around);
    let gateway = gateway.map_err(|more| findings.extend(more)).ok();
    let (tls, more) = match tls {
        Ok((tls, more)) => (Some(tls), more),
        Err(more) => (None, more),
    };
    if tls.is_some() {
        for finding in more.items() {
            tracing::warn!(place = %finding.place, "{}", finding.message);
        }
    }
    findings.extend(more);
    let (gateway, tls) = gateway.zip(tls)?;
    around.instruments.handshakes.certificates(tls.expiries());
    Some((gateway, tls))
}

/// The files in which templates stand: those that are read and not reported as idle.
fn templates(tree: &Tree, findings: &Diagnostics) -> HashSet<Arc<str>> {
    let idle = findings.items().iter().filter(|finding| finding.code == Code::UnnamedFile);
    let idle: HashSet<&str> = idle.map(|finding| &*finding.place.file).collect();
    let files = tree.files.iter().map(|file| &file.path);
    files.filter(|path| !idle.contains(&***path)).cloned().collect()
}

/// A file that was a template and is none now was caught while it was being written.
fn half_written(before: &HashSet<Arc<str>>, findings: &mut Diagnostics) {
    for finding in std::mem::take(findings).items() {
        let torn = finding.code == Code::UnnamedFile && before.contains(&*finding.place.file);
        findings.push(if torn {
            let message = "the file was a template and is none now";
            Diagnostic::new(Code::HalfWritten, finding.place.clone(), message)
                .help("write the whole file beside it and rename it, or remove it")
        } else {
            finding.clone()
        });
    }
    findings.finish();
}

/// Changes when a file that is no template may have changed: a secret, a certificate. What is in them
/// stays out of it.
fn stamps(root: &Path, tree: &Tree, elsewhere: &[String]) -> Vec<Stamp> {
    let stamp = |path: &str| {
        let data = std::fs::metadata(root.join(path)).ok()?;
        Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    };
    let others = tree.others.iter().filter(|other| other.text.is_none()).map(|other| &*other.path);
    others.chain(elsewhere.iter().map(String::as_str)).map(stamp).collect()
}

/// SHA-256 over every path and text.
fn hash(tree: &Tree) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let texts = tree.others.iter().filter_map(|other| Some((&other.path, other.text.as_ref()?)));
    for (path, text) in tree.files.iter().map(|file| (&file.path, &file.text)).chain(texts) {
        for part in [path, text] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
