//! Tells when files of the tree may have changed.
//!
//! Every event means "look again": mounted volumes swap whole folders by symlink, editors write
//! beside and rename, and systems report all that differently. A slow look now and then catches what
//! no event told, on file systems that tell nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, EventKind, RecursiveMode, Watcher, event::ModifyKind};
use tokio::{sync::mpsc, time::Instant};

/// Changes within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// A burst that does not end is cut here.
const LONGEST: Duration = Duration::from_millis(100);
/// How often to look without an event.
const RESCAN: Duration = Duration::from_secs(30);

/// Watches both trees of a configuration directory, and folders elsewhere that its templates lead to, from a
/// task of the current runtime. Each message means that something may have changed and the changes
/// have come to rest.
#[must_use]
pub fn start(root: &Path, elsewhere: impl Fn() -> BTreeSet<PathBuf> + Send + 'static) -> mpsc::Receiver<()> {
    // One message waits at most: two mean no more than one.
    let (sender, receiver) = mpsc::channel(1);
    // The tree was read before anything watched it: whatever came in between is looked for once.
    let _ = sender.try_send(());
    let mut watch = Watch::new(root, &elsewhere());
    tokio::spawn(async move {
        loop {
            watch.changed().await;
            watch.renew(&elsewhere());
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

#[derive(Debug)]
struct Watch {
    root: PathBuf,
    sender: mpsc::UnboundedSender<()>,
    events: mpsc::UnboundedReceiver<()>,
    /// Absent when the system has no way to watch; then looking now and then is all there is.
    watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    fn new(root: &Path, elsewhere: &BTreeSet<PathBuf>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = watcher(root, elsewhere, &sender)
            .inspect_err(|error| {
                tracing::warn!(%error, "files cannot be watched; they are read again every 30 s and on SIGHUP");
            })
            .ok();
        Self { root: root.to_owned(), sender, events, watcher }
    }

    /// Watches what stands there now: a folder that was put in another's place, or that was filled
    /// before it was watched, would tell nothing. What cannot be watched now keeps its last watcher.
    fn renew(&mut self, elsewhere: &BTreeSet<PathBuf>) {
        if let Ok(watcher) = watcher(&self.root, elsewhere, &self.sender) {
            self.watcher = Some(watcher);
        }
    }

    async fn changed(&mut self) {
        if !matches!(tokio::time::timeout(RESCAN, self.events.recv()).await, Ok(Some(()))) {
            return;
        }
        let last = Instant::now() + LONGEST;
        while let Ok(Some(())) =
            tokio::time::timeout_at(last.min(Instant::now() + DEBOUNCE), self.events.recv()).await
        {
            if Instant::now() >= last {
                break;
            }
        }
    }
}

fn watcher(
    root: &Path,
    elsewhere: &BTreeSet<PathBuf>,
    sender: &mpsc::UnboundedSender<()>,
) -> notify::Result<notify::RecommendedWatcher> {
    let sender = sender.clone();
    let named = elsewhere.iter().any(|folder| folder.components().eq(root.components()));
    let unread = (!named).then(|| root.to_owned());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(|event| !matters(event, unread.as_deref())) {
            return;
        }
        let _ = sender.send(());
    })?;
    // The folder itself tells when one of the trees is replaced as a whole.
    watcher.watch(root, RecursiveMode::NonRecursive)?;
    for tree in ["policies", "routes"] {
        let tree = root.join(tree);
        if tree.is_dir() {
            watcher.watch(&tree, RecursiveMode::Recursive)?;
        }
    }
    for folder in elsewhere {
        // One that is not there has a finding; it is looked for now and then.
        let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
    }
    Ok(watcher)
}

/// Whether a tree may have changed. Reading files makes events too, and so does what is written to a file beside
/// both trees in `unread`, such as a log: to look again for every line would be work without end.
fn matters(event: &Event, unread: Option<&Path>) -> bool {
    let data = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
    let beside = unread.is_some() && event.paths.iter().all(|path| path.parent() == unread);
    let nothing = event.kind.is_access() || (data && beside);
    !nothing
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RenameMode};

    use super::*;

    #[test]
    fn a_log_beside_the_trees_is_no_change_of_them() {
        let root = Path::new("/etc/segue");
        let event = |kind, path: &str| Event::new(kind).add_path(root.join(path));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(!matters(&event(data, "access.log"), Some(root)));
        assert!(matters(&event(data, "access.log"), None), "templates name files of this folder");
        assert!(matters(&event(data, "routes/shop/a.yaml"), Some(root)));
        // A mounted volume is swapped by a link.
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert!(matters(&event(renamed, "..data"), Some(root)));
        assert!(matters(&event(EventKind::Create(CreateKind::Folder), "policies"), Some(root)));
    }
}
