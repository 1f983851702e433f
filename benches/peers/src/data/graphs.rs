//! Graphs.

use std::collections::HashSet;

use crate::random::Random;

use super::{Size, Tables, distinct};

/// The value for the size; the families of this module have three.
pub fn by_size<T: Copy>(size: Size, values: [T; 3]) -> T {
    values[match size {
        Size::S => 0,
        Size::M => 1,
        _ => 2,
    }]
}

fn edges(rows: impl IntoIterator<Item = [u32; 2]>) -> Tables {
    let mut tables = Tables::default();
    tables.add("edge", rows);
    tables
}

/// A path: n(n-1)/2 pairs, and as many rounds as it has edges.
pub fn chain(size: Size) -> Tables {
    edges((1..by_size(size, [1_000, 2_000, 4_000])).map(|to| [to - 1, to]))
}

/// Directed, with about two edges a node: one large cycle.
pub fn random(size: Size, random: &mut Random) -> Tables {
    let n = by_size(size, [1_000, 2_000, 4_000]);
    edges(pairs(n, 2 * n, random))
}

/// `k` times `k` nodes, edges to the right and down: very many proofs of each pair.
pub fn grid(size: Size) -> Tables {
    let k = by_size(size, [30, 50, 70]);
    let right = (0..k * k).filter(|node| node % k + 1 < k).map(|node| [node, node + 1]);
    let down = (0..k * (k - 1)).map(|node| [node, node + k]);
    edges(right.chain(down))
}

/// Preferential attachment, from the new to the old: no cycles, and hubs.
pub fn scale_free(size: Size, random: &mut Random) -> Tables {
    let (mut targets, mut rows) = (vec![0], Vec::new());
    for node in 1..by_size(size, [10_000, 30_000, 100_000]) {
        for _ in 0..2 {
            let target = if random.chance(0.8) { random.pick(&targets) } else { random.below(node) };
            if target != node {
                rows.push([node, target]);
                targets.push(target);
            }
        }
        targets.push(node);
    }
    edges(distinct(rows))
}

/// A random tree, for same generation.
pub fn tree(size: Size, random: &mut Random) -> Tables {
    let n = by_size(size, [1_000, 3_000, 6_000]);
    let above = |node: u32, random: &mut Random| match node {
        1 => 0,
        _ => random.within((node / 3).saturating_sub(3), node / 2 + 1),
    };
    let mut tables = Tables::default();
    tables.add("below", (1..n).map(|node| [node, above(node, random)]));
    tables
}

/// From the small to the large, skewed to the small: for triangles.
pub fn skewed(size: Size, random: &mut Random) -> Tables {
    let (n, n_edges) = by_size(size, [(5_000, 50_000), (20_000, 300_000), (50_000, 1_000_000)]);
    let mut seen = HashSet::new();
    while seen.len() < n_edges {
        let [a, b] = [0; 2].map(|_| (f64::from(n) * random.unit().powi(2)) as u32);
        if a != b {
            seen.insert([a.min(b), a.max(b)]);
        }
    }
    edges(distinct(seen))
}

/// As [`random`], and a twentieth of the nodes blocked.
pub fn blocked(size: Size, random: &mut Random) -> Tables {
    let n = by_size(size, [800, 1_500, 3_000]);
    let mut tables = edges(pairs(n, 2 * n, random));
    let mut blocked = HashSet::new();
    while (blocked.len() as u32) < n / 20 {
        blocked.insert([random.below(n)]);
    }
    tables.add("blocked", distinct(blocked));
    tables
}

fn pairs(n: u32, n_pairs: u32, random: &mut Random) -> Vec<[u32; 2]> {
    let mut seen = HashSet::new();
    while (seen.len() as u32) < n_pairs {
        let [a, b] = [0; 2].map(|_| random.below(n));
        if a != b {
            seen.insert([a, b]);
        }
    }
    distinct(seen)
}
