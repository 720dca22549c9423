//! From drafts to rows: where each goes, which say the same twice, and what they are called.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::options::{Options, SplitBy};
use crate::report::{Dropped, Report};
use crate::row::{Row, Split};
use crate::run::{Draft, Drafts};
use crate::tree::SourceFile;
use crate::{near, split};

/// Hexadecimal digits of a hash in a row's id: among a million rows, two share 48 bits with a chance of one in 500, and then
/// the number after them differs.
const ID_DIGITS: usize = 12;

/// A split with less than this share of the rows that it should have is told of.
const SMALL_SHARE: f64 = 0.5;

/// The rows that stay, in the order test, valid, train and of their paths, and the report about all of them.
pub(crate) fn finish(
    files: &[SourceFile],
    drafts: Drafts,
    options: &Options,
    mut report: Report,
) -> (Vec<(Split, Row)>, Report) {
    let mut groups = BTreeSet::new();
    let mut rows: Vec<(Split, usize, Draft)> = Vec::with_capacity(drafts.len());
    for (file, draft) in drafts {
        let group = split::group(options.split, &files[file].project, &files[file].path);
        groups.insert(group);
        rows.push((split::split(group, options.ratios), file, draft));
    }
    report.groups = groups.len();
    report.rows = Split::ALL.into_iter().map(|split| (split, 0)).collect();
    // Of two that say the same, the one to report on stays, then the one to choose by: a sort that keeps the order of paths.
    rows.sort_by_key(|(split, ..)| Reverse(*split));
    let rows = without_repetitions(files, rows, options, &mut report);
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut mined = Vec::with_capacity(rows.len());
    for (split, file, draft) in rows {
        let hash = hash(&draft);
        let number = ids.entry(hash.clone()).or_default();
        let id = format!("{hash}-{number}");
        *number += 1;
        *report.rows.entry(split).or_default() += 1;
        let row = Row {
            id,
            source: draft.source,
            target: draft.target,
            language: files[file].language.name().to_owned(),
            project: files[file].project.clone(),
            path: files[file].path.clone(),
            line: draft.line,
            name: draft.name,
            test: draft.test,
        };
        mined.push((split, row));
    }
    warn_of_small_splits(options, &mut report);
    (mined, report)
}

fn without_repetitions(
    files: &[SourceFile],
    rows: Vec<(Split, usize, Draft)>,
    options: &Options,
    report: &mut Report,
) -> Vec<(Split, usize, Draft)> {
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut once = Vec::with_capacity(rows.len());
    for row in rows {
        let words: Vec<&str> = row.2.source.split_whitespace().collect();
        if seen.insert(Sha256::digest(words.join(" ")).to_vec()) {
            once.push(row);
        } else {
            report.drop(Dropped::Duplicate, &files[row.1].path, row.2.line);
        }
    }
    let sources: Vec<&str> = once.iter().map(|(_, _, draft)| draft.source.as_str()).collect();
    let repeated = near::repeated(&sources, options.near_duplicates);
    let mut kept = Vec::with_capacity(once.len());
    for (row, repeated) in once.into_iter().zip(repeated) {
        if repeated {
            report.drop(Dropped::NearDuplicate, &files[row.1].path, row.2.line);
        } else {
            kept.push(row);
        }
    }
    kept
}

/// The first digits of a hash over source and target.
fn hash(draft: &Draft) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&draft.source);
    // Keeps `a` + `bc` from `ab` + `c`; no text has it.
    hasher.update([0]);
    hasher.update(&draft.target);
    let digits = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    digits[..ID_DIGITS].to_owned()
}

/// Whole groups go one way, so few of them, or ones of very different size, fall short of the ratios.
fn warn_of_small_splits(options: &Options, report: &mut Report) {
    let rows: usize = report.rows.values().sum();
    let parts = options.ratios.parts();
    let all: f64 = parts.into_iter().map(f64::from).sum();
    for (split, part) in Split::ALL.into_iter().zip(parts) {
        let count = report.rows.get(&split).copied().unwrap_or_default();
        let wanted = rows as f64 * f64::from(part) / all;
        // A part rounds to no row at all where there are few.
        if wanted >= 1.0 && (count as f64) < wanted * SMALL_SHARE {
            let (groups, by) = (report.groups, options.split.name());
            let finer = if options.split == SplitBy::File {
                ""
            } else {
                "; a finer --split comes closer"
            };
            report.warnings.push(format!(
                "{} has {count} rows where about {wanted:.0} were asked for: whole groups stay together, and there are {groups} \
                 (by {by}){finer}",
                split.name(),
            ));
        }
    }
}
