//! The smallest of all proofs that an AND-OR graph has.
//!
//! ```text
//!   what is to be proven ──or──▶ an instance of a rule ──and──▶ facts ──or──▶ … ──▶ given facts
//! ```
//!
//! Knuth's generalization of Dijkstra's algorithm finds the smallest proof in which each use of a fact is paid for anew; used
//! once, its facts are an upper bound. Branch and bound then looks for one that shares more. What it cuts off has at least the
//! facts that are taken already, and besides these either the ones that every proof of what is still open has (dominators, as of
//! flow graphs), or, where what is open has nothing in common, the depth of each. A choice that leads back to what it is made for
//! is none: each proof is well-founded.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    ops::{Add, Sub},
};

/// What a proof is measured by: first how many given facts it rests on, then how many facts it derives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Size {
    /// Given facts.
    pub(super) given: u64,
    /// Facts that follow from others.
    pub(super) derived: u64,
}

impl Size {
    /// Of what is no fact, and only leads to some.
    pub(super) const NOTHING: Self = Self { given: 0, derived: 0 };
    /// Of a fact that is given.
    pub(super) const GIVEN: Self = Self { given: 1, derived: 0 };
    /// Of a fact that follows from others, without those.
    pub(super) const DERIVED: Self = Self { given: 0, derived: 1 };
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { given: self.given.saturating_add(other.given), derived: self.derived.saturating_add(other.derived) }
    }
}

impl Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { given: self.given.saturating_sub(other.given), derived: self.derived.saturating_sub(other.derived) }
    }
}

/// Something to prove, and how: any one of the options, each with all that it takes. Without options it has no proof.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) size: Size,
    pub(super) options: Vec<Vec<usize>>,
}

/// A proof: which option of each node it takes, none of those that are no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) choice: Vec<Option<usize>>,
    pub(super) size: Size,
    /// Whether no proof is smaller.
    pub(super) is_proven: bool,
}

/// Nodes whose supports are kept as bits: that takes the square of their number.
const SUPPORTED_MAX: usize = 4_096;
/// Of the nodes that every proof of one has, so many are kept at most: fewer are a lower bound all the same.
const NEEDED_MAX: usize = 512;

/// The smallest proof of the first node, as far as the steps reach; none if there is no proof.
pub(super) fn smallest(nodes: &[Node], steps: &mut u64) -> Option<Found> {
    let (costs, choices) = cheapest(nodes, Join::Sum);
    costs.first().copied().flatten()?;
    let (least, _) = cheapest(nodes, Join::Max);
    let least: Vec<Size> = least.into_iter().map(Option::unwrap_or_default).collect();
    let mut search = Search {
        nodes,
        orders: orders(nodes, &costs),
        needed: needed(nodes, &costs, steps),
        supports: supports(nodes),
        least,
        chosen: vec![None; nodes.len()],
        reached: vec![false; nodes.len()],
        taken: Vec::new(),
        open: Vec::new(),
        size: Size::NOTHING,
        best: first(nodes, &choices),
    };
    search.best.is_proven = search.run(steps);
    Some(search.best)
}

/// How the costs of what an option takes make up that of the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    /// As if each were used for this alone: no proof costs more than it has to.
    Sum,
    /// As if all but one were used for something else: no proof costs less.
    Max,
}

