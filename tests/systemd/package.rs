//! `cargo deb` packs what `Cargo.toml` lists: every file of `systemd` is in the list, and every file in the list is there. The
//! package is installed and removed in a root of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{file, skipped};
use crate::support;

/// A file of the package: where it comes from, where it goes, and with which rights.
struct Asset {
    from: String,
    to: String,
    mode: String,
}

/// The part of `Cargo.toml` that cargo-deb reads.
fn metadata() -> toml::Value {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut manifest: toml::Table = text.parse().unwrap();
    manifest.remove("package").unwrap()["metadata"]["deb"].clone()
}

fn assets() -> Vec<Asset> {
    let metadata = metadata();
    let listed = metadata["assets"].as_array().unwrap();
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
        // Cargo makes the program, and the program its manual; a pattern stands for what its folder holds.
        if from.starts_with("target/") {
            continue;
        }
        let folder = from.split_once('*').map_or(&*from, |(folder, _)| folder);
        let path = root.join(folder);
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
        Some((_, "conf")) => "usr/share/doc/phantomnet/examples/",
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

#[test]
fn the_changelog_of_the_package_begins_with_this_version() {
    let changelog = fs::read_to_string(file("debian/changelog")).unwrap();
    let version = concat!("phantomnet (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(version), "{changelog}");
}

/// What dpkg has to be told when the root holds nothing but the package.
const INTO_AN_EMPTY_ROOT: [&str; 3] =
    ["--force-depends", "--force-script-chrootless", "--force-confold"];

#[test]
fn the_package_makes_what_the_units_need_and_never_takes_the_events_with_it() {
    if !rustix::process::geteuid().is_root() {
        return skipped("not root: the package was not installed");
    }
    let folder = support::folder();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", root.display()));
        // Its log would lie in the root of the machine.
        command.arg(format!("--log={}", folder.path().join("log").display()));
        support::run_or_say(command.args(INTO_AN_EMPTY_ROOT).args(arguments), "dpkg");
    };
    let package = packed(folder.path());
    let config = root.join("etc/phantomnet/phantomnet.toml");
    let event = root.join("var/lib/phantomnet/event");
    let unit = root.join("usr/lib/systemd/system/phantomnet.service");
    let install = ["--install", package.to_str().unwrap()];

    dpkg(&install);
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(users.contains("phantomnet:"), "{users}");
    assert!(unit.is_file() && root.join("usr/bin/phantomnet").is_file());
    for page in ["phantomnet", "phantomnet-run", "phantomnet-model-verify"] {
        let plain = root.join(format!("usr/share/man/man1/{page}.1"));
        assert!(plain.is_file() || plain.with_extension("1.gz").is_file(), "no manual of {page}");
    }
    for completions in [
        "bash-completion/completions/phantomnet",
        "zsh/vendor-completions/_phantomnet",
        "fish/vendor_completions.d/phantomnet.fish",
    ] {
        let script = fs::read_to_string(root.join("usr/share").join(completions)).unwrap();
        assert!(script.contains("summary"), "{completions}");
    }
    let conffiles = fs::read_to_string(root.join("var/lib/dpkg/info/phantomnet.conffiles"));
    assert_eq!(conffiles.unwrap().trim_end(), "/etc/phantomnet/phantomnet.toml");

    fs::write(&config, "# the operator's\n").unwrap();
    fs::write(&event, "seen").unwrap();
    dpkg(&install);
    assert_eq!(fs::read_to_string(&config).unwrap(), "# the operator's\n", "an upgrade took it");

    dpkg(&["--remove", "phantomnet"]);
    assert!(!unit.exists() && config.is_file() && event.is_file());
    dpkg(&["--purge", "phantomnet"]);
    assert!(!root.join("etc/phantomnet").exists(), "what a purge is for");
    assert!(event.is_file(), "the events are gone");
}

/// The package as `cargo deb` makes it, or, where that is not installed or there is no release, one of the same files.
fn packed(folder: &Path) -> PathBuf {
    // By the program that is tested: nothing is built for it.
    let mut make = Command::new("make");
    make.args(["packed", "CARGO=true"]).arg(format!("SENSOR={}", env!("CARGO_BIN_EXE_phantomnet")));
    make.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    support::run_or_say(&mut make, "the manual pages and completions");
    let package = folder.join("phantomnet.deb");
    let is_installed = Command::new("cargo-deb").arg("--version").output().is_ok();
    if is_installed && std::env::var_os("PHANTOMNET_RELEASE").is_some() {
        let mut cargo = Command::new("cargo");
        cargo.args([
            "deb",
            "--locked",
            "--offline",
            "--no-build",
            "--no-dbgsym",
            "--fast",
            "--output",
        ]);
        cargo.arg(&package).current_dir(env!("CARGO_MANIFEST_DIR"));
        support::run_or_say(&mut cargo, "cargo deb");
        return package;
    }
    support::tell(
        "LEFT OUT: cargo deb itself (cargo install cargo-deb --locked, then make test): dpkg-deb packs the same files",
    );
    pack_as_cargo_deb_does(&folder.join("tree"), &package);
    package
}

/// A small program stands for the sensor: it is not started here.
fn pack_as_cargo_deb_does(tree: &Path, package: &Path) {
    let from_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for Asset { from, to, mode } in assets() {
        let is_program = from == "target/release/phantomnet";
        let from = if is_program { PathBuf::from("/bin/true") } else { from_root.join(from) };
        for from in matching(&from) {
            let name = if is_program { "phantomnet".as_ref() } else { from.file_name().unwrap() };
            let to = if to.ends_with('/') { tree.join(&to).join(name) } else { tree.join(&to) };
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&from, &to).unwrap();
            let mode = u32::from_str_radix(&mode, 8).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    let control = tree.join("DEBIAN");
    fs::create_dir_all(&control).unwrap();
    let fields = "Package: phantomnet\nVersion: 0.1.0-1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n";
    fs::write(control.join("control"), fields).unwrap();
    fs::write(control.join("conffiles"), "/etc/phantomnet/phantomnet.toml\n").unwrap();
    for script in ["postinst", "prerm", "postrm"] {
        fs::copy(file("debian").join(script), control.join(script)).unwrap();
    }
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).arg(tree).arg(package);
    support::run_or_say(&mut build, "dpkg-deb");
}

/// The files that a path stands for, which may end in `*.md` and the like.
fn matching(path: &Path) -> Vec<PathBuf> {
    let is_pattern = path.file_stem().is_some_and(|stem| stem == "*");
    if !is_pattern {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension() == path.extension()).collect()
}
