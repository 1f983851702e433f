//! What is given and what follows from it: entities with their attributes and tags, who is below whom, and the rows of
//! relations.

pub mod cell;
mod hierarchy;
mod known;
mod partitioned;
mod places;
mod relations;
pub mod revisions;
mod rows;
mod shared;
mod slots;
mod sync;
mod table;
pub mod token;

use std::sync::{Arc, OnceLock};

use hashbrown::{HashMap, HashSet};

use crate::{
    base::{Pool, Span, Symbol, Value, Values, View, value::each_entity},
    check::{
        CheckedEntity,
        rules::{Names, PredicateId},
    },
    expr::{Derived, Failure, Member, World},
};

pub use hierarchy::{Hierarchy, HierarchyFault};
pub use known::Known;
pub use partitioned::FoundRows;
pub use places::{Births, Places, Tick};
pub use relations::{Doubts, Relation, Relations, matches};
pub use rows::{hash_of, hash_row, is_same, low, row_of};
pub use slots::{BATCH, Slots};
pub use table::{IndexId, Probe, RowId, Table};

/// The immutable facts of one revision, and the values that they are made of.
#[derive(Debug)]
pub struct FactView {
    values: Arc<Pool>,
    facts: Facts,
}

/// Entities and the rows of relations, given and derived.
#[derive(Debug, Default)]
pub struct Facts {
    entities: Arc<HashMap<Value, Entity>>,
    /// The entities that come through the API: each with its attributes, its tags and its parents.
    live: Option<Table>,
    /// The known entities, once somebody has asked for them.
    known: OnceLock<Known>,
    /// The relations.
    pub relations: Relations,
}

/// Where rules read and what they read of entities.
pub trait Store: World {
    /// A relation.
    fn relation(&self, id: PredicateId) -> Option<&Relation>;

    /// A relation, to be kept for as long as one likes; none if it is not to be had so.
    fn share(&self, _: PredicateId) -> Option<Arc<Relation>> {
        None
    }

    /// A relation that rules derive here.
    fn relation_mut(&mut self, id: PredicateId) -> Option<&mut Relation>;

    /// Forgets what was found here, if that is remembered.
    fn forget(&self) {}

    /// Whether the rows of a relation are found when they are asked for: [`Self::relation`] has those that are given, and no more.
    fn is_demanded(&self, _: PredicateId) -> bool {
        false
    }

    /// The rows of such a relation that have these values and came before `before`, with their places.
    ///
    /// # Errors
    ///
    /// If finding them takes more steps than there are.
    fn demanded(
        &self,
        _: &impl Values,
        _: PredicateId,
        _: &[Option<Value>],
        _before: Tick,
    ) -> Result<Vec<(RowId, Vec<Value>)>, Failure> {
        Ok(Vec::new())
    }

    /// A row by its place, and when it came.
    fn row_at(&self, id: PredicateId, at: RowId) -> Option<(Vec<Value>, Tick)> {
        self.relation(id)?.row_at(at)
    }

    /// The place of a row, if it is there; of a relation that is demanded, if it was found.
    fn place_of_row(&self, id: PredicateId, row: &[Value]) -> Option<RowId> {
        self.relation(id)?.rows.find(row)
    }
}

/// An entity: four values, which entities that have the same share, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Entity {
    attributes: Value,
    tags: Value,
    /// What it is directly below, a set.
    parents: Value,
    /// All that it is below, a set.
    ancestors: Value,
    span: Span,
}

/// What is kept of an entity that comes through the API.
const LIVE_COLUMNS: usize = 4;

impl FactView {
    /// A revision of facts.
    #[must_use]
    pub fn new(values: Arc<Pool>, facts: Facts) -> Self {
        Self { values, facts }
    }

    /// The values of the facts and of the program over them.
    #[must_use]
    pub fn values(&self) -> &Arc<Pool> {
        &self.values
    }

    /// The facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How many entities are known.
    #[must_use]
    pub fn n_entities(&self) -> usize {
        self.facts.entities.len() + self.facts.live.as_ref().map_or(0, |live| live.len() as usize)
    }
}

