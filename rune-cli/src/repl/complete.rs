//! What Tab offers: commands, relations, types, and the entities that are known of a type.

use std::collections::BTreeSet;

use rune_core::{
    EntityRef, Lineup,
    base::{Values as _, View},
    check::rules::PredicateKind,
    schema::{Schema, is_action_type},
};

use super::command::COMMANDS;

/// Words that are offered at once: what is more is better found by a query.
const OFFERED_MAX: usize = 1_000;

/// Where the word begins that ends at a byte of a line, and what it may become.
pub(super) fn complete(lineup: &Lineup, line: &str, at: usize) -> (usize, Vec<String>) {
    let Some(before) = line.get(..at) else { return (at, Vec::new()) };
    if before.starts_with(':') && !before.contains(char::is_whitespace) {
        return (0, begun(before, COMMANDS.iter().map(|command| command.name.to_owned())));
    }
    match open_string(before) {
        Some(quote) => {
            let start = word_start(before.get(..quote).unwrap_or_default());
            let kind = before.get(start..quote).and_then(|word| word.strip_suffix("::")).unwrap_or_default();
            // A string that is no id may be anything.
            if kind.is_empty() {
                return (at, Vec::new());
            }
            let begin = before.get(start..).unwrap_or_default();
            (start, begun(begin, entities(lineup, |of| of == kind).into_iter().map(|entity| entity.to_string())))
        }
        None => {
            let start = word_start(before);
            // Of the commands, `:why` takes conditions.
            let is_query = !before.starts_with(':') || before.starts_with(":why ");
            let words = if is_query { words(lineup) } else { types(lineup) };
            (start, begun(before.get(start..).unwrap_or_default(), words))
        }
    }
}

/// Those that begin so.
fn begun(begin: &str, words: impl IntoIterator<Item = String>) -> Vec<String> {
    words.into_iter().filter(|word| word.starts_with(begin)).take(OFFERED_MAX).collect()
}

/// Where the string begins that is not ended yet.
fn open_string(text: &str) -> Option<usize> {
    let (mut open, mut is_escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if open.is_some() => is_escaped = true,
            '"' => open = if open.is_some() { None } else { Some(at) },
            _ => {}
        }
    }
    open
}

fn word_start(text: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || "_.:".contains(c);
    text.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(text.len(), |(at, _)| at)
}

/// The beginnings of entities, and all actions.
fn types(lineup: &Lineup) -> Vec<String> {
    let program = lineup.stable();
    let values = &**program.facts().values();
    let mut types = BTreeSet::new();
    let of_schema = program.schema().into_iter().flat_map(Schema::entity_types);
    types.extend(of_schema.map(|(kind, _)| format!("{}::\"", values.name(kind))));
    let mut known = BTreeSet::new();
    program.facts().facts().each_known(values, &mut |kind, _, _| {
        known.insert(kind);
    });
    types.extend(known.into_iter().map(|kind| format!("{}::\"", values.name(kind))));
    types.retain(|kind| !is_action_type(kind.trim_end_matches("::\"")));
    types.extend(entities(lineup, is_action_type).into_iter().map(|action| action.to_string()));
    types.into_iter().collect()
}

/// What may begin a condition, and the beginnings of entities.
fn words(lineup: &Lineup) -> Vec<String> {
    let program = lineup.stable();
    let values = &**program.facts().values();
    let is_named = |kind| {
        matches!(kind, PredicateKind::Base | PredicateKind::Live | PredicateKind::Derived | PredicateKind::Parent)
    };
    let relations = program.relations().predicates.iter().filter(|predicate| is_named(predicate.kind));
    let mut words: BTreeSet<String> = relations.map(|predicate| format!("{}(", predicate.name)).collect();
    for (kind, of) in program.schema().into_iter().flat_map(Schema::entity_types) {
        let kind = values.name(kind);
        words.extend(of.attributes.fields().map(|(name, _)| format!("{kind}.{}(", values.name(name))));
    }
    let types = types(lineup);
    let kinds = types.iter().filter_map(|word| word.strip_suffix("::\""));
    words.extend(kinds.map(|kind| format!("{kind}(")));
    words.extend(types.iter().cloned());
    words.into_iter().collect()
}

