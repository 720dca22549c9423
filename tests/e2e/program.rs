//! Starting the program.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

/// The repository.
pub(crate) fn root() -> PathBuf {
    // This suite belongs to the package in host/cli.
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

pub(crate) fn fixture(name: &str) -> String {
    root().join("tests/e2e/fixtures").join(name).display().to_string()
}

/// The program, with the front ends that cargo built beside it, and the adapters of the repository.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transducer-host"));
    command
        .current_dir(root())
        .env("TRANSDUCER_FRONTENDS", front_ends())
        .stdin(Stdio::null());
    command
}

/// Cargo leaves a dev-dependency's dynamic library in `deps/`, beside this test.
fn front_ends() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it lies");
    test.parent().expect("a file lies in a folder").to_owned()
}

/// What a finished program left.
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(args: &[&str]) -> Finished {
    finish(program().args(args))
}

pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().expect("the program starts");
    Finished {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Standard output of a run that must succeed.
#[track_caller]
pub(crate) fn stdout(args: &[&str]) -> String {
    let finished = run(args);
    assert!(finished.success, "{args:?} failed: {}", finished.stderr);
    finished.stdout
}

/// Standard error of a run that must fail.
#[track_caller]
pub(crate) fn failure(args: &[&str]) -> String {
    let finished = run(args);
    assert!(!finished.success, "{args:?} succeeded: {}", finished.stdout);
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    finished.stderr
}

#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What it said before it listened.
    said: String,
    pub(crate) url: String,
    agent: ureq::Agent,
}

impl Server {
    /// `serve`, started, and listening.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_command(&[&["serve"], args].concat())
    }

    /// A command that serves, started, and listening.
    pub(crate) fn start_command(args: &[&str]) -> Self {
        let mut child = program()
            .args(args)
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let mut said = String::new();
        let url = loop {
            let begin = said.len();
            assert_ne!(stderr.read_line(&mut said).expect("a line of text"), 0, "{said}");
            let url = said[begin..].strip_prefix("listening on ");
            if let Some(url) = url.and_then(|rest| rest.split(';').next()) {
                break url.to_owned();
            }
        };
        Self {
            child,
            stderr,
            said,
            url,
            agent: agent(ureq::tls::TlsConfig::default()),
        }
    }

    /// Reads what the server says until a line begins like this, and returns all of it.
    pub(crate) fn wait_for(&mut self, start: &str) -> String {
        self.wait_until(|line| line.starts_with(start))
    }

    /// The same until a line is what is waited for.
    pub(crate) fn wait_until(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let mut text = std::mem::take(&mut self.said);
        if text.lines().any(&is_it) {
            return text;
        }
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("a line of text");
            assert_ne!(read, 0, "the server ended: {text}");
            text.push_str(&line);
            if is_it(&line) {
                return text;
            }
        }
    }

    pub(crate) fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill is there").success());
    }

    /// Whether it ended with success.
    pub(crate) fn end(mut self) -> bool {
        self.child.wait().expect("a child can be waited for").success()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().expect("an answer");
        (
            response.status().as_u16(),
            response.body_mut().read_json().expect("JSON"),
        )
    }

    pub(crate) fn get_for_text(&self, path: &str) -> String {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().expect("an answer");
        response.body_mut().read_to_string().expect("text")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.url))
            .send_json(body)
            .expect("an answer");
        (
            response.status().as_u16(),
            response.body_mut().read_json().expect("JSON"),
        )
    }

    /// Trusts this certificate, and no other.
    pub(crate) fn trust(&mut self, pem: &str) {
        let certificate = ureq::tls::Certificate::from_pem(pem.as_bytes()).expect("PEM");
        let roots = ureq::tls::RootCerts::new_with_certs(&[certificate]);
        self.agent = agent(ureq::tls::TlsConfig::builder().root_certs(roots).build());
    }

    /// A request with this method and key, if it is not empty.
    pub(crate) fn ask(&self, method: &str, path: &str, key: &str, body: &[u8]) -> (u16, Value) {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(body).expect("a request");
        let mut response = self.agent.run(request).expect("an answer");
        (
            response.status().as_u16(),
            response.body_mut().read_json().expect("JSON"),
        )
    }

    pub(crate) fn post_for_text(&self, path: &str, body: &Value) -> String {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.url))
            .send_json(body)
            .expect("an answer");
        response.body_mut().read_to_string().expect("text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves no server behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Errors are answers here.
fn agent(tls: ureq::tls::TlsConfig) -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.tls_config(tls).build().into()
}