/// The cost of each node and the option that has it, none for what has no proof (Knuth, "A generalization of Dijkstra's
/// algorithm", 1977). What an option takes was found before the node: following them leads to no circle.
fn cheapest(nodes: &[Node], join: Join) -> (Vec<Option<Size>>, Vec<Option<usize>>) {
    let mut costs: Vec<Option<Size>> = vec![None; nodes.len()];
    let mut choices = vec![None; nodes.len()];
    // For each node, the options that take it; for each option, what it comes to so far and how much of it is still to come.
    let mut users: Vec<Vec<(usize, usize)>> = vec![Vec::new(); nodes.len()];
    let mut waiting: Vec<Vec<(Size, usize)>> = Vec::with_capacity(nodes.len());
    let mut pending = BinaryHeap::new();
    for (at, node) in nodes.iter().enumerate() {
        for (option, takes) in node.options.iter().enumerate() {
            for of in takes {
                if let Some(users) = users.get_mut(*of) {
                    users.push((at, option));
                }
            }
            if takes.is_empty() {
                pending.push(Reverse((node.size, at, option)));
            }
        }
        waiting.push(node.options.iter().map(|takes| (Size::NOTHING, takes.len())).collect());
    }
    while let Some(Reverse((cost, at, option))) = pending.pop() {
        let Some(place) = costs.get_mut(at).filter(|place| place.is_none()) else { continue };
        *place = Some(cost);
        if let Some(choice) = choices.get_mut(at) {
            *choice = Some(option);
        }
        for (user, option) in users.get(at).into_iter().flatten().copied() {
            let Some((so_far, n_left)) = waiting.get_mut(user).and_then(|of| of.get_mut(option)) else { continue };
            *so_far = if join == Join::Sum { *so_far + cost } else { (*so_far).max(cost) };
            *n_left = n_left.saturating_sub(1);
            if *n_left == 0 {
                let size = nodes.get(user).map_or(Size::NOTHING, |node| node.size);
                pending.push(Reverse((size + *so_far, user, option)));
            }
        }
    }
    (costs, choices)
}

/// The proof that takes these options, each fact counted once.
fn first(nodes: &[Node], choices: &[Option<usize>]) -> Found {
    let mut found = Found { choice: vec![None; nodes.len()], size: Size::NOTHING, is_proven: false };
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        let (Some(node), Some(option)) = (nodes.get(at), choices.get(at).copied().flatten()) else { continue };
        let Some(place) = found.choice.get_mut(at).filter(|place| place.is_none()) else { continue };
        *place = Some(option);
        found.size = found.size + node.size;
        pending.extend(node.options.get(option).into_iter().flatten());
    }
    found
}

/// For each node the options that are worth trying, the cheap ones first: those with a proof, and of those that take the same or
/// more only one.
fn orders(nodes: &[Node], costs: &[Option<Size>]) -> Vec<Vec<usize>> {
    let cost = |takes: &[usize]| {
        takes.iter().try_fold(Size::NOTHING, |sum, at| Some(sum + costs.get(*at).copied().flatten()?))
    };
    let of = |node: &Node| {
        let mut order: Vec<(Size, usize)> =
            node.options.iter().enumerate().filter_map(|(at, takes)| Some((cost(takes)?, at))).collect();
        order.sort_unstable();
        let mut kept: Vec<(usize, BTreeSet<usize>)> = Vec::new();
        for (_, at) in order {
            let takes: BTreeSet<usize> = node.options.get(at).into_iter().flatten().copied().collect();
            // Comparing each with each is for nodes with few.
            let looked_at = if node.options.len() <= 64 { kept.len() } else { 1 };
            if !kept.iter().rev().take(looked_at).any(|(_, others)| others.is_subset(&takes)) {
                kept.push((at, takes));
            }
        }
        kept.into_iter().map(|(at, _)| at).collect()
    };
    nodes.iter().map(of).collect()
}

