//! The files of a configuration directory: `policies/` and `routes/<unit>/`, read once.
//!
//! Reading lists every file and keeps the text of the YAML ones; whether a file is a template is for
//! [`super::Templates`] to say. This is the only file of `config` that touches the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    document::{is_test, top},
    yaml,
};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};

/// The text of all files together.
const MAX_TREE_BYTES: usize = 32 * 1024 * 1024;
/// The number of files and folders.
const MAX_ENTRIES: usize = 100_000;
/// How deep folders may nest.
const MAX_FOLDERS: usize = 32;

/// One YAML file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Relative to the configuration directory, with `/`.
    pub path: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// The first folder under `routes/`, or nothing for `policies/`.
    pub unit: Option<Arc<str>>,
}

/// A file that is no YAML file: a certificate, a contract …
#[derive(Clone, Debug)]
pub struct OtherFile {
    /// Relative to the configuration directory, with `/`.
    pub path: Arc<str>,
    /// Whether it is a link that leaves its unit's folder.
    pub outside: bool,
    /// Its text, if it is JSON by its name: a schema or a contract.
    pub text: Option<Arc<str>>,
}

/// Every file of both trees, sorted by path.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The configuration directory; empty when it was made from texts.
    pub root: PathBuf,
    /// The YAML files.
    pub files: Vec<SourceFile>,
    /// Every other file.
    pub others: Vec<OtherFile>,
    /// Units (empty for `policies/`) with a file that could not be read.
    pub(super) broken: Vec<Arc<str>>,
}

impl Tree {
    /// Reads `DIR/policies` and `DIR/routes`. What cannot be read is a finding.
    #[must_use]
    pub fn read(root: &Path, findings: &mut Diagnostics) -> Self {
        let tree = Self { root: root.to_owned(), ..Self::default() };
        let mut reader = Reader { tree, findings, bytes: 0, entries: 0, seen: BTreeSet::new() };
        for folder in ["policies", "routes"] {
            reader.folder(folder);
        }
        let mut tree = reader.tree;
        tree.sort();
        tree
    }

    /// A tree from texts, for tests and fuzzing: `("routes/shop/a.yaml", "…")`.
    #[must_use]
    pub fn from_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            if is_yaml(path) {
                tree.files.push(SourceFile { path: path.into(), text: text.into(), unit: unit_of(path) });
            } else {
                let text = path.ends_with(".json").then(|| text.into());
                tree.others.push(OtherFile { path: path.into(), outside: false, text });
            }
        }
        tree.sort();
        tree
    }

    /// The text of a file, for rendering findings.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        let at = self.files.binary_search_by(|file| (*file.path).cmp(path)).ok()?;
        Some(&self.files[at].text)
    }

    /// A file that is no YAML file.
    #[must_use]
    pub fn other(&self, path: &str) -> Option<&OtherFile> {
        let at = self.others.binary_search_by(|file| (*file.path).cmp(path)).ok()?;
        Some(&self.others[at])
    }

    /// The text of a file that a template names: YAML or JSON.
    pub(super) fn source(&self, path: &str) -> Option<&Arc<str>> {
        match self.files.binary_search_by(|file| (*file.path).cmp(path)) {
            Ok(at) => Some(&self.files[at].text),
            Err(_) => self.other(path)?.text.as_ref(),
        }
    }

    /// Whether the tree would list this path if it were there: it was read from a disk, the path lies
    /// in it, and no part of it is hidden.
    pub(super) fn lists(&self, path: &str) -> bool {
        let inside = path.starts_with("policies/") || path.starts_with("routes/");
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        !self.root.as_os_str().is_empty() && inside && !hidden && self.text(path).is_none()
    }

    /// The real path of a file that a template names, for whoever opens it. A unit's (`unit` not empty)
    /// must lie in its folder when links are followed, also at that moment.
    pub fn locate(root: &Path, unit: &str, path: &str) -> io::Result<PathBuf> {
        let real = fs::canonicalize(root.join(path))?;
        if unit.is_empty() || real.starts_with(fs::canonicalize(root.join("routes").join(unit))?) {
            return Ok(real);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file lies outside of the unit's folder"))
    }

    /// The unit of a file: the first folder under `routes/`; nothing for `policies/`.
    #[must_use]
    pub fn unit_of(path: &str) -> Option<Arc<str>> {
        unit_of(path)
    }

    /// Whether a file holds tests of templates.
    #[must_use]
    pub fn is_test(path: &str) -> bool {
        is_test(path)
    }

    /// The tree without the files of some units.
    #[must_use]
    pub fn without(mut self, is_out: impl Fn(&str) -> bool) -> Self {
        let stays = |path: &str| !unit_of(path).is_some_and(|unit| is_out(&unit));
        self.files.retain(|file| stays(&file.path));
        self.others.retain(|other| stays(&other.path));
        self.broken.retain(|unit| !is_out(unit));
        self
    }

    fn sort(&mut self) {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.others.sort_by(|a, b| a.path.cmp(&b.path));
        self.broken.sort();
        self.broken.dedup();
    }
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// The unit of a path: the first folder under `routes/`.
fn unit_of(path: &str) -> Option<Arc<str>> {
    path.strip_prefix("routes/")?.split_once('/').map(|(unit, _)| unit.into())
}

struct Reader<'a> {
    tree: Tree,
    findings: &'a mut Diagnostics,
    bytes: usize,
    entries: usize,
    /// Real paths of folders, against links that go in circles.
    seen: BTreeSet<PathBuf>,
}

