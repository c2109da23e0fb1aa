//! The committed counts: `bench/instructions.toml`.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::callgrind;
use crate::gate::Counts;

/// What a reader has to know of the figures.
const HEAD: &str = "\
# Instructions per packet of each scenario of bench/instructions, counted by callgrind: bench/README.md.
#
# `make instructions` fails when one of them grows by more than 5 %. `make instructions-baseline` writes this file; a commit
# that changes it says why. The counts are the same in every run, as long as the compiler, the C library (it copies and
# compares memory) and valgrind stay the same. They should not depend on the machine, if it is an x86-64 with AVX2, for
# valgrind shows the program a processor of its own: it has AVX2 and no AVX-512, so what is counted is the AVX2 path
# wherever there are several.
";

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    pub(crate) made_with: Tools,
    pub(crate) instructions_per_packet: Counts,
}

/// What the counts depend on besides the code.
#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    pub(crate) compiler: String,
    pub(crate) valgrind: String,
}

impl Tools {
    /// Those that are installed here; none where one of them is not.
    pub(crate) fn installed() -> Option<Self> {
        let rustc = Command::new("rustc").arg("--version").output().ok()?;
        let compiler = String::from_utf8_lossy(&rustc.stdout).trim().to_owned();
        Some(Self { compiler, valgrind: callgrind::version()? })
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.compiler, self.valgrind)
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/instructions.toml")
}

/// Reads it.
pub(crate) fn load() -> Result<Baseline, String> {
    let path = path();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        format!("{}: {error}\nmake instructions-baseline writes it anew", path.display())
    })
}

/// Writes it, in the order in which the scenarios are given.
pub(crate) fn save(counts: &[(String, f64)], tools: &Tools) -> Result<(), String> {
    let Tools { compiler, valgrind } = tools;
    let mut text = format!(
        "{HEAD}\n[made_with]\ncompiler = \"{compiler}\"\nvalgrind = \"{valgrind}\"\n\n[instructions_per_packet]\n"
    );
    for (name, count) in counts {
        let _infallible = writeln!(text, "\"{name}\" = {count:.1}");
    }
    let path = path();
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}
