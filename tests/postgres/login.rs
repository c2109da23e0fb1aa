//! Getting in: schema, password, socket, certificates.

use std::path::Path;
use std::process::Command;

use phantomnet::store::{self, SCHEMA_VERSION, StoreError};

use super::batches::{NOON, batch, epoch, events};
use super::{location, migrated, open};
use crate::cluster::{Cluster, Settings};
use crate::support::folder;

fn refused(url: &str) -> String {
    match open(url) {
        Err(StoreError::Refused { store, reason }) => format!("{store}: {reason}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[test]
fn two_migrations_at_once_make_one_schema() {
    let database = Cluster::shared().database("schema");
    let place = location(&database.url());
    match open(&database.url()) {
        Err(error @ StoreError::Schema { found: 0, .. }) => {
            assert!(error.to_string().contains("phantomnet migrate --store"), "{error}");
        }
        _ => panic!("there are no tables"),
    }
    let mut found: Vec<u32> = std::thread::scope(|scope| {
        let migrate = || store::migrate(&place).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(migrate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    found.sort_unstable();
    assert_eq!(found, [0, SCHEMA_VERSION, SCHEMA_VERSION, SCHEMA_VERSION]);
    open(&database.url()).unwrap();
}

#[test]
fn sums_by_hour_are_made_of_those_by_minute_that_are_there() {
    let database = Cluster::shared().database("older");
    database.psql(include_str!("../../migrations/postgres/V1__events.sql"));
    database.psql(
        "CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO schema_versions VALUES (1, 'events');
         INSERT INTO event_minutes SELECT '2026-09-22 11:30Z'::timestamptz + i % 50 * interval '2 minutes', i % 4, i / 100, 1, i, i, i, i
         FROM generate_series(0, 399) AS n (i);
         INSERT INTO event_minutes VALUES ('1677-09-21 00:13:00Z', 0, 7, 1, 1, 1, 1, 1), ('1969-12-31 23:59:00Z', 0, 7, 1, 1, 1, 1, 1)",
    );
    assert_eq!(store::migrate(&location(&database.url())).unwrap(), 1);
    let columns =
        "verdict, epoch, sum(events), sum(packets), sum(alerts), sum(weight), sum(score_micros)";
    let hours = format!(
        "SELECT greatest(date_trunc('hour', minute), '1677-09-21 01:00:00Z') AS hour, {columns} FROM event_minutes GROUP BY 1, 2, 3"
    );
    let kept = format!("SELECT hour, {columns} FROM event_hours GROUP BY 1, 2, 3");
    database.psql(&format!("ALTER DATABASE {} SET TimeZone = 'UTC'", database.name));
    assert_eq!(database.psql(&format!("({hours}) EXCEPT ({kept})")), "");
    assert_eq!(database.psql(&format!("({kept}) EXCEPT ({hours})")), "");
    assert_eq!(database.psql("SELECT count(*) FROM event_hours WHERE hour < '1970-01-01'"), "2");
}

#[test]
fn another_schema_is_left_alone() {
    let database = migrated("versions");
    database.psql("UPDATE schema_versions SET version = 99 WHERE version = (SELECT max(version) FROM schema_versions)");
    let place = location(&database.url());
    for refused in [open(&database.url()).err(), store::migrate(&place).err()] {
        let error = refused.unwrap();
        assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("older than the store"), "{error}");
    }
}

#[test]
fn a_wrong_password_is_the_operators_fault_and_never_shown() {
    let database = migrated("password");
    let url = database.tcp_url(database.cluster.port());
    open(&url).unwrap();
    let wrong = url.replacen("beside", "hunter2", 1);
    let said = refused(&wrong);
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let none =
        format!("postgres://postgres@127.0.0.1:{}/x?passfile=/nowhere", database.cluster.port());
    assert!(refused(&none).contains("password missing"), "{}", refused(&none));
    let elsewhere = url.replacen("/password", "/no_such_database", 1);
    assert!(refused(&elsewhere).contains("does not exist"));
}

#[test]
fn nobody_there_is_away() {
    let nobody = "postgres://postgres@127.0.0.1:1/x";
    assert!(matches!(open(nobody), Err(StoreError::Away { .. })));
    assert!(matches!(open("postgres://postgres@/x?host=/nowhere"), Err(StoreError::Away { .. })));
}

#[test]
fn the_socket_knows_who_is_there() {
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let me = String::from_utf8(me).unwrap();
    let cluster = Cluster::start(&Settings {
        hba: vec!["local peering all peer map=tests".to_owned()],
        ident: vec![format!("tests {} sensor", me.trim())],
        ..Settings::default()
    });
    cluster.psql("postgres", "CREATE ROLE sensor LOGIN");
    cluster.psql("postgres", "CREATE DATABASE peering OWNER sensor");
    let folder = cluster.socket_folder().display();
    let url = format!("postgres://sensor@/peering?host={folder}");
    assert_eq!(store::migrate(&location(&url)).unwrap(), 0);
    open(&url).unwrap().commit(&batch(epoch(1), 1, events(1, 3)), NOON).unwrap();
    let said = refused(&format!("postgres://postgres@/peering?host={folder}"));
    assert!(said.contains("Peer authentication failed"), "{said}");
}

#[test]
fn certificates_are_believed_as_far_as_was_asked() {
    let folder = folder();
    authority(folder.path(), "ours");
    authority(folder.path(), "theirs");
    certificate(folder.path(), "ours", "IP:127.0.0.1");
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let cluster = Cluster::start(&Settings {
        tcp: true,
        conf: ["ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"]
            .map(str::to_owned)
            .to_vec(),
        files: vec![("server.crt", file("server.crt")), ("server.key", file("server.key"))],
        ..Settings::default()
    });
    let database = cluster.database("tls");
    let url = |host: &str, mode: &str, authority: &str| {
        let url = database.tcp_url(cluster.port()).replacen("127.0.0.1", host, 1);
        let root = folder.path().join(format!("{authority}.crt"));
        url.replacen("disable", &format!("{mode}&sslrootcert={}", root.display()), 1)
    };
    store::migrate(&location(&url("127.0.0.1", "verify-full", "ours"))).unwrap();
    let store = open(&url("127.0.0.1", "verify-full", "ours")).unwrap();
    let encrypted = "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'phantomnet'";
    assert_eq!(database.psql(encrypted), "t|TLSv1.3");
    drop(store);
    let said = refused(&url("127.0.0.1", "verify-full", "theirs"));
    assert!(said.contains("invalid peer certificate"), "{said}");
    refused(&url("127.0.0.1", "verify-ca", "theirs"));
    // The certificate is for the address, not for the name.
    refused(&url("localhost", "verify-full", "ours"));
    open(&url("localhost", "verify-ca", "ours")).unwrap();
    refused(&url("127.0.0.1", "require", "theirs"));
    let unverified = database.tcp_url(cluster.port()).replacen("disable", "require", 1);
    open(&unverified).unwrap();
    refused(&url("127.0.0.1", "verify-full", "nowhere"));
    let plain = Cluster::shared();
    let said =
        refused(&plain.database("x").tcp_url(plain.port()).replacen("disable", "require", 1));
    assert!(said.contains("TLS"), "{said}");
}

/// Makes the authority `name`.
fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        ),
    );
}

/// Makes a certificate for a server, signed by `authority`.
fn certificate(folder: &Path, authority: &str, names: &str) {
    std::fs::write(folder.join("names"), format!("subjectAltName={names}\n")).unwrap();
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in server.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 2 -extfile names -out server.crt"
        ),
    );
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is there: `make needs` installs it");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
