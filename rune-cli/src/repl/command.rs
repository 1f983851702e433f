//! What a line asks for, told from its text alone.
//!
//! A line that begins with a colon is a command, one that ends with a period is for trial, and any other is a query.

use rune_core::{EntityRef, List, Request, diag::nearest};
use serde_json::{Value as Json, json};

use crate::{list::Candidates, request};

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line<'l> {
    /// There is nothing on it, or a comment.
    Blank,
    /// Conditions.
    Query(&'l str),
    /// Facts, rules and declarations for trial.
    Statement(&'l str),
    Command(Command),
    /// The folder is to be read again.
    Reload,
    /// There is nothing more to come.
    Quit,
}

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Explains a request: this one, or the one that is set.
    Why(Option<Box<Asked>>),
    /// Explains why a query has rows, or has none.
    WhyRows(String),
    /// Decides a request: this one, or the one that is set.
    Decide(Option<Box<Asked>>),
    List(Box<List>, Candidates),
    /// Sets the request that queries may depend on.
    SetRequest(Box<Asked>),
    /// Lets go of it.
    NoRequest,
    ShowRequest,
    Relations,
    ShowTrial,
    /// Takes a statement off trial, by its number from 1, or all.
    Forget(Option<usize>),
    Help,
}

/// A request as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    text: String,
    sides: [EntityRef; 3],
    context: Json,
    pub(super) request: Request,
}

/// A command for people: its name, what it takes, what it does.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) takes: &'static str,
    does: &'static str,
}

const fn describe(name: &'static str, takes: &'static str, does: &'static str) -> Described {
    Described { name, takes, does }
}

/// `P`, `A` and `R` are a principal, an action and a resource, each with its type.
pub(super) const COMMANDS: [Described; 13] = [
    describe(":why", "P A R [CONTEXT] | QUERY", "says why a request is allowed, or a query has rows, or why not"),
    describe(":decide", "P A R [CONTEXT]", "decides a request"),
    describe(":principals", "A R [CONTEXT]", "lists who may do A to R"),
    describe(":actions", "P R [CONTEXT]", "lists what P may do to R"),
    describe(":resources", "P A [CONTEXT]", "lists to what P may do A"),
    describe(":request", "[P A R [CONTEXT] | none]", "sets the request that queries may depend on, or shows it"),
    describe(":relations", "", "lists the relations with their columns"),
    describe(":trial", "", "lists what is on trial"),
    describe(":forget", "[N]", "takes a statement off trial, or all of them"),
    describe(":reload", "", "reads the folder again; edits are found without it"),
    describe(":help", "", "prints this"),
    describe(":quit", "", "ends; so does Ctrl-D"),
    describe(":exit", "", "the same"),
];

/// What can be asked.
pub(super) fn help() -> String {
    let mut lines = vec![
        "can_read(User::\"ada\", D)?            a query: its rows".to_owned(),
        "viewer(User::\"ada\", \"plan\").         a fact for trial, until `:forget` or the end".to_owned(),
        "reads(U) :- can_read(U, _).          a rule for trial".to_owned(),
        String::new(),
    ];
    lines.extend(COMMANDS.iter().map(|command| {
        let usage = format!("{} {}", command.name, command.takes);
        format!("{usage:36} {}", command.does)
    }));
    lines.push(String::new());
    let notes = [
        "P, A and R are written `User::\"ada\"`, CONTEXT as in `{ \"hour\": 9 }`. Without any, `:why` and",
        "`:decide` are about the request that is set. A line that ends with a comma, `:-` or an open",
        "bracket goes on in the next one, until an empty one.",
    ];
    lines.extend(notes.map(str::to_owned));
    lines.join("\n")
}

/// Reads a line.
///
/// # Errors
///
/// What is wrong with a command, and how it is written.
pub(super) fn read(line: &str) -> Result<Line<'_>, String> {
    let line = line.trim();
    if line.is_empty() || line.lines().all(is_comment) {
        return Ok(Line::Blank);
    }
    match line {
        "help" | "?" => return Ok(Line::Command(Command::Help)),
        "quit" | "exit" => return Ok(Line::Quit),
        _ => {}
    }
    if line.starts_with(':') {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        return match (name, rest.trim()) {
            (":reload", "") => Ok(Line::Reload),
            (":quit" | ":exit", "") => Ok(Line::Quit),
            (name, rest) => command(name, rest).map(Line::Command),
        };
    }
    // No clause begins with a bracket, and a section does.
    Ok(if line.ends_with('.') && !line.starts_with('[') { Line::Statement(line) } else { Line::Query(line) })
}

