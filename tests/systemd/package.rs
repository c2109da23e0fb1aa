//! `cargo deb` packs what `Cargo.toml` lists: every file of `systemd` is in the list, and every file in the list is there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{file, skipped};
use crate::support;

/// A file of the package: where it comes from, where it goes, and with which rights.
struct Asset {
    from: String,
    to: String,
    mode: String,
}

fn assets() -> Vec<Asset> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let listed = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let asset = |asset: &toml::Value| {
        let part = |nth: usize| asset[nth].as_str().unwrap().to_owned();
        Asset { from: part(0), to: part(1), mode: part(2) }
    };
    listed.iter().map(asset).collect()
}

#[test]
fn every_file_that_the_package_lists_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for Asset { from, mode, .. } in assets() {
        // Cargo makes the program; a pattern stands for what its folder holds.
        if from == "target/release/phantomnet" {
            continue;
        }
        let path = root.join(from.trim_end_matches("*.md"));
        let found = fs::metadata(&path).unwrap_or_else(|error| panic!("{from}: {error}"));
        let executable = found.is_file() && found.permissions().mode() & 0o111 != 0;
        assert_eq!(executable, mode == "755", "{from} is packed with mode {mode}");
    }
}

#[test]
fn every_file_of_the_service_is_packed_where_systemd_looks_for_it() {
    let folder_of = |name: &str| match name.rsplit_once('.') {
        Some((_, "service")) => "usr/lib/systemd/system/",
        Some((_, "sysusers")) => "usr/lib/sysusers.d/phantomnet.conf",
        Some((_, "tmpfiles")) => "usr/lib/tmpfiles.d/phantomnet.conf",
        Some((_, "toml")) => "etc/phantomnet/",
        _ => "usr/lib/phantomnet/",
    };
    let packed: BTreeSet<(String, String)> =
        assets().into_iter().map(|asset| (asset.from, asset.to)).collect();
    let entries = fs::read_dir(file("")).unwrap().map(Result::unwrap);
    for entry in entries.filter(|entry| entry.file_type().unwrap().is_file()) {
        let name = entry.file_name().into_string().unwrap();
        let place = (format!("systemd/{name}"), folder_of(&name).to_owned());
        assert!(packed.contains(&place), "Cargo.toml does not pack {} as {}", place.0, place.1);
    }
}

#[test]
fn the_scripts_of_the_package_are_shell() {
    let scripts = ["debian/postinst", "debian/prerm", "debian/postrm", "phantomnet-nic"];
    for script in scripts {
        let path = file(script);
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0, "{script}");
        support::run_or_say(Command::new("sh").arg("-n").arg(path), script);
    }
}

#[test]
fn user_and_folders_are_made_as_the_units_need_them() {
    if !rustix::process::geteuid().is_root() {
        return skipped("not root: the user and the folders of the service were not made");
    }
    let root = support::folder();
    let run = |program: &str, arguments: &[&str], name: &str| {
        let option = format!("--root={}", root.path().display());
        let mut command = Command::new(program);
        match command.arg(option).args(arguments).arg(file(name)).output() {
            Ok(output) => assert!(output.status.success(), "{name}: {}", support::stderr(&output)),
            Err(error) => skipped(&format!("{program}: {error}; apt-get install systemd")),
        }
    };
    fs::create_dir_all(root.path().join("etc/phantomnet")).unwrap();
    fs::copy(file("phantomnet.toml"), root.path().join("etc/phantomnet/phantomnet.toml")).unwrap();
    run("systemd-sysusers", &[], "phantomnet.sysusers");
    run("systemd-tmpfiles", &["--create"], "phantomnet.tmpfiles");
    let Ok(users) = fs::read_to_string(root.path().join("etc/passwd")) else { return };
    let user = users.lines().find(|line| line.starts_with("phantomnet:")).unwrap();
    assert!(user.ends_with(":/var/lib/phantomnet:/usr/sbin/nologin"), "{user}");
    let mode =
        |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("var/lib/phantomnet"), 0o700);
    assert_eq!(mode("etc/phantomnet"), 0o750);
    assert_eq!(mode("etc/phantomnet/phantomnet.toml"), 0o640);
}
