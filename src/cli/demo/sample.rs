//! The sample enterprise as built in, so that the demo needs no files.

use crate::config::Tree;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// Path and text of every template of the sample.
pub(super) const FILES: &[(&str, &str)] = files![
    "policies/gateway.yaml",
    "routes/catering/meals.yaml",
    "routes/catering/services.yaml",
    "routes/operations/departures.yaml",
    "routes/operations/services.yaml",
    "routes/operations/stations.yaml",
    "routes/sales/seat-hold.yaml",
    "routes/sales/services.yaml",
    "routes/sales/trip-search.yaml",
];

/// The sample as a tree.
pub(super) fn tree() -> Tree {
    Tree::from_texts(FILES.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files_below(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_file_of_the_sample_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        files_below(&root.join("policies"), &mut found);
        files_below(&root.join("routes"), &mut found);
        let mut found: Vec<String> =
            found.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
        found.sort();
        let built_in: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, built_in);
    }
}
