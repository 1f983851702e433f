//! Strata: what must be complete before it is read.
//!
//! A relation is complete once all rules that derive it have run to their end. `not`, aggregates, complete reads in expressions
//! and a choice among values need that of what they read, so that a cycle through one of them has no meaning and is refused.
//! `parent` counts as one relation for each pair of a child's and a parent's type.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{Pool, Span, Symbol, Values},
    diag::{Code, Finding, Findings},
    schema::{Schema, Type, Types},
};

use super::{
    CheckedRules, Goal, GoalKind, Guard, KnownType, Names, Predicate, PredicateId, PredicateKind, Rule, Term,
    reads::{Attributes, Readers, Reading},
};

/// What a rule derives or reads: a relation, or the parents of one type of one other type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Relation(PredicateId),
    Pair(Option<Symbol>, Option<Symbol>),
}

/// One reading: by which rule, where.
#[derive(Debug, Clone, Copy)]
struct Edge {
    to: Node,
    reading: Reading,
    span: Span,
}

pub(super) fn stratify(checked: &mut CheckedRules, schema: Option<&Schema>, values: &Pool, findings: &mut Findings) {
    let (pairs, attributes) = (Pairs::of(checked, schema), Attributes::of(checked));
    let mut graph: BTreeMap<Node, Vec<Edge>> = BTreeMap::new();
    let mut heads = Vec::with_capacity(checked.rules.len());
    for rule in &checked.rules {
        let nodes = head_nodes(rule);
        let mut edges = Vec::new();
        let base = match checked.predicate(rule.head).and_then(|predicate| predicate.key) {
            Some(key) if key.choice.is_some() => Reading::Complete,
            _ => Reading::Positive,
        };
        for goal in &rule.body {
            reads(goal, base, rule, (&pairs, &attributes), &mut edges);
        }
        // Whatever one rule derives becomes complete at one time.
        let ring = nodes.iter().zip(nodes.iter().cycle().skip(1));
        for (from, to) in ring.filter(|_| 1 < nodes.len()) {
            graph.entry(*from).or_default().push(Edge { to: *to, reading: Reading::Positive, span: rule.span });
        }
        for node in &nodes {
            graph.entry(*node).or_default().extend(edges.iter().copied());
        }
        heads.push(nodes);
    }
    let components = components(&graph);
    let component_of: BTreeMap<Node, usize> =
        components.iter().enumerate().flat_map(|(at, nodes)| nodes.iter().map(move |node| (*node, at))).collect();
    let n_errors = findings.n_errors();
    for (from, edges) in &graph {
        for edge in edges.iter().filter(|edge| edge.reading == Reading::Complete) {
            if component_of.get(from) == component_of.get(&edge.to) && component_of.contains_key(from) {
                findings.push(cycle(*from, edge, &graph, checked, values));
            }
        }
    }
    mark_per_request(checked, findings);
    if n_errors < findings.n_errors() {
        return;
    }
    let mut strata: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, (rule, nodes)) in checked.rules.iter().zip(&heads).enumerate() {
        if ![Names::PERMIT, Names::FORBID].contains(&rule.head)
            && let Some(component) = nodes.first().and_then(|node| component_of.get(node))
        {
            strata.entry(*component).or_default().push(at);
        }
    }
    let is_per_request = |rules: &Vec<usize>| {
        rules
            .iter()
            .filter_map(|at| checked.rules.get(*at))
            .any(|rule| checked.predicate(rule.head).is_some_and(|predicate| predicate.is_per_request))
    };
    (checked.request_strata, checked.strata) = strata.into_values().partition(is_per_request);
    let readers = Followers::of(&graph, checked);
    let (known, changing) = (known_types(&readers, checked), changing(&readers, checked, schema));
    (checked.known, checked.changing) = (known, changing);
    checked.read_ahead = read_ahead(checked, &attributes);
}

fn read_ahead(checked: &CheckedRules, attributes: &Attributes) -> BTreeSet<PredicateId> {
    let is_lasting = |rule: &&Rule| {
        ![Names::PERMIT, Names::FORBID].contains(&rule.head)
            && checked.predicate(rule.head).is_some_and(|predicate| !predicate.is_per_request)
    };
    let mut read = BTreeSet::new();
    for goal in checked.rules.iter().filter(is_lasting).flat_map(|rule| &rule.body) {
        goal.each_read_within(attributes, &mut |id| {
            read.insert(id);
        });
    }
    read
}

/// What follows from each relation.
struct Followers<'c> {
    readers: BTreeMap<Node, Vec<Node>>,
    rules: Readers,
    checked: &'c CheckedRules,
}

