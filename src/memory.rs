//! Memory: how much the process may have, and how near it is to that.
//!
//! One thread measures, everybody reads one number. Who may still come in at which number is the business of
//! `policy::overload`, and of the workers, who stop accepting.

use std::{
    fs,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::Notify;

/// From here on no connection is accepted, in thousandths of what the process may have.
pub const STOP_ACCEPTING: u32 = 950;

/// How full the memory is that the process may have.
#[derive(Debug, Default)]
pub struct Memory {
    /// In thousandths; 0 where there is no bound.
    fullness: AtomicU32,
    relieved: Notify,
    /// How often somebody had to wait.
    waits: AtomicUsize,
}

// === impl Memory ===

impl Memory {
    /// Notes a measurement; without a bound nothing is ever full.
    pub fn note(&self, used: u64, bound: Option<u64>) {
        let fullness = bound.map_or(0, |bound| {
            u32::try_from(u128::from(used) * 1000 / u128::from(bound.max(1))).unwrap_or(u32::MAX)
        });
        let before = self.fullness.swap(fullness, Relaxed);
        // Nothing else would say why nobody is served.
        match (before >= STOP_ACCEPTING, fullness >= STOP_ACCEPTING) {
            (false, true) => tracing::warn!(
                used,
                most = bound,
                "memory is used up to 95 % of `limits.memory`: no connection is accepted until it is less"
            ),
            (true, false) => {
                tracing::info!(used, most = bound, "there is memory again: connections are accepted");
                self.relieved.notify_waiters();
            }
            _ => {}
        }
    }

    /// Whether so much is used that no connection is accepted.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.fullness() >= STOP_ACCEPTING
    }

    /// In thousandths of the bound.
    #[must_use]
    pub fn fullness(&self) -> u32 {
        self.fullness.load(Relaxed)
    }

    /// How often somebody had to wait for that, so far.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.waits.load(Relaxed)
    }

    /// Waits until connections may be accepted.
    pub async fn room(&self) {
        if !self.is_used_up() {
            return;
        }
        self.waits.fetch_add(1, Relaxed);
        loop {
            let relieved = self.relieved.notified();
            if !self.is_used_up() {
                return;
            }
            relieved.await;
        }
    }
}

/// What the process uses and cannot give up: resident memory without the pages of files. `None` where the
/// system does not say.
#[must_use]
pub fn used() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// What the system lets the process have: the least of its control groups' limits and the machine's memory.
#[must_use]
pub fn allowed() -> Option<u64> {
    allowed_by(|path| fs::read_to_string(path).ok())
}

fn allowed_by(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let mut least = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    for line in groups.lines() {
        // `0::/path` is of version 2, `4:memory:/path` of version 1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A group is bound by all that it is in. In a container the path may be one of the host's, whose
        // folders are not there, while the root is the container's own group.
        let mut path = path.trim_end_matches('/');
        loop {
            let found = read(&format!("{root}{path}/{file}")).and_then(|text| text.trim().parse().ok());
            least = least.into_iter().chain(found).min();
            match path.rfind('/') {
                Some(end) => path = &path[..end],
                None => break,
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, future::poll_fn, pin::pin, task::Poll};

    use super::*;

    #[tokio::test]
    async fn whoever_finds_no_room_waits_and_is_counted_once() {
        let memory = Memory::default();
        memory.room().await;
        memory.note(96, Some(100));
        let mut room = pin!(memory.room());
        for used in [97, 96] {
            assert!(poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
            memory.note(used, Some(100));
        }
        memory.note(10, Some(100));
        room.await;
        assert_eq!(memory.waits(), 1);
    }

    fn allowed(files: &[(&str, &str)]) -> Option<u64> {
        let files: HashMap<_, _> = files.iter().copied().collect();
        allowed_by(|path| files.get(path).map(|text| (*text).to_owned()))
    }

    #[test]
    fn the_least_of_all_groups_and_the_machine_counts() {
        let machine = ("/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
        assert_eq!(allowed(&[]), None);
        assert_eq!(allowed(&[machine]), Some(2 << 20));
        let second = ("/proc/self/cgroup", "0::/a/b\n");
        let inner = ("/sys/fs/cgroup/a/b/memory.max", "max\n");
        let outer = ("/sys/fs/cgroup/a/memory.max", "4096\n");
        assert_eq!(allowed(&[machine, second, inner]), Some(2 << 20));
        assert_eq!(allowed(&[machine, second, inner, outer]), Some(4096));
        let first = ("/proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/host/path\n");
        let unbounded = ("/sys/fs/cgroup/memory/host/memory.limit_in_bytes", "9223372036854771712\n");
        let root = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n");
        assert_eq!(allowed(&[machine, first, unbounded]), Some(2 << 20));
        assert_eq!(allowed(&[machine, first, unbounded, root]), Some(8192));
    }

    #[test]
    fn this_process_uses_some_memory() {
        assert!(used().is_none_or(|bytes| bytes > 0));
    }

    #[tokio::test]
    async fn who_waits_to_accept_goes_on_when_there_is_room() {
        let memory = Memory::default();
        memory.room().await;
        memory.note(949, Some(1000));
        assert_eq!(memory.fullness(), 949);
        memory.room().await;
        memory.note(u64::MAX, Some(0));
        assert_eq!(memory.fullness(), u32::MAX);
        let mut room = pin!(memory.room());
        assert!(poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
        memory.note(950, Some(1000));
        assert!(poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
        memory.note(10, None);
        room.await;
    }
}
