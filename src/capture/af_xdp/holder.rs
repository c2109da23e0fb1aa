//! Which processes hold the BPF link that keeps a program on an interface, as far as `/proc` shows them to this user.

use std::fs;
use std::path::Path;

/// The processes that hold a link to the program of this number, each as `name (number)`.
///
/// A process of another user is shown to root alone; a link can also be pinned to a file, and then nobody need hold it.
pub(super) fn holders(program: u32) -> Vec<String> {
    let mut holders = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_string_lossy().into_owned();
        if number.bytes().all(|byte| byte.is_ascii_digit()) && holds(&process.path(), program) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holders.push(format!("{} ({number})", name.trim().escape_default()));
        }
    }
    holders
}

fn holds(process: &Path, program: u32) -> bool {
    let descriptors = fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
    let mut shown = descriptors.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    shown.any(|text| is_link_to(&text, program))
}

/// What `/proc/N/fdinfo/M` says of a link: lines of a name, a colon and a value.
fn is_link_to(text: &str, program: u32) -> bool {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(of, _)| *of == name).map(|(_, value)| value.trim())
    };
    value("link_type") == Some("xdp")
        && value("prog_id").and_then(|id| id.parse().ok()) == Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_the_program_is_told_from_other_descriptors() {
        let link = "pos:\t0\nflags:\t02000000\nlink_type:\txdp\nlink_id:\t5\nprog_tag:\tc350d2ee6dc3e5de\nprog_id:\t57\nifindex:\t3\n";
        assert!(is_link_to(link, 57));
        assert!(!is_link_to(link, 5));
        assert!(!is_link_to(&link.replace("xdp", "cgroup"), 57));
        assert!(!is_link_to("pos:\t0\nprog_type:\t6\nprog_id:\t57\n", 57), "the program itself");
        assert!(!is_link_to("", 0));
    }
}
