//! Tables and copies of recordings, from the command line. Nothing here needs a node or a permission.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use program::{output, program};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

/// Ends with this code and these words on standard error, and prints nothing else.
#[track_caller]
fn check(directory: &Path, args: &[&str], code: i32, expected: Expect) {
    let output = output(args);
    let said = String::from_utf8(output.stderr).unwrap().replace(&directory.display().to_string(), "DIR");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "nothing on standard output");
    // files differ in size from release to release
    let said: Vec<&str> = said
        .split(' ')
        .map(
            |word| {
                if word.ends_with(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && word.contains('.') { "N" } else { word }
            },
        )
        .collect();
    expected.assert_eq(&said.join(" "));
}

#[test]
fn an_export_says_what_it_did_and_what_it_did_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let tables = path("tables");
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &tables],
        0,
        expect![[r#"
        2245 events, 2245 rows in 57 files, N kB
    "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &tables],
        0,
        expect![[r#"
        0 events, 0 rows in 0 files, 0 B; 1 recording had been exported before
    "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &tables, "--format", "csv"],
        2,
        expect![[r#"
        error: DIR/tables holds an export with another format
        hint: export to another place; nothing that is there is changed
    "#]],
    );
    let bytes = fs::read(DEMO).unwrap();
    fs::write(path("cut.rec"), &bytes[..bytes.len() / 2]).unwrap();
    check(
        directory.path(),
        &["archive", "export", &path("cut.rec"), "-o", &path("cut")],
        7,
        expect![[r#"
        877 events, 877 rows in 41 files, N kB
        error: failed to read the recording DIR/cut.rec at byte 26368: incomplete frame
        hint: nothing behind that place can be read; was the file copied whole?
    "#]],
    );
    assert!(Path::new(&path("cut/manifest.json")).exists());
    check(
        directory.path(),
        &["archive", "export", &path("none.rec"), "-o", &path("none")],
        7,
        expect![[r#"
        error: failed to open the recording DIR/none.rec: No such file or directory (os error 2)
        hint: is the path right, and may this user read the file?
    "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", "ftp://example.org/x"],
        2,
        expect![[r#"
        error: invalid value 'ftp://example.org/x' for '--output <PLACE>': `ftp` is nothing that files can be sent to: use a directory, or `s3://bucket/prefix`

        For more information, try '--help'.
    "#]],
    );
}

/// Tables for others, under a key that is kept, or one that nobody has.
#[test]
fn tables_for_others_name_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("key"), [7; 32]).unwrap();
    let keyed = ["archive", "export", DEMO, "-o", &path("tables"), "--format", "csv", "--redact", "--redact-key", &path("key")];
    let said = String::from_utf8(output(&keyed).stderr).unwrap();
    let withheld =
        " events are in no table, see manifest.json\n21 events withheld; 0 addresses of the nodes' own, and 0 that peers claim\n";
    assert!(said.starts_with("2224 events, 2224 rows in ") && said.contains(withheld), "{said}");
    assert!(said.ends_with("warning: nothing states an address of the nodes' own\nhint: name them with `--own`\n"), "{said}");
    let mut folders = vec![directory.path().join("tables")];
    let mut lines = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory.path()).unwrap().display().to_string();
            let text = if path.is_dir() { String::new() } else { fs::read_to_string(&path).unwrap() };
            for own in ["demo", "127.0.0.1", "fixtures"] {
                assert!(!name.contains(own) && !text.contains(own), "{own} is in {name}");
            }
            lines += text.lines().count();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(lines > 2224, "{lines} lines");
    // the key goes on, nothing and no other key does
    check(
        directory.path(),
        &keyed,
        0,
        expect![[r#"
            0 events, 0 rows in 0 files, 0 B; 1 recording had been exported before
        "#]],
    );
    check(
        directory.path(),
        &keyed[..keyed.len() - 2],
        2,
        expect![[r#"
            error: DIR/tables holds an export under another key
            hint: give the key that it was made with, `--redact-key FILE`, or export to another place
        "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &path("of-demo"), "--redact"],
        2,
        expect![[r#"
            error: the name of DIR/of-demo tells the name of the node `demo`
            hint: choose a name that says nothing of where it comes from
        "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &path("x"), "--redact", "--own", "home"],
        2,
        expect![[r#"
            error: `home` is no address that others could know a node by
            hint: write it as `203.0.113.7`, `[2001:db8::7]:8333` or `….onion`
        "#]],
    );
    check(
        directory.path(),
        &["archive", "export", DEMO, "-o", &path("x"), "--redact-key", &path("key")],
        2,
        expect![[r#"
            error: the following required arguments were not provided:
              --redact

            Usage: peer-observer archive export --output <PLACE> --redact --redact-key <FILE> <FILES>...

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn an_archive_is_shipped_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(path("archive")).unwrap();
    let segment = path("archive/00000001-20250615T150640Z.poa");
    let cut = output(&["archive", "cut", DEMO, "-o", &segment]);
    assert!(cut.status.success());
    let ship = ["archive", "ship", &path("archive"), "--ship-to", &path("copy"), "--ship-name", "host"];
    let first = program().args(ship).output().unwrap();
    assert!(first.status.success() && String::from_utf8_lossy(&first.stderr).starts_with("1 files, "), "{first:?}");
    let again = program().args(ship).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).starts_with("0 files, 0 B; 0 wait"), "{again:?}");
    assert!(fs::read_to_string(path("archive/.shipped")).unwrap().starts_with("00000001-20250615T150640Z.poa "));
    check(
        directory.path(),
        &["archive", "ship", &path("archive")],
        2,
        expect![[r#"
        error: shipping needs a place to send files to
        hint: give `--ship-to PLACE`: a directory, or `s3://bucket/prefix`
    "#]],
    );
}

/// A secret on the command line stands in the list of processes: there is no flag that takes one.
#[test]
fn no_flag_takes_a_secret() {
    for command in ["export", "ship"] {
        let help = String::from_utf8(output(&["archive", command, "--help"]).stdout).unwrap();
        for word in ["--s3-secret", "--s3-access-key", "--s3-password"] {
            assert!(!help.contains(word), "{help}");
        }
        assert!(help.contains("--s3-credentials-file"), "{help}");
    }
}
