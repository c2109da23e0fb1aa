//! The password file: `~/.pgpass`, or what `PGPASSFILE` or `passfile` names (PostgreSQL manual, chapter 34.16).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::config::Host;

/// Where Debian's build of PostgreSQL puts its socket.
pub(super) const DEBIAN_SOCKETS: &str = "/var/run/postgresql";

/// The password of the first line that fits; `None` for no such line or file, or for one that others may read, as in libpq.
pub(super) fn password(file: &Path, host: &Host, database: &str, user: &str) -> Option<Vec<u8>> {
    let about = std::fs::metadata(file).ok()?;
    if !about.is_file() || about.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let content = std::fs::read(file).ok()?;
    let port = host.port.to_string();
    let name = if [DEBIAN_SOCKETS, "/tmp"].contains(&host.name.as_str()) {
        "localhost"
    } else {
        &host.name
    };
    let wanted = [name, &port, database, user];
    content
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#"))
        .find_map(|line| password_of(line, wanted))
}

/// The fifth field of a line whose first four fit.
fn password_of(line: &[u8], wanted: [&str; 4]) -> Option<Vec<u8>> {
    let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
    for wanted in wanted {
        let (field, after) = field(rest)?;
        let any = field == b"*" && rest.starts_with(b"*");
        if !any && field != wanted.as_bytes() {
            return None;
        }
        rest = after;
    }
    // A colon in the password needs no backslash: nothing comes behind it.
    Some(unescaped(rest))
}

/// The field up to the next colon without a backslash, and what stands behind that colon.
fn field(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut escaped = false;
    let end = line.iter().position(|byte| {
        let ends = *byte == b':' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    let (field, after) = line.split_at_checked(end)?;
    Some((unescaped(field), after.strip_prefix(b":")?))
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let lines = "# db:*:*:*:no\nother:*:*:*:no\ndb:5432:net:ada:one\ndb:*:*:*:two\\:2:2\n*:*:*:a\\:b:three\nlocalhost:*:*:*:four\n";
        std::fs::write(&file, lines).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o600);
        let found = |host: &str, user| {
            let host = Host { name: host.to_owned(), port: 5432 };
            password(&file, &host, "net", user).map(|p| String::from_utf8(p).unwrap())
        };
        assert_eq!(found("db", "ada").as_deref(), Some("one"));
        assert_eq!(found("db", "bob").as_deref(), Some("two:2:2"));
        assert_eq!(found("x", "a:b").as_deref(), Some("three"));
        assert_eq!(found("/tmp", "ada").as_deref(), Some("four"));
        assert_eq!(found("x", "ada"), None);
        mode(0o640);
        assert_eq!(found("db", "ada"), None, "others may read it");
        assert_eq!(
            password(
                &folder.path().join("none"),
                &Host { name: "db".to_owned(), port: 1 },
                "d",
                "u"
            ),
            None
        );
    }
}
