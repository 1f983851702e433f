//! Smallest proofs of random graphs, and those by brute force.

use std::collections::BTreeMap;

use super::*;

/// All sizes of well-founded proofs, by trying every choice of options.
fn by_force(nodes: &[Node]) -> Option<Size> {
    let mut best: Option<Size> = None;
    let mut chosen: BTreeMap<usize, usize> = BTreeMap::new();
    force(nodes, &mut chosen, &mut vec![0], &mut best);
    best
}

fn force(nodes: &[Node], chosen: &mut BTreeMap<usize, usize>, open: &mut Vec<usize>, best: &mut Option<Size>) {
    let Some(at) = open.pop() else {
        if is_well_founded(nodes, chosen) {
            let size = chosen.keys().fold(Size::NOTHING, |sum, at| sum + nodes[*at].size);
            *best = Some(best.map_or(size, |best| best.min(size)));
        }
        return;
    };
    if chosen.contains_key(&at) {
        force(nodes, chosen, open, best);
    } else {
        for (option, takes) in nodes[at].options.iter().enumerate() {
            chosen.insert(at, option);
            let mut more = open.clone();
            more.extend(takes);
            force(nodes, chosen, &mut more, best);
            chosen.remove(&at);
        }
    }
    open.push(at);
}

fn is_well_founded(nodes: &[Node], chosen: &BTreeMap<usize, usize>) -> bool {
    let mut proven = BTreeSet::new();
    loop {
        let next = chosen.iter().find(|(at, option)| {
            !proven.contains(*at) && nodes[**at].options[**option].iter().all(|of| proven.contains(of))
        });
        match next {
            Some((at, _)) => proven.insert(*at),
            None => return proven.len() == chosen.len(),
        };
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a small number") % sides
    }
}

/// A graph of a few nodes, of which the later half are given.
fn graph(dice: &mut Dice) -> Vec<Node> {
    let n = 4 + dice.roll(9);
    let n_derived = n / 2;
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..n {
        if n_derived <= at {
            nodes.push(Node { size: Size::GIVEN, options: vec![Vec::new()] });
            continue;
        }
        let size = if dice.roll(5) == 0 { Size::NOTHING } else { Size::DERIVED };
        let options = (0..=dice.roll(3)).map(|_| {
            let mut takes: Vec<usize> = (0..=dice.roll(3)).map(|_| dice.roll(n)).collect();
            takes.sort_unstable();
            takes.dedup();
            takes
        });
        nodes.push(Node { size, options: options.collect() });
    }
    nodes
}

#[test]
fn the_smallest_proof_of_random_graphs_is_that_of_all() {
    let (mut n_found, mut n_shared) = (0, 0);
    for seed in 0..6_000 {
        let nodes = graph(&mut Dice(seed));
        let found = smallest(&nodes, &mut 1_000_000);
        assert_eq!(found.as_ref().map(|found| found.size), by_force(&nodes), "seed {seed}: {nodes:?}");
        let Some(found) = found else { continue };
        assert!(found.is_proven, "seed {seed}");
        let chosen: BTreeMap<usize, usize> =
            found.choice.iter().enumerate().filter_map(|(at, option)| Some((at, (*option)?))).collect();
        assert!(is_well_founded(&nodes, &chosen), "seed {seed}: {found:?}");
        assert_eq!(chosen.keys().fold(Size::NOTHING, |sum, at| sum + nodes[*at].size), found.size, "seed {seed}");
        let (_, choices) = cheapest(&nodes, Join::Sum);
        n_found += 1;
        n_shared += usize::from(found.size < first(&nodes, &choices).size);
    }
    assert!(4_000 < n_found && 40 < n_shared, "{n_found} have a proof, {n_shared} one that shares more");
}

#[test]
fn without_steps_a_proof_is_found_and_not_said_to_be_the_smallest() {
    let mut n_open = 0;
    for seed in 0..500 {
        let nodes = graph(&mut Dice(seed));
        let (Some(found), Some(least)) = (smallest(&nodes, &mut 3), by_force(&nodes)) else { continue };
        assert!(least <= found.size);
        assert!(!found.is_proven || found.size == least);
        n_open += usize::from(!found.is_proven);
    }
    assert!(100 < n_open, "{n_open}");
}

#[test]
fn many_alternatives_that_have_nothing_in_common_take_few_steps() {
    // Forty facts are needed, each of which follows from either of two.
    let mut nodes = vec![Node { size: Size::NOTHING, options: vec![(1..41).collect()] }];
    nodes.extend((0..40).map(|at| Node { size: Size::DERIVED, options: vec![vec![41 + 2 * at], vec![42 + 2 * at]] }));
    nodes.extend((0..80).map(|_| Node { size: Size::GIVEN, options: vec![Vec::new()] }));
    let found = smallest(&nodes, &mut 100_000).expect("a proof");
    assert_eq!((found.size, found.is_proven), (Size { given: 40, derived: 40 }, true));
}
