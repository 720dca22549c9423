//! Libraries that are front ends, and all the ways in which a file is none. The tests work on the real libraries that the
//! same build made.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use transducer_cpg::{EdgeKind, NodeKind, query};
use transducer_frontend::{INTERFACE_VERSION, STAMP_MAGIC, Stamp};
use transducer_frontends::{FrontEnds, LoadError, ParseError, ParseFailure, ParseLimits};

/// The library of a name, among what this build made.
fn built(name: &str) -> PathBuf {
    let file = format!("{DLL_PREFIX}{name}{DLL_SUFFIX}");
    let tests = std::env::current_exe().expect("tests have a path");
    let folder = tests.parent().expect("tests lie in `deps`");
    let places = [
        folder.join(&file),
        folder.join("..").join(&file),
        folder.join("../examples").join(&file),
    ];
    let found = places.iter().find(|place| place.exists());
    found
        .unwrap_or_else(|| panic!("{file} is built with these tests; looked in {places:?}"))
        .clone()
}

fn java() -> PathBuf {
    built("transducer_frontend_java")
}

fn lines() -> PathBuf {
    built("lines_frontend")
}

/// The error of loading a file of that content.
fn refused(content: &[u8]) -> (LoadError, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder
        .path()
        .join(format!("{DLL_PREFIX}transducer_frontend_test{DLL_SUFFIX}"));
    std::fs::write(&path, content).expect("a file in it");
    (FrontEnds::load(&path).expect_err("no front end"), path)
}

#[test]
fn a_front_end_says_who_it_is_and_parses() {
    let frontends = FrontEnds::load(&java()).unwrap();
    let [language] = frontends.languages() else {
        panic!("one language: {frontends:?}")
    };
    assert_eq!(
        (language.name.as_str(), language.extensions.as_slice()),
        ("java", ["java".to_owned()].as_slice())
    );
    assert_eq!(language.path, java());
    assert_eq!(frontends.by_extension("JAVA"), Some(language));
    assert_eq!(frontends.by_extension("py"), None);

    let source = "int twice(int x) { return 2 * x; }";
    let graph = frontends.parse("java", source).unwrap();
    assert_eq!(graph.language(), "java");
    let signature = query::method_signature(&graph, source, None).unwrap();
    assert_eq!(
        (signature.name.as_str(), signature.return_type.as_deref()),
        ("twice", Some("int"))
    );
    let flow = graph.edges_of(EdgeKind::ReachingDef);
    assert_eq!(flow.len(), 1, "x is used once");
    assert_eq!(graph.nodes()[flow[0].source as usize].kind, NodeKind::MethodParameterIn);
}

#[test]
fn a_second_language_is_found_by_its_extension() {
    let mut frontends = FrontEnds::load(&java()).unwrap();
    frontends.add(&built("transducer_frontend_python")).unwrap();
    let language = frontends.by_extension("py").expect("Python's").name.clone();
    let source = "def twice(x: int) -> int:\n    return 2 * x\n";
    let graph = frontends.parse(&language, source).unwrap();
    assert_eq!(graph.language(), "python");
    let signature = query::method_signature(&graph, source, None).unwrap();
    assert_eq!(
        (signature.name.as_str(), signature.return_type.as_deref()),
        ("twice", Some("int"))
    );
    assert_eq!(graph.edges_of(EdgeKind::ReachingDef).len(), 1, "x is used once");
}

#[test]
fn several_front_ends_live_in_one_process_and_in_many_threads() {
    let mut frontends = FrontEnds::load(&java()).unwrap();
    frontends.add(&lines()).unwrap();
    assert_eq!(frontends.parse("java", "a\nb").unwrap().language(), "java");
    let graph = frontends.parse("lines", "a\nb").unwrap();
    assert_eq!((graph.language(), graph.nodes().len()), ("lines", 3));
    assert_eq!(frontends.by_extension("lines").unwrap().name, "lines");

    let frontends = &frontends;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(frontends.parse("java", "void f() { g(); }").unwrap())));
        }
    });
}

#[test]
fn a_language_has_one_front_end() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("another.so");
    std::fs::copy(java(), &copy).unwrap();
    let mut frontends = FrontEnds::load(&java()).unwrap();
    let error = frontends.add(&copy).unwrap_err();
    assert!(
        matches!(&error, LoadError::LanguageTaken { language, by, .. } if language == "java" && *by == java()),
        "{error}"
    );
    assert_eq!(frontends.languages().len(), 1);
}

