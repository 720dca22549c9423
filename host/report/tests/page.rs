//! The page as a whole. `BLESS=1` rewrites the golden file: read the difference before it is committed.

use transducer_report::{Example, MetricRow, Page, html};

fn example() -> Example {
    Example {
        id: "row-1".to_owned(),
        source: "int one() {\n\treturn 1;\n}".to_owned(),
        graph_svg: Some("<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned()),
        reference: "Returns the number one.".to_owned(),
        answer: "Returns one & only.".to_owned(),
        generated: "Returns one & only.\n".to_owned(),
        score: 61.25,
    }
}

fn of(examples: &[Example]) -> String {
    html(&Page {
        title: "A page",
        facts: &[],
        metrics: &[],
        examples,
    })
}

fn metrics(metrics: &[MetricRow]) -> String {
    html(&Page {
        title: "A page",
        facts: &[],
        metrics,
        examples: &[],
    })
}

fn metric(value: f64, low: f64, high: f64) -> MetricRow {
    let name = "BLEU-4".to_owned();
    MetricRow { name, value, low, high }
}

/// The tags of elements, in order.
fn tags(page: &str) -> Vec<&str> {
    let body = page.split_once("</style>").expect("there is a style").1;
    let starts = body.split('<').skip(1);
    starts
        .map(|tag| tag.split([' ', '>']).next().unwrap_or_default())
        .collect()
}

#[test]
fn a_small_page_is_as_it_was() {
    let page = html(&Page {
        title: "summarize-java, evaluated",
        facts: &[("Adapter".to_owned(), "summarize-java".to_owned())],
        metrics: &[metric(17.32, 16.1, 18.64)],
        examples: &[example()],
    });
    // A line an element, for those who read the difference.
    let lines = page.replace("><", ">\n<") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small.html");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &lines).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path)
        .expect("the golden file can be read")
        .replace("\r\n", "\n");
    assert!(golden == lines, "the page is not tests/small.html: BLESS=1 rewrites it");
}

#[test]
fn hostile_text_is_text_wherever_it_stands() {
    let hostile =
        "\"'></pre></td></title></details><script>alert(1)</script><img src=x onerror=alert(1)><!--".to_owned();
    let harmless = "harmless".to_owned();
    let page = |text: &String| {
        html(&Page {
            title: text,
            facts: &[(text.clone(), text.clone())],
            metrics: &[MetricRow {
                name: text.clone(),
                ..metric(1.0, 0.0, 2.0)
            }],
            examples: &[Example {
                id: text.clone(),
                source: text.clone(),
                graph_svg: Some(text.clone()),
                reference: format!("{text} old"),
                answer: format!("{text} new"),
                generated: text.clone(),
                score: 0.0,
            }],
        })
    };
    assert_eq!(tags(&page(&hostile)), tags(&page(&harmless)));
    assert!(!page(&hostile).contains("<script"));
    assert!(page(&hostile).contains("&lt;/pre&gt;"));
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let page = of(&[example()]);
    assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    for word in ["http://", "https://", "<script", "<link", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_page_of_nothing_says_so() {
    let page = of(&[]);
    assert!(page.contains("There are no examples."));
    assert!(!page.contains("<table"));
    let blank = Example {
        id: String::new(),
        source: String::new(),
        graph_svg: None,
        reference: String::new(),
        answer: String::new(),
        generated: String::new(),
        score: f64::NAN,
    };
    let page = of(&[blank]);
    assert_eq!(page.matches("(empty)").count(), 3);
    assert!(page.contains("score –"));
    assert!(!page.contains("<details"));
}

#[test]
fn text_beyond_ascii_is_kept() {
    let text = "größe 数据 שלום 👩‍👧 e\u{301} \u{202e}";
    let page = of(&[Example {
        id: text.to_owned(),
        source: text.to_owned(),
        reference: text.to_owned(),
        answer: text.to_owned(),
        generated: text.to_owned(),
        ..example()
    }]);
    assert!(page.contains("charset=\"utf-8\""));
    // The heading, the picture's alternative, the input, and both sides.
    assert_eq!(page.matches(text).count(), 5);
    assert!(page.contains("The answer is the reference."));
}

#[test]
fn words_of_one_side_are_marked_there() {
    let page = of(&[example()]);
    assert!(page.contains("Returns <del>the number</del> one.</div>"));
    assert!(page.contains("<ins>&amp; only</ins>"));
    assert!(!page.contains("The answer differs"));
    let spaced = of(&[Example {
        answer: "Returns the\nnumber one.".to_owned(),
        ..example()
    }]);
    assert!(spaced.contains("The answer differs from the reference in white space only."));
    assert_eq!(spaced.matches("<del>").count(), 1, "the one that explains the mark");
}

#[test]
fn a_first_line_that_is_blank_is_kept() {
    let page = of(&[Example {
        source: "\nint one;".to_owned(),
        ..example()
    }]);
    assert!(page.contains(">\n\nint one;</pre>"));
}

#[test]
fn generated_text_is_shown_where_the_task_changed_it() {
    let changed = of(&[example()]);
    assert!(changed.contains("Generated text"));
    let kept = Example {
        generated: example().answer,
        ..example()
    };
    assert!(!of(&[kept]).contains("Generated text"));
}

#[test]
fn graphs_share_no_names() {
    let graph = |color: &str| {
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"><marker id=\"arrow\" fill=\"{color}\"/></svg>"
        ))
    };
    let with = |graph_svg| Example { graph_svg, ..example() };
    let page = of(&[with(graph("red")), with(graph("blue"))]);
    assert_eq!(page.matches("<img src=\"data:image/svg+xml;base64,").count(), 2);
    assert!(!page.contains("id=\"arrow\""));
}

#[test]
fn metrics_stay_on_their_scale() {
    assert!(metrics(&[metric(50.0, 40.0, 60.0)]).contains("<rect class=\"interval\" x=\"40\" y=\"1\" width=\"20.0\""));
    let beyond = metrics(&[metric(120.0, -5.0, 130.0)]);
    assert!(beyond.contains("x=\"0\" y=\"1\" width=\"100.0\""));
    assert!(beyond.contains("M100 0V12"));
    assert!(beyond.contains("-5.0 to 130.0"));
    let none = metrics(&[metric(-0.01, f64::NAN, f64::NAN)]);
    assert!(none.contains("<td class=\"number\">0.0</td><td class=\"number\">–</td>"));
    assert!(!none.contains("class=\"interval\""));
    assert!(!metrics(&[metric(f64::NAN, 1.0, f64::INFINITY)]).contains("class=\"value\""));
}
