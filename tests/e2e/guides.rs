//! The guides are right: their commands are run word by word, and what they show is compared with what is printed.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::program::{program, root};

/// A block of commands, and what the guide shows of their output.
struct Block<'a> {
    /// Under this heading.
    section: &'a str,
    commands: &'a str,
    shown: &'a str,
}

fn blocks(guide: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut section = "";
    for (index, part) in guide.split("\n```").enumerate() {
        // Every other part lies between two fences.
        if index % 2 == 0 {
            section = part
                .lines()
                .filter_map(|line| line.strip_prefix("## "))
                .next_back()
                .unwrap_or(section);
            continue;
        }
        let (kind, text) = part.split_once('\n').expect("a fence ends its line");
        match kind {
            "sh" => blocks.push(Block {
                section,
                commands: text,
                shown: "",
            }),
            "text" => blocks.last_mut().expect("output of commands").shown = text,
            _ => {}
        }
    }
    blocks
}

/// Runs blocks as one script in a folder; gives what each printed, and how many seconds it took.
fn follow(blocks: &[Block<'_>], folder: &Path, port: u16) -> Vec<(String, f64)> {
    let log = folder.join(".printed");
    // A server that is left in the background ends with the script.
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    // A reader goes on once everything that the guide shows has been printed, however slow the machine is.
    script +=
        "shows() { for _ in {1..600}; do tail -c +$from \"$PRINTED\" | grep -qe \"$1\" && return; sleep 0.1; done; }\n";
    for block in blocks {
        script += "from=$(($(stat -c %s \"$PRINTED\") + 1))\n";
        script += &format!("echo @@ $(date +%s.%N)\n{}\necho @@ $(date +%s.%N)\n", block.commands);
        for line in block.shown.lines().filter(|line| !line.trim().is_empty()) {
            script += &format!("shows '{}'\n", pattern(line));
        }
    }
    let program = program();
    let host = Path::new(program.get_program())
        .parent()
        .expect("a program lies in a folder");
    let path = format!("{}:{}", host.display(), std::env::var("PATH").expect("a path"));
    let printed = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .expect("a file for what is printed");
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script.replace("8077", &port.to_string())])
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(folder)
        .stdout(printed.try_clone().expect("one file"))
        .stderr(printed)
        .env("PATH", path)
        .env("PRINTED", &log)
        .env("TRANSDUCER_LISTEN", format!("127.0.0.1:{port}"))
        // What is compiled is kept from run to run, beside this test; what is made lies where the guide says.
        .env(
            "CARGO_BUILD_BUILD_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides"),
        )
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("BLESS");
    let status = bash.status().expect("bash starts");
    let said = std::fs::read(&log).expect("what was printed");
    let said = String::from_utf8_lossy(&said).replace(&format!(":{port}"), ":8077");
    assert!(status.success(), "{said}");
    let parts: Vec<&str> = said.split("@@ ").skip(1).collect();
    let seconds = |part: &str| {
        part.lines()
            .next()
            .and_then(|time| time.parse::<f64>().ok())
            .expect("a time")
    };
    // What is printed between two blocks is a server's, and part of what the first of them leads to.
    let after_time = |part: &str| {
        part.split_once('\n')
            .map_or(String::new(), |(_, printed)| printed.to_owned())
    };
    let each = parts.chunks(2).map(|pair| {
        let printed = after_time(pair[0]) + &after_time(pair[1]);
        (printed, seconds(pair[1]) - seconds(pair[0]))
    });
    each.collect()
}

/// A line that is shown as grep looks for it, the dots standing for anything.
fn pattern(line: &str) -> String {
    let mut pattern = String::new();
    for character in line.chars() {
        match character {
            '…' => pattern += ".*",
            '.' | '*' | '[' | ']' | '^' | '$' | '\\' => pattern.extend(['\\', character]),
            '\'' => pattern += r"'\''",
            other => pattern.push(other),
        }
    }
    pattern
}

/// Holds a line that is shown to what was printed, the dots standing for anything.
fn is_printed(line: &str, printed: &str) -> bool {
    printed.lines().any(|there| {
        let mut rest = there;
        line.split('…').all(|piece| match rest.split_once(piece) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

fn check(blocks: &[Block<'_>], printed: &[(String, f64)]) {
    assert_eq!(blocks.len(), printed.len());
    for (index, block) in blocks.iter().enumerate() {
        // What a server in the background says comes later.
        let after: String = printed[index..].iter().map(|(text, _)| text.as_str()).collect();
        for line in block.shown.lines().filter(|line| !line.trim().is_empty()) {
            assert!(
                is_printed(line, &after),
                "{line:?} is not printed by {:?}: {after}",
                block.commands
            );
        }
    }
}

/// What somebody who follows the guide sees, with the time of each command.
fn transcript(blocks: &[Block<'_>], printed: &[(String, f64)]) -> String {
    let mut transcript = String::new();
    for (block, (text, seconds)) in blocks.iter().zip(printed) {
        transcript += &format!("$ {}\n", block.commands.replace('\n', "\n$ "));
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            transcript += &format!("    {line}\n");
        }
        transcript += &format!("    [{seconds:.1} s]\n");
    }
    transcript
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
#[ignore = "compiles tasks in Rust, JavaScript and C: `cargo xtask toolchains` installs what that needs"]
fn the_tutorial_leads_to_a_task_that_answers() {
    let guide = std::fs::read_to_string(root().join("sdk/TUTORIAL.md")).expect("the tutorial");
    let blocks = blocks(&guide);
    let folder = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let printed = follow(&blocks, folder.path(), free_port());
    check(&blocks, &printed);

    let transcript = transcript(&blocks, &printed);
    println!("{transcript}");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newcomer.txt");
    std::fs::write(kept, transcript).expect("a transcript is kept beside the test");
    let way: Vec<usize> = (0..blocks.len())
        .filter(|&index| blocks[index].section == "Six commands")
        .collect();
    let commands: usize = way.iter().map(|&index| blocks[index].commands.lines().count()).sum();
    let seconds: f64 = way.iter().map(|&index| printed[index].1).sum();
    println!(
        "{commands} commands from nothing to a trained task that answers: {seconds:.0} s; all of the tutorial: {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    assert!((1..=6).contains(&commands), "{commands} commands");
    assert!(seconds < 600.0, "{seconds} s");
}

#[test]
fn the_guide_to_front_ends_leads_to_one_that_loads() {
    let guide = std::fs::read_to_string(root().join("sdk/FRONTENDS.md")).expect("the guide");
    let blocks = blocks(&guide);
    assert!(blocks.len() >= 4, "start, tests, installing, using");
    let folder = tempfile::tempdir().expect("a folder");
    let printed = follow(&blocks, folder.path(), free_port());
    check(&blocks, &printed);
}
