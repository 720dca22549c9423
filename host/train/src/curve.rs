//! The curve of a run's loss, as a picture beside its weights.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::{TrainError, checkpoint};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 48.0;
/// Steps are averaged into at most so many points: more than a screen shows are noise.
const POINTS: usize = 200;

/// Draws the curve of the log at `log` to `picture`.
pub(crate) fn draw(log: &Path, picture: &Path) -> Result<(), TrainError> {
    let text = std::fs::read_to_string(log).map_err(TrainError::file(log))?;
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let points = |name: &str| -> Vec<(f64, f64)> {
        let of_kind = events.iter().filter(|event| event["event"] == name);
        of_kind
            .filter_map(|event| Some((event["step"].as_f64()?, event["loss"].as_f64()?)))
            .collect()
    };
    checkpoint::replace(
        picture,
        svg(&averaged(&points("step")), &points("validated")).as_bytes(),
    )
}

fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |some: &[(f64, f64)]| {
        let count = some.len() as f64;
        let sums = some.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        (sums.0 / count, sums.1 / count)
    };
    points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

fn svg(training: &[(f64, f64)], validation: &[(f64, f64)]) -> String {
    let all = || training.iter().chain(validation);
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
        (low.min(point.1), high.max(point.1))
    });
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let x = |step: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * step / last;
    let y = |loss: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (loss - low) / (high - low);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>Loss by step</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    // Writing to a string cannot fail.
    for part in 0..=4 {
        let loss = low + (high - low) * f64::from(part) / 4.0;
        let at = y(loss);
        let _ = writeln!(
            out,
            "<path d=\"M{MARGIN} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"4\" y=\"{:.1}\">{loss:.3}</text>",
            WIDTH - MARGIN,
            at + 4.0
        );
        let step = last * f64::from(part) / 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{step:.0}</text>",
            x(step),
            HEIGHT - MARGIN + 18.0
        );
    }
    for (name, color, points, row) in [
        ("training loss", "#36c", training, 0.0),
        ("validation loss", "#c33", validation, 1.0),
    ] {
        if points.is_empty() {
            continue;
        }
        let places: Vec<String> = points
            .iter()
            .map(|&(step, loss)| format!("{:.1},{:.1}", x(step), y(loss)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{color}\">{name}</text>",
            places.join(" "),
            WIDTH - 160.0,
            20.0 + 16.0 * row
        );
    }
    out + "</svg>\n"
}
