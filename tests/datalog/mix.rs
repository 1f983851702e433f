//! What was asked of how many worlds, and what the answers were like.

use std::{collections::BTreeMap, fmt};

use super::{Answer, Kind};

#[derive(Default)]
pub struct Mix {
    pub worlds: usize,
    pub refused: usize,
    /// How many worlds each finding refused.
    pub refused_for: BTreeMap<String, usize>,
    pub with_schema: usize,
    /// Relations that depend on no request, and those of them with undetermined rows.
    pub relations: usize,
    pub doubts: usize,
    /// Queries of relations that depend on the request, and those of them with an answer that is undetermined.
    pub queries: usize,
    pub open_queries: usize,
    requests: usize,
    allowed: usize,
    undetermined: usize,
    several: usize,
    flipped: usize,
}

impl Mix {
    pub fn count(&mut self, answer: &Answer, is_flipped: bool) {
        self.requests += 1;
        self.allowed += usize::from(answer.kind == Kind::Allowed);
        self.undetermined += usize::from(!answer.failed.is_empty());
        self.several += usize::from(1 < answer.determining.len());
        self.flipped += usize::from(is_flipped);
    }

    /// Worlds whose answers are all alike would prove nothing.
    pub fn check(&self) {
        assert!(self.refused < self.worlds, "more than half of the worlds are refused: {self}");
        for (what, n, of, percent_min) in [
            ("requests are allowed", self.allowed, self.requests, 20),
            ("requests have something undetermined", self.undetermined, self.requests, 10),
            ("requests have several reasons", self.several, self.requests, 10),
            ("requests are flipped by a negation", self.flipped, self.requests, 10),
            ("worlds have a schema", self.with_schema, self.worlds, 10),
            ("relations have undetermined rows", self.doubts, self.relations, 5),
            ("queries are undetermined", self.open_queries, self.queries, 4),
        ] {
            assert!(of * percent_min <= n * 100, "fewer than {percent_min} % of the {what}: {self}");
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |n: usize, of: usize| format!("{}.{} %", n * 100 / of.max(1), n * 1_000 / of.max(1) % 10);
        let Self { worlds, refused, refused_for, relations, queries, requests, .. } = self;
        write!(f, "{worlds} worlds ({refused} more are refused, for {refused_for:?}), ")?;
        write!(f, "{} with a schema, ", percent(self.with_schema, *worlds))?;
        write!(f, "{relations} relations, {} with undetermined rows, ", percent(self.doubts, *relations))?;
        write!(f, "{queries} queries for a request, {} undetermined, ", percent(self.open_queries, *queries))?;
        write!(f, "{requests} requests: {} allowed, ", percent(self.allowed, *requests))?;
        write!(f, "{} with something undetermined, ", percent(self.undetermined, *requests))?;
        write!(f, "{} with several reasons, ", percent(self.several, *requests))?;
        write!(f, "{} flipped by a negation", percent(self.flipped, *requests))
    }
}