impl Facts {
    /// The facts with these entities and the hierarchy that was made of them.
    #[must_use]
    pub fn new(entities: &[CheckedEntity], hierarchy: Hierarchy, relations: Relations) -> Self {
        let stored = |(entity, [parents, ancestors]): (&CheckedEntity, [Value; 2])| {
            let CheckedEntity { uid, attributes, tags, span, .. } = *entity;
            (uid, Entity { attributes, tags, parents, ancestors, span: span.unwrap_or(Span::NOWHERE) })
        };
        let entities: HashMap<Value, Entity> = entities.iter().zip(hierarchy.0).map(stored).collect();
        Self { entities: Arc::new(entities), live: None, known: OnceLock::new(), relations }
    }

    /// The same facts, to be changed.
    #[must_use]
    pub fn next(&self) -> Self {
        let Self { entities, live, relations, .. } = self;
        Self { entities: entities.clone(), live: live.clone(), known: OnceLock::new(), relations: relations.clone() }
    }

    /// Takes entities that come and go from now on.
    pub fn take_live_entities(&mut self) {
        let mut table = Table::shared(LIVE_COLUMNS);
        table.index_on(&[0]);
        self.live = Some(table);
    }

    /// Takes the entities that have come to others.
    pub fn share_live_entities(&mut self, others: &Self) {
        self.live.clone_from(&others.live);
    }

    /// Whether others store the same entities, apart from those that come, with the same parents.
    #[must_use]
    pub fn has_same_parents(&self, others: &Self) -> bool {
        let parents = |of: &Entity| of.parents;
        let is_same = |(uid, of): (&Value, &Entity)| others.entities.get(uid).map(parents) == Some(of.parents);
        self.entities.len() == others.entities.len() && self.entities.iter().all(is_same)
    }

