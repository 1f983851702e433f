//! What a refused version leaves undone: which files differ from what is served, and which policies are in force although
//! their text is gone.
//!
//! Compares text, statement by statement, without comments and white space: what is wanted may not even parse.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{
    base::{File, Sources, Span},
    datalog::CompiledRule,
    policy::Policy,
};

use super::Program;

/// How a file of a refused version differs from the version that is served instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the refused version has it.
    Added,
    /// Both have it.
    Changed,
    /// Only the served version has it.
    Removed,
}

/// A file of a refused version that is not in force as it now stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: Arc<str>,
    /// What happened to it.
    pub change: Change,
    /// The served policies and deciding rules from this file that its text no longer has as they stand: removed or rewritten,
    /// and in force.
    pub still_in_force: Vec<Arc<str>>,
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Removed => "removed",
        };
        write!(f, "{} {change}", self.path)?;
        if !self.still_in_force.is_empty() {
            write!(f, " (policies still in force: {})", self.still_in_force.join(", "))?;
        }
        Ok(())
    }
}

/// What the sources `wanted` say and `served` does not do.
#[must_use]
pub fn not_in_force(served: &Program, wanted: &Sources) -> Vec<FileChange> {
    let policies = by_file(served);
    let mut changes = Vec::new();
    for (_, file) in served.sources.files() {
        let now = wanted.find(&file.path);
        if now.is_some_and(|now| now.bytes == file.bytes) {
            continue;
        }
        let mut still_in_force = gone(policies.get(&*file.path).map_or(&[][..], |policies| policies), file, now);
        still_in_force.extend(gone_rules(served, file, now));
        still_in_force.sort();
        let change = if now.is_some() { Change::Changed } else { Change::Removed };
        changes.push(FileChange { path: file.path.clone(), change, still_in_force });
    }
    for (_, file) in wanted.files().filter(|(_, file)| served.sources.find(&file.path).is_none()) {
        changes.push(FileChange { path: file.path.clone(), change: Change::Added, still_in_force: Vec::new() });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// The policies that stand in each file, and where; the links of a template stand where they are linked.
fn by_file(served: &Program) -> BTreeMap<&str, Vec<(&Policy, Span)>> {
    let mut by_file: BTreeMap<&str, Vec<(&Policy, Span)>> = BTreeMap::new();
    for policy in served.policies.iter() {
        for span in [Some(policy.span), policy.link_span].into_iter().flatten() {
            if let Some(file) = served.sources.file(span.file) {
                by_file.entry(&file.path).or_default().push((policy, span));
            }
        }
    }
    by_file
}

/// The policies of a file whose statement its new text does not have, or not as often.
fn gone(policies: &[(&Policy, Span)], before: &File, now: Option<&File>) -> Vec<Arc<str>> {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for statement in statements(now.map_or("", File::text)) {
        *left.entry(statement).or_default() += 1;
    }
    let text = before.text();
    let mut gone = BTreeSet::new();
    // Several links of one template stand at one statement of it.
    let mut seen: BTreeMap<Span, bool> = BTreeMap::new();
    for (policy, span) in policies {
        let is_there = *seen.entry(*span).or_insert_with(|| {
            let statement = text.get(span.range()).unwrap_or_default();
            let found = statements(statement).into_iter().next().and_then(|statement| left.get_mut(&statement));
            match found {
                Some(n) if 0 < *n => {
                    *n -= 1;
                    true
                }
                _ => false,
            }
        });
        if !is_there {
            gone.insert(policy.id.clone());
        }
    }
    gone.into_iter().collect()
}

/// The rules of a file that decide and whose clause its new text does not have.
fn gone_rules(served: &Program, before: &File, now: Option<&File>) -> Vec<Arc<str>> {
    let text = statements(now.map_or("", File::text)).concat();
    let rules = served.rules.permits().chain(served.rules.forbids());
    let is_here =
        |rule: &&CompiledRule| served.sources.file(rule.span.file).is_some_and(|file| file.path == before.path);
    let is_gone = |rule: &&CompiledRule| {
        let clause = before.text().get(rule.span.range()).unwrap_or_default();
        !text.contains(&statements(clause).concat())
    };
    rules.filter(is_here).filter(is_gone).map(|rule| rule.id.clone()).collect()
}

/// The statements of a text, each without comments and white space outside strings: Cedar's policies, or the links of a JSON
/// file, which end at the last bracket of each.
fn statements(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut end = |statement: &mut String| {
        if !statement.is_empty() {
            statements.push(std::mem::take(statement));
        }
    };
    let mut depth = 0_usize;
    for line in text.lines() {
        // A section's header ends what stands before it.
        if line.strip_prefix('[').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())) {
            end(&mut statement);
            continue;
        }
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '#' => break,
                '/' if chars.peek() == Some(&'/') => break,
                '"' => {
                    statement.push(c);
                    while let Some(c) = chars.next() {
                        statement.push(c);
                        match c {
                            '\\' => statement.extend(chars.next()),
                            '"' => break,
                            _ => {}
                        }
                    }
                }
                ';' => end(&mut statement),
                '{' | '(' => {
                    depth += 1;
                    statement.push(c);
                }
                '}' | ')' => {
                    depth = depth.saturating_sub(1);
                    statement.push(c);
                    // A link is an object of its own; in a policy brackets are followed by more, or by its semicolon.
                    if depth == 0 && c == '}' && statement.starts_with('{') {
                        end(&mut statement);
                    }
                }
                // Around and between the links of a list.
                '[' | ']' | ',' if depth == 0 && statement.is_empty() => {}
                c if c.is_whitespace() => {}
                c => statement.push(c),
            }
        }
    }
    end(&mut statement);
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Options;

    /// What is not in force when these files are wanted in place of those.
    fn check(served: &[(&str, &str)], wanted: &[(&str, &str)], expected: &[&str]) {
        let sources = |files: &[(&str, &str)]| {
            Sources::new(files.iter().map(|(path, text)| File::new(*path, text.as_bytes())).collect())
        };
        let served = Program::build(sources(served), Options::default()).unwrap();
        let changes: Vec<_> = not_in_force(&served, &sources(wanted)).iter().map(ToString::to_string).collect();
        assert_eq!(changes, expected);
    }

    #[test]
    fn a_policy_that_is_commented_out_is_gone_and_one_that_moved_is_not() {
        check(
            &[(
                "a.cedar",
                "@id(\"a\") permit (principal, action, resource);\n@id(\"b\") forbid (principal, action, resource);",
            )],
            &[(
                "a.cedar",
                "// @id(\"b\") forbid (principal, action, resource);\n\n@id(\"a\")\npermit(principal, action, resource) ;\npermit (",
            )],
            &["a.cedar changed (policies still in force: b)"],
        );
    }

    #[test]
    fn one_of_two_equal_policies_is_missed() {
        let two = "permit (principal, action, resource);\npermit (principal, action, resource);";
        check(
            &[("a.cedar", two)],
            &[("a.cedar", "permit (principal, action, resource);\nforbid (")],
            &["a.cedar changed (policies still in force: a.cedar:policy1)"],
        );
    }

    #[test]
    fn sections_of_a_rune_file_are_told_apart() {
        let before = "version = \"rune/1.0\"\n[entities]\nUser.a = {}\n[policies]\n# why\n@id(\"a\") permit (principal, action, resource);\n";
        check(&[("a.rune", before)], &[("a.rune", &format!("{before}[polices]\n"))], &["a.rune changed"]);
    }

    #[test]
    fn a_rule_that_is_rewritten_is_in_force_as_it_was() {
        let before = "version = \"rune/1.0\"\n[rules]\n@id(\"a\") permit(_, _, _) :- context.n > 1.\n@id(\"b\") permit(_, _, _) :- \
                      context.n > 2. // why\n";
        let after = before.replace("> 1.", "> 10.").replace("_, _, _) :- context.n > 2", "_,_,_) :-\n  context.n > 2");
        check(&[("a.rune", before)], &[("a.rune", &after)], &["a.rune changed (policies still in force: a)"]);
    }

    #[test]
    fn a_link_that_is_removed_is_in_force_still() {
        let template = ("a.cedar", "@id(\"t\") permit (principal == ?principal, action, resource);");
        let link = |id: &str| {
            format!(
                "{{ \"template_id\": \"t\", \"link_id\": \"{id}\", \"args\": {{ \"?principal\": \"User::\\\"{id}\\\"\" }} }}"
            )
        };
        let links = format!("[\n  {},\n  {}\n]", link("ada"), link("bob"));
        let fewer = format!("[{}, {{]", link("bob"));
        check(
            &[template, ("l.links.json", &links)],
            &[template, ("l.links.json", &fewer)],
            &["l.links.json changed (policies still in force: ada)"],
        );
    }
}
