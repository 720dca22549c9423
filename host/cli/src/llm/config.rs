//! Where the settings of `serve` come from: `--config FILE`, then variables `TRANSDUCER_*`, then flags; what comes later wins.
//!
//! The file's keys are the flags, without their dashes in front. A setting of the file becomes the default of its flag, so that there
//! is one description of every setting, and one check of every value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use toml::{Spanned, Value};

use crate::Cli;

const COMMAND: &str = "serve";

/// Flags that ask for something else than to serve.
const NO_SETTINGS: [&str; 5] = ["check", "config", "help", "print-config", "version"];

/// A command line, with what the file adds to it.
pub(crate) struct Parsed {
    pub(crate) cli: Cli,
    /// The effective settings, where they are asked for.
    pub(crate) effective: Option<String>,
}

/// A setting of a file, as one would write it behind its flag.
struct Setting {
    value: String,
    line: usize,
}

#[derive(Default)]
struct File {
    path: PathBuf,
    settings: BTreeMap<String, Setting>,
}

/// Parses the command line; ends the program for `--help` and for what is wrong with it.
///
/// # Errors
/// Where the file cannot be used.
pub(crate) fn parse(args: &[OsString]) -> Result<Parsed> {
    let matches = Cli::command().get_matches_from(args);
    let serve = matches.subcommand_matches(COMMAND);
    let path = serve.and_then(|serve| serve.get_one::<PathBuf>("config").cloned());
    let file = match &path {
        Some(path) => File::read(path)?,
        None => File::default(),
    };
    let matches = file.beneath(Cli::command()).get_matches_from(args);
    let asked = |serve: &ArgMatches| serve.get_flag("print_config").then(|| file.effective(serve));
    Ok(Parsed {
        effective: matches.subcommand_matches(COMMAND).and_then(asked),
        cli: Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
    })
}

/// `serve`, with the flags of every command.
fn serve() -> Command {
    let mut command = Cli::command();
    command.build();
    let serve = command.find_subcommand(COMMAND).cloned();
    serve.unwrap_or(command)
}

/// A flag that is a setting, and its name.
fn setting(arg: &Arg) -> Option<&str> {
    arg.get_long().filter(|name| !NO_SETTINGS.contains(name))
}

impl File {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read --config {}", path.display()))?;
        let read: BTreeMap<Spanned<String>, Spanned<Value>> =
            toml::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let serve = serve();
        let mut settings = BTreeMap::new();
        for (name, value) in read {
            let line = 1 + text[..name.span().start].matches('\n').count();
            let name = name.into_inner();
            let at = format!("{}:{line}: `{name}`", path.display());
            let known = serve.get_arguments().find(|arg| setting(arg) == Some(&name));
            let Some(flag) = known else {
                let known: Vec<_> = serve.get_arguments().filter_map(setting).collect();
                bail!("{at} is no setting of `{COMMAND}`; there are: {}", known.join(", "));
            };
            let value = written(value.into_inner()).with_context(|| format!("{at} is one value"))?;
            check(flag, &name, &value).map_err(|error| anyhow!("{at}: {error}"))?;
            settings.insert(name, Setting { value, line });
        }
        Ok(Self {
            path: path.to_owned(),
            settings,
        })
    }

    /// The command with the file's settings as defaults.
    fn beneath(&self, command: Command) -> Command {
        let with_default = |arg: Arg| match setting(&arg).and_then(|name| self.settings.get(name)) {
            Some(setting) => arg.default_value(setting.value.clone()),
            None => arg,
        };
        let command = command.mut_args(with_default);
        command.mut_subcommand(COMMAND, |serve| serve.mut_args(with_default))
    }

    /// Every setting and where it comes from, as a file that would say the same.
    fn effective(&self, matches: &ArgMatches) -> String {
        let mut text = String::new();
        for arg in serve().get_arguments() {
            let (Some(name), id) = (setting(arg), arg.get_id().as_str()) else {
                continue;
            };
            let value = matches.get_raw(id).and_then(|mut values| values.next());
            let origin = match (matches.value_source(id), self.settings.get(name)) {
                (Some(ValueSource::CommandLine), _) => format!("--{name}"),
                (Some(ValueSource::EnvVariable), _) => arg
                    .get_env()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                (_, Some(setting)) => format!("{}:{}", self.path.display(), setting.line),
                (_, None) => "default".to_owned(),
            };
            let line = match value {
                Some(value) => format!("{name} = {}", toml_value(&value.to_string_lossy())),
                None => format!("# {name} is not set"),
            };
            let comment = if value.is_some() {
                format!("# {origin}")
            } else {
                String::new()
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", format!("{line:<50} {comment}").trim_end());
        }
        text
    }
}

/// As one would write it behind a flag.
fn written(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is) => Some(is.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// Whether the flag takes it.
fn check(flag: &Arg, name: &str, value: &str) -> Result<()> {
    if matches!(flag.get_action(), ArgAction::SetTrue) {
        return match value {
            "true" | "false" => Ok(()),
            _ => bail!("{value:?} is neither true nor false"),
        };
    }
    let args = ["transducer-host", COMMAND, &format!("--{name}={value}")];
    match Cli::command().try_get_matches_from(args) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            bail!("{}", first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// A value in TOML: numbers and truth values as such, everything else as text.
fn toml_value(text: &str) -> String {
    match (text.parse::<i64>(), text.parse::<bool>()) {
        (Err(_), Err(_)) => Value::String(text.to_owned()).to_string(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{serve, setting};

    #[test]
    fn every_setting_has_its_variable() {
        for arg in serve().get_arguments() {
            let Some(name) = setting(arg) else { continue };
            let expected = format!("TRANSDUCER_{}", name.replace('-', "_").to_uppercase());
            let found = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(found.as_deref(), Some(expected.as_str()), "--{name}");
        }
    }
}
