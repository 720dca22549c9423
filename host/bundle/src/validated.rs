//! The manifest as the host uses it: every value in range, every name of the right form.

use crate::manifest::{BaseModel, Limits, Manifest, Parts, Pooling, TaskSection, Train, TransducerSection};
use crate::record::{Evaluation, Provenance};
use crate::{BUNDLE_SCHEMA, Budget, DOCUMENTS, Invalid, LIST_FILE, MANIFEST_FILE, PACK_RECORD_FILE};

/// Longest name of an adapter: it is a folder, a URL segment and a column in tables.
const MAX_NAME: usize = 64;
/// Longest text of any other field: more is a mistake or an attack, since nothing would print it.
const MAX_TEXT: usize = 512;
/// Largest number in a transducer's shape: wider than any LLM is a mistake.
const MAX_SHAPE: u32 = 65_536;
/// Largest count of examples or tokens: a year of training.
const MAX_COUNT: u32 = 1 << 30;
/// Most entries of any list.
const MAX_LIST: usize = 32;

/// Name of an adapter: lower-case letters, digits and single hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct AdapterName(String);

impl AdapterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AdapterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for AdapterName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        let word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if name.len() <= MAX_NAME && name.split('-').all(word) {
            return Ok(Self(name.to_owned()));
        }
        let expected = format!("lower-case letters, digits and single hyphens, at most {MAX_NAME} characters");
        Err(Invalid::new("adapter.name", quoted(name), expected))
    }
}

/// The frozen LLM that a bundle was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModelPin {
    /// Its name, for people.
    pub id: String,
    /// Its family.
    pub family: String,
    /// Width of its input embeddings.
    pub hidden_size: usize,
    /// SHA-256 of its table of input embeddings: 64 hexadecimal digits, in lower case.
    pub embedding_sha256: String,
    /// SHA-256 of its tokenizer, likewise.
    pub tokenizer_sha256: String,
}

/// The transducer's shape. Whether such a transducer can be built is for the transducer's own crate to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransducerShape {
    /// Width of a node vector.
    pub width: usize,
    /// Rounds of message passing.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// First tokens of a prompt's text that may be rewritten.
    pub task_tokens: usize,
    /// Last tokens of a prompt's text that may be rewritten.
    pub reply_tokens: usize,
    /// The edges that are read.
    pub edge_kinds: Vec<String>,
    /// Version of the CPG schema.
    pub cpg_schema: u32,
    /// Which parts there are.
    pub parts: Parts,
    /// How task tokens pool the nodes.
    pub pooling: Pooling,
}

/// A manifest whose every value is in range.
#[derive(Clone, Debug)]
pub struct ValidatedManifest {
    /// The adapter's name.
    pub name: AdapterName,
    /// The bundle's version.
    pub version: semver::Version,
    /// One line on what it does.
    pub summary: String,
    /// SPDX expression.
    pub license: String,
    /// Who made it.
    pub authors: Vec<String>,
    /// Where to read more.
    pub homepage: Option<String>,
    /// File name of the component, a plain name.
    pub component: String,
    /// The world that the component says it implements.
    pub world: String,
    /// Languages.
    pub languages: Vec<String>,
    /// The frozen LLM.
    pub base_model: BaseModelPin,
    /// File name of the weights, a plain name; none for an untrained transducer.
    pub weights: Option<String>,
    /// The transducer's shape.
    pub transducer: TransducerShape,
    /// What one call of the task asks for.
    pub budget: Budget,
    /// Versions of the host that can use it; none for any.
    pub host: Option<semver::VersionReq>,
    /// How its weights are made.
    pub train: Train,
    /// What they were made of, where that was recorded.
    pub provenance: Option<Provenance>,
    /// How they were judged, where that was recorded.
    pub evaluation: Option<Evaluation>,
}

impl TryFrom<Manifest> for ValidatedManifest {
    type Error = Invalid;