    /// How many entities have come.
    #[must_use]
    pub fn n_live_entities(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| u64::from(live.len()))
    }

    /// The entities that have come, each with its attributes, its tags and its parents.
    pub fn live_entities(&self) -> impl Iterator<Item = &[Value]> {
        self.live.iter().flat_map(Table::rows)
    }

    /// An entity that has come, with its attributes, its tags and its parents.
    #[must_use]
    pub fn live_entity(&self, entity: Value) -> Option<&[Value]> {
        let live = self.live.as_ref()?;
        live.probe(live.find_index(&[0])?, &[entity]).next().map(|at| live.row(at))
    }

    /// Puts an entity in the place of what it was: the entity, its attributes, its tags and its parents. Says what it was.
    pub fn put_live_entity(&mut self, row: [Value; LIVE_COLUMNS]) -> Option<Vec<Value>> {
        let [entity, ..] = row;
        let old = self.remove_live_entity(entity);
        if let Some(live) = &mut self.live {
            live.insert(&row);
        }
        old
    }

    /// Puts what an entity is now in the place of what it was under another id.
    pub fn replace_live_entity(&mut self, old: &[Value], new: &[Value]) {
        if let Some(live) = &mut self.live {
            live.remove(old);
            live.insert(new);
        }
    }

    /// Takes an entity away, and says what it was.
    pub fn remove_live_entity(&mut self, entity: Value) -> Option<Vec<Value>> {
        let old = self.live_entity(entity)?.to_vec();
        self.live.as_mut()?.remove(&old);
        Some(old)
    }

    fn entry(&self, entity: Value) -> Option<Entity> {
        self.entities.get(&entity).copied().or_else(|| match *self.live_entity(entity)? {
            [_, attributes, tags, parents] => {
                Some(Entity { attributes, tags, parents, ancestors: parents, span: Span::LIVE })
            }
            _ => None,
        })
    }

    /// Where an entity is stored, if it is.
    #[must_use]
    pub fn place_of(&self, entity: Value) -> Option<Span> {
        self.entry(entity).map(|entity| entity.span)
    }

    /// The parents of an entity as its entry has them.
    #[must_use]
    pub fn stored_parents<'v>(&self, values: &'v impl Values, entity: Value) -> &'v [Value] {
        match self.entry(entity).map(|entity| values.view(entity.parents)) {
            Some(View::Set(all)) => all,
            _ => &[],
        }
    }

    /// Visits each entity that is stored or that a given row names, with its type and where that is; some more than once.
    pub fn each_known(&self, values: &impl Values, visit: &mut dyn FnMut(Symbol, Value, Span)) {
        let stored = self.stored_entities();
        // Where an entity is stored says more of it than where it is named.
        let mut at =
            |value: Value, span: Span| each_entity(values, value, &mut |kind, entity| visit(kind, entity, span));
        for (uid, entity) in &stored {
            at(*uid, entity.span);
        }
        for (_, entity) in &stored {
            for value in [entity.parents, entity.attributes, entity.tags] {
                at(value, entity.span);
            }
        }
        for (row, span) in self.relations.given_rows() {
            for value in row {
                at(*value, span);
            }
        }
    }

    /// The entities that are stored or that a given row names. They are looked for once.
    pub fn known(&self, values: &impl Values) -> &Known {
        self.known.get_or_init(|| {
            let mut known = Known::default();
            self.each_known(values, &mut |kind, entity, _| {
                if known.insert(entity) {
                    known.by_type.entry(kind).or_default().push(entity);
                }
            });
            known
        })
    }

    /// Visits each entity of a type that has a stored attribute, with its value.
    pub fn each_stored(
        &self,
        values: &impl Values,
        kind: Symbol,
        name: Symbol,
        visit: &mut dyn FnMut(Value, Value, Span),
    ) {
        for (uid, entity) in self.stored_entities() {
            let is_of_kind = matches!(values.view(uid), View::Entity(of, _) if of == kind);
            if let (true, Member::Is(value)) = (is_of_kind, member(values, entity.attributes, name)) {
                visit(uid, value, entity.span);
            }
        }
    }

    /// The parents of all entities, as their entries have them: child and parent.
    #[must_use]
    pub fn all_stored_parents(&self, values: &impl Values) -> Vec<Vec<Value>> {
        let children = self.stored_entities().into_iter().map(|(child, _)| child);
        let pairs = |child: Value| {
            self.stored_parents(values, child).iter().map(move |parent| vec![child, *parent]).collect::<Vec<_>>()
        };
        children.flat_map(pairs).collect()
    }

    /// The stored entities, in an order of their own.
    fn stored_entities(&self) -> Vec<(Value, Entity)> {
        let live = self.live_entities().filter_map(|row| row.first().copied());
        let all = self.entities.keys().copied().chain(live);
        let mut stored: Vec<(Value, Entity)> = all.filter_map(|uid| Some((uid, self.entry(uid)?))).collect();
        stored.sort_unstable_by_key(|(uid, _)| *uid);
        stored
    }

    /// How many rows are given, and parents of entities.
    #[must_use]
    pub fn n_given(&self) -> u64 {
        self.relations.n_given() + self.entities.len() as u64 + self.n_live_entities()
    }

    /// The same entities with the rows that are given, and nothing that follows from them.
    #[must_use]
    pub fn given_alone(&self, arity: impl Fn(PredicateId) -> usize) -> Self {
        let relations = self.relations.given_alone(arity);
        Self { relations, ..self.next() }
    }

    /// Whether who is in what is known only by walking up from one entity to its parents, and theirs.
    #[must_use]
    pub fn is_walked(&self) -> bool {
        self.live.is_some() && !self.relations.has_parent_rows
    }

    /// An entity and all that it is below, nearest first, up to the one that is sought; none if there are more than `n_max`.
    pub fn walk_up(
        &self,
        values: &impl Values,
        entity: Value,
        sought: Option<Value>,
        n_max: u64,
    ) -> Option<Vec<Value>> {
        let (mut above, mut seen, mut at) = (vec![entity], HashSet::new(), 0);
        seen.insert(entity);
        while let Some(child) = above.get(at).copied() {
            at += 1;
            for parent in self.stored_parents(values, child) {
                if seen.insert(*parent) {
                    above.push(*parent);
                    if Some(*parent) == sought {
                        return Some(above);
                    }
                }
            }
            if n_max < above.len() as u64 {
                return None;
            }
        }
        Some(above)
    }

    /// All that a stored entity is below, as the files say.
    fn given_ancestors<'v>(&self, values: &'v impl Values, entity: Value) -> &'v [Value] {
        match self.entities.get(&entity).map(|entity| values.view(entity.ancestors)) {
            Some(View::Set(all)) => all,
            _ => &[],
        }
    }
}