impl<'c> Followers<'c> {
    fn of(graph: &BTreeMap<Node, Vec<Edge>>, checked: &'c CheckedRules) -> Self {
        let mut readers: BTreeMap<Node, Vec<Node>> = BTreeMap::new();
        for (from, edges) in graph {
            for edge in edges {
                readers.entry(edge.to).or_default().push(*from);
            }
        }
        Self { readers, rules: Readers::of(checked), checked }
    }

    /// What follows from a relation, apart from relations that depend on the request anyway.
    fn of_relation(&self, id: PredicateId) -> BTreeSet<PredicateId> {
        // Of parents that no rule derives the graph says nothing.
        let rules = self.rules.of_relation(id).iter().filter_map(|at| self.checked.rules.get(*at));
        let mut seen: BTreeSet<Node> = rules.flat_map(head_nodes).collect();
        let mut pending: Vec<Node> = seen.iter().copied().collect();
        while let Some(node) = pending.pop() {
            for reader in self.readers.get(&node).into_iter().flatten() {
                if seen.insert(*reader) {
                    pending.push(*reader);
                }
            }
        }
        let ids = seen.into_iter().flat_map(|node| match node {
            Node::Relation(id) => vec![id],
            Node::Pair(..) => vec![Names::PARENT, Names::IN],
        });
        let is_derived_once = |id: &PredicateId| {
            let is_per_request = self.checked.predicate(*id).is_some_and(|predicate| predicate.is_per_request);
            !is_per_request && ![Names::PERMIT, Names::FORBID].contains(id)
        };
        ids.filter(is_derived_once).collect()
    }
}

/// The types whose known entities rules ask for, each with what follows from them.
fn known_types(followers: &Followers<'_>, checked: &CheckedRules) -> Vec<KnownType> {
    let known = checked.predicates.iter().enumerate().filter_map(|(at, predicate)| match predicate.kind {
        PredicateKind::Known(kind) => Some((kind, PredicateId(at))),
        _ => None,
    });
    let of_type = |(kind, predicate)| KnownType { kind, predicate, followers: followers.of_relation(predicate) };
    known.map(of_type).collect()
}

/// What may change while a program is served, each with what follows from it: live relations, what is stored of entities of live
/// types, as rows and as expressions ask for it, and the known entities of types that those may name.
fn changing(
    followers: &Followers<'_>,
    checked: &CheckedRules,
    schema: Option<&Schema>,
) -> BTreeMap<PredicateId, BTreeSet<PredicateId>> {
    let is_live_type = |kind: Symbol| {
        schema.and_then(|schema| schema.entity_type(kind)).is_some_and(|entity_type| entity_type.is_live)
    };
    let has_live_types = schema.is_some_and(Schema::has_live_types);
    let live = || checked.predicates.iter().filter(|predicate| predicate.kind == PredicateKind::Live);
    let may_name = |types: &Types, kind: Symbol| match types {
        Types::Any => true,
        Types::OneOf(kinds) => kinds.iter().any(|of| match of {
            Type::Entity(of) => *of == kind,
            Type::Set(_) | Type::Record(_) => true,
            _ => false,
        }),
    };
    let is_changing = |(at, predicate): &(usize, &Predicate)| match predicate.kind {
        PredicateKind::Live => true,
        PredicateKind::Stored(kind, _) => is_live_type(kind),
        // Whom else an entity names, its attributes and parents, is any.
        PredicateKind::Known(kind) => {
            has_live_types || live().flat_map(|of| &of.columns).any(|column| may_name(&column.types, kind))
        }
        PredicateKind::Parent => has_live_types && PredicateId(*at) == Names::PARENT,
        _ => false,
    };
    let sources = checked.predicates.iter().enumerate().filter(is_changing).map(|(at, _)| PredicateId(at));
    let sources = sources.chain(has_live_types.then_some(Names::STORED));
    let mut changing: BTreeMap<_, _> = sources.map(|id| (id, followers.of_relation(id))).collect();
    if let Some(follow) = changing.get_mut(&Names::PARENT)
        && checked.rules.iter().any(|rule| rule.head == Names::PARENT)
    {
        // What rules derive stands beside what entities come with, whatever the rules read.
        follow.extend([Names::PARENT, Names::IN]);
    }
    changing
}

fn head_nodes(rule: &Rule) -> Vec<Node> {
    if rule.head != Names::PARENT {
        return vec![Node::Relation(rule.head)];
    }
    let kinds = |at: usize| kinds_of(rule.args.get(at), rule);
    let (children, parents) = (kinds(0), kinds(1));
    let mut nodes = Vec::new();
    for child in &children {
        for parent in &parents {
            nodes.push(Node::Pair(*child, *parent));
        }
    }
    nodes
}

