//! Start-up: what a first start creates and says, and the error message of each start that fails.
//!
//! A start that fails says one sentence on standard error that names the setting or the file and what
//! to do. Permission bits do not bind root, so what cannot be written lies below a plain file here.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Output};

use testkit::{Home, free_addresses};

/// A key file of nobody's register, whole but for one symbol of the key.
const DAMAGED_KEYS: &str = "key 00000000 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/// Runs the server, which must not start, with `variables` set.
pub(crate) fn refused(home: &Home, variables: &[(&str, &str)]) -> Output {
    let [listen, ops_listen] = free_addresses().map(|address| address.to_string());
    let addresses = [
        ("PADRON_LISTEN", listen.as_str()),
        ("PADRON_OPS_LISTEN", &ops_listen),
    ];
    let mut command = home.command(&[]);
    command.envs(addresses).envs(variables.iter().copied());
    command.output().unwrap()
}

/// One sentence with each of `words`, and exit status 1, or 2 when the command line refuses a value.
#[track_caller]
pub(crate) fn says(output: &Output, status: i32, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    let sentence = said.lines().next().unwrap_or_default();
    for word in words {
        assert!(sentence.contains(word), "no {word:?} in {sentence:?}");
    }
    assert!(sentence.starts_with("padron: "), "{sentence:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_wrong_value_names_its_setting_and_what_to_write() {
    let home = Home::new();
    for (variable, value, what_to_write) in [
        ("PADRON_STORE", "redis:x", "sqlite:data/padron.db"),
        ("PADRON_STORE", "sqlite:", "sqlite:data/padron.db"),
        ("PADRON_PHOTOS", "ftp:x", "file:data/photos"),
        ("PADRON_TIME_ZONE", "Mars/Olympus", "America/Bogota"),
        ("PADRON_STORE", "sqlite::memory:", "forget everybody"),
        ("PADRON_STORE", "sqlite://x/y.db", "no // before it"),
        (
            "PADRON_PHOTOS",
            "file:~/photos",
            "write the home folder out",
        ),
        ("PADRON_PHOTOS", "file://photos", "no // before it"),
        ("PADRON_KEYS_FILE", "~/keys", "write the home folder out"),
        ("PADRON_CITIES", "$HOME/cities.csv", "write its value out"),
        ("PADRON_LISTEN", "here", "socket address"),
        ("PADRON_LISTEN", "4000", "HOST:PORT"),
        ("PADRON_LISTEN", ":4000", "0.0.0.0:4000"),
        ("PADRON_OPS_LISTEN", "http://localhost:4001", "HOST:PORT"),
        ("PADRON_PUBLIC_URL", "padron.example", "https://HOST"),
        ("PADRON_UPLOAD_MEMORY", "256MB", "without a unit"),
        ("PADRON_DRAIN_SECONDS", "30s", "without a unit"),
        ("PADRON_INSTANCE", "a b", "visible ASCII"),
        ("PADRON_PUBLIC_URL", "ftp://x", "https://HOST"),
        ("PADRON_LOKI_URL", "loki:3100", "http://HOST"),
        ("PADRON_ADMIN_TOKEN", "too-short", "openssl rand -hex 32"),
        ("PADRON_UPLOAD_MEMORY", "1", "40..=65536"),
        ("PADRON_DRAIN_SECONDS", "0", "1..=3600"),
    ] {
        let words = [variable, what_to_write];
        says(&refused(&home, &[(variable, value)]), 2, &words);
        // The same value out of a file.
        fs::write(home.path("value"), format!("{value}\n")).unwrap();
        says(&refused_by_file(&home, variable), 2, &words);
    }
    says(
        &refused(&home, &[("RUST_LOG", "padron=loud")]),
        1,
        &["RUST_LOG", "use for example info"],
    );
    assert!(!home.path("data").exists(), "nothing was made");
}

/// The address variables must not be set when their files are meant.
fn refused_by_file(home: &Home, variable: &str) -> Output {
    let mut command = home.command(&[]);
    command
        .env(format!("{variable}_FILE"), "value")
        .output()
        .unwrap()
}

#[test]
fn a_variable_set_to_nothing_is_not_set_and_a_name_can_be_listened_on() {
    let home = Home::new();
    let [listen, _] = free_addresses();
    let port = listen.port().to_string();
    let mut command = home.command(&["healthcheck"]);
    for variable in [
        "PADRON_PUBLIC_URL",
        "PADRON_STORE",
        "PADRON_PHOTOS",
        "PADRON_CITIES",
        "PADRON_ADMIN_TOKEN",
        "PADRON_INSTANCE",
        "PADRON_TIME_ZONE",
        "PADRON_UPLOAD_MEMORY",
        "PADRON_LOKI_URL",
        "PADRON_S3_ENDPOINT",
        "PADRON_OPS_LISTEN",
        "PADRON_KEYS_FILE",
        "RUST_LOG",
        "PADRON_STORE_FILE",
        "PADRON_CITIES_FILE",
    ] {
        command.env(variable, "");
    }
    let output = command
        .env("PADRON_LISTEN", format!("localhost:{port}"))
        .output()
        .unwrap();
    says(&output, 1, &["no server answers on", &port]);
    // Nor does it hide a wrong value in the file that is meant, or what that is.
    fs::write(home.path("token"), "a-secret-too-short").unwrap();
    let mut command = home.command(&[]);
    command
        .env("PADRON_ADMIN_TOKEN", "")
        .env("PADRON_ADMIN_TOKEN_FILE", "token");
    let output = command.output().unwrap();
    says(&output, 2, &["PADRON_ADMIN_TOKEN", "openssl rand -hex 32"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a-secret"));
}

#[test]
fn a_secret_that_is_refused_is_not_told() {
    let home = Home::new();
    let output = refused(&home, &[("PADRON_ADMIN_TOKEN", "a-secret-too-short")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("a-secret-too-short"), "{said}");
}

#[test]
fn a_variable_and_its_file_exclude_each_other() {
    let home = Home::new();
    fs::write(home.path("zone"), "UTC\n").unwrap();
    let both = [
        ("PADRON_TIME_ZONE", "UTC"),
        ("PADRON_TIME_ZONE_FILE", "zone"),
    ];
    says(
        &refused(&home, &both),
        2,
        &["PADRON_TIME_ZONE and PADRON_TIME_ZONE_FILE", "unset one"],
    );
    let absent = [("PADRON_TIME_ZONE_FILE", "absent")];
    says(
        &refused(&home, &absent),
        2,
        &["PADRON_TIME_ZONE_FILE", "absent", "cannot be read"],
    );
}

#[test]
fn a_tier_that_cannot_be_opened_is_named() {
    let home = Home::new();
    fs::write(home.path("plain"), "no folder").unwrap();
    fs::write(home.path("letter"), "Dear database, ".repeat(100)).unwrap();
    for (variable, value, words) in [
        (
            "PADRON_STORE",
            "sqlite:plain/padron.db",
            ["plain cannot be written", "choose another"],
        ),
        (
            "PADRON_PHOTOS",
            "file:plain/photos",
            ["plain/photos cannot be written", "choose another"],
        ),
        (
            "PADRON_KEYS_FILE",
            "plain/keys",
            ["plain cannot be written", "choose another"],
        ),
        (
            "PADRON_STORE",
            "sqlite:letter",
            ["not a database", "name another store"],
        ),
    ] {
        let output = refused(&home, &[(variable, value)]);
        says(&output, 1, &[variable, words[0], words[1]]);
    }
}

#[test]
fn half_of_a_key_pair_is_named() {
    let home = Home::new();
    for half in ["PADRON_S3_ACCESS_KEY", "PADRON_S3_SECRET_KEY"] {
        let output = refused(
            &home,
            &[("PADRON_PHOTOS", "s3://photos"), (half, "a-secret")],
        );
        says(
            &output,
            1,
            &["PADRON_S3_ACCESS_KEY", "PADRON_S3_SECRET_KEY", "set both"],
        );
        assert!(!String::from_utf8_lossy(&output.stderr).contains("a-secret"));
    }
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for variable in ["PADRON_LISTEN", "PADRON_OPS_LISTEN"] {
        let output = refused(&home, &[(variable, &taken)]);
        says(
            &output,
            1,
            &[&format!("{variable}:"), &taken, "choose another address"],
        );
    }
}

#[test]
fn a_bad_line_of_the_catalogue_is_named() {
    let home = Home::new();
    for (lines, words) in [
        (
            "11001,Bogotá,Cundinamarca,\nabc,Cali,Valle,\n",
            "line 3: a city code is five digits",
        ),
        (
            "11001,Bogotá,Cundinamarca,\n11001,Cali,Valle,\n",
            "line 3: code 11001 stands twice",
        ),
        ("11001\n", "line 2"),
        ("", "holds no city"),
    ] {
        let catalogue = format!("code,municipality,department,aliases\n{lines}");
        fs::write(home.path("cities.csv"), catalogue).unwrap();
        let output = refused(&home, &[("PADRON_CITIES", "cities.csv")]);
        says(&output, 1, &["PADRON_CITIES", "cities.csv", words]);
    }
    says(
        &refused(&home, &[("PADRON_CITIES", "absent")]),
        1,
        &["PADRON_CITIES", "absent", "cannot be read"],
    );
}

#[tokio::test]
async fn a_key_file_that_does_not_fit_is_named() {
    let home = Home::new();
    home.start().await.stop().await;
    let keys = home.path("data/keys");
    let right = fs::read(&keys).unwrap();

    fs::write(&keys, DAMAGED_KEYS).unwrap();
    says(
        &refused(&home, &[]),
        1,
        &["PADRON_KEYS_FILE: data/keys: line 1 is damaged", "restore"],
    );

    let other = Home::new();
    other.start().await.stop().await;
    fs::copy(other.path("data/keys"), &keys).unwrap();
    says(
        &refused(&home, &[]),
        1,
        &[
            "PADRON_KEYS_FILE: data/keys is not the key file",
            "name the right one",
        ],
    );

    fs::remove_file(&keys).unwrap();
    says(
        &refused(&home, &[]),
        1,
        &["PADRON_KEYS_FILE: data/keys is missing", "restore it"],
    );
    assert!(!keys.exists(), "no new key file may pass for the lost one");

    fs::write(&keys, right).unwrap();
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_first_start_makes_what_is_needed_and_says_where() {
    let home = Home::new();
    let server = home.start().await;
    for name in ["keys", "admin-token"] {
        let mode = fs::metadata(home.path("data").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let address = format!("http://{}", server.listen);
    let said = server.stderr();
    let places = [
        "data/padron.db (SQLite, embedded)",
        "data/photos (folder, embedded)",
        "data/keys",
        "data/admin-token",
    ];
    for words in [
        format!("serves on {address}\n"),
        format!("{address}/staff/sign-in?code="),
    ]
    .iter()
    .map(String::as_str)
    .chain(places)
    {
        assert_eq!(said.matches(words).count(), 1, "{words:?} in {said}");
    }
    assert!(
        !said.contains(&server.admin_token()),
        "the token is in its file only"
    );
    server.stop().await;

    let server = home.start().await;
    let said = server.stderr();
    assert!(
        said.contains(&format!("serves on http://{}\n", server.listen)),
        "{said}"
    );
    assert!(!said.contains("sign-in?code="), "{said}");
    server.stop().await;
}

fn help(arguments: &[&str]) -> String {
    let output = Home::new().run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_of_help_has_its_own_and_stands_in_the_readme() {
    let readme = include_str!("../../README.md");
    let help_of_all = help(&["--help"]);
    let (_, commands) = help_of_all.split_once("\nCommands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    // A line that is indented further goes on with the one before.
    let commands = commands.lines().filter(|line| !line.starts_with("   "));
    let mut asked = 0;
    for command in commands {
        let (name, told) = command.trim().split_once("  ").unwrap();
        if ["serve", "help"].contains(&name) {
            continue; // The default, and clap's own.
        }
        let own = help(&[name, "--help"]);
        let words: Vec<_> = own.split_whitespace().collect();
        assert!(words.join(" ").starts_with(told.trim()), "{name}: {own}");
        assert!(readme.contains(&format!("\npadron {name} ")), "{name}");
        asked += 1;
    }
    assert!(asked > 0, "{help_of_all}");
}

#[test]
fn help_tells_every_option_and_its_variable() {
    let help = help(&["--help"]);
    // Taken from the program's own definition: an option that is added is asked for as well.
    let definition =
        <padron::server::config::Config as clap::Args>::augment_args(clap::Command::new("padron"));
    for argument in definition.get_arguments() {
        let option = argument.get_long().unwrap();
        let variable = argument.get_env().unwrap().to_str().unwrap();
        assert!(
            variable.starts_with("PADRON_") || variable == "RUST_LOG",
            "{variable}"
        );
        let (_, entry) = help.split_once(&format!("--{option} <")).unwrap();
        let entry = entry.split("\n      --").next().unwrap();
        assert!(entry.contains(&format!("[env: {variable}")), "{option}");
        let told = argument.get_help().unwrap().to_string();
        let words: Vec<_> = entry.split_whitespace().collect();
        assert!(words.join(" ").contains(&told), "{option}: {told}");
    }
}
