//! Porter's stemmer, as NLTK's `PorterStemmer` has it by default.
//!
//! Porter 1980, "An algorithm for suffix stripping", with the author's later changes and those of NLTK's
//! `NLTK_EXTENSIONS`: a few irregular words, `ies` and `ied` of four letters, `y` only after a consonant, `alli` before
//! everything else. Letters outside ASCII are consonants.

/// Words that the rules would spoil.
const IRREGULAR: &[(&str, &str)] = &[
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Suffixes of step 2 and what replaces them if something is left to be a word. The first that fits decides.
const STEP2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// Likewise of step 3.
const STEP3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

/// What step 4 takes off a long word. `ion` has a condition of its own.
const STEP4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word in lower case.
pub(crate) fn porter(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    let mut word = word.to_owned();
    if word.chars().count() > 2 {
        for step in [step1a, step1b, step1c, step2, step3, step4, step5a, step5b] {
            word = step(word);
        }
    }
    word
}

/// For every letter whether it is a consonant: `y` is one unless it follows one.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags = Vec::with_capacity(word.len());
    for letter in word.chars() {
        let consonant = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !flags.last().is_some_and(|&before| before),
            _ => true,
        };
        flags.push(consonant);
    }
    flags
}

/// Porter's `m`: how often a consonant follows a vowel.
fn measure(stem: &str) -> usize {
    let pairs = consonants(stem);
    pairs.windows(2).filter(|pair| **pair == [false, true]).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

/// The last letter, if the word ends in it twice and it is a consonant.
fn double_consonant(word: &str) -> Option<char> {
    let mut letters = word.chars().rev();
    let (last, before) = (letters.next()?, letters.next()?);
    (last == before && consonants(word).ends_with(&[true])).then_some(last)
}

/// Whether the word ends in consonant, vowel, consonant, the last not `w`, `x` or `y`; or is vowel and consonant.
fn short(word: &str) -> bool {
    let flags = consonants(word);
    let ends = flags.ends_with(&[true, false, true]) && !word.ends_with(['w', 'x', 'y']);
    ends || flags == [false, true]
}

/// Applies the first rule whose suffix fits, if its stem is longer than `over` by Porter's measure.
fn replace(word: String, rules: &[(&str, &str)], over: usize) -> String {
    let fits = rules
        .iter()
        .find_map(|(suffix, with)| Some((word.strip_suffix(suffix)?, with)));
    match fits {
        Some((stem, with)) if measure(stem) > over => format!("{stem}{with}"),
        _ => word,
    }
}

fn step1a(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}{}", if word.chars().count() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("sses") {
        return format!("{stem}ss");
    }
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    }
}

fn step1b(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.chars().count() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let stem = ["ed", "ing"]
        .iter()
        .filter_map(|suffix| word.strip_suffix(suffix))
        .find(|stem| has_vowel(stem));
    let Some(stem) = stem else {
        return word;
    };
    if ["at", "bl", "iz"].iter().any(|end| stem.ends_with(end)) {
        return format!("{stem}e");
    }
    if let Some(last) = double_consonant(stem) {
        // A consonant that is doubled for the ending only.
        let kept = if matches!(last, 'l' | 's' | 'z') {
            0
        } else {
            last.len_utf8()
        };
        return stem[..stem.len() - kept].to_owned();
    }
    if measure(stem) == 1 && short(stem) {
        return format!("{stem}e");
    }
    stem.to_owned()
}

fn step1c(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.chars().count() > 1 && consonants(stem).ends_with(&[true]) => format!("{stem}i"),
        _ => word,
    }
}

fn step2(word: String) -> String {
    // NLTK takes this suffix first, and what comes out goes through the step again.
    if let Some(stem) = word.strip_suffix("alli")
        && measure(stem) > 0
    {
        return step2(format!("{stem}al"));
    }
    // The `l` counts with the stem, so that `geo` is long enough.
    if let Some(stem) = word.strip_suffix("ogi")
        && stem.ends_with('l')
    {
        return if measure(stem) > 0 { format!("{stem}og") } else { word };
    }
    replace(word, STEP2, 0)
}

fn step3(word: String) -> String {
    replace(word, STEP3, 0)
}

fn step4(word: String) -> String {
    let fits = STEP4
        .iter()
        .find_map(|suffix| Some((*suffix, word.strip_suffix(suffix)?)));
    match fits {
        Some((suffix, stem)) if measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't'])) => stem.to_owned(),
        _ => word,
    }
}

fn step5a(word: String) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !short(stem)) => stem.to_owned(),
        _ => word,
    }
}

fn step5b(word: String) -> String {
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    struct Fixture {
        stems: BTreeMap<String, String>,
    }

    /// Words for every rule, stemmed by NLTK.
    #[test]
    fn stems_are_those_of_nltk() {
        let text = include_str!("../../../tests/fixtures/metrics/text.json");
        let fixture: Fixture = serde_json::from_str(text).expect("the fixture has the form of its script");
        assert!(fixture.stems.len() > 100);
        for (word, stem) in &fixture.stems {
            assert_eq!(super::porter(word), *stem, "{word}");
        }
    }
}
