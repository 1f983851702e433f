//! `rune man`: a manual page for each command.

use std::{fs, io::IsTerminal as _, path::PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use serde_json::json;

use crate::{Outcome, output::Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The command to print the page of; without one, that of `rune`.
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Option<String>,
    /// Write the pages of all commands to this folder, over those of before.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let mut rune = crate::Arguments::command().disable_help_subcommand(true);
    rune.build();
    match &arguments.out {
        None => {
            let command = match &arguments.command {
                None => &rune,
                Some(name) => rune.find_subcommand(name).ok_or_else(|| anyhow!("there is no command `{name}`"))?,
            };
            let (name, text) = page(command)?;
            output.result(text.trim_end(), || json!({ "page": name, "text": text }));
            if std::io::stdout().is_terminal() {
                output.note(&hint(arguments.command.as_deref()));
            }
        }
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            let mut files = Vec::new();
            for command in std::iter::once(&rune).chain(rune.get_subcommands()) {
                let (name, text) = page(command)?;
                let path = dir.join(name);
                #[expect(clippy::disallowed_methods, reason = "the files that were asked for")]
                fs::write(&path, text).with_context(|| path.display().to_string())?;
                files.push(path.display().to_string());
            }
            let lines: Vec<_> = files.iter().map(|path| format!("wrote {path}")).collect();
            output.result(&lines.join("\n"), || json!({ "files": files }));
        }
    }
    Ok(Outcome::Yes)
}

/// What somebody is told who sees the language of a page, and not the page.
fn hint(command: Option<&str>) -> String {
    let (command, other) = match command {
        Some(command) => (format!("rune man {command}"), String::new()),
        None => ("rune man".to_owned(), "; `rune man check` is the page of a command".to_owned()),
    };
    format!("\nnote: this is what `man` reads: `{command} | man -l -` shows the page{other}")
}

/// A page: the name of its file, and its text.
fn page(command: &Command) -> Result<(String, String)> {
    let man = Man::new(command.clone()).manual("RUNE");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    for line in command.get_after_long_help().map(ToString::to_string).unwrap_or_default().lines() {
        // The headings of the help are those of sections; below them lines stay as they are.
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => {
                rest.control("fi", []);
                rest.control("SH", [heading.to_uppercase().as_str()]);
                rest.control("nf", []);
            }
            None => drop(rest.text([roman(line)])),
        }
    }
    rest.control("fi", []);
    rest.to_writer(&mut text)?;
    Ok((man.get_filename(), String::from_utf8(text).context("the page is no text")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_the_language_of_a_page_is_told_what_shows_it() {
        let check = |command: Option<&str>, expected: &str| assert!(hint(command).ends_with(expected), "{command:?}");
        check(None, "`rune man | man -l -` shows the page; `rune man check` is the page of a command");
        check(Some("fmt"), "`rune man fmt | man -l -` shows the page");
    }
}