impl World for Facts {
    fn attribute(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        self.stored(values, entity, name)
    }

    fn stored(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        self.entry(entity).map_or(Member::NoEntity, |entity| member(values, entity.attributes, name))
    }

    fn tag(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        self.entry(entity).map_or(Member::NoEntity, |entity| member(values, entity.tags, name))
    }

    fn is_in(&self, values: &impl Values, entity: Value, ancestor: Value) -> Result<bool, Failure> {
        if entity == ancestor {
            return Ok(true);
        }
        match self.relations.get(Names::IN).filter(|_| self.relations.has_parent_rows) {
            Some(relation) => relation.holds(&[entity, ancestor]),
            None if self.is_walked() => {
                let above = self.walk_up(values, entity, Some(ancestor), u64::MAX).unwrap_or_default();
                Ok(above.last() == Some(&ancestor))
            }
            None => Ok(self.given_ancestors(values, entity).binary_search(&ancestor).is_ok()),
        }
    }

    fn ancestors(&self, values: &impl Values, entity: Value) -> (Vec<Value>, Option<Failure>) {
        match self.relations.get(Names::IN).filter(|_| self.relations.has_parent_rows) {
            Some(relation) => ancestors_by(relation, entity),
            None if self.is_walked() => (self.walk_up(values, entity, None, u64::MAX).unwrap_or_default(), None),
            None => {
                let above = self.given_ancestors(values, entity);
                (std::iter::once(&entity).chain(above).copied().collect(), None)
            }
        }
    }

    fn derived(&self, kind: Symbol, name: Symbol) -> Option<&Derived> {
        self.relations.attribute(kind, name)
    }

    fn holds(&self, _: &impl Values, derived: &Derived, row: &[Value]) -> Result<bool, Failure> {
        self.relations.get(PredicateId(derived.relation)).map_or(Ok(false), |relation| relation.holds(row))
    }

    fn elements(&self, _: &impl Values, derived: &Derived, entity: Value) -> Vec<Value> {
        self.relations.get(PredicateId(derived.relation)).map(|of| elements_from(of, entity)).unwrap_or_default()
    }

    fn rows_of(&self, _: &impl Values, derived: &Derived, entity: Value) -> Result<Vec<Vec<Value>>, Failure> {
        match self.relations.get(PredicateId(derived.relation)) {
            Some(relation) => rows_from(relation, entity),
            None => Ok(Vec::new()),
        }
    }
}

impl Store for Facts {
    fn relation(&self, id: PredicateId) -> Option<&Relation> {
        self.relations.get(id)
    }

    fn share(&self, id: PredicateId) -> Option<Arc<Relation>> {
        self.relations.share(id)
    }

    fn relation_mut(&mut self, id: PredicateId) -> Option<&mut Relation> {
        self.relations.get_mut(id)
    }
}

/// An entity and all that a relation has it in, and why there may be more.
#[must_use]
pub fn ancestors_by(relation: &Relation, entity: Value) -> (Vec<Value>, Option<Failure>) {
    let mut ancestors = vec![entity];
    ancestors.extend(certain_rows_from(relation, entity).into_iter().flatten());
    (ancestors, relation.doubts.cause(&[Some(entity), None]).map(Failure::Undetermined))
}

/// The rows that begin with a value, without it.
///
/// # Errors
///
/// If one of them is undetermined.
pub fn rows_from(relation: &Relation, first: Value) -> Result<Vec<Vec<Value>>, Failure> {
    if !relation.doubts.is_empty() {
        let n = relation.doubts.iter().next().map_or(0, |(row, _)| row.len());
        let key: Vec<_> = std::iter::once(Some(first)).chain(std::iter::repeat_n(None, n.saturating_sub(1))).collect();
        if let Some(cause) = relation.doubts.cause(&key) {
            return Err(Failure::Undetermined(cause));
        }
    }
    Ok(certain_rows_from(relation, first).into_iter().map(<[Value]>::to_vec).collect())
}

