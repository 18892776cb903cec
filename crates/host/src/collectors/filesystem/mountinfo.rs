//! /proc/PID/mountinfo, and which mounts the node exporter leaves out by default.
//!
//! By hand because the mount parsers of `procfs` do not undo the escape of a space.

use crate::error::CollectError;

const FILE: &str = "proc/1/mountinfo";

/// Filesystem types without storage of their own.
const EXCLUDED_TYPES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// One mounted filesystem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Source, as the kernel writes it.
    pub(super) device: String,
    /// Where it is mounted.
    pub(super) point: String,
    /// Filesystem type.
    pub(super) kind: String,
    /// Device number.
    pub(super) major: String,
    /// Device number.
    pub(super) minor: String,
    /// The mount or the filesystem itself is read-only.
    pub(super) read_only: bool,
}

/// All mounts, in the order of the file.
pub(super) fn parse(text: &str) -> Result<Vec<Mount>, CollectError> {
    let bad = |line: &str| CollectError::parse(FILE, format_args!("cannot read {line:?}"));
    text.lines()
        .map(|line| parse_line(line).ok_or_else(|| bad(line)))
        .collect()
}

/// `27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw`, with any number of optional fields
/// before the dash.
fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut words = left.split(' ').skip(2);
    let (major, minor) = words.next()?.split_once(':')?;
    let point = words.nth(1)?;
    let options = words.next()?;
    let mut words = right.split(' ');
    let kind = words.next()?;
    let device = words.next()?;
    let super_options = words.next().unwrap_or_default();
    let is_set = |name: &str| {
        options
            .split(',')
            .chain(super_options.split(','))
            .any(|o| o == name)
    };
    Some(Mount {
        device: device.to_string(),
        point: unescape(point),
        kind: kind.to_string(),
        major: major.to_string(),
        minor: minor.to_string(),
        read_only: is_set("ro") || is_set("emergency_ro"),
    })
}

/// Undoes `\040` and the like.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits = rest
            .get(at + 1..at + 4)
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let (c, taken) = match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(code) if code.is_ascii() => (char::from(code), 4),
            _ => ('\\', 1),
        };
        out.push(c);
        rest = &rest[at + taken..];
    }
    out.push_str(rest);
    out
}

/// `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`
pub(super) fn is_excluded_point(point: &str) -> bool {
    let below = |dir: &str| point.strip_prefix(dir).map(|rest| (rest.is_empty(), rest));
    let whole = ["/dev", "/proc", "/sys"]
        .iter()
        .any(|dir| below(dir).is_some_and(|(same, rest)| same || rest.starts_with('/')));
    let inside = [
        "/run/credentials/",
        "/var/lib/docker/",
        "/var/lib/containers/storage/",
    ]
    .iter()
    .any(|dir| below(dir).is_some_and(|(same, _)| !same));
    whole || inside
}

pub(super) fn is_excluded_type(kind: &str) -> bool {
    EXCLUDED_TYPES.contains(&kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let text = "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 shared:2 - ext3 /dev/x ro,e=c\n\
                    27 1 254:0 / / rw - ext4 /dev/vda rw,emergency_ro\n\
                    28 1 0:45 / /m rw - nfs server:/a rw,rootmode=40000\n";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts[0].point, "/mnt/a b");
        assert_eq!(
            (mounts[0].major.as_str(), mounts[0].minor.as_str()),
            ("98", "0")
        );
        assert_eq!(
            (mounts[0].kind.as_str(), mounts[0].device.as_str()),
            ("ext3", "/dev/x")
        );
        assert_eq!(
            mounts.iter().map(|m| m.read_only).collect::<Vec<_>>(),
            [true, true, false]
        );
        assert!(parse("36 35 98:0 /\n").is_err());
    }

    #[test]
    fn escapes() {
        for (text, plain) in [
            ("/a\\040b\\011c\\134d", "/a b\tc\\d"),
            ("/a\\", "/a\\"),
            ("\\04", "\\04"),
            ("\\777x", "\\777x"),
            ("\\04é", "\\04é"),
        ] {
            assert_eq!(unescape(text), plain, "{text}");
        }
    }

    #[test]
    fn default_exclusions() {
        for point in [
            "/dev",
            "/dev/shm",
            "/proc",
            "/sys/fs/cgroup",
            "/var/lib/docker/overlay2/x",
        ] {
            assert!(is_excluded_point(point), "{point}");
        }
        for point in [
            "/run/credentials/a.service",
            "/var/lib/containers/storage/x/y",
        ] {
            assert!(is_excluded_point(point), "{point}");
        }
        for point in [
            "/",
            "/devices",
            "/run",
            "/run/credentials",
            "/var/lib/docker",
            "/mnt/dev",
        ] {
            assert!(!is_excluded_point(point), "{point}");
        }
        assert!(is_excluded_type("cgroup2") && is_excluded_type("overlay"));
        assert!(!is_excluded_type("ext4") && !is_excluded_type("tmpfs"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\\\\é\n]{0,200}") {
            let _ = parse(&text);
            let _ = unescape(&text);
        }
    }
}
