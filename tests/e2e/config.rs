//! Where the settings of `serve` come from.

use crate::program::{Server, failure, finish, program};

/// What `--print-config` says of a setting.
#[track_caller]
fn printed(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let mut command = program();
    command.args(["serve", "--config", file, "--print-config"]).args(flags);
    command.envs(variables.iter().copied());
    let finished = finish(&mut command);
    assert!(finished.success, "{}", finished.stderr);
    finished.stdout
}

#[test]
fn a_file_yields_to_the_environment_and_both_to_flags() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    let file = path.to_str().unwrap();
    std::fs::write(
        &path,
        "# one host\nmax-requests = 7\nlisten = \"127.0.0.1:0\"\nallow-changes = true\nqueue = 9\nlog = \"warn\"\n",
    )
    .unwrap();
    let text = printed(
        file,
        &[("TRANSDUCER_QUEUE", "11"), ("TRANSDUCER_TIME_LIMIT", "60")],
        &["--time-limit", "50"],
    );
    for (setting, origin) in [
        ("max-requests = 7", format!("# {file}:2")),
        ("listen = \"127.0.0.1:0\"", format!("# {file}:3")),
        ("allow-changes = true", format!("# {file}:4")),
        ("queue = 11", "# TRANSDUCER_QUEUE".to_owned()),
        ("time-limit = 50", "# --time-limit".to_owned()),
        ("drain-limit = 20", "# default".to_owned()),
        ("log = \"warn\"", format!("# {file}:6")),
        ("# keys is not set", String::new()),
    ] {
        let line = text.lines().find(|line| line.starts_with(setting));
        let line = line.unwrap_or_else(|| panic!("{setting} is not in\n{text}"));
        assert!(line.ends_with(&origin), "{line}");
    }
    // What is printed says the same again.
    let again = dir.path().join("again.toml");
    std::fs::write(&again, &text).unwrap();
    let same = printed(again.to_str().unwrap(), &[], &[]);
    let values = |text: &str| {
        text.lines()
            .map(|line| line.split('#').next().unwrap().trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&same), values(&text));

    let mut server = Server::start_command(&["serve", "--config", file]);
    server.wait_for("ready on ");
    let (status, told) = server.ask("DELETE", "/v1/adapters/nobody", "", b"");
    assert_eq!(
        (status, told["error"]["code"].as_str()),
        (404, Some("adapter_not_found")),
        "allow-changes holds: {told}"
    );
    server.terminate();
    assert!(server.end());
}

#[test]
fn what_is_no_setting_is_told_by_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    let file = path.to_str().unwrap();
    for (text, said) in [
        (
            "queue = 3\nmax-request = 1\n",
            "host.toml:2: `max-request` is no setting",
        ),
        ("\n\nqueue = \"many\"\n", "host.toml:3: `queue`: invalid value 'many'"),
        (
            "allow-changes = 1\n",
            "host.toml:1: `allow-changes`: \"1\" is neither true nor false",
        ),
        ("queue = [1]\n", "host.toml:1: `queue` is one value"),
        ("check = true\n", "host.toml:1: `check` is no setting"),
        (
            "adapter-memory = 0\n",
            "host.toml:1: `adapter-memory`: invalid value '0'",
        ),
        ("queue = \n", "line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = failure(&["serve", "--config", file]);
        assert!(error.contains(said), "{said:?} is not in {error}");
    }
}