/// What stands beside a value in a relation of two columns, or may.
#[must_use]
pub fn elements_from(relation: &Relation, first: Value) -> Vec<Value> {
    let certain = certain_rows_from(relation, first).into_iter().flatten().copied();
    let doubts = relation.doubts.iter().filter(|(row, _)| matches(row, &[Some(first), None]));
    certain.chain(doubts.filter_map(|(row, _)| row.get(1).copied())).collect()
}

fn certain_rows_from(relation: &Relation, first: Value) -> Vec<&[Value]> {
    let rows = &relation.rows;
    match rows.find_index(&[0]) {
        Some(index) => rows.probe(index, &[first]).map(|id| row_rest(rows, id)).collect(),
        None => {
            let is_first = |id: &RowId| rows.row(*id).first() == Some(&first);
            (0..rows.len()).filter(is_first).map(|id| row_rest(rows, id)).collect()
        }
    }
}

fn row_rest(rows: &Table, id: RowId) -> &[Value] {
    rows.row(id).get(1..).unwrap_or_default()
}

fn member(values: &impl Values, record: Value, name: Symbol) -> Member {
    match values.view(record) {
        View::Record(members) => Member::of(members, name),
        _ => Member::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(edges: &[(&str, &[&str])]) -> Result<FactView, Vec<String>> {
        let mut values = Pool::default();
        let nothing = values.record(Vec::new());
        let entity = |(id, parents): &(&str, &[&str])| CheckedEntity {
            uid: values.entity("F", id),
            attributes: nothing,
            tags: nothing,
            parents: parents.iter().map(|parent| values.entity("F", parent)).collect(),
            span: None,
        };
        let entities: Vec<_> = edges.iter().map(entity).collect();
        match Hierarchy::bounded(&mut values, &entities, 20_000_000) {
            Ok(hierarchy) => {
                let facts = Facts::new(&entities, hierarchy, Relations::default());
                Ok(FactView::new(Arc::new(values), facts))
            }
            Err(HierarchyFault::Cycle(members)) => Err(members.iter().map(|entity| values.show(*entity)).collect()),
            Err(HierarchyFault::TooLarge(entity)) => Err(vec![values.show(entity)]),
        }
    }

    fn id(view: &FactView, name: &str) -> Value {
        crate::base::Scratch::new(view.values()).entity("F", name)
    }

    #[test]
    fn below_is_reflexive_and_transitive_and_needs_no_stored_ancestor() {
        let view = view(&[("a", &["b", "x"]), ("b", &["c"]), ("c", &["unstored"])]).unwrap();
        let is_in = |a, b| view.facts().is_in(&**view.values(), id(&view, a), id(&view, b)).unwrap();
        assert!(is_in("a", "a") && is_in("a", "c") && is_in("a", "x") && is_in("a", "unstored"));
        assert!(is_in("nobody", "nobody"));
        assert!(!is_in("c", "a") && !is_in("x", "a") && !is_in("nobody", "a"));
    }

    #[test]
    fn a_cycle_is_told_as_its_members() {
        let members = view(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).unwrap_err();
        assert_eq!(members, ["F::\"b\"", "F::\"c\""]);
        assert_eq!(view(&[("a", &["a"])]).unwrap_err(), ["F::\"a\""]);
    }

    fn chain(n: usize) -> Result<FactView, Vec<String>> {
        let names: Vec<String> = (0..n).map(|n| format!("e{n}")).collect();
        let parents: Vec<[&str; 1]> = names.iter().skip(1).map(|name| [name.as_str()]).collect();
        let edges: Vec<(&str, &[&str])> =
            names.iter().zip(&parents).map(|(name, parent)| (name.as_str(), &parent[..])).collect();
        view(&edges)
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let view = chain(5_000).unwrap();
        assert!(view.facts().is_in(&**view.values(), id(&view, "e0"), id(&view, "e4999")).unwrap());
    }

    #[test]
    fn a_hierarchy_beyond_the_limit_is_refused_before_it_fills_the_memory() {
        // A chain of n entities has about n²/2 ancestors in all.
        assert_eq!(chain(7_000).map(|_| ()), Err(vec!["F::\"e674\"".to_owned()]));
    }
}
