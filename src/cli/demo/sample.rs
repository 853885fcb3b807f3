//! The sample enterprise as built in, so that the demo needs no checkout.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// Path and text of every template of the sample.
const FILES: &[(&str, &str)] = files![
    "policies/app.yaml",
    "policies/baseline.yaml",
    "policies/consumers.yaml",
    "policies/gateway.yaml",
    "policies/internal.yaml",
    "policies/keys/development.jwks.json",
    "policies/partner-api.yaml",
    "policies/public.yaml",
    "routes/catering/meals.test.yaml",
    "routes/catering/meals.yaml",
    "routes/catering/services.yaml",
    "routes/operations/control-board.test.yaml",
    "routes/operations/control-board.yaml",
    "routes/operations/departures.test.yaml",
    "routes/operations/departures.yaml",
    "routes/operations/services.yaml",
    "routes/operations/stations.test.yaml",
    "routes/operations/stations.yaml",
    "routes/sales/seat-hold.test.yaml",
    "routes/sales/seat-hold.yaml",
    "routes/sales/services.yaml",
    "routes/sales/trip-search.test.yaml",
    "routes/sales/trip-search.yaml",
];

/// The sample in a folder of its own, removed in the end.
pub(super) struct Sample {
    folder: PathBuf,
}

impl Sample {
    /// Writes the sample to a new folder, where its templates can be read and changed.
    pub(super) fn unpack() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("segue-demo-{}-{:08x}", process::id(), fastrand::u32(..)));
        // Fails if it exists: nobody may have prepared it.
        fs::create_dir(&folder)?;
        let sample = Self { folder };
        for (path, text) in FILES {
            let path = sample.folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&sample.folder))?;
            fs::write(path, text)?;
        }
        Ok(sample)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory is no reason to fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
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

    #[test]
    fn the_unpacked_sample_is_removed_in_the_end() {
        let sample = Sample::unpack().unwrap();
        let folder = sample.folder().to_owned();
        assert!(folder.join("routes/sales/trip-search.yaml").is_file());
        drop(sample);
        assert!(!folder.exists());
    }
}
