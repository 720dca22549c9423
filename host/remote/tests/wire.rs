//! The form of the embeddings, held against bytes that are kept and against torch itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use tch::Kind;
use transducer_remote::wire::Layout;

const SHAPE: [usize; 2] = [3, 5];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings-3x5.pt")
}

/// Rows of halves: 0, 0.5, 1 …
fn file() -> Vec<u8> {
    let numbers = (0..SHAPE[0] * SHAPE[1]).map(|place| half::bf16::from_f32(place as f32 / 2.0));
    let data: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    let layout = Layout::new(Kind::BFloat16, SHAPE[0], SHAPE[1]).expect("it has a form");
    [layout.head(), &data, &layout.tail(crc32fast::hash(&data))].concat()
}

/// `BLESS=1` writes it anew.
#[test]
fn the_bytes_stay_the_same() {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(fixture(), file()).expect("it can be written");
    }
    assert!(
        std::fs::read(fixture()).expect("the fixture") == file(),
        "the form changed"
    );
}

/// With `torch.load(weights_only=True)`, as vLLM reads it.
#[test]
#[ignore = "needs TRANSDUCER_TORCH_PYTHON, a Python that has torch"]
fn torch_reads_the_file() {
    let python =
        std::env::var("TRANSDUCER_TORCH_PYTHON").expect("TRANSDUCER_TORCH_PYTHON names a Python that has torch");
    let script = "import sys, torch\n\
                  found = torch.load(sys.argv[1], weights_only=True)\n\
                  wanted = (torch.arange(15) / 2).view(3, 5).bfloat16()\n\
                  assert found.dtype == wanted.dtype and torch.equal(found, wanted), found\n\
                  print('the same', tuple(found.shape), found.dtype)";
    let output = Command::new(python)
        .args(["-c", script])
        .arg(fixture())
        .output()
        .expect("Python starts");
    let (told, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(told.trim(), "the same (3, 5) torch.bfloat16", "{errors}");
}
