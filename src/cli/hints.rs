//! What to do about an error of the system that is told as it came: the number that ends its line says which it is.

use std::borrow::Cow;

use rustix::io::Errno;

/// The line, with what to do where it ends in an error of the system and nobody has said it yet.
pub(super) fn with_hint(line: &str) -> Cow<'_, str> {
    number(line).and_then(hint).map_or(Cow::Borrowed(line), |hint| format!("{line}; {hint}").into())
}

/// The number in `... (os error 2)`, which is how an `io::Error` of the system is written.
fn number(line: &str) -> Option<i32> {
    line.strip_suffix(')')?.rsplit_once("(os error ")?.1.parse().ok()
}

fn hint(number: i32) -> Option<Cow<'static, str>> {
    let hint = match Errno::from_raw_os_error(number) {
        Errno::NOENT => return Some(looked_for().into()),
        Errno::ACCESS => {
            "this user may not: ask as another one, or change the rights of file and folders"
        }
        Errno::ISDIR => "it is a folder: name a file",
        Errno::NOTDIR => "a part of that path is a file and no folder: correct the path",
        Errno::EXIST => "something of that name is in the way: name another, or move it away",
        Errno::NOSPC => "the disk is full: make room, or name a place on another one",
        Errno::ROFS => "nothing can be written there: name another place",
        Errno::CONNREFUSED => {
            "is the server running, and does it listen there? --store or store.url says where it is looked for"
        }
        Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH => {
            "is the address right, and does a firewall let it through?"
        }
        Errno::ADDRINUSE => {
            "another program listens there, perhaps another sensor: --listen or http.listen names another port"
        }
        Errno::ADDRNOTAVAIL => {
            "this machine does not have that address: `ip address` lists those it has"
        }
        _ => return None,
    };
    Some(hint.into())
}

/// A name is right or wrong seen from a folder.
fn looked_for() -> String {
    let here = std::env::current_dir().map(|here| here.display().to_string());
    let here = here.unwrap_or_else(|_gone| "a folder that is no more".to_owned());
    format!("is the name right? One that does not begin with / is looked for in {here}")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_that_the_system_gave_ends_in_what_to_do() {
        for (name, path) in [("folder", "/proc/self"), ("missing", "/proc/self/none")] {
            let error = std::fs::read(path).unwrap_err();
            let line = format!("{path}: {error}");
            let told = with_hint(&line);
            assert!(told.starts_with(&line) && told.len() > line.len() + 10, "{name}: {told}");
        }
    }

    #[test]
    fn every_hint_is_a_sentence_of_its_own_and_no_number_is_taken_for_another() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 1..134 {
            let line = format!("a: {}", io::Error::from_raw_os_error(number));
            if let Cow::Owned(told) = with_hint(&line) {
                assert!(
                    seen.insert(told[line.len()..].to_owned()) || [101, 110, 113].contains(&number)
                );
            }
        }
        assert!(seen.len() >= 9, "{seen:?}");
    }

    #[test]
    fn what_says_already_what_to_do_is_left_as_it_is() {
        for line in [
            "a: No such file or directory (os error 2); sensor.folder of the configuration names it",
            "a.csv:3: not a number",
            "(os error )",
            "",
        ] {
            assert_eq!(with_hint(line), line);
        }
    }
}
