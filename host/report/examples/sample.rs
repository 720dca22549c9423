//! Writes a page of made-up numbers to standard output, to see what a report looks like:
//! `cargo run -p transducer-report --example sample > report.html`.

use transducer_report::{Example, MetricRow, Page, html, pick};

/// A graph of a few boxes, with a marker named as those of all graphs are.
fn graph(boxes: &[&str], color: &str) -> String {
    let height = 60 * boxes.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"420\" height=\"{height}\" viewBox=\"0 0 420 {height}\" \
         font-family=\"monospace\" font-size=\"13\"><defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8Z\" fill=\"{color}\"/></marker></defs>\
         <rect width=\"420\" height=\"{height}\" fill=\"white\"/>"
    );
    for (label, at) in boxes.iter().zip(0..) {
        let top = 60 * at + 10;
        svg += &format!(
            "<rect x=\"20\" y=\"{top}\" width=\"380\" height=\"28\" fill=\"white\" stroke=\"{color}\"/>\
             <text x=\"30\" y=\"{}\">{label}</text>",
            top + 18
        );
        if at > 0 {
            svg += &format!(
                "<path d=\"M210 {}V{top}\" stroke=\"{color}\" marker-end=\"url(#arrow)\"/>",
                top - 32
            );
        }
    }
    svg + "</svg>"
}

fn example(id: &str, source: &str, reference: &str, answer: &str, score: f64) -> Example {
    Example {
        id: id.to_owned(),
        source: source.to_owned(),
        graph_svg: None,
        reference: reference.to_owned(),
        answer: answer.to_owned(),
        generated: answer.to_owned(),
        score,
    }
}

fn examples() -> Vec<Example> {
    let even = "public static OptionalInt firstEven(int[] numbers) {\n    for (int number : numbers) {\n        if (number % 2 \
                == 0) {\n            return OptionalInt.of(number);\n        }\n    }\n    return OptionalInt.empty();\n}";
    let long: String = (1..=60)
        .map(|line| format!("    total += weights[{line}] * inputs[{line}]; // a line that is as long as lines are in real code, and then some\n"))
        .collect();
    vec![
        Example {
            graph_svg: Some(graph(
                &["firstEven(numbers)", "2: for number", "3: if number % 2 == 0"],
                "#36c",
            )),
            ..example(
                "test-000017",
                even,
                "Returns the first even number, or nothing.",
                "Returns the first even number, or nothing.",
                100.0,
            )
        },
        Example {
            graph_svg: Some(graph(&["total(weights, inputs)", "2: total += weights[1]"], "#c33")),
            generated: "The method sums up all the products.\n\n```java\nint total = 0;\n```".to_owned(),
            ..example(
                "test-001204",
                &format!("int total(int[] weights, int[] inputs) {{\n    int total = 0;\n{long}    return total;\n}}"),
                "Computes the weighted sum of the inputs.",
                "The method sums up all the products.",
                21.4,
            )
        },
        example(
            "commons-lang/src/test/java/org/example/a/very/long/path/NumberUtilsTest.java#createsNumbersFromHexadecimalText",
            "@Test\nvoid creates() {\n    Number made = NumberUtils.createNumber(\"0x1F\");\n    // ASSERT\n}",
            "assertEquals(31, made.intValue())",
            "assertEquals(0x1F, made.longValue(), \"größe\")",
            48.9,
        ),
        Example {
            generated: "  </pre><script>alert('escaped?')</script>".to_owned(),
            ..example(
                "test-000003",
                "String tag() {\n    return \"</pre><script>alert('escaped?')</script>\"; // 数据 и данные שלום\n}",
                "Returns the tag.",
                "",
                0.0,
            )
        },
        example(
            "test-000090",
            "int zero() { return 0; }",
            "Returns  zero.",
            "Returns zero.",
            100.0,
        ),
    ]
}

fn main() {
    let metric = |name: &str, value, low, high| MetricRow {
        name: name.to_owned(),
        value,
        low,
        high,
    };
    let facts = [
        ("Adapter", "summarize-java"),
        (
            "Generation",
            "5f1b2c6d9e0a4b7c8d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c",
        ),
        ("Data", "test.jsonl.gz"),
        ("Rows", "1000 of 10955"),
        ("Model", "a code LLM of half a billion parameters"),
        ("Intervals", "95 %, by bootstrap over the rows"),
    ];
    let examples = examples();
    let scores: Vec<f64> = examples.iter().map(|example| example.score).collect();
    let shown: Vec<Example> = pick(&scores, 10)
        .into_iter()
        .map(|index| examples[index].clone())
        .collect();
    let page = Page {
        title: "summarize-java, evaluated",
        facts: &facts.map(|(name, value)| (name.to_owned(), value.to_owned())),
        metrics: &[
            metric("BLEU-4", 17.32, 16.11, 18.64),
            metric("ROUGE-L", 38.9, 37.2, 40.5),
            metric("Exact match", 2.1, 1.3, 3.1),
            metric("Parses", 99.8, 99.4, 100.0),
            metric("CodeBLEU", 44.0, f64::NAN, f64::NAN),
        ],
        examples: &shown,
    };
    print!("{}", html(&page));
}