/// The entities of some types, as far as files name them, and the actions of the schema, or without one those that are named
/// anywhere.
fn entities(lineup: &Lineup, is_of: impl Fn(&str) -> bool) -> BTreeSet<EntityRef> {
    let program = lineup.stable();
    let values = &**program.facts().values();
    let mut found = BTreeSet::new();
    let mut add = |entity| {
        if let View::Entity(kind, id) = values.view(entity)
            && is_of(values.name(kind))
        {
            found.insert(EntityRef::new(values.name(kind), values.name(id)));
        }
    };
    program.facts().facts().each_known(values, &mut |_, entity, _| add(entity));
    match program.schema() {
        Some(schema) => schema.actions().for_each(|(action, _)| add(action)),
        None => values.each_entity(&mut |kind, entity| {
            if is_action_type(values.name(kind)) {
                add(entity);
            }
        }),
    }
    for (kind, of) in program.schema().into_iter().flat_map(Schema::entity_types) {
        let kind = values.name(kind);
        if is_of(kind) {
            found.extend(of.choices.iter().flatten().map(|id| EntityRef::new(kind, values.name(*id))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rune_core::{Engine, Options, Program, Sources};

    use super::*;

    const SCHEMA: &str = "[schema]\nentity User { level: Long };\nentity Document;\nentity Colour enum [\"red\", \"green\"];\n\
        action read, write appliesTo { principal: User, resource: Document };\n";
    const REST: &str = "[entities]\nUser.ada = { level = 1 }\nUser.\"a \\\"b\\\"\" = { level = 2 }\n[rules]\n\
        relation viewer(User, Document).\nviewer(User::\"adele\", \"plan\").\nreads(U) :- viewer(U, _).\n\
        [test.\"t\"]\nfacts = 'viewer(User::\"nobody\", \"x\").'\nquery = 'reads(User::\"nobody\")'\nrows = [[]]\n";

    /// What is offered at the end of a line, and for which part of it.
    fn check(schema: &str, line: &str, expected: &str) {
        let text = format!("version = \"rune/1.0\"\n{schema}{REST}");
        let program = Program::build(Sources::single("a.rune", &text), Options::default());
        let lineup = Engine::new(program.unwrap_or_else(|error| panic!("{error}"))).lineup();
        let (start, words) = complete(&lineup, line, line.len());
        assert_eq!(format!("{}: {}", line.get(start..).unwrap(), words.join(" ")), expected, "{line}");
    }

    #[test]
    fn commands_are_offered_where_they_stand() {
        check(SCHEMA, ":re", ":re: :resources :request :relations :reload");
        check(SCHEMA, ":w", ":w: :why");
        check(SCHEMA, "p(:re", ":re: ");
    }

    #[test]
    fn relations_types_and_stored_attributes_begin_conditions() {
        check(SCHEMA, "vi", "vi: viewer(");
        check(SCHEMA, "viewer(X, Y), re", "re: reads(");
        check(SCHEMA, "U", "U: User( User.level( User::\"");
        check(SCHEMA, ":decide Do", "Do: Document::\"");
        check(SCHEMA, ":why Do", "Do: Document( Document::\"");
        check(SCHEMA, ":why re", "re: reads(");
    }

    #[test]
    fn known_entities_are_offered_and_those_of_tests_are_not() {
        let known = "User::\": User::\"a \\\"b\\\"\" User::\"ada\" User::\"adele\"";
        check(SCHEMA, "viewer(User::\"", known);
        check(SCHEMA, "viewer(User::\"a \\\"", "User::\"a \\\": User::\"a \\\"b\\\"\"");
        check(SCHEMA, ":why User::\"ada\" Action::\"", "Action::\": Action::\"read\" Action::\"write\"");
        check(SCHEMA, "X = Colour::\"", "Colour::\": Colour::\"green\" Colour::\"red\"");
        check(SCHEMA, "X == \"a", ": ");
        check("", "User::\"ade", "User::\"ade: User::\"adele\"");
    }

    #[test]
    fn a_place_within_a_character_offers_nothing() {
        let program = Program::build(Sources::single("a.cedar", "// nothing"), Options::default()).unwrap();
        assert_eq!(complete(&Engine::new(program).lineup(), "ä", 1), (1, Vec::new()));
    }
}