/// For each node, nodes that every proof of it has, itself included: the greatest solution of "what all options have in common".
fn needed(nodes: &[Node], costs: &[Option<Size>], steps: &mut u64) -> Vec<Vec<usize>> {
    let mut needed: Vec<Option<Vec<usize>>> = vec![None; nodes.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for of in node.options.iter().flatten() {
            if let Some(users) = users.get_mut(*of)
                && users.last() != Some(&at)
            {
                users.push(at);
            }
        }
    }
    let is_provable = |at: &usize| costs.get(*at).is_some_and(Option::is_some);
    let mut order: Vec<usize> = (0..nodes.len()).filter(is_provable).collect();
    order.sort_by_key(|at| costs.get(*at).copied().flatten());
    let mut pending: BTreeSet<(usize, usize)> = order.iter().copied().enumerate().collect();
    let mut ranks = vec![0; nodes.len()];
    for (rank, at) in order.iter().enumerate() {
        if let Some(place) = ranks.get_mut(*at) {
            *place = rank;
        }
    }
    while let Some((_, at)) = pending.pop_first() {
        let Some(node) = nodes.get(at) else { continue };
        let mut common: Option<BTreeSet<usize>> = None;
        for takes in node.options.iter().filter(|takes| takes.iter().all(is_provable)) {
            // What is not known yet may be anything: for now it takes nothing away.
            let all: Option<Vec<&Vec<usize>>> = takes.iter().map(|of| needed.get(*of)?.as_ref()).collect();
            let Some(all) = all else { continue };
            let n_steps = all.iter().map(|of| 1 + of.len() as u64).sum();
            let Some(left) = steps.checked_sub(n_steps) else { return vec![Vec::new(); nodes.len()] };
            *steps = left;
            let all: BTreeSet<usize> = all.into_iter().flatten().copied().collect();
            common = Some(match common {
                Some(common) => common.intersection(&all).copied().collect(),
                None => all,
            });
        }
        let Some(mut common) = common else { continue };
        common.insert(at);
        if let Some(before) = needed.get(at).and_then(Option::as_ref) {
            common.retain(|of| before.contains(of));
        }
        let found: Vec<usize> = common.into_iter().take(NEEDED_MAX).collect();
        if let Some(place) = needed.get_mut(at)
            && place.as_ref() != Some(&found)
        {
            *place = Some(found);
            let rank = |user: &usize| Some((*ranks.get(*user)?, *user));
            pending.extend(users.get(at).into_iter().flatten().filter(|user| is_provable(user)).filter_map(rank));
        }
    }
    needed.into_iter().map(Option::unwrap_or_default).collect()
}

/// For each node, itself and all that a proof of it may have, as bits; none if there are too many nodes.
fn supports(nodes: &[Node]) -> Vec<Vec<u64>> {
    if SUPPORTED_MAX < nodes.len() {
        return Vec::new();
    }
    let n_words = nodes.len().div_ceil(64);
    let of = |start: usize| {
        let mut bits = vec![0_u64; n_words];
        let mut pending = vec![start];
        while let Some(at) = pending.pop() {
            let Some(word) = bits.get_mut(at / 64).filter(|word| **word & bit(at) == 0) else { continue };
            *word |= bit(at);
            pending.extend(nodes.get(at).into_iter().flat_map(|node| node.options.iter().flatten().copied()));
        }
        bits
    };
    (0..nodes.len()).map(of).collect()
}

fn bit(at: usize) -> u64 {
    1 << (at % 64)
}

/// Branch and bound, depth first.
struct Search<'n> {
    nodes: &'n [Node],
    orders: Vec<Vec<usize>>,
    needed: Vec<Vec<usize>>,
    supports: Vec<Vec<u64>>,
    /// No proof of a node is smaller.
    least: Vec<Size>,
    /// The options taken so far.
    chosen: Vec<Option<usize>>,
    /// Whether a node is a part of the proof.
    reached: Vec<bool>,
    /// The nodes that are, in the order in which they became so.
    taken: Vec<usize>,
    /// Those for which no option is taken yet.
    open: Vec<usize>,
    size: Size,
    best: Found,
}

/// A node for which an option is taken, and what there was before.
struct Frame {
    at: usize,
    next: usize,
    n_taken: usize,
    open: Vec<usize>,
    size: Size,
}