impl Reader<'_> {
    /// Walks one of the two trees.
    fn folder(&mut self, top_folder: &str) {
        if !self.tree.root.join(top_folder).is_dir() {
            let missing = self.tree.root.join(top_folder);
            let message = format!("there is no folder `{top_folder}` in `{}`", self.tree.root.display());
            let finding = Diagnostic::new(Code::Unreadable, top(top_folder), message);
            self.findings.push(if missing.exists() {
                finding.help("it is a file")
            } else {
                finding.help("a configuration directory has `policies/` and `routes/`; name it with --config")
            });
            self.broken(top_folder);
            return;
        }
        let mut pending = vec![(top_folder.to_owned(), 0usize)];
        while let Some((folder, depth)) = pending.pop() {
            if depth > MAX_FOLDERS {
                self.unreadable(&folder, "folders nest too deep");
                continue;
            }
            for (name, path) in self.entries(&folder) {
                let relative = format!("{folder}/{name}");
                match fs::metadata(&path) {
                    Ok(found) if found.is_dir() => {
                        if self.enter(&relative, &path) {
                            pending.push((relative, depth + 1));
                        }
                    }
                    Ok(found) if found.is_file() => self.file(relative, &path, found.len()),
                    Ok(_) => self.unreadable(&relative, "it is neither a file nor a folder"),
                    Err(error) => self.unreadable(&relative, &error.to_string()),
                }
            }
        }
    }

    /// Names and paths of a folder, hidden ones left out.
    fn entries(&mut self, folder: &str) -> BTreeMap<String, PathBuf> {
        let mut entries = BTreeMap::new();
        let listing = match fs::read_dir(self.tree.root.join(folder)) {
            Ok(listing) => listing,
            Err(error) => {
                self.unreadable(folder, &error.to_string());
                return entries;
            }
        };
        for entry in listing {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(folder, &error.to_string());
                    continue;
                }
            };
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                self.unreadable(folder, "there are more than 100 000 files");
                return entries;
            }
            match name.to_str() {
                Some(name) => {
                    entries.insert(name.to_owned(), entry.path());
                }
                None => {
                    self.unreadable(&format!("{folder}/{}", name.to_string_lossy()), "its name is not UTF-8");
                }
            }
        }
        entries
    }

    /// Whether to walk into a folder: once each, and none that a unit links to from outside.
    fn enter(&mut self, relative: &str, path: &Path) -> bool {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => {
                self.unreadable(relative, &error.to_string());
                return false;
            }
        };
        if self.leaves_unit(relative, path) {
            self.outside(relative);
            return false;
        }
        self.seen.insert(real)
    }

    fn file(&mut self, relative: String, path: &Path, size: u64) {
        let outside = self.leaves_unit(&relative, path);
        if !is_yaml(&relative) {
            let text = if relative.ends_with(".json") && !outside { self.json(path, size) } else { None };
            self.tree.others.push(OtherFile { path: relative.into(), outside, text });
            return;
        }
        if outside {
            self.outside(&relative);
            return;
        }
        let file: Arc<str> = relative.into();
        if size > yaml::MAX_FILE_BYTES as u64 {
            self.findings.push(yaml::too_large(&file));
            self.broken(&file);
            return;
        }
        match read_text(path) {
            Ok(Ok(text)) => {
                self.bytes += text.len();
                if self.bytes > MAX_TREE_BYTES {
                    let message = "the files of the tree hold more than 32 MiB together";
                    self.findings.push(Diagnostic::new(Code::FileTooLarge, top(&file), message));
                    self.broken(&file);
                    return;
                }
                let unit = unit_of(&file);
                self.tree.files.push(SourceFile { path: file, text: text.into(), unit });
            }
            Ok(Err(place)) => {
                let place = Place { file: file.clone(), ..place };
                let finding = Diagnostic::new(Code::Yaml, place, "the file is not UTF-8 text");
                self.findings.push(finding.help("save it as UTF-8"));
                self.broken(&file);
            }
            Err(error) => self.unreadable(&file, &error.to_string()),
        }
    }

    /// The text of a JSON file. Without one, whoever names it says so.
    fn json(&mut self, path: &Path, size: u64) -> Option<Arc<str>> {
        let left = MAX_TREE_BYTES.saturating_sub(self.bytes);
        if size > yaml::MAX_FILE_BYTES.min(left) as u64 {
            return None;
        }
        let text = read_text(path).ok()?.ok()?;
        self.bytes += text.len();
        Some(text.into())
    }

    /// Whether a link leads out of the folder of its unit.
    fn leaves_unit(&self, relative: &str, path: &Path) -> bool {
        let Some(unit) = unit_of(&format!("{relative}/")) else { return false };
        let home = fs::canonicalize(self.tree.root.join("routes").join(&*unit));
        match (fs::canonicalize(path), home) {
            (Ok(real), Ok(home)) => !real.starts_with(home),
            _ => false,
        }
    }

    fn outside(&mut self, relative: &str) {
        self.findings.push(
            Diagnostic::new(Code::OutsideUnit, top(relative), "the link leads out of the unit's folder")
                .help("keep the file itself in the folder"),
        );
        self.broken(relative);
    }

    fn unreadable(&mut self, relative: &str, why: &str) {
        self.findings.push(Diagnostic::new(
            Code::Unreadable,
            top(relative),
            format!("cannot be read: {why}"),
        ));
        self.broken(relative);
    }

    fn broken(&mut self, relative: &str) {
        self.tree.broken.push(unit_of(relative).unwrap_or_default());
    }
}

/// A file's text, or where it stops being UTF-8. Never more than the limit, even if it grows.
fn read_text(path: &Path) -> io::Result<Result<String, Place>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(yaml::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&valid[start..]).chars().count() + 1;
        let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: "".into(), line: bounded(line), column: bounded(column), width: 1 }
    }))
}

#[cfg(test)]
mod tests;
