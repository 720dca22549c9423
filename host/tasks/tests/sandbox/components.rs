//! Components that are no tasks, or not of a world that the host knows.

use crate::guest::{ENGINE, Guest, component, limits, run, the_next_request_works, wit};
use crate::hostile::fails;
use transducer_tasks::{TaskError, TaskLimits};

#[test]
fn what_is_no_task_is_refused() {
    let good = Guest::good().component();
    let module = Guest::good().module();
    fails("an empty file", b"", "NotAComponent", "found an empty file");
    fails(
        "garbage",
        b"PK\x03\x04 not wasm at all",
        "NotAComponent",
        "no WebAssembly",
    );
    fails("text", b"(component)", "NotAComponent", "found WebAssembly text");
    fails(
        "precompiled",
        b"\x7fELF\x02\x01\x01",
        "NotAComponent",
        "precompiled WebAssembly is not accepted",
    );
    fails(
        "a core module",
        &module,
        "NotAComponent",
        "found a core WebAssembly module",
    );
    fails(
        "an empty component",
        &good[..8],
        "MissingExport",
        "does not export `transducer:task/handler`",
    );
    fails(
        "half a component",
        &good[..good.len() / 2],
        "InvalidComponent",
        "not valid",
    );
    let large = TaskLimits {
        component_bytes: 100,
        ..limits()
    };
    let error = ENGINE.compile_with(&good, large).expect_err("too large");
    assert!(
        matches!(error, TaskError::ComponentTooLarge { limit: 100, .. }),
        "{error:?}"
    );

    for (version, variant, expected) in [
        (
            "2.3.0",
            "NewerWorld",
            "built for `transducer:task@2.3.0`, which is newer than this host: it has `transducer:task@1.0.0` and \
             `transducer:task@1.1.0`. Update the host",
        ),
        (
            "1.2.0",
            "NewerWorld",
            "`transducer:task@1.2.0`, which is newer than this host",
        ),
        (
            "0.9.0",
            "UnsupportedWorld",
            "built for `transducer:task@0.9.0`; this host has `transducer:task@1.0.0` and",
        ),
        (
            "1.0.1",
            "UnsupportedWorld",
            "built for `transducer:task@1.0.1`; this host has",
        ),
    ] {
        let other = wit("1.0.0").replace("transducer:task@1.0.0;", &format!("transducer:task@{version};"));
        fails(version, &dummy_component(&other, "task"), variant, expected);
    }

    let wasi = "package wasi:cli@0.2.0; interface environment { cwd: func() -> u32; }
        world task { import environment; }";
    let text = "(module (import \"wasi:cli/environment@0.2.0\" \"cwd\" (func (result i32))))";
    let component = component(wat::parse_str(text).expect("valid text"), wasi, "task");
    fails(
        "WASI",
        &component,
        "UnknownImport",
        "imports `wasi:cli/environment@0.2.0`",
    );

    let other = wit("1.0.0").replace("generated: string", "generated: u64");
    fails(
        "other types",
        &dummy_component(&other, "task"),
        "WrongType",
        "does not fit `transducer:task@1.0.0`",
    );
    let other = wit("1.1.0").replace("result<list<f64>, error>", "result<list<f32>, error>");
    fails(
        "other types of the metrics",
        &dummy_component(&other, "measured-task"),
        "WrongType",
        "does not fit `transducer:task@1.1.0`",
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

/// A host that is too old for a component says so, whatever else is in the component that it does not understand.
#[test]
fn the_world_is_read_before_anything_is_compiled() {
    let text = r#"(component
        (core module (func (result i32) (f32.const 1)))
        (import "transducer:task/log@VERSION" (instance))
        (component (import "transducer:task/cpg@7.0.0" (instance)))
        (instance $empty)
        (export "transducer:task/handler@1.2.0" (instance $empty)))"#;
    let component = |version: &str| wat::parse_str(text.replace("VERSION", version)).expect("valid text");
    fails("a newer world", &component("1.2.0"), "NewerWorld", "1.2.0");
    fails(
        "two worlds",
        &component("1.1.0"),
        "MixedWorlds",
        "names both `transducer:task@1.2.0` and `transducer:task@1.1.0`",
    );
    // With a world that this host has, the module in it is what is wrong.
    let old = wat::parse_str(text.replace("VERSION", "1.0.0").replace("1.2.0", "1.0.0")).expect("valid text");
    fails("a module that is not valid", &old, "InvalidComponent", "type mismatch");
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