#[test]
fn a_folder_is_searched_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = FrontEnds::load_dir(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::NoneFound { .. }), "{error}");

    std::fs::copy(
        java(),
        folder
            .path()
            .join(format!("{DLL_PREFIX}transducer_frontend_java{DLL_SUFFIX}")),
    )
    .unwrap();
    std::fs::copy(
        lines(),
        folder
            .path()
            .join(format!("{DLL_PREFIX}transducer_frontend_lines{DLL_SUFFIX}")),
    )
    .unwrap();
    std::fs::write(folder.path().join("README.md"), "not a library").unwrap();
    let frontends = FrontEnds::load_dir(folder.path()).unwrap();
    let names: Vec<&str> = frontends
        .languages()
        .iter()
        .map(|language| language.name.as_str())
        .collect();
    assert_eq!(names, ["java", "lines"]);

    let missing = FrontEnds::load_dir(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, LoadError::Read { .. }), "{missing}");
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("no/such/library.so");
    let error = FrontEnds::load(path).unwrap_err();
    assert!(
        matches!(&error, LoadError::Read { path: found, .. } if found == path),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("cannot read no/such/library.so: "),
        "{error}"
    );
}

#[test]
fn what_is_no_library_is_said_so() {
    for content in [b"".as_slice(), b"a text file\n", &[0; 4096]] {
        let (error, path) = refused(content);
        let is_expected = |error: &LoadError| matches!(error, LoadError::NotALibrary { path: found, bytes } if *found == path && *bytes == content.len());
        assert!(is_expected(&error), "{error}");
    }
}

#[test]
fn a_library_cut_anywhere_is_refused_before_it_is_mapped() {
    let whole = std::fs::read(java()).unwrap();
    // Mapping such a file would kill the process, so every length that comes back at all is a success.
    let lengths = (0..40)
        .map(|step| whole.len() * step / 40)
        .chain([1, 4, 16, 63, 64, whole.len() - 1]);
    for length in lengths {
        let (error, _) = refused(&whole[..length]);
        let is_expected =
            matches!(error, LoadError::Damaged { bytes, .. } | LoadError::NotALibrary { bytes, .. } if bytes == length);
        assert!(is_expected, "cut to {length} of {}: {error}", whole.len());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_is_no_front_end_is_said_so() {
    // The C library that this very process runs on.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .split_whitespace()
        .find(|part| part.contains("libc.so"))
        .expect("the process maps its C library");
    let error = FrontEnds::load(Path::new(libc)).unwrap_err();
    assert!(matches!(error, LoadError::NotAFrontEnd { .. }), "{error}");
}

#[test]
fn an_executable_is_no_library_to_load() {
    let error = FrontEnds::load(&std::env::current_exe().unwrap()).unwrap_err();
    assert!(
        matches!(error, LoadError::NotALibrary { .. } | LoadError::NotAFrontEnd { .. }),
        "{error}"
    );
}

#[test]
fn a_library_of_another_version_is_refused_before_its_code_runs() {
    let whole = std::fs::read(java()).unwrap();
    let stamps: Vec<usize> = (0..whole.len() - Stamp::BYTES)
        .filter(|&at| whole[at..].starts_with(&STAMP_MAGIC))
        .collect();
    for (index, what) in ["interface", "CPG schema", "wire"].into_iter().enumerate() {
        let mut other = whole.clone();
        for stamp in &stamps {
            other[stamp + STAMP_MAGIC.len() + 4 * index] ^= 0x40;
        }
        let (error, _) = refused(&other);
        let LoadError::Version {
            what: found_what,
            found,
            expected,
            ..
        } = &error
        else {
            panic!("{what}: {error}")
        };
        assert_eq!(*found_what, what);
        assert_eq!(*found, *expected ^ 0x40);
    }
    assert_eq!(Stamp::CURRENT.interface_version(), INTERFACE_VERSION);
}

#[test]
fn a_panic_in_a_front_end_is_an_error_and_the_next_parse_works() {
    let frontends = FrontEnds::load(&lines()).unwrap();
    let error = frontends.parse("lines", "PANIC").unwrap_err();
    let ParseFailure::FrontEnd {
        error: ParseError::Panicked { message },
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(message.as_str(), "the source asked for it");
    assert_eq!(frontends.parse("lines", "calm").unwrap().nodes().len(), 2);
}

#[test]
fn limits_and_unknown_languages_are_named() {
    let frontends = FrontEnds::load(&java()).unwrap();
    let error = frontends.parse("cobol", "").unwrap_err();
    assert_eq!(error.to_string(), "no front end for `cobol`; loaded: java");
    assert_eq!(
        FrontEnds::default().parse("java", "").unwrap_err().to_string(),
        "no front end for `java`; loaded: none"
    );

    let limits = ParseLimits {
        max_bytes: 3,
        ..ParseLimits::DEFAULT
    };
    let error = frontends.parse_within("java", "int x;", limits).unwrap_err();
    let too_long = ParseError::TooLong { bytes: 6, limit: 3 };
    assert!(
        matches!(&error, ParseFailure::FrontEnd { error, .. } if *error == too_long),
        "{error}"
    );
}
