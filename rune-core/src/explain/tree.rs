//! An explanation as a tree of lines.
//!
//! ```text
//!   allow
//!   └─ permit readers (a.rune:27:1)
//!      └─ ✓ principal.can_read.contains(resource)
//!         └─ can_read(User::"ada", Document::"plan"), by a.rune:rule0 (a.rune:23:1)
//!            ├─ ✓ viewer(S, F)
//!            │  └─ viewer(Group::"eng", Folder::"specs") (a.rune:11:11)
//!            └─ …
//! ```
//!
//! A line is as long as what it says; nothing is aligned, so that it reads the same whatever the width of its characters.

use std::{collections::BTreeSet, fmt};

use crate::{
    base::{OwnedValue, limits},
    decide::Why,
};

use super::{
    Atom, Because, Candidate, Clause, Counted, Explanation, Fact, Failed, InTheWay, Instance, Minimal, Outcome, Place,
    Proof, RuleRef, Searched, WhyNot,
};

/// How a tree says where something stands. Whoever makes up files can say what people know of them instead.
pub trait Cite {
    /// A place, behind what stands there.
    fn place(&self, place: &Place) -> String {
        place.to_string()
    }

    /// A policy or rule: what it is called, and where it begins.
    fn rule(&self, rule: &RuleRef) -> String {
        format!("{} ({})", rule.id, self.place(&rule.place))
    }
}

/// By file, line and column: `readers (a.rune:27:1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByFile;

impl Cite for ByFile {}

/// Lines below lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tree {
    line: String,
    below: Vec<Tree>,
}

impl Explanation {
    /// The explanation as a tree of lines, in which rules below rules are folded beyond `depth_max` of them.
    #[must_use]
    pub fn tree(&self, depth_max: usize) -> String {
        self.tree_citing(depth_max, &ByFile)
    }

    /// [`Self::tree`], in which places are cited so.
    #[must_use]
    pub fn tree_citing(&self, depth_max: usize, cite: &dyn Cite) -> String {
        let mut shower = Shower::new(&self.facts, depth_max, cite);
        let mut text = String::new();
        shower.explanation(self).draw(&mut text, "", "");
        text
    }
}

impl Proof {
    /// The proof as a tree of lines, in which rules below rules are folded beyond `depth_max` of them.
    #[must_use]
    pub fn tree(&self, depth_max: usize) -> String {
        self.tree_citing(depth_max, &ByFile)
    }

    /// [`Self::tree`], in which places are cited so.
    #[must_use]
    pub fn tree_citing(&self, depth_max: usize, cite: &dyn Cite) -> String {
        let mut shower = Shower::new(&self.facts, depth_max, cite);
        let binding = |name: &String| self.bindings.get(name).map(|value| format!("{name} = {value}"));
        let bindings: Vec<String> = self.columns.iter().filter_map(binding).collect();
        let line = match (self.holds, bindings.is_empty()) {
            (true, true) => "yes".to_owned(),
            (true, false) => bindings.join(", "),
            (false, _) => "no rows".to_owned(),
        };
        let mut below: Vec<Tree> = self.clauses.iter().map(|clause| shower.clause(clause, 0)).collect();
        if let Some(why_not) = &self.why_not {
            below.extend(shower.why_not(why_not, "there would be a row"));
        }
        below.extend(self.minimal.map(smallness));
        if self.is_incomplete {
            below.push(Tree::leaf("note: a limit was passed, so this may not be all"));
        }
        let mut text = String::new();
        Tree { line, below }.draw(&mut text, "", "");
        text
    }
}

/// The tree down to the files.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tree(usize::MAX))
    }
}

/// The tree down to the files.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tree(usize::MAX))
    }
}

impl Tree {
    fn leaf(line: impl Into<String>) -> Self {
        Self { line: line.into(), below: Vec::new() }
    }

    // Recurses once per level of what is shown, whose number is limited.
    fn draw(&self, text: &mut String, first: &str, rest: &str) {
        for (at, line) in self.line.lines().enumerate() {
            text.push_str(if at == 0 { first } else { rest });
            match line.char_indices().nth(limits::TREE_LINE_CHARS_MAX) {
                Some((end, _)) => text.extend([line.get(..end).unwrap_or_default(), "…"]),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        for (at, below) in self.below.iter().enumerate() {
            let is_last = at + 1 == self.below.len();
            let (branch, trunk) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            below.draw(text, &format!("{rest}{branch}"), &format!("{rest}{trunk}"));
        }
    }
}

struct Shower<'e> {
    facts: &'e [Fact],
    depth_max: usize,
    cite: &'e dyn Cite,
    /// The derived facts whose proofs are shown already.
    shown: BTreeSet<usize>,
}

impl<'e> Shower<'e> {
    fn new(facts: &'e [Fact], depth_max: usize, cite: &'e dyn Cite) -> Self {
        Self { facts, depth_max: depth_max.min(limits::TREE_DEPTH_MAX), cite, shown: BTreeSet::new() }
    }

