//! Components that are no tasks, or not of a world that the host knows.

use crate::guest::{ENGINE, Guest, component, limits, run, the_next_request_works, wit};
use crate::hostile::Case;
use transducer_tasks::{TaskError, TaskLimits};

pub(crate) fn no_tasks() -> Vec<Case> {
    let good = Guest::good().component();
    let of_version = |version: &str| {
        let other = wit("1.0.0").replace("transducer:task@1.0.0;", &format!("transducer:task@{version};"));
        dummy_component(&other, "task")
    };
    let number = wit("1.0.0").replace("generated: string", "generated: u64");
    let scores = wit("1.1.0").replace("result<list<f64>, error>", "result<list<f32>, error>");
    let wasi = |import: &str, what: &str| {
        let (package, interface) = import.split_once('/').expect("a package and an interface");
        let wit = format!(
            "package {package}@0.2.0; interface {interface} {{ {what}: func() -> u32; }}
            world task {{ import {interface}; }}"
        );
        let module = format!("(module (import \"{import}@0.2.0\" \"{what}\" (func (result i32))))");
        component(wat::parse_str(module).expect("valid text"), &wit, "task")
    };
    let old = mixed("1.0.0").replace("1.2.0", "1.0.0");
    let text = |text: &str| wat::parse_str(text).expect("valid text");
    vec![
        (
            "an import of the process's environment",
            wasi("wasi:cli/environment", "cwd"),
        ),
        ("an import of files", wasi("wasi:filesystem/preopens", "open")),
        ("an import of the network", wasi("wasi:sockets/network", "connect")),
        ("an import of a clock", wasi("wasi:clocks/monotonic-clock", "now")),
        (
            "an import of a name without end",
            wasi(&format!("wasi:cli/{}", "endless-".repeat(5_000) + "name"), "cwd"),
        ),
        ("nothing", Vec::new()),
        ("no WebAssembly", b"PK\x03\x04 not wasm at all".to_vec()),
        ("WebAssembly text", b"(component)".to_vec()),
        ("machine code", b"\x7fELF\x02\x01\x01".to_vec()),
        ("a core module", Guest::good().module()),
        ("an empty component", good[..8].to_vec()),
        ("half a component", good[..good.len() / 2].to_vec()),
        ("a world of a later major version", of_version("2.3.0")),
        ("a world of a later minor version", of_version("1.2.0")),
        ("a world before the first", of_version("0.9.0")),
        ("a world that never was", of_version("1.0.1")),
        ("a newer world, and a module that is not valid", text(&mixed("1.2.0"))),
        ("two worlds", text(&mixed("1.1.0"))),
        ("a module that is not valid", text(&old)),
        ("local variables without end", crowded()),
        ("a function of other types", dummy_component(&number, "task")),
        ("metrics of other types", dummy_component(&scores, "measured-task")),
    ]
}

/// A task that is good but for a module of 2 KB with a dozen million local variables.
fn crowded() -> Vec<u8> {
    let function = format!("(func (local{}))", " v128".repeat(50_000));
    let module = format!("(component (core module {}))", function.repeat(250));
    let component = wat::parse_str(module).expect("valid text");
    let section = &component[8..];
    assert!(section.len() < 3_000, "{} bytes", section.len());
    [&Guest::good().component(), section].concat()
}

#[test]
fn a_large_component_is_not_compiled() {
    let large = TaskLimits {
        component_bytes: 100,
        ..limits()
    };
    let error = ENGINE
        .compile_with(&Guest::good().component(), large)
        .expect_err("too large");
    assert!(
        matches!(error, TaskError::ComponentTooLarge { limit: 100, .. }),
        "{error:?}"
    );
}

/// A component may be composed of others, between whose memories the runtime copies with a module of two memories.
#[test]
fn a_task_may_have_components_in_it() {
    let text = r#"(component
        (component $callee
            (core module $inside
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
                (func (export "take") (param i32 i32)))
            (core instance $inside (instantiate $inside))
            (func (export "take") (param "text" string)
                (canon lift (core func $inside "take") (memory $inside "memory") (realloc (func $inside "realloc")))))
        (component $caller
            (import "take" (func $take (param "text" string)))
            (core module $memory (memory (export "memory") 1))
            (core instance $memory (instantiate $memory))
            (core func $take (canon lower (func $take) (memory $memory "memory")))
            (core module $inside
                (import "" "take" (func $take (param i32 i32)))
                (func (export "run") (call $take (i32.const 0) (i32.const 5))))
            (core instance $inside (instantiate $inside (with "" (instance (export "take" (func $take))))))
            (func (export "run") (canon lift (core func $inside "run"))))
        (instance $callee (instantiate $callee))
        (instance $caller (instantiate $caller (with "take" (func $callee "take")))))"#;
    let inner = wat::parse_str(text).expect("valid text");
    let mut component = Guest::good().component();
    let (mut depth, mut components) = (0, 0_u8);
    for payload in wasmparser::Parser::new(0).parse_all(&component) {
        match payload.expect("a valid component") {
            wasmparser::Payload::ComponentSection { .. } => {
                components += u8::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ModuleSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    // Two sections more: the component, and an instance of it.
    const COMPONENT: u8 = 4;
    const INSTANCE: u8 = 5;
    component.push(COMPONENT);
    let (low, high) = (inner.len() & 0x7f, inner.len() >> 7);
    assert!(high < 0x80, "a length of two bytes in LEB128");
    component.extend([low as u8 | 0x80, high as u8]);
    component.extend(inner);
    component.extend([INSTANCE, 4, 1, 0, components, 0]);
    run(&component).expect("a good task");
}

/// A component of world 1.2.0 that imports something of another version, with more in it that this host does not understand: the world
/// is read before anything is compiled.
fn mixed(version: &str) -> String {
    format!(
        r#"(component
        (core module (func (result i32) (f32.const 1)))
        (import "transducer:task/log@{version}" (instance))
        (component (import "transducer:task/cpg@7.0.0" (instance)))
        (instance $empty)
        (export "transducer:task/handler@1.2.0" (instance $empty)))"#
    )
}

/// A component that has the exports of a world and does nothing.
fn dummy_component(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("valid WIT");
    let id = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in the WIT");
    let abi = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    component(wit_component::dummy_module(&resolve, id, abi), wit, world)
}

#[test]
fn damaged_components_never_crash_the_host() {
    let good = Guest::good().component();
    for len in (0..good.len()).step_by(good.len() / 97 + 1) {
        if let Ok(task) = ENGINE.compile(&good[..len]) {
            panic!("{len} bytes of {} are a task: {task:?}", good.len());
        }
    }
    let mut damaged = good.clone();
    for at in (8..good.len()).step_by(good.len() / 193 + 1) {
        damaged[at] ^= 0x55;
        // It may still be a task, such as when a letter of its summary changed; it must not be a crash.
        let _ = run(&damaged);
        damaged[at] = good[at];
    }
    the_next_request_works();
}
