//! What is written into a bundle's manifest, and into its copy.

use super::*;

#[test]
fn settings_that_are_refused_are_not_written() {
    let place = Place::new(&[]);
    let manifest = |dir: &Path| std::fs::read_to_string(dir.join("adapter.toml")).expect("a manifest");
    let (dir, before) = (&place.piece.dir, manifest(&place.piece.dir));
    let width = Setting {
        key: "transducer.width".to_owned(),
        value: "7".to_owned(),
    };
    let error = write_settings(dir, None, std::slice::from_ref(&width)).expect_err("no width for these heads");
    assert!(error.to_string().contains('7'), "{error}");
    let into = place.dir.path().join("runs");
    write_settings(dir, Some(&into), &[width]).expect_err("nor in a copy");
    assert!(!into.exists());
    // A draft that nobody writes changes nothing.
    Draft::new(dir, None, &settings(&[("train.seed", "2")])).expect("it can be");
    assert_eq!(manifest(dir), before);
    let error = write_settings(dir, dir.parent(), &[]).expect_err("a copy onto itself");
    assert!(matches!(error, TrainError::OwnCopy { .. }), "{error}");
    assert_eq!(manifest(dir), before);
}

#[test]
fn a_copy_has_what_goes_with_the_bundle_and_keeps_what_it_has() {
    let place = Place::new(&[]);
    let dir = &place.piece.dir;
    std::fs::create_dir(dir.join("cases")).expect("a folder");
    for file in ["README.md", "NOTICE", "cases/one.json", "notes.txt"] {
        std::fs::write(dir.join(file), file).expect("written");
    }
    let into = place.dir.path().join("runs");
    let copy = write_settings(dir, Some(&into), &[]).expect("a copy");
    for file in ["README.md", "NOTICE", "cases/one.json"] {
        assert_eq!(std::fs::read_to_string(copy.join(file)).expect(file), file);
    }
    assert!(!copy.join("notes.txt").exists() && !copy.join("LICENSE").exists());
    std::fs::write(copy.join("README.md"), "of its own").expect("written");
    write_settings(dir, Some(&into), &[]).expect("the same again");
    assert_eq!(
        std::fs::read_to_string(copy.join("README.md")).expect("a card"),
        "of its own"
    );
}

#[test]
fn an_ablation_is_written_into_a_copy_and_weights_into_the_bundle() {
    let place = Place::new(&[]);
    let kinds = &place.piece.manifest.transducer.edge_kinds;
    let into = place.dir.path().join("runs");
    for (name, expected) in [
        ("no-gve", "parts = \"no-graph\""),
        ("no-cfg", "edge-kinds = [\"AST\", \"CDG\""),
        ("no-edges", "layers = 0"),
        ("shuffled-edges", "edges = \"shuffled\""),
    ] {
        let settings = ablation(name, kinds).expect(name);
        let copy = write_settings(&place.piece.dir, Some(&into.join(name)), &settings).expect(name);
        let manifest = std::fs::read_to_string(copy.join("adapter.toml")).expect("a manifest");
        assert!(manifest.contains(expected), "{manifest}");
        workshop().open(&copy).expect(name);
    }
    let unknown = ablation("no-such", kinds).expect_err("no such kind");
    assert!(
        unknown.contains("no-gve") && unknown.contains("reaching-def"),
        "{unknown}"
    );

    let before = std::fs::read_to_string(place.piece.dir.join("adapter.toml")).expect("a manifest");
    let wrong = Setting {
        key: "train.batch".to_owned(),
        value: "0".to_owned(),
    };
    let error = write_settings(&place.piece.dir, None, &[wrong]).expect_err("no batch");
    assert!(error.to_string().contains("`train.batch` is 0"), "{error}");
    assert_eq!(
        before,
        std::fs::read_to_string(place.piece.dir.join("adapter.toml")).expect("a manifest")
    );

    let transducer = transducer_core::Transducer::new(place.piece.config.clone(), tch::Device::Cpu, 1).expect("valid");
    let sources = |data: &str| Sources {
        data: data.repeat(64),
        validation: None,
        seed: 5,
        precision: "f32".to_owned(),
    };
    put_weights(&place.piece.dir, &transducer, &sources("a")).expect("written");
    let piece = workshop().open(&place.piece.dir).expect("a bundle");
    assert!(workshop().transducer(&piece).expect("weights that fit").is_some());
    let provenance = piece.manifest.provenance.clone().expect("recorded");
    assert_eq!((provenance.seed, provenance.data_sha256), (5, "a".repeat(64)));
    assert_eq!(provenance.precision.as_deref(), Some("f32"));

    let evaluation = transducer_bundle::Evaluation {
        data_sha256: "b".repeat(64),
        rows: 3,
        weights_sha256: provenance.weights_sha256,
        host: "0.1.0".to_owned(),
        precision: Some("bf16".to_owned()),
        left_out: Some(2),
        scores: [(
            "chrF".to_owned(),
            transducer_bundle::RecordedScore {
                value: 20.0,
                low: 18.25,
                high: 22.5,
            },
        )]
        .into(),
    };
    put_evaluation(&place.piece.dir, &evaluation).expect("written");
    let judged = workshop().open(&place.piece.dir).expect("a bundle").manifest.evaluation;
    assert_eq!(judged.as_ref(), Some(&evaluation));

    // Other weights, and what was said of those before them is gone.
    let transducer = transducer_core::Transducer::new(place.piece.config.clone(), tch::Device::Cpu, 2).expect("valid");
    put_weights(&place.piece.dir, &transducer, &sources("c")).expect("written");
    let manifest = workshop().open(&place.piece.dir).expect("a bundle").manifest;
    assert_eq!(manifest.evaluation, None);
    assert_eq!(manifest.provenance.expect("recorded").data_sha256, "c".repeat(64));

    // A judgement that comes late is of weights that are not there any more.
    let error = put_evaluation(&place.piece.dir, &evaluation).expect_err("of the weights before");
    assert!(
        matches!(&error, TrainError::OtherWeights { path } if path.ends_with("transducer.safetensors")),
        "{error}"
    );
    let manifest = workshop().open(&place.piece.dir).expect("a bundle").manifest;
    assert_eq!(manifest.evaluation, None);
}
