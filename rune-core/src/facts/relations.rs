//! Relations with what is certain of them and what is not, and the derived attributes that are read from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use hashbrown::HashMap;

use crate::{
    base::{Span, Symbol, Value},
    check::rules::{CheckedRules, Names, Predicate, PredicateId, PredicateKind},
    expr::{Derived, Failure, Form},
};

use super::{
    places::{Births, Places, Tick},
    table::{RowId, Table},
};

/// A relation: its rows, and those that it may have because something that decides them has no value.
#[derive(Debug, Clone, Default)]
pub struct Relation {
    /// The rows.
    pub rows: Table,
    /// Rows that are neither there nor absent; [`Value::UNKNOWN`] in one stands for any value.
    pub doubts: Doubts,
    /// Where the given rows stand.
    pub places: Places,
    /// When the derived rows came.
    pub births: Births,
    /// Whether its rows come through the API, and stand nowhere.
    pub is_live: bool,
    /// Whether no rule adds to it: all of its rows are given, wherever they come from.
    pub is_base: bool,
}

/// Undetermined rows, each with why it is so.
#[derive(Debug, Clone, Default)]
pub struct Doubts {
    rows: Table,
    causes: Vec<Value>,
    n_loose: usize,
}

impl Doubts {
    /// None, of a relation with this many columns.
    #[must_use]
    pub fn new(arity: usize) -> Self {
        Self { rows: Table::new(arity), ..Self::default() }
    }

    /// Adds a row with its cause, and says whether it was new.
    pub fn insert(&mut self, row: &[Value], cause: Value) -> bool {
        let is_new = self.rows.insert(row);
        if is_new {
            self.causes.push(cause);
            self.n_loose += usize::from(row.contains(&Value::UNKNOWN));
        }
        is_new
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> RowId {
        self.rows.len()
    }

    /// Those of a range, in the order in which they were added.
    pub fn range(&self, range: Range<RowId>) -> impl Iterator<Item = (&[Value], Value)> {
        let cause = |at: RowId| self.causes.get(at as usize).copied();
        range.filter_map(move |at| Some((self.rows.row(at), cause(at)?)))
    }

    /// Those among which are all that may have the values asked for, with their causes: found by an index on the first of these
    /// columns, if there is one and no row has an unknown value.
    pub fn candidates(&self, key: &[Option<Value>]) -> impl Iterator<Item = (&[Value], Value)> {
        let known = key.iter().enumerate().find_map(|(at, value)| Some((at, (*value)?)));
        let known = known.filter(|(_, value)| self.n_loose == 0 && *value != Value::UNKNOWN);
        let indexed = known.and_then(|(at, value)| Some(self.rows.probe(self.rows.find_index(&[at])?, &[value])));
        let all = if indexed.is_some() { 0..0 } else { 0..self.len() };
        let found = indexed.into_iter().flatten().chain(all);
        found.filter_map(|at| Some((self.rows.row(at), self.causes.get(at as usize).copied()?)))
    }

    /// Makes the indexes that [`Self::candidates`] uses.
    pub fn index(&mut self, n_columns: usize) {
        for column in 0..n_columns {
            self.rows.index_on(&[column]);
        }
    }

    /// The rows with their causes.
    pub fn iter(&self) -> impl Iterator<Item = (&[Value], Value)> {
        self.rows.rows().zip(self.causes.iter().copied())
    }

    /// Why a row that is not there may be: `key` holds the values that are asked for, or none for any.
    #[must_use]
    pub fn cause(&self, key: &[Option<Value>]) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        if self.n_loose == 0
            && let Some(row) = key.iter().copied().collect::<Option<Vec<_>>>()
            && !row.contains(&Value::UNKNOWN)
        {
            return self.rows.find(&row).and_then(|at| self.causes.get(at as usize).copied());
        }
        self.candidates(key).find(|(row, _)| matches(row, key)).map(|(_, cause)| cause)
    }
}

/// Whether a row may have the values asked for.
#[must_use]
pub fn matches(row: &[Value], key: &[Option<Value>]) -> bool {
    row.iter().zip(key).all(|(value, wanted)| match wanted {
        None => true,
        Some(wanted) => value == wanted || [*value, *wanted].contains(&Value::UNKNOWN),
    })
}

impl Relation {
    /// Without rows.
    #[must_use]
    pub fn new(arity: usize) -> Self {
        Self { rows: Table::new(arity), doubts: Doubts::new(arity), ..Self::default() }
    }

    /// Without rows, which come and go while others read what they were.
    #[must_use]
    pub fn shared(arity: usize) -> Self {
        Self { rows: Table::shared(arity), doubts: Doubts::new(arity), ..Self::default() }
    }

    /// Without rows, all of which come through the API.
    #[must_use]
    pub fn live(arity: usize) -> Self {
        Self { is_live: true, ..Self::shared(arity) }
    }

    /// How many of its rows, the first ones, are given.
    #[must_use]
    pub fn n_given(&self) -> RowId {
        if self.is_base { self.rows.len() } else { self.places.len() }
    }