/// Whether a text goes on in the next line: it ends as no query and no statement does. An empty line ends it.
pub(super) fn is_open(text: &str) -> bool {
    let end = text.trim_end_matches([' ', '\t']);
    let line = end.rsplit('\n').next().unwrap_or_default();
    !is_comment(line) && (end.ends_with([',', '(', '[', '{']) || end.ends_with(":-"))
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("//")
}

fn command(name: &str, rest: &str) -> Result<Command, String> {
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(format!("`{name}` stands alone")) };
    match name {
        ":why" if rest.is_empty() => Ok(Command::Why(None)),
        ":why" if is_request(rest) => Ok(Command::Why(Some(Asked::read(name, rest)?))),
        ":why" => Ok(Command::WhyRows(rest.to_owned())),
        ":decide" => Ok(Command::Decide(if rest.is_empty() { None } else { Some(Asked::read(name, rest)?) })),
        ":principals" | ":actions" | ":resources" => list(name, rest),
        ":request" => match rest {
            "" => Ok(Command::ShowRequest),
            "none" => Ok(Command::NoRequest),
            _ => Asked::read(name, rest).map(Command::SetRequest),
        },
        ":forget" if rest.is_empty() => Ok(Command::Forget(None)),
        ":forget" => match rest.parse() {
            Ok(n) => Ok(Command::Forget(Some(n))),
            Err(_) => Err(format!("`{rest}` is no number: `:trial` has those of the statements")),
        },
        ":relations" => alone(Command::Relations),
        ":trial" => alone(Command::ShowTrial),
        ":help" => alone(Command::Help),
        // With nothing after them they are read already.
        ":reload" | ":quit" | ":exit" => Err(format!("`{name}` stands alone")),
        _ => Err(unknown(name)),
    }
}

/// What is said of a name that no command has: which one is near, or which begin so.
fn unknown(name: &str) -> String {
    let names = || COMMANDS.iter().map(|command| command.name);
    let begun: Vec<_> = names().filter(|known| 1 < name.len() && known.starts_with(name)).collect();
    let help = match (begun.as_slice(), nearest(name, names())) {
        ([], Some(near)) => format!("did you mean `{near}`?"),
        ([], None) => "`:help` has those that there are".to_owned(),
        (begun, _) => format!("did you mean `{}`?", begun.join("` or `")),
    };
    format!("there is no command `{name}`: {help}")
}

/// Whether a text begins as a request does: with an entity, and not with a condition on one.
fn is_request(text: &str) -> bool {
    let Ok((_, rest)) = entity(text) else { return false };
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('{') || entity(rest).is_ok()
}

fn list(name: &str, rest: &str) -> Result<Command, String> {
    let ([first, second], context) = arguments(name, rest)?;
    let (list, of) = match name {
        ":principals" => (List::principals(first, second), Candidates::Entities),
        ":actions" => (List::actions(first, second), Candidates::Actions),
        _ => (List::resources(first, second), Candidates::Entities),
    };
    let context = request::context(context).map_err(|error| format!("{error:#}"))?;
    let list = match context {
        Some(context) => list.with_context(context),
        None => list,
    };
    Ok(Command::List(Box::new(list), of))
}

impl Asked {
    fn read(name: &str, text: &str) -> Result<Box<Self>, String> {
        let (sides, context) = arguments(name, text)?;
        let [principal, action, resource] = sides.clone();
        let request = Request::new(principal, action, resource);
        let request = request::in_context(request, context).map_err(|error| format!("{error:#}"))?;
        let context = context.and_then(|context| serde_json::from_str(context).ok()).unwrap_or_else(|| json!({}));
        Ok(Box::new(Self { text: text.to_owned(), sides, context, request }))
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn json(&self) -> Json {
        let [principal, action, resource] = &self.sides;
        json!({ "principal": principal, "action": action, "resource": resource, "context": self.context })
    }
}

/// So many entities, and the text of a context if one follows.
fn arguments<'t, const N: usize>(name: &str, text: &'t str) -> Result<([EntityRef; N], Option<&'t str>), String> {
    let mut entities = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && !rest.starts_with('{') {
        let (entity, after) = entity(rest)?;
        entities.push(entity);
        rest = after.trim_start();
    }
    let context = Some(rest).filter(|rest| !rest.is_empty());
    entities.try_into().map(|entities| (entities, context)).map_err(|_| {
        let takes = COMMANDS.iter().find(|command| command.name == name).map_or("", |command| command.takes);
        format!("`{name}` is followed by {takes}: P is written `User::\"ada\"`, A and R likewise")
    })
}

