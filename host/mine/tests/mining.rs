//! Mining the small tree of `tests/fixtures/mine`, against what was found there before: `BLESS=1` rewrites that.

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use transducer_frontends::FrontEnds;
use transducer_mine::{
    Dropped, MineError, Mined, Options, Output, Row, Skipped, Split, SplitBy, Task, Watch, jaccard, mine, tokens,
};

/// The front ends that this build made.
fn front_ends() -> FrontEnds {
    let tests = std::env::current_exe().expect("tests have a path");
    let deps = tests.parent().expect("tests lie in `deps`");
    let mut front_ends = FrontEnds::default();
    for language in ["java", "python"] {
        let file = format!("{DLL_PREFIX}transducer_frontend_{language}{DLL_SUFFIX}");
        let places = [deps.join(&file), deps.join("..").join(&file)];
        let built = places.iter().find(|place| place.exists());
        let built = built.unwrap_or_else(|| panic!("{file} is built with these tests; looked in {places:?}"));
        front_ends.add(built).expect("the front end of this build loads");
    }
    front_ends
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the fixture can be listed") {
        let entry = entry.expect("an entry").path();
        let copied = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &copied);
        } else {
            std::fs::copy(&entry, copied).expect("a copy");
        }
    }
}

/// The fixture, with what a repository cannot hold: what its `.gitignore` names, a link, a binary and a large file.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path();
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/mine"),
        to,
    );
    let ignored = "def f(a):\n    \"\"\"Return what git does not know of.\"\"\"\n    return a\n";
    std::fs::create_dir(to.join("market/generated")).unwrap();
    std::fs::write(to.join("market/generated/ignored.py"), ignored).unwrap();
    std::fs::write(to.join("market/.hidden.py"), ignored).unwrap();
    std::fs::write(to.join("market/binary.py"), b"x = 1\0").unwrap();
    std::fs::write(to.join("market/large.py"), "x = 1\n".repeat(200_000)).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("visits.py", to.join("clinic/link.py")).unwrap();
    folder
}

fn mined(options: &Options) -> Mined {
    mine(&front_ends(), tree().path(), options, &Watch::default()).expect("the fixture can be mined")
}

/// Every row and why there are no others, for people to read.
fn told(mined: &Mined) -> String {
    let mut told = String::new();
    for split in Split::ALL {
        for row in mined.rows(split) {
            write!(
                told,
                "==== {} {} {}:{} {}",
                split.name(),
                row.id,
                row.path,
                row.line,
                row.name
            )
            .unwrap();
            if let Some(test) = &row.test {
                write!(told, " {} {:?} {}", test.focal_name, test.focal_how, test.framework).unwrap();
            }
            writeln!(told, "\n---- {}\n{}", row.target, row.source).unwrap();
        }
    }
    let report = serde_json::to_string_pretty(&mined.report).unwrap();
    writeln!(told, "==== report\n{report}").unwrap();
    told
}

#[track_caller]
fn check(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/expected")
        .join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).expect("what was found before; BLESS=1 writes it");
    assert!(
        expected == found,
        "{name} differs; BLESS=1 rewrites it. Found:\n{found}"
    );
}

#[test]
fn summaries() {
    check("summarize.txt", &told(&mined(&Options::new(Task::Summarize))));
}

#[test]
fn assertions() {
    check("assert.txt", &told(&mined(&Options::new(Task::Assert))));
}

/// Each reason that a comment of the fixture is there for.
#[test]
fn the_fixture_has_a_case_for_every_reason() {
    let reasons = |task| mined(&Options::new(task)).report.dropped.into_keys();
    let mut met: Vec<Dropped> = reasons(Task::Summarize).chain(reasons(Task::Assert)).collect();
    met.sort();
    met.dedup();
    use Dropped::*;
    let expected = [
        SyntaxError,
        NoBody,
        EmptyBody,
        NoComment,
        OddDocstring,
        Inherited,
        NoSentence,
        NotASummary,
        TooShort,
        NotAscii,
        NoAssert,
        ManyAsserts,
        AssertInside,
        AssertLines,
        NoFocal,
        Duplicate,
        NearDuplicate,
    ];
    let missing: Vec<_> = expected.iter().filter(|reason| !met.contains(reason)).collect();
    assert!(missing.is_empty(), "{missing:?} not in {met:?}");
}

#[test]
fn skipped_files_are_named() {
    let report = mined(&Options::new(Task::Summarize)).report;
    let skipped: BTreeMap<_, _> = report
        .skipped
        .iter()
        .map(|(reason, tally)| (*reason, tally.examples.join(" ")))
        .collect();
    let mut expected = BTreeMap::from([
        (Skipped::Binary, "market/binary.py".to_owned()),
        (Skipped::NotUtf8, "clinic/latin.py".to_owned()),
        (Skipped::TooLarge, "market/large.py".to_owned()),
        (Skipped::Conflict, "bakery/src/Merged.java".to_owned()),
    ]);
    if cfg!(unix) {
        expected.insert(Skipped::Link, "clinic/link.py".to_owned());
    }
    assert_eq!(skipped, expected);
}

