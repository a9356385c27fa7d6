//! What the machine allows this process: memory, open files, and where it runs.

use std::path::Path;

use super::report::Finding;
use crate::config::{Environment, Limits};

/// What the agent needs beside the data in transit.
const OWN_MEMORY: u64 = 16 << 20;
/// Open files beside those of exchanges: the tunnel, the listener, idle connections.
const OWN_FILES: u64 = 64;
/// The limits where there is no configuration that could say otherwise.
const USUAL: Limits = Limits { buffer_bytes: 8 << 20, max_exchanges: 1024 };

/// Memory: the limit of the container or unit, and what is free.
pub(super) fn memory(limits: Option<&Limits>, root: &Path) -> Finding {
    let limits = limits.unwrap_or(&USUAL);
    let needed = u64::try_from(limits.buffer_bytes).unwrap_or(u64::MAX).saturating_add(OWN_MEMORY);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let limit = memory_limit(&read("proc/self/cgroup"), root);
    let free = available(&read("proc/meminfo"));
    let need = format!("the agent may need {}", mib(needed));
    let cure = |what: String| format!("{what}, or lower limits.buffer_bytes (PIPEOPS_BUFFER_BYTES)");
    match (limit, free) {
        (Some(limit), _) if limit < needed => Finding::warn(format!("limited to {}, {need}", mib(limit)))
            .cure(cure(format!("raise MemoryMax= of the unit or resources.limits.memory of the pod to {}", mib(needed)))),
        (_, Some(free)) if free < needed => {
            Finding::warn(format!("only {} are available on this machine, {need}", mib(free))).cure(cure("free some".into()))
        }
        (Some(limit), _) => Finding::pass(format!("limited to {}, {need}", mib(limit))),
        (None, Some(free)) => Finding::pass(format!("{} available, no limit, {need}", mib(free))),
        (None, None) => Finding::pass(format!("no limit, {need}")),
    }
}

/// The smallest limit on the way up from this process's group, of either version of control groups.
fn memory_limit(groups: &str, root: &Path) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (base, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // In a container the path may be the host's, of which only the top is mounted.
        for above in Path::new(group.trim_start_matches('/')).ancestors() {
            let text = std::fs::read_to_string(root.join(base).join(above).join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>());
        }
    }
    // What "no limit" is written as in the first version.
    limits.into_iter().filter(|limit| *limit < 1 << 60).min()
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// Open files: one for each exchange and one for what it leads to.
pub(super) fn open_files(limits: Option<&Limits>, root: &Path) -> Finding {
    let exchanges = u64::try_from(limits.unwrap_or(&USUAL).max_exchanges).unwrap_or(u64::MAX);
    let needed = exchanges.saturating_mul(2).saturating_add(OWN_FILES);
    let text = std::fs::read_to_string(root.join("proc/self/limits")).unwrap_or_default();
    let Some(allowed) = soft_files(&text) else { return Finding::skip("the limit cannot be read from /proc/self/limits") };
    if allowed >= needed {
        return Finding::pass(format!("{allowed} allowed, the agent may need {needed}"));
    }
    let fitting = allowed.saturating_sub(OWN_FILES) / 2;
    Finding::warn(format!("{allowed} allowed here, the agent may need {needed}"))
        .cure(format!(
            "LimitNOFILE={} in the unit (a unit has its own limit, not that of this shell)",
            needed.next_power_of_two()
        ))
        .cure(format!("or limits.max_exchanges: {} (PIPEOPS_MAX_EXCHANGES)", fitting.max(1)))
}

