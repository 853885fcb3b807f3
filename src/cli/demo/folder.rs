//! A folder for the secrets of one run: nobody else may look into it, and it is removed in the end.

use std::{
    env,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

/// The folder.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one in the temporary directory; `what` tells it from the others of a run.
    pub(super) fn make(what: &str) -> io::Result<Self> {
        let path =
            env::temp_dir().join(format!("segue-demo-{what}-{}-{:08x}", process::id(), fastrand::u32(..)));
        // Fails if it exists: nobody may have prepared it.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Writes a new file that only we can read.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(self.file(name))?;
        file.write_all(text.as_bytes())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory is no reason to fail.
        let _ = fs::remove_dir_all(&self.path);
    }
}