    fn explanation(&mut self, explanation: &Explanation) -> Tree {
        let decision = &explanation.decision;
        let line = match &decision.why {
            Why::AllowedBy(_) => "allow".to_owned(),
            Why::ForbiddenBy(_) => "deny: forbidden".to_owned(),
            Why::NotPermitted => "deny: no policy permits it".to_owned(),
            Why::Error(error) => format!("deny: {error}"),
        };
        let mut below: Vec<Tree> = explanation.determining.iter().map(|of| self.instance(of)).collect();
        if explanation.minimal.is_some() {
            let is_named = |tree: &&mut Tree| tree.below.iter().all(|line| line.below.is_empty());
            below.iter_mut().skip(1).filter(is_named).for_each(|tree| tree.line.insert_str(0, "also "));
        }
        for Failed { instance, message } in &explanation.failed {
            let mut tree = self.instance(instance);
            tree.line = format!("without a value: {}: {message}", tree.line);
            below.push(tree);
        }
        // What could not be told is why, and comes first.
        if matches!(decision.why, Why::Error(_)) {
            below.rotate_left(explanation.determining.len());
        }
        let is_forbidden = matches!(decision.why, Why::ForbiddenBy(_));
        let permits = explanation.forbidden.iter();
        below.extend(permits.map(|of| Tree::leaf(format!("note: permit {} holds but for that", self.cite.rule(of)))));
        for Candidate { instance, missing, why_not } in &explanation.candidates {
            let mut tree = self.instance(instance);
            match why_not {
                Some(why_not) => tree.below.extend({
                    self.why_not(
                        why_not,
                        if is_forbidden { "but for that would be allowed" } else { "would be allowed" },
                    )
                }),
                None if missing.is_empty() => {}
                None => tree.below.push(added("would be allowed with", missing)),
            }
            below.push(tree);
        }
        if decision.why == Why::NotPermitted && explanation.candidates.is_empty() && explanation.failed.is_empty() {
            below.push(Tree::leaf("note: no permit is about this action and entities of these types"));
        }
        below.extend(explanation.forbids.iter().map(|of| self.forbid(of)));
        if 0 < explanation.forbids_beyond {
            below.push(Tree::leaf(beyond(explanation.forbids_beyond, "forbid")));
        }
        if 0 < explanation.candidates_beyond {
            below.push(Tree::leaf(beyond(explanation.candidates_beyond, "permit")));
        }
        below.extend(explanation.unknown.iter().map(|entity| Tree::leaf(format!("note: no file names {entity}"))));
        below.extend(explanation.ignored.iter().map(|name| {
            Tree::leaf(format!("note: the request supplies `{name}`, which the schema does not take from requests"))
        }));
        below.extend(explanation.minimal.map(smallness));
        if explanation.is_incomplete {
            below.push(Tree::leaf("note: a limit was passed, so this may not be all"));
        }
        Tree { line, below }
    }

    fn instance(&mut self, instance: &Instance) -> Tree {
        let RuleRef { effect, annotations, .. } = &instance.rule;
        let effect = match effect {
            Some(crate::policy::Effect::Permit) => "permit ",
            Some(crate::policy::Effect::Forbid) => "forbid ",
            None => "",
        };
        let said = ["reason", "doc"].iter().filter_map(|name| annotations.get(*name));
        let mut below: Vec<Tree> =
            said.filter(|text| !text.is_empty()).map(|text| Tree::leaf(format!("“{}”", one_line(text)))).collect();
        below.extend(instance.clauses.iter().map(|clause| self.clause(clause, 0)));
        Tree { line: format!("{effect}{}", self.cite.rule(&instance.rule)), below }
    }

    /// What would have something hold that does not, and how far that was looked for.
    fn why_not(&mut self, why_not: &WhyNot, would: &str) -> Vec<Tree> {
        let WhyNot { within, sets, blocked, search } = why_not;
        let mut trees: Vec<Tree> = Vec::new();
        for set in sets {
            let line = if trees.is_empty() { format!("{would} with") } else { "or with".to_owned() };
            trees.push(added(&line, set));
        }
        for InTheWay { blockers, missing } in blocked {
            let or = if trees.is_empty() { would } else { "or" };
            let with = if missing.is_empty() { "" } else { " with" };
            let mut tree = added(&format!("{or}{with}, if this were not so"), missing);
            tree.below.extend(blockers.iter().map(|at| {
                let mut fact = self.fact(*at, 0);
                fact.line.insert_str(0, "− ");
                fact
            }));
            trees.push(tree);
        }
        let facts = format!("{within} fact{}", if *within == 1 { "" } else { "s" });
        let note = match (trees.is_empty(), search) {
            (true, Searched::Complete) => format!("note: no {facts} or fewer would do"),
            (true, _) => format!("note: no {facts} or fewer were found that would do, and a limit ended the search"),
            (false, Searched::Complete) => return trees,
            (false, Searched::Enough) => format!("note: there may be more ways of {facts} or fewer"),
            (false, Searched::Cut) => {
                format!("note: there may be more ways of {facts} or fewer: a limit ended the search")
            }
        };
        trees.push(Tree::leaf(note));
        trees
    }