fn soft_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Under whom the process runs.
pub(super) fn environment(environment: &dyn Environment, root: &Path) -> Finding {
    let there = |path: &str| root.join(path).exists();
    let mut seen = if environment.text("KUBERNETES_SERVICE_HOST").is_some() {
        let account = there("var/run/secrets/kubernetes.io/serviceaccount/token");
        format!("a pod, {} service account token", if account { "with a" } else { "without a" })
    } else if environment.text("INVOCATION_ID").is_some() || environment.text("NOTIFY_SOCKET").is_some() {
        "a unit of systemd".to_owned()
    } else if there(".dockerenv") || there("run/.containerenv") {
        "a container".to_owned()
    } else if there("run/systemd/system") {
        "a shell on a machine with systemd".to_owned()
    } else {
        "a machine without systemd".to_owned()
    };
    if there("etc/rancher/k3s/k3s.yaml") || there("etc/systemd/system/k3s.service") {
        seen.push_str("; a K3s server is installed here");
    } else if there("etc/systemd/system/k3s-agent.service") {
        seen.push_str("; a K3s agent node is installed here");
    }
    Finding::pass(seen)
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::config::fake::World;

    const SMALL: Limits = Limits { buffer_bytes: 8 << 20, max_exchanges: 100 };

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        for (files, limit) in [
            (&[("sys/fs/cgroup/a/b/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.max", "1000\n")][..], Some(1000)),
            (&[("sys/fs/cgroup/memory.max", "7\n")], Some(7)),
            (&[("sys/fs/cgroup/a/b/memory.max", "max")], None),
            (&[], None),
        ] {
            assert_eq!(memory_limit("0::/a/b\n", machine(files).path()), limit, "{files:?}");
        }
        let groups = "9:cpu,cpuacct:/x\n8:memory:/kube/pod\nnonsense\n";
        let one = machine(&[("sys/fs/cgroup/memory/kube/pod/memory.limit_in_bytes", "33554432\n")]);
        assert_eq!(memory_limit(groups, one.path()), Some(32 << 20));
        let unlimited = machine(&[("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(memory_limit(groups, unlimited.path()), None);
    }

    #[test]
    fn too_little_memory_is_a_warning_with_the_setting() {
        for (limit, free, verdict) in [
            ("max", "90000", Verdict::Pass),
            ("25165824", "90000", Verdict::Pass),
            ("25165823", "90000", Verdict::Warn),
            ("max", "1024", Verdict::Warn),
        ] {
            let meminfo = format!("MemTotal: 999999 kB\nMemAvailable:   {free} kB\n");
            let files = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", limit), ("proc/meminfo", meminfo.as_str())];
            let finding = memory(Some(&SMALL), machine(&files).path());
            assert_eq!(finding.verdict, verdict, "{limit} {free}: {}", finding.seen);
            assert_eq!(finding.cure.join("").contains("limits.buffer_bytes"), verdict == Verdict::Warn);
        }
        assert_eq!(memory(None, Path::new("/nowhere")).seen, "no limit, the agent may need 24 MiB");
    }

    #[test]
    fn too_few_files_are_a_warning_with_both_cures() {
        for (soft, verdict) in
            [("264", Verdict::Pass), ("263", Verdict::Warn), ("unlimited", Verdict::Pass), ("x", Verdict::Skip)]
        {
            let text = format!("Limit  Soft Limit  Hard Limit  Units\nMax open files   {soft}   1048576   files\n");
            let finding = open_files(Some(&SMALL), machine(&[("proc/self/limits", text.as_str())]).path());
            assert_eq!(finding.verdict, verdict, "{soft}");
        }
        let text = "Max open files            1024                 524288               files\n";
        let cure = open_files(None, machine(&[("proc/self/limits", text)]).path()).cure.join("\n");
        assert!(cure.contains("LimitNOFILE=4096") && cure.contains("limits.max_exchanges: 480"), "{cure}");
    }

    #[test]
    fn it_says_where_it_runs() {
        let pod = World::default().set("KUBERNETES_SERVICE_HOST", "10.43.0.1");
        let unit = World::default().set("INVOCATION_ID", "x");
        let shell = World::default();
        for (world, files, seen) in [
            (&pod, &["var/run/secrets/kubernetes.io/serviceaccount/token"][..], "a pod, with a service account token"),
            (&pod, &[], "a pod, without a service account token"),
            (&unit, &["etc/rancher/k3s/k3s.yaml"], "a unit of systemd; a K3s server is installed here"),
            (&shell, &[".dockerenv"], "a container"),
            (&shell, &["run/systemd/system/x"], "a shell on a machine with systemd"),
            (&shell, &[], "a machine without systemd"),
        ] {
            let files: Vec<_> = files.iter().map(|path| (*path, "")).collect();
            assert_eq!(environment(world, machine(&files).path()).seen, seen);
        }
    }
}
