//! Manual pages and completions, as groff and bash read them.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{folder, run_or_say, run_well, sensor};

/// Commands that the overview of `--help` names, with those below `model` and `dataset`.
fn commands() -> BTreeSet<String> {
    let mut found = BTreeSet::from(["phantomnet".to_owned()]);
    for above in [None, Some("model"), Some("dataset")] {
        let output = run_well(sensor().args(above).arg("--help"));
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, listed) = text.split_once("Commands:\n").expect("there are commands");
        let names = listed.lines().take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            let whole = above.map_or_else(|| name.to_owned(), |above| format!("{above}-{name}"));
            found.insert(format!("phantomnet-{whole}"));
        }
    }
    found
}

#[test]
fn every_command_has_a_manual_page_and_groff_has_nothing_to_say_of_it() {
    let folder = folder();
    let pages = folder.path().join("man1");
    run_well(sensor().arg("manual").arg("--out").arg(&pages));
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> =
        commands().into_iter().map(|name| format!("{name}.1")).collect();
    assert_eq!(written, expected);
    for name in written {
        let mut groff = Command::new("groff");
        // Letters alone, without bold and underline.
        groff.args(["-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=120n"]).arg(pages.join(&name));
        let output = groff.output().expect("groff, which `make test` installs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        let parts: &[&str] = match &*name {
            "phantomnet.1" | "phantomnet-model.1" | "phantomnet-dataset.1" => &["COMMANDS"],
            _ => &["DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"],
        };
        for part in [&["NAME", "SYNOPSIS"], parts].concat() {
            assert!(text.contains(part), "{name} has no {part}\n{text}");
        }
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = folder();
    let script = folder.path().join("phantomnet.bash");
    fs::write(&script, run_well(sensor().args(["completions", "bash"])).stdout).unwrap();
    // What bash does at a tab: the words so far, then the function that was registered.
    let asked = "source \"$0\"; COMP_WORDS=(phantomnet \"${@}\"); COMP_CWORD=$#; \
         _phantomnet phantomnet \"${@: -1}\" \"\"; echo \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        (&["re"][..], "replay"),
        (&["replay", "--sum"], "--summary"),
        (&["model", "ver"], "verify"),
        (&["completions", "fi"], "fish"),
    ] {
        let mut bash = Command::new("bash");
        let found = run_or_say(
            bash.args(["-c", asked]).arg(&script).args(words),
            "bash runs what the program printed",
        );
        assert_eq!(String::from_utf8_lossy(&found).trim(), expected, "{words:?}");
    }
}

#[test]
fn other_shells_get_a_script_that_names_every_command() {
    for shell in ["zsh", "fish"] {
        let output = run_well(sensor().args(["completions", shell]));
        let script = String::from_utf8(output.stdout).unwrap();
        for name in commands() {
            let last = name.rsplit('-').next().unwrap();
            assert!(script.contains(last), "{shell}: no {last}");
        }
    }
}