    /// A forbid that does not hold, with what it does not hold for.
    fn forbid(&mut self, instance: &Instance) -> Tree {
        let clauses = instance.clauses.iter().filter(|clause| clause.outcome != Outcome::True);
        let below = clauses.take(1).map(|clause| self.clause(clause, 0)).collect();
        Tree { line: format!("forbid {} does not hold", self.cite.rule(&instance.rule)), below }
    }

    fn clause(&mut self, clause: &Clause, depth: usize) -> Tree {
        let none = || match clause.asked.as_slice() {
            [] => String::new(),
            asked => format!(": there is no {}", asked.join(", no ")),
        };
        let (mark, told) = match &clause.outcome {
            Outcome::True => ("✓", none()),
            Outcome::False => ("✗", none()),
            Outcome::Error { message } => ("!", format!(": {message}")),
            Outcome::Unreached => ("·", String::new()),
        };
        let value = clause.value.as_ref().map(|value| format!(" [{value}]")).unwrap_or_default();
        let text = one_line(&clause.text);
        // What a chain rests on stands below its operands.
        let facts = if clause.operands.is_empty() { clause.facts.as_slice() } else { &[] };
        let mut below: Vec<Tree> = facts.iter().map(|fact| self.fact(*fact, depth)).collect();
        below.splice(..0, clause.counted.as_ref().filter(|_| clause.asked.is_empty()).map(of_tuples));
        below.extend(clause.operands.iter().map(|operand| self.clause(operand, depth)));
        let is_folded = self.depth_max <= depth && !clause.attempts.is_empty();
        if !is_folded {
            below.extend(clause.attempts.iter().map(|attempt| self.attempt(attempt, depth)));
        }
        let told = if is_folded { format!("{told} …") } else { told };
        Tree { line: format!("{mark} {text}{value}{told}"), below }
    }

    fn attempt(&mut self, attempt: &Instance, depth: usize) -> Tree {
        let below = attempt.clauses.iter().map(|clause| self.clause(clause, depth + 1)).collect();
        Tree { line: format!("by {}", self.cite.rule(&attempt.rule)), below }
    }

    // Recurses once per fact that a fact follows from, down to `depth_max`.
    fn fact(&mut self, at: usize, depth: usize) -> Tree {
        let Some(Fact { atom, because }) = self.facts.get(at) else { return Tree::leaf("…") };
        let is_folded = self.depth_max <= depth;
        match because {
            Because::Given(place) => Tree::leaf(format!("{atom} ({})", self.cite.place(place))),
            Because::Schema => Tree::leaf(format!("{atom} (the schema)")),
            Because::Live => Tree::leaf(format!("{atom} (live)")),
            Because::Request => Tree::leaf(format!("{atom} (the request)")),
            Because::Unshown => Tree::leaf(format!("{atom} …")),
            Because::Parents { facts } => {
                let below = facts.iter().map(|fact| self.fact(*fact, depth)).collect();
                Tree { line: atom.to_string(), below }
            }
            Because::Rule(instance) => {
                let line = format!("{atom}, by {}", self.cite.rule(&instance.rule));
                if is_folded {
                    return Tree::leaf(format!("{line} …"));
                }
                if !self.shown.insert(at) {
                    return Tree::leaf(format!("{line}, as above"));
                }
                let below = instance.clauses.iter().map(|clause| self.clause(clause, depth + 1)).collect();
                Tree { line, below }
            }
        }
    }
}

/// What an aggregate was made of.
fn of_tuples(counted: &Counted) -> Tree {
    let Counted { columns, tuples, beyond } = counted;
    let tuple = |row: &Vec<OwnedValue>| {
        let values: Vec<String> = row.iter().map(ToString::to_string).collect();
        if columns.len() == 1 { values.concat() } else { format!("({})", values.join(", ")) }
    };
    let shown: Vec<String> = tuples.iter().map(tuple).collect();
    let more = if *beyond == 0 { String::new() } else { format!(", … and {beyond} more") };
    let list = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
    Tree::leaf(format!("of {list}{more}"))
}

/// Facts that would have to be given.
fn added(line: &str, missing: &[Atom]) -> Tree {
    let below = missing.iter().map(|atom| Tree::leaf(format!("+ {atom}"))).collect();
    Tree { line: line.to_owned(), below }
}

/// How small a proof is, and whether any is smaller.
fn smallness(minimal: Minimal) -> Tree {
    let Minimal { given, derived, is_proven } = minimal;
    let many = |n: usize| if n == 1 { "" } else { "s" };
    let size = format!("{given} given fact{}, {derived} derived", many(given));
    let verdict = if is_proven {
        "no proof is smaller"
    } else {
        "the smallest proof that was found, and a smaller one is not ruled out"
    };
    Tree::leaf(format!("note: {size}: {verdict}"))
}

fn beyond(n: usize, what: &str) -> String {
    format!("… and {n} {what}{} further away", if n == 1 { "" } else { "s" })
}

/// A text on one line: what an author wrote on several would look like lines of the tree.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