/// The promise of the data: no two rows are near-duplicates, least of all between splits, whatever the threshold.
#[test]
fn no_two_rows_are_near_duplicates() {
    for (threshold, split) in [
        ("0.5", SplitBy::File),
        ("0.8", SplitBy::Project),
        ("0.9", SplitBy::Directory),
    ] {
        let mut options = Options::new(Task::Summarize);
        options.near_duplicates = threshold.parse().unwrap();
        options.split = split;
        let mined = mined(&options);
        let rows: Vec<&Row> = Split::ALL.into_iter().flat_map(|split| mined.rows(split)).collect();
        assert!(rows.len() > 5, "{threshold}: {} rows", rows.len());
        for (index, a) in rows.iter().enumerate() {
            for b in &rows[..index] {
                let similar = jaccard(&tokens(&a.source), &tokens(&b.source));
                assert!(
                    similar < options.near_duplicates.get(),
                    "{} and {}: {similar}",
                    a.id,
                    b.id
                );
            }
        }
    }
}

/// Of near-duplicates, the row to report on stays, then the one to choose by.
#[test]
fn test_and_valid_win_over_train() {
    let mined = mined(&Options::new(Task::Summarize));
    let is_in = |split, name: &str| mined.rows(split).any(|row| row.name == name);
    assert!(is_in(Split::Test, "average_wait") && !is_in(Split::Valid, "average_wait"));
    assert!(is_in(Split::Valid, "Weights.pounds") && !is_in(Split::Train, "Oven.pounds"));
    assert!(is_in(Split::Valid, "Weights.sorted") && !is_in(Split::Train, "Tables.sorted"));
}

#[test]
fn every_source_parses_alone() {
    let front_ends = front_ends();
    let mined = mined(&Options::new(Task::Summarize));
    for row in Split::ALL.into_iter().flat_map(|split| mined.rows(split)) {
        let cpg = front_ends.parse(&row.language, &row.source).unwrap();
        assert!(cpg.diagnostics().is_empty(), "{}: {:?}", row.name, cpg.diagnostics());
    }
}

#[test]
fn the_same_tree_gives_the_same_files() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (out, jobs) in [(&one, 1), (&two, 3)] {
        let mut options = Options::new(Task::Assert);
        options.jobs = jobs;
        Output::create(out.path()).unwrap().write(&mined(&options)).unwrap();
    }
    for file in ["train.jsonl", "valid.jsonl", "test.jsonl", "report.json"] {
        let read = |out: &tempfile::TempDir| std::fs::read_to_string(out.path().join(file)).unwrap();
        assert_eq!(read(&one), read(&two), "{file}");
    }
    assert_eq!(
        std::fs::read_dir(one.path()).unwrap().count(),
        4,
        "nothing else is left"
    );
}

#[test]
fn a_run_replaces_the_one_before() {
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("test.jsonl"), "old").unwrap();
    let mined = mined(&Options::new(Task::Summarize));
    Output::create(out.path()).unwrap().write(&mined).unwrap();
    let written = std::fs::read_to_string(out.path().join("test.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), mined.rows(Split::Test).count());
    for key in ["id", "source", "target", "language", "project", "path", "line", "name"] {
        assert!(rows.iter().all(|row| !row[key].is_null()), "{key}");
    }
}

#[track_caller]
fn error(tree: &Path, options: &Options, watch: &Watch<'_>) -> String {
    mine(&front_ends(), tree, options, watch)
        .expect_err("no rows")
        .to_string()
}

#[test]
fn errors_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (at, options, watch) = (folder.path(), Options::new(Task::Summarize), Watch::default());
    let shown = at.display();
    assert_eq!(
        error(at, &options, &watch),
        format!("{shown} holds no source file (.java, .py, .pyi, .pyw) that can be read")
    );
    std::fs::write(at.join("a.py"), b"\xff").unwrap();
    assert_eq!(
        error(at, &options, &watch),
        format!("{shown} holds no source file (.java, .py, .pyi, .pyw) that can be read: 1 not UTF-8")
    );
    std::fs::write(at.join("b.py"), "def f():\n    return 1\n").unwrap();
    assert_eq!(
        error(at, &options, &watch),
        format!("{shown}: no row from 1 source files with 1 methods: 1 no comment")
    );
    assert_eq!(
        error(&at.join("b.py"), &options, &watch),
        format!("{shown}/b.py is no folder: give the folder that holds the sources")
    );
    assert!(error(&at.join("none"), &options, &watch).starts_with(&format!("cannot read {shown}/none: ")));
    let mut cobol = options.clone();
    cobol.languages = vec!["cobol".to_owned()];
    assert_eq!(error(at, &cobol, &watch), "cannot mine `cobol`; can mine: java, python");
    let stop = AtomicBool::new(true);
    let stopped = Watch {
        stop: &stop,
        ..Watch::default()
    };
    assert!(matches!(
        mine(&front_ends(), at, &options, &stopped),
        Err(MineError::Stopped)
    ));
}

#[test]
fn an_output_that_cannot_be_written_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Output::create(&file.join("out"))
        .expect_err("a file is no folder")
        .to_string();
    assert!(
        error.starts_with(&format!("cannot write {}/out: ", file.display())),
        "{error}"
    );
}

#[test]
fn only_the_languages_asked_for() {
    let mut options = Options::new(Task::Summarize);
    options.languages = vec!["python".to_owned()];
    let mined = mined(&options);
    assert!(
        Split::ALL
            .into_iter()
            .flat_map(|split| mined.rows(split))
            .all(|row| row.language == "python")
    );
    assert_eq!(mined.report.files.keys().collect::<Vec<_>>(), ["python"]);
}
