//! A gateway of its own for a test: a tree in a temporary folder, listeners on free ports.

use std::{net::SocketAddr, path::Path, sync::Arc};

use segue::{
    serve::{self, Running, StartError},
    upstream::secret::Process,
};
use tempfile::TempDir;

/// See the module.
pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    running: Option<Running>,
}

/// A Gateway document on free ports.
pub(crate) const GATEWAY: &str = "\
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: \"127.0.0.1:0\"}]
admin: {address: \"127.0.0.1:0\"}
drain: {delay: 0s, timeout: 10s}
workers: 2
";

/// Writes a file below a folder, folders on the way included.
pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A Service document for an origin on loopback.
pub(crate) fn service(name: &str, origin: SocketAddr, more: &str) -> String {
    format!(
        "apiVersion: segue/v1\nkind: Service\nmetadata: {{name: {name}, owner: team}}\nendpoints: [{{url: \"http://{origin}\"}}]\n{more}\n"
    )
}

/// A Route document; `body` is everything after `metadata`.
pub(crate) fn route(name: &str, body: &str) -> String {
    format!(
        "apiVersion: segue/v1\nkind: Route\nmetadata: {{name: {name}, owner: team, version: 1.0.0}}\n{body}\n"
    )
}

impl Gateway {
    /// A gateway with these documents of unit `shop` beside [`GATEWAY`].
    pub(crate) fn start(documents: &[String]) -> Self {
        Self::start_with(GATEWAY, documents)
    }

    /// The same with another Gateway document.
    pub(crate) fn start_with(gateway: &str, documents: &[String]) -> Self {
        match Self::try_start(gateway, documents) {
            Ok(gateway) => gateway,
            Err(StartError::Findings(findings, _)) => panic!("{:#?}", findings.items()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The same, for trees that are wrong.
    pub(crate) fn try_start(gateway: &str, documents: &[String]) -> Result<Self, StartError> {
        Self::try_start_in(tempfile::tempdir().unwrap(), gateway, documents)
    }

    /// The same in a folder that has files already.
    pub(crate) fn try_start_in(
        folder: TempDir,
        gateway: &str,
        documents: &[String],
    ) -> Result<Self, StartError> {
        write(folder.path(), "policies/gateway.yaml", gateway);
        write(folder.path(), "routes/shop/all.yaml", &documents.join("---\n"));
        let options = serve::Options {
            root: folder.path().to_owned(),
            sources: Arc::new(Process::new(folder.path())),
            signals: false,
        };
        let running = serve::start(options)?;
        let address = running.listeners[0].1;
        let admin = running.admin.unwrap_or(address);
        Ok(Self { folder, address, admin, running: Some(running) })
    }

    /// Replaces the documents of unit `shop`; the watcher or `running().reload()` finds them.
    pub(crate) fn replace(&self, documents: &[String]) {
        // Written beside and renamed, as a careful author's tools do.
        write(self.folder.path(), "routes/.all.yaml.new", &documents.join("---\n"));
        let new = self.folder.path().join("routes/.all.yaml.new");
        std::fs::rename(new, self.folder.path().join("routes/shop/all.yaml")).unwrap();
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

impl Gateway {
    /// Takes the handle, to wait for the end of a drain.
    pub(crate) fn into_running(mut self) -> (Running, TempDir) {
        let running = self.running.take().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (running, folder)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.drain();
        }
    }
}