impl Search<'_> {
    /// Looks at all proofs that may be smaller than the best. False if the steps run out before.
    fn run(&mut self, steps: &mut u64) -> bool {
        let mut stack: Vec<Frame> = Vec::new();
        self.reach(0);
        loop {
            let n_steps = 1 + self.open.len() as u64;
            let Some(left) = steps.checked_sub(n_steps) else { return false };
            *steps = left;
            let is_better = self.bound() < self.best.size;
            match self.next_open() {
                None if is_better => {
                    self.best = Found { choice: self.chosen.clone(), size: self.size, is_proven: false };
                }
                Some(at) if is_better => {
                    let open = self.open.clone();
                    stack.push(Frame { at, next: 0, n_taken: self.taken.len(), open, size: self.size });
                }
                _ => {}
            }
            loop {
                let Some(frame) = stack.last_mut() else { return true };
                let (at, next) = (frame.at, frame.next);
                frame.next += 1;
                let (n_taken, size) = (frame.n_taken, frame.size);
                self.open.clone_from(&frame.open);
                self.undo(at, n_taken, size);
                match self.orders.get(at).and_then(|order| order.get(next)).copied() {
                    Some(option) => {
                        if self.take(at, option, steps) {
                            break;
                        }
                    }
                    None => {
                        stack.pop();
                    }
                }
            }
        }
    }

    /// The open node with the fewest options.
    fn next_open(&self) -> Option<usize> {
        self.open.iter().copied().min_by_key(|at| self.orders.get(*at).map(Vec::len))
    }

    fn reach(&mut self, at: usize) {
        if let Some(place) = self.reached.get_mut(at).filter(|place| !**place) {
            *place = true;
            self.taken.push(at);
            self.open.push(at);
            self.size = self.size + self.nodes.get(at).map_or(Size::NOTHING, |node| node.size);
        }
    }

    fn undo(&mut self, at: usize, n_taken: usize, size: Size) {
        for taken in self.taken.drain(n_taken..) {
            if let Some(place) = self.reached.get_mut(taken) {
                *place = false;
            }
        }
        if let Some(place) = self.chosen.get_mut(at) {
            *place = None;
        }
        self.size = size;
    }

    /// Takes an option of a node, unless that leads in a circle.
    fn take(&mut self, at: usize, option: usize, steps: &mut u64) -> bool {
        let nodes = self.nodes;
        let Some(takes) = nodes.get(at).and_then(|node| node.options.get(option)) else { return false };
        if self.leads_to(takes, at, steps) {
            return false;
        }
        self.open.retain(|of| *of != at);
        if let Some(place) = self.chosen.get_mut(at) {
            *place = Some(option);
        }
        for of in takes {
            self.reach(*of);
        }
        true
    }

    /// Whether the options taken so far lead from some nodes to another.
    fn leads_to(&self, from: &[usize], to: usize, steps: &mut u64) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<usize> = from.to_vec();
        while let Some(at) = pending.pop() {
            if at == to {
                return true;
            }
            if !seen.insert(at) {
                continue;
            }
            *steps = steps.saturating_sub(1);
            let option = self.chosen.get(at).copied().flatten();
            let takes = self.nodes.get(at).zip(option).and_then(|(node, option)| node.options.get(option));
            pending.extend(takes.into_iter().flatten());
        }
        false
    }

    /// No proof that goes on like this is smaller.
    fn bound(&self) -> Size {
        let size = |at: usize| self.nodes.get(at).map_or(Size::NOTHING, |node| node.size);
        let is_reached = |at: usize| self.reached.get(at) == Some(&true);
        let needed = |at: usize| self.needed.get(at).into_iter().flatten().copied();
        let sum = |of: BTreeSet<usize>| of.into_iter().fold(Size::NOTHING, |sum, at| sum + size(at));
        let all = self.open.iter().flat_map(|at| needed(*at)).filter(|at| !is_reached(*at)).collect();
        let by_need = self.size + sum(all);
        let mut apart = self.size;
        let mut used: Vec<u64> = Vec::new();
        if let Some(first) = self.supports.first() {
            used = vec![0; first.len()];
            for at in &self.taken {
                if let Some(word) = used.get_mut(at / 64) {
                    *word |= bit(*at);
                }
            }
        }
        let mut deepest = Size::NOTHING;
        for at in &self.open {
            let least = self.least.get(*at).copied().unwrap_or_default();
            deepest = deepest.max(least);
            let Some(support) = self.supports.get(*at) else { continue };
            let own = |word: usize| if word == at / 64 { bit(*at) } else { 0 };
            let is_apart =
                support.iter().enumerate().zip(&used).all(|((word, bits), used)| bits & !own(word) & used == 0);
            if is_apart {
                used.iter_mut().zip(support).for_each(|(used, bits)| *used |= bits);
                let by_need = sum(needed(*at).filter(|of| of != at).collect());
                apart = apart + by_need.max(least - size(*at));
            }
        }
        by_need.max(apart).max(deepest)
    }
}

#[cfg(test)]
mod tests;
