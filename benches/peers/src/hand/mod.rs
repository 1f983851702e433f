//! The same questions, answered by Rust written for them: hash adjacency, and no Datalog.
//!
//! Written as one would, without tuning to the data: sets upward from the user and from the object, grants looked up where they
//! meet.

mod authz;
mod drive;
mod github;
mod iam;
mod users;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::data::{Question, Tables};

pub use authz::Authz;

/// Whoever answers the fully bound question.
pub trait Answers {
    fn may(&mut self, question: Question) -> bool;
}

/// The program for a family of data.
pub fn answers(family: &str, given: &Tables) -> Box<dyn Answers> {
    match family {
        "github" => Box::new(github::GitHub::new(given)),
        "drive" => Box::new(drive::Drive::new(given)),
        "iam" => Box::new(iam::Iam::new(given)),
        "users" => Box::new(users::Users::new(given)),
        _ => Box::new(Authz::new(given)),
    }
}

type Adjacency = FxHashMap<u32, Vec<u32>>;

/// From the first column to the second.
fn adjacency(given: &Tables, name: &str) -> Adjacency {
    adjacent(given.rows(name))
}

/// From the second column to the first.
fn reversed(given: &Tables, name: &str) -> Adjacency {
    adjacent(given.rows(name).map(|[a, b]| [b, a]))
}

fn adjacent(pairs: impl Iterator<Item = [u32; 2]>) -> Adjacency {
    let mut adjacency = Adjacency::default();
    for [from, to] in pairs {
        adjacency.entry(from).or_default().push(to);
    }
    adjacency
}

fn of(adjacency: &Adjacency, node: u32) -> &[u32] {
    adjacency.get(&node).map_or(&[], Vec::as_slice)
}

/// Pairs as keys of a set.
fn key(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

fn keys(pairs: impl Iterator<Item = [u32; 2]>) -> FxHashSet<u64> {
    pairs.map(|[a, b]| key(a, b)).collect()
}

fn set(given: &Tables, name: &str) -> FxHashSet<u32> {
    given.rows(name).map(|[a]| a).collect()
}

/// Everything above what is there: few, so that looking through them is the quickest way to know one.
fn close(nodes: &mut Vec<u32>, up: &Adjacency) {
    let mut at = 0;
    while let Some(node) = nodes.get(at).copied() {
        for above in of(up, node) {
            if !nodes.contains(above) {
                nodes.push(*above);
            }
        }
        at += 1;
    }
}

/// Everything that is reached from what is there: may be many.
fn reach(nodes: &mut Vec<u32>, seen: &mut FxHashSet<u32>, down: &Adjacency) {
    seen.clear();
    seen.extend(nodes.iter().copied());
    let mut at = 0;
    while let Some(node) = nodes.get(at).copied() {
        for below in of(down, node) {
            if seen.insert(*below) {
                nodes.push(*below);
            }
        }
        at += 1;
    }
}