    /// Adds a row that stands somewhere, before any is derived.
    pub fn give(&mut self, row: &[Value], span: Span) {
        if self.rows.insert(row) {
            self.places.push(span);
        }
    }

    /// Adds rows that stand somewhere, before any is derived: their cells, how many there are, and where each stands. Says how many
    /// were new.
    pub fn give_all(&mut self, cells: &[Value], n_rows: usize, span: impl Fn(usize) -> Span) -> RowId {
        self.rows.fit(self.rows.len() as usize + n_rows);
        let Self { rows, places, .. } = self;
        let n_before = rows.len();
        rows.insert_each(cells, |at| places.push(span(at)));
        rows.len() - n_before
    }

    /// A row by its place, and when it came.
    #[must_use]
    pub fn row_at(&self, at: RowId) -> Option<(Vec<Value>, Tick)> {
        (at < self.rows.len()).then(|| (self.rows.row(at).to_vec(), self.births.of(at)))
    }

    /// The values of its rows, and of those that it may have with why.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        let doubts = self.doubts.iter().flat_map(|(row, cause)| row.iter().copied().chain([cause]));
        self.rows.rows().flatten().copied().chain(doubts)
    }

    /// Where a given row stands.
    #[must_use]
    pub fn place_of(&self, at: RowId) -> Option<Span> {
        self.places.of(at).or(self.is_live.then_some(Span::LIVE))
    }

    /// Whether a row is there.
    ///
    /// # Errors
    ///
    /// If that is undetermined.
    pub fn holds(&self, row: &[Value]) -> Result<bool, Failure> {
        if self.rows.find(row).is_some() {
            return Ok(true);
        }
        let key = || row.iter().copied().map(Some).collect::<Vec<_>>();
        match (!self.doubts.is_empty()).then(|| self.doubts.cause(&key())).flatten() {
            Some(cause) => Err(Failure::Undetermined(cause)),
            None => Ok(false),
        }
    }
}

/// All relations of a ruleset, by their places.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    all: Vec<Arc<Relation>>,
    attributes: Arc<HashMap<(Symbol, Symbol), Derived>>,
    /// Relations as they were before anything was derived.
    given: BTreeMap<PredicateId, Arc<Relation>>,
    /// Whether rules derive parents or rows give some, so that `in` is more than the entities say.
    pub has_parent_rows: bool,
    /// Whether parents and who is in what are kept as rows.
    pub keeps_parents: bool,
}

impl Relations {
    /// The relations of a set of rules, without rows. `names` gives the symbol of each column's name.
    #[must_use]
    pub fn new(rules: &CheckedRules, mut name: impl FnMut(&str) -> Symbol) -> Self {
        let relation = |(at, predicate): (usize, &Predicate)| match predicate.kind {
            PredicateKind::Live => Relation::live(predicate.columns.len()),
            // Who is in what changes with who is whose parent.
            _ if rules.changing.contains_key(&if PredicateId(at) == Names::IN {
                Names::PARENT
            } else {
                PredicateId(at)
            }) =>
            {
                Relation::shared(predicate.columns.len())
            }
            _ => Relation::new(predicate.columns.len()),
        };
        let has_rules: BTreeSet<PredicateId> = rules.rules.iter().map(|rule| rule.head).collect();
        // Who is in what follows from parents.
        let is_base = |at: usize| !has_rules.contains(&PredicateId(at)) && PredicateId(at) != Names::IN;
        let all = rules.predicates.iter().enumerate();
        let relations = all.map(|of| Arc::new(Relation { is_base: is_base(of.0), ..relation(of) })).collect();
        let mut attributes = HashMap::new();
        for attribute in &rules.attributes {
            let Some(predicate) = rules.predicate(attribute.predicate) else { continue };
            let columns = predicate.columns.iter().skip(1).map(|column| column.name.as_deref().map(&mut name));
            let form = match (predicate.columns.len(), predicate.key.is_some()) {
                (1, _) => Form::Flag,
                (2, false) => Form::Set,
                (2, true) => Form::Value,
                (_, is_function) => {
                    let names: Vec<Symbol> = columns.flatten().collect();
                    if is_function { Form::Record(names.into()) } else { Form::Records(names.into()) }
                }
            };
            attributes.insert((attribute.kind, attribute.name), Derived { relation: attribute.predicate.0, form });
        }
        let has_parent_rows = rules.rules.iter().any(|rule| rule.head == Names::PARENT);
        Self {
            all: relations,
            attributes: Arc::new(attributes),
            given: BTreeMap::new(),
            has_parent_rows,
            keeps_parents: false,
        }
    }

    /// A relation.
    #[must_use]
    pub fn get(&self, id: PredicateId) -> Option<&Relation> {
        self.all.get(id.0).map(Arc::as_ref)
    }

    /// A relation, to be shared.
    #[must_use]
    pub fn share(&self, id: PredicateId) -> Option<Arc<Relation>> {
        self.all.get(id.0).cloned()
    }