/// The entity that a text begins with, and what follows it.
fn entity(text: &str) -> Result<(EntityRef, &str), String> {
    let start = text.find('"').map_or(text.len(), |at| at + 1);
    let mut is_escaped = false;
    let quote = text.char_indices().skip_while(|(at, _)| *at < start).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    let (entity, rest) = text.split_at_checked(quote.map_or(text.len(), |(at, _)| at + 1)).unwrap_or((text, ""));
    entity.parse().map(|entity| (entity, rest)).map_err(|error: rune_core::decide::EntityRefError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let seen = match read(line) {
            Ok(Line::Command(Command::List(..))) => "list".to_owned(),
            Ok(Line::Command(Command::Why(Some(asked)) | Command::SetRequest(asked))) => asked.json().to_string(),
            Ok(line) => format!("{line:?}"),
            Err(message) => message,
        };
        assert_eq!(seen, expected, "{line}");
    }

    #[test]
    fn a_line_is_a_command_a_statement_or_a_query() {
        check("  ", "Blank");
        check("// can_read(U, D)", "Blank");
        check(" can_read(U, D)? ", "Query(\"can_read(U, D)?\")");
        check("p(a).", "Statement(\"p(a).\")");
        check("[policies].", "Query(\"[policies].\")");
        check(":trial", "Command(ShowTrial)");
        check(":forget 2", "Command(Forget(Some(2)))");
        check(":forget two", "`two` is no number: `:trial` has those of the statements");
        check(":trial 2", "`:trial` stands alone");
        check(":quit ", "Quit");
        check(":reload now", "`:reload` stands alone");
        check(":", "there is no command `:`: `:help` has those that there are");
        check(":w", "there is no command `:w`: did you mean `:why`?");
        check(
            ":re",
            "there is no command `:re`: did you mean `:resources` or `:request` or `:relations` or `:reload`?",
        );
        for line in ["quit", " exit "] {
            check(line, "Quit");
        }
        for line in ["help", "?"] {
            check(line, "Command(Help)");
        }
        check("help?", "Query(\"help?\")");
        check(":relation", "there is no command `:relation`: did you mean `:relations`?");
        check(":why p(\"a\", b)", "Command(WhyRows(\"p(\\\"a\\\", b)\"))");
        check(":why not banned(U)", "Command(WhyRows(\"not banned(U)\"))");
        check(":why User::\"a\" in G", "Command(WhyRows(\"User::\\\"a\\\" in G\"))");
    }

    #[test]
    fn entities_are_read_with_all_that_their_ids_may_hold() {
        check(
            r#":why User::"a \" {" Action::"read"App::Document::"plan" { "hour": 9 }"#,
            "{\"principal\":{\"type\":\"User\",\"id\":\"a \\\" {\"},\
             \"action\":{\"type\":\"Action\",\"id\":\"read\"},\
             \"resource\":{\"type\":\"App::Document\",\"id\":\"plan\"},\"context\":{\"hour\":9}}",
        );
        check(r#":resources User::"ada" Action::"read""#, "list");
        let usage =
            "`:request` is followed by [P A R [CONTEXT] | none]: P is written `User::\"ada\"`, A and R likewise";
        check(r#":request User::"ada" Action::"read""#, usage);
        let nothing = "does not name an entity, which is written `User::\"ada\"`";
        check(r#":decide User::"ada"#, &format!("`User::\"ada` {nothing}"));
        check(":decide ä", &format!("`ä` {nothing}"));
        check(r#":request A::"a" A::"a" A::"a" {"#, "the context is not JSON: EOF while parsing an object");
    }

    #[test]
    fn a_text_goes_on_where_it_cannot_end() {
        for open in ["p(X) :-", "p(X), ", "N = count {", "p(X) :-\n  q(X),"] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["p(X)", "p(X", "p(X).", "p(X),\n", "// p(X),", ""] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