    fn try_from(manifest: Manifest) -> Result<Self, Invalid> {
        check_schema(manifest.schema)?;
        let adapter = manifest.adapter;
        let name = adapter.name.parse()?;
        let version = semver::Version::parse(&adapter.version).map_err(|error| {
            Invalid::new(
                "adapter.version",
                quoted(&adapter.version),
                format!("MAJOR.MINOR.PATCH ({error})"),
            )
        })?;
        spdx::Expression::parse(&adapter.license).map_err(|error| {
            Invalid::new(
                "adapter.license",
                quoted(&adapter.license),
                format!("an SPDX expression ({})", error.reason),
            )
        })?;
        list("adapter.authors", &adapter.authors)?;
        if let Some(homepage) = &adapter.homepage {
            text("adapter.homepage", homepage)?;
        }
        let TaskSection {
            component,
            world,
            languages,
        } = manifest.task;
        list("task.languages", &languages)?;
        if languages.is_empty() {
            return Err(Invalid::new("task.languages", "empty", "at least one language"));
        }
        let component = file("task.component", &component)?;
        let budget = manifest.limits.budget()?;
        let (weights, transducer) = shape(manifest.transducer)?;
        if let Some(weights) = weights.as_ref().filter(|name| name.eq_ignore_ascii_case(&component)) {
            let expected = "another name than the component's";
            return Err(Invalid::new("transducer.weights", quoted(weights), expected));
        }
        Ok(Self {
            name,
            version,
            summary: text("adapter.summary", &adapter.summary)?,
            license: adapter.license,
            authors: adapter.authors,
            homepage: adapter.homepage,
            component,
            world: text("task.world", &world)?,
            languages,
            base_model: pin(manifest.base_model)?,
            weights,
            transducer,
            budget,
            host: manifest.requires.host.as_deref().map(host_range).transpose()?,
            train: manifest.train.validated()?,
            provenance: manifest.provenance.map(Provenance::validated).transpose()?,
            evaluation: manifest.evaluation.map(Evaluation::validated).transpose()?,
        })
    }
}

impl Limits {
    /// What is asked for, or else the usual.
    fn budget(&self) -> Result<Budget, Invalid> {
        let usual = Budget::USUAL;
        let asked = |key, asked: Option<u32>, usual, most| match asked {
            None => Ok(usual),
            Some(asked) => within(key, asked, 1, most).map(|_| asked),
        };
        // A wasm32 memory ends at 4 GiB; what a host gives ends far lower.
        let memory = asked("limits.memory-mib", self.memory_mib, usual.memory_mib(), 4096)?;
        // A task that needs more than a minute before or after generation is no pre- or post-processing.
        let deadline = asked("limits.deadline-ms", self.deadline_ms, usual.deadline_ms(), 60_000)?;
        Ok(Budget::new(memory, deadline))
    }
}

impl Train {
    /// The same settings, each of them in range.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn validated(self) -> Result<Self, Invalid> {
        text("train.source-field", &self.source_field)?;
        for (key, value) in &self.request {
            text("train.request", key)?;
            text("train.request", value)?;
        }
        if self.request.len() > MAX_LIST || self.answer_end.len() > MAX_TEXT {
            let found = format!("{} entries, {} bytes", self.request.len(), self.answer_end.len());
            let expected = format!("at most {MAX_LIST} entries and {MAX_TEXT} bytes");
            return Err(Invalid::new("train.request, train.answer-end", found, expected));
        }
        within("train.max-prompt-tokens", self.max_prompt_tokens, 1, MAX_COUNT)?;
        within("train.max-answer-tokens", self.max_answer_tokens, 1, MAX_COUNT)?;
        within("train.examples", self.examples, 1, MAX_COUNT)?;
        within("train.batch", self.batch, 1, MAX_SHAPE)?;
        within("train.batch-tokens", self.batch_tokens, 1, MAX_COUNT)?;
        within("train.validate-examples", self.validate_examples, 1, MAX_COUNT)?;
        let numbers = [
            ("train.learning-rate", self.learning_rate, 1.0),
            ("train.task-rate", self.task_rate, 1e3),
            ("train.warmup", self.warmup, 1.0),
            ("train.weight-decay", self.weight_decay, 1.0),
            ("train.clip", self.clip, 1e6),
        ];
        for (key, value, most) in numbers {
            if !(0.0..=most).contains(&value) {
                return Err(Invalid::new(key, value, format!("0 to {most}")));
            }
        }
        Ok(self)
    }
}

pub(crate) fn check_schema(found: u32) -> Result<(), Invalid> {
    if found == BUNDLE_SCHEMA {
        return Ok(());
    }
    let expected = format!("{BUNDLE_SCHEMA}: this bundle needs another version of the host");
    Err(Invalid::new("schema", found, expected))
}

/// A range of versions of the host.
pub(crate) fn host_range(range: &str) -> Result<semver::VersionReq, Invalid> {
    semver::VersionReq::parse(range).map_err(|error| {
        let expected = format!("a range of versions such as \">=0.1, <0.3\" ({error})");
        Invalid::new("requires.host", quoted(range), expected)
    })
}

fn version(key: &'static str, value: &str) -> Result<(), Invalid> {
    let wrong = |error| Invalid::new(key, quoted(value), format!("MAJOR.MINOR.PATCH ({error})"));
    semver::Version::parse(value).map(drop).map_err(wrong)
}

impl Provenance {
    fn validated(self) -> Result<Self, Invalid> {
        version("provenance.host", &self.host)?;
        let validation = self.validation_sha256.as_deref();
        let validation = validation.map(|sha256| digest("provenance.validation-sha256", sha256));
        Ok(Self {
            data_sha256: digest("provenance.data-sha256", &self.data_sha256)?,
            validation_sha256: validation.transpose()?,
            weights_sha256: digest("provenance.weights-sha256", &self.weights_sha256)?,
            ..self
        })
    }
}