    /// A relation, to change it.
    pub fn get_mut(&mut self, id: PredicateId) -> Option<&mut Relation> {
        self.all.get_mut(id.0).map(Arc::make_mut)
    }

    /// Puts a relation in the place of what it was.
    pub fn put(&mut self, id: PredicateId, relation: Relation) {
        if let Some(place) = self.all.get_mut(id.0) {
            *place = Arc::new(relation);
        }
    }

    /// The relations whose rows come through the API.
    pub fn all_live(&self) -> impl Iterator<Item = (PredicateId, &Relation)> {
        let live = self.all.iter().enumerate().filter(|(_, relation)| relation.is_live);
        live.map(|(at, relation)| (PredicateId(at), relation.as_ref()))
    }

    /// How many rows live relations have.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.all_live().map(|(_, relation)| u64::from(relation.rows.len())).sum()
    }

    /// Keeps a relation as it is now, for requests that derive it anew.
    pub fn keep_given(&mut self, id: PredicateId) {
        let is_kept = |relation: &&Arc<Relation>| relation.rows.is_shared() || !relation.rows.is_empty();
        if let Some(relation) = self.all.get(id.0).filter(is_kept) {
            self.given.insert(id, relation.clone());
        }
    }

    /// A relation as it was kept, to change it.
    pub fn given_mut(&mut self, id: PredicateId) -> Option<&mut Relation> {
        self.given.get_mut(&id).map(Arc::make_mut)
    }

    /// A relation as it was kept, if it had any rows.
    #[must_use]
    pub fn given(&self, id: PredicateId) -> Option<&Relation> {
        self.given.get(&id).map(Arc::as_ref)
    }

    /// The derived attribute of a type, if it has one of this name.
    #[must_use]
    pub fn attribute(&self, kind: Symbol, name: Symbol) -> Option<&Derived> {
        if self.attributes.is_empty() {
            return None;
        }
        self.attributes.get(&(kind, name))
    }

    /// The questions about derived attributes that policies ask: whether there is a row, and which rows an entity has.
    #[must_use]
    pub fn attributes(&self) -> Vec<(PredicateId, Vec<usize>)> {
        let mut ids: Vec<usize> = self.attributes.values().map(|of| of.relation).collect();
        ids.sort_unstable();
        ids.dedup();
        let questions = |id: usize| {
            let arity = self.all.get(id).map_or(0, |relation| relation.rows.arity());
            [(PredicateId(id), (0..arity).collect()), (PredicateId(id), vec![0])]
        };
        ids.into_iter().flat_map(questions).collect()
    }

    /// The rows that are given, of all relations, and where they stand.
    pub fn given_rows(&self) -> impl Iterator<Item = (&[Value], Span)> {
        self.given_parts().flat_map(|(relation, n_given)| {
            (0..n_given).filter_map(|at| Some((relation.rows.row(at), relation.place_of(at)?)))
        })
    }

    /// The rows of a relation that are given.
    pub fn given_of(&self, id: PredicateId) -> impl Iterator<Item = &[Value]> {
        let part = self.given_parts().nth(id.0);
        part.into_iter().flat_map(|(relation, n_given)| relation.rows.rows().take(n_given as usize))
    }

    /// Whether a row of a relation is given.
    #[must_use]
    pub fn is_given(&self, id: PredicateId, row: &[Value]) -> bool {
        match self.given(id) {
            Some(given) => given.rows.find(row).is_some(),
            None => self.get(id).is_some_and(|of| of.rows.find(row).is_some_and(|at| at < of.n_given())),
        }
    }

    /// The relations, by their places, and how many of their first rows are given.
    fn given_parts(&self) -> impl Iterator<Item = (&Relation, RowId)> {
        self.all.iter().enumerate().map(|(at, relation)| match self.given(PredicateId(at)) {
            // Nothing had been derived.
            Some(given) => (given, given.rows.len()),
            None => (relation.as_ref(), relation.n_given()),
        })
    }

    /// The same relations with the rows that are given, and nothing that follows from them.
    #[must_use]
    pub fn given_alone(&self, arity: impl Fn(PredicateId) -> usize) -> Self {
        let given = |(at, (relation, n_given)): (usize, (&Relation, RowId))| {
            let mut given = Relation::new(arity(PredicateId(at)));
            for row in relation.rows.rows().take(n_given as usize) {
                given.rows.insert(row);
            }
            let Relation { is_live, is_base, .. } = *relation;
            Arc::new(Relation { places: relation.places.clone(), is_live, is_base, ..given })
        };
        Self {
            all: self.given_parts().enumerate().map(given).collect(),
            attributes: self.attributes.clone(),
            given: BTreeMap::new(),
            has_parent_rows: self.has_parent_rows,
            keeps_parents: self.keeps_parents,
        }
    }

    /// How many rows are given, of all relations.
    #[must_use]
    pub fn n_given(&self) -> u64 {
        self.given_parts().map(|(_, n_given)| u64::from(n_given)).sum()
    }

    /// How many rows there are in all.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.all.iter().map(|relation| u64::from(relation.rows.len())).sum()
    }
}