/// The entity types that an argument may have, or none for any.
fn kinds_of(term: Option<&Term>, rule: &Rule) -> Vec<Option<Symbol>> {
    let types = match term {
        Some(Term::Slot(slot)) => rule.variables.get(slot.0).map_or(Types::Any, |variable| variable.types.clone()),
        _ => Types::Any,
    };
    // What may be a set may be of entities of any type.
    match types.entities() {
        Some(kinds) if !kinds.is_empty() && types.are_entities() => kinds.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

/// The pairs of types between which rules derive parents, and which type may be below which.
struct Pairs {
    derived: BTreeSet<(Option<Symbol>, Option<Symbol>)>,
    /// What a type may be directly in; none where no schema says so.
    above: Option<BTreeMap<Symbol, Vec<Symbol>>>,
}

impl Pairs {
    fn of(checked: &CheckedRules, schema: Option<&Schema>) -> Self {
        let mut derived = BTreeSet::new();
        for rule in checked.rules.iter().filter(|rule| rule.head == Names::PARENT) {
            derived.extend(head_nodes(rule).into_iter().filter_map(|node| match node {
                Node::Pair(child, parent) => Some((child, parent)),
                Node::Relation(_) => None,
            }));
        }
        let above = schema.map(|schema| schema.entity_types().map(|(name, of)| (name, of.parents.clone())).collect());
        Self { derived, above }
    }

    /// The pairs that may lie between something of one type and something of another that it is in.
    fn between(&self, below: Option<Symbol>, top: Option<Symbol>) -> Vec<Node> {
        let is_between = |(child, parent): &&(Option<Symbol>, Option<Symbol>)| {
            self.may_be_in(below, *child) && self.may_be_in(*parent, top)
        };
        self.derived.iter().filter(is_between).map(|(child, parent)| Node::Pair(*child, *parent)).collect()
    }

    fn may_be_in(&self, below: Option<Symbol>, top: Option<Symbol>) -> bool {
        let (Some(below), Some(top), Some(above)) = (below, top, &self.above) else { return true };
        let mut seen = BTreeSet::new();
        let mut pending = vec![below];
        while let Some(kind) = pending.pop() {
            if kind == top {
                return true;
            }
            if seen.insert(kind) {
                pending.extend(above.get(&kind).into_iter().flatten());
            }
        }
        false
    }
}

/// What a goal reads, and how.
fn reads(
    goal: &Goal,
    reading: Reading,
    rule: &Rule,
    (pairs, attributes): (&Pairs, &Attributes),
    edges: &mut Vec<Edge>,
) {
    let span = goal.span;
    let mut read = |to| edges.push(Edge { to, reading, span });
    match &goal.kind {
        GoalKind::Atom(id, args) if *id == Names::PARENT => {
            for child in kinds_of(args.first(), rule) {
                for parent in kinds_of(args.get(1), rule) {
                    let overlap = |a: Option<Symbol>, b: Option<Symbol>| a.is_none() || b.is_none() || a == b;
                    let is_read = |(c, p): &&(_, _)| overlap(*c, child) && overlap(*p, parent);
                    pairs.derived.iter().filter(is_read).for_each(|(c, p)| read(Node::Pair(*c, *p)));
                }
            }
        }
        GoalKind::Atom(id, _) => read(Node::Relation(*id)),
        GoalKind::In(left, right) => {
            for below in kinds_of(Some(left), rule) {
                for top in kinds_of(Some(right), rule) {
                    pairs.between(below, top).into_iter().for_each(&mut read);
                }
            }
        }
        GoalKind::Guard(guard) | GoalKind::Bind(_, guard) => {
            for node in complete_reads(guard, attributes, pairs) {
                edges.push(Edge { to: node, reading: Reading::Complete, span });
            }
        }
        GoalKind::Not(goal) => reads(goal, Reading::Complete, rule, (pairs, attributes), edges),
        GoalKind::Aggregate(aggregate) => {
            for goal in &aggregate.body {
                reads(goal, Reading::Complete, rule, (pairs, attributes), edges);
            }
        }
    }
}

/// The derived relations that an expression reads: attributes by name, whatever entity has them, and `in`.
fn complete_reads(guard: &Guard, attributes: &Attributes, pairs: &Pairs) -> Vec<Node> {
    let mut nodes: Vec<Node> = attributes.read_by(guard).into_iter().map(Node::Relation).collect();
    if guard.expr.mentions().hierarchy {
        nodes.extend(pairs.between(None, None));
    }
    nodes
}

/// The strongly connected components of a graph, each after those that it reads (Tarjan 1972, with a stack of its own).
fn components(graph: &BTreeMap<Node, Vec<Edge>>) -> Vec<Vec<Node>> {
    #[derive(Default)]
    struct State {
        index: BTreeMap<Node, usize>,
        low: BTreeMap<Node, usize>,
        stack: Vec<Node>,
        on_stack: BTreeSet<Node>,
        components: Vec<Vec<Node>>,
    }
    let mut state = State::default();
    for start in graph.keys() {
        if state.index.contains_key(start) {
            continue;
        }
        let mut path = vec![(*start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if *next == 0 {
                let at = state.index.len();
                state.index.insert(node, at);
                state.low.insert(node, at);
                state.stack.push(node);
                state.on_stack.insert(node);
            }
            let edge = graph.get(&node).and_then(|edges| edges.get(*next));
            *next += 1;
            if let Some(edge) = edge {
                if !state.index.contains_key(&edge.to) {
                    path.push((edge.to, 0));
                } else if state.on_stack.contains(&edge.to) {
                    let low = state.index.get(&edge.to).copied().unwrap_or_default();
                    state.low.entry(node).and_modify(|known| *known = low.min(*known));
                }
                continue;
            }
            path.pop();
            let low = state.low.get(&node).copied().unwrap_or_default();
            if let Some((above, _)) = path.last() {
                state.low.entry(*above).and_modify(|known| *known = low.min(*known));
            }
            if state.index.get(&node) == Some(&low)
                && let Some(at) = state.stack.iter().rposition(|other| *other == node)
            {
                let component = state.stack.split_off(at);
                for node in &component {
                    state.on_stack.remove(node);
                }
                state.components.push(component);
            }
        }
    }
    state.components
}

/// The finding for a cycle that needs a relation to be complete before it is.
fn cycle(from: Node, edge: &Edge, graph: &BTreeMap<Node, Vec<Edge>>, checked: &CheckedRules, values: &Pool) -> Finding {
    // The shortest way back, breadth first.
    let mut came_from: BTreeMap<Node, (Node, Edge)> = BTreeMap::new();
    let mut pending = std::collections::VecDeque::from([edge.to]);
    while let Some(node) = pending.pop_front() {
        if node == from {
            break;
        }
        for next in graph.get(&node).into_iter().flatten() {
            if next.to != edge.to && !came_from.contains_key(&next.to) {
                came_from.insert(next.to, (node, *next));
                pending.push_back(next.to);
            }
        }
    }
    let mut way = Vec::new();
    let mut at = from;
    while at != edge.to
        && let Some((before, by)) = came_from.get(&at)
    {
        way.push((*before, *by));
        at = *before;
    }
    way.reverse();
    let mut names = vec![name(from, checked, values)];
    names.push(format!("all of {}", name(edge.to, checked, values)));
    for (_, by) in &way {
        let how = if by.reading == Reading::Complete { "all of " } else { "" };
        names.push(format!("{how}{}", name(by.to, checked, values)));
    }
    let message = format!("a cycle: {}", names.join(" needs "));
    let mut finding = Finding::new(Code::NegativeCycle, edge.span, message);
    for (_, by) in way {
        finding = finding.related(by.span, format!("here {} is needed", name(by.to, checked, values)));
    }
    finding.help(
        "`not`, aggregates and reads within expressions need all of a relation: break the cycle by another relation",
    )
}

fn name(node: Node, checked: &CheckedRules, values: &Pool) -> String {
    let kind = |kind: Option<Symbol>| kind.map_or("any type", |kind| values.name(kind)).to_owned();
    match node {
        Node::Relation(id) => {
            checked.predicate(id).map_or_else(String::new, |predicate| format!("`{}`", predicate.name))
        }
        Node::Pair(child, parent) => format!("the parents of {} of {}", kind(child), kind(parent)),
    }
}

/// Marks the relations whose rows depend on the request: rules that mention it, and rules that read those.
fn mark_per_request(checked: &mut CheckedRules, findings: &mut Findings) {
    let readers = Readers::of(checked);
    let mentions = |at: &usize| checked.rules.get(*at).is_some_and(|rule| rule.body.iter().any(Goal::mentions_request));
    let mut pending: Vec<usize> = (0..checked.rules.len()).filter(mentions).collect();
    while let Some(at) = pending.pop() {
        let Some(rule) = checked.rules.get(at) else { continue };
        let (id, span) = (rule.head, rule.span);
        let Some(predicate) = checked.predicates.get_mut(id.0).filter(|predicate| !predicate.is_per_request) else {
            continue;
        };
        predicate.is_per_request = true;
        if predicate.kind == PredicateKind::Parent {
            let finding = Finding::new(Code::RequestParent, span, "a parent depends on the request");
            findings.push(finding.help("who is in what is the same for every request: use a relation of its own"));
        }
        pending.extend(readers.of_relation(id));
    }
}