impl Evaluation {
    fn validated(self) -> Result<Self, Invalid> {
        version("evaluation.host", &self.host)?;
        within("evaluation.rows", self.rows, 1, MAX_COUNT)?;
        list("evaluation.scores", &self.scores.keys().cloned().collect::<Vec<_>>())?;
        for score in self.scores.values() {
            for number in [score.value, score.low, score.high] {
                if !(0.0..=100.0).contains(&number) {
                    return Err(Invalid::new("evaluation.scores", number, "0 to 100"));
                }
            }
        }
        Ok(Self {
            data_sha256: digest("evaluation.data-sha256", &self.data_sha256)?,
            weights_sha256: digest("evaluation.weights-sha256", &self.weights_sha256)?,
            ..self
        })
    }
}

fn pin(base: BaseModel) -> Result<BaseModelPin, Invalid> {
    Ok(BaseModelPin {
        id: text("base-model.id", &base.id)?,
        family: text("base-model.family", &base.family)?,
        hidden_size: within("base-model.hidden-size", base.hidden_size, 1, 65_536)?,
        embedding_sha256: digest("base-model.embedding-sha256", &base.embedding_sha256)?,
        tokenizer_sha256: digest("base-model.tokenizer-sha256", &base.tokenizer_sha256)?,
    })
}

fn shape(section: TransducerSection) -> Result<(Option<String>, TransducerShape), Invalid> {
    let weights = section
        .weights
        .as_deref()
        .map(|name| file("transducer.weights", name))
        .transpose()?;
    list("transducer.edge-kinds", &section.edge_kinds)?;
    // Which shapes make sense is the transducer's to say; here they are numbers of a sane size.
    let shape = TransducerShape {
        width: within("transducer.width", section.width, 1, MAX_SHAPE)?,
        layers: within("transducer.layers", section.layers, 0, MAX_SHAPE)?,
        heads: within("transducer.heads", section.heads, 1, MAX_SHAPE)?,
        task_tokens: within("transducer.task-tokens", section.task_tokens, 0, MAX_SHAPE)?,
        reply_tokens: within("transducer.reply-tokens", section.reply_tokens, 0, MAX_SHAPE)?,
        edge_kinds: section.edge_kinds,
        cpg_schema: section.cpg_schema,
        parts: section.parts,
        pooling: section.pooling,
    };
    Ok((weights, shape))
}

fn within(key: &'static str, value: u32, least: u32, most: u32) -> Result<usize, Invalid> {
    if (least..=most).contains(&value) {
        return Ok(value as usize);
    }
    Err(Invalid::new(key, value, format!("{least} to {most}")))
}

fn text(key: &'static str, value: &str) -> Result<String, Invalid> {
    if value.is_empty() || value.len() > MAX_TEXT || value.chars().any(char::is_control) {
        return Err(Invalid::new(
            key,
            quoted(value),
            format!("one line of 1 to {MAX_TEXT} bytes"),
        ));
    }
    Ok(value.to_owned())
}

fn list(key: &'static str, values: &[String]) -> Result<(), Invalid> {
    if values.len() > MAX_LIST {
        return Err(Invalid::new(
            key,
            format!("a list of {}", values.len()),
            format!("at most {MAX_LIST} entries"),
        ));
    }
    values.iter().try_for_each(|value| text(key, value).map(drop))
}

fn file(key: &'static str, name: &str) -> Result<String, Invalid> {
    if !is_plain_file_name(name) {
        let expected = "a plain file name of letters, digits, `.`, `_` and `-`";
        return Err(Invalid::new(key, quoted(name), expected));
    }
    // What a bundle has beside: an archive could not hold both, and some systems' folders could not where only case tells them apart.
    let mut others = [MANIFEST_FILE, LIST_FILE, PACK_RECORD_FILE]
        .into_iter()
        .chain(DOCUMENTS);
    if let Some(other) = others.find(|other| other.eq_ignore_ascii_case(name)) {
        let expected = format!("another name than {other}, which is another file of a bundle");
        return Err(Invalid::new(key, quoted(name), expected));
    }
    Ok(name.to_owned())
}

/// Whether a name stays inside the bundle's folder, whatever the operating system.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && name.bytes().all(allowed)
}

fn digest(key: &'static str, value: &str) -> Result<String, Invalid> {
    if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(value.to_ascii_lowercase());
    }
    Err(Invalid::new(key, quoted(value), "64 hexadecimal digits"))
}

/// The value in an error message, cut where it would fill the screen.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 80;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}… ({} bytes)", &value[..end], value.len()),
        None => format!("{value:?}"),
    }
}
