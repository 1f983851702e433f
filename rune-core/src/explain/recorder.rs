//! A world that remembers what was found in it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use crate::{
    base::{Symbol, Value, Values, limits},
    check::rules::PredicateId,
    expr::{Derived, Failure, Member, World},
    facts::{Relation, RowId, Store, Tick},
};

/// Something that was there when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Read {
    /// A row of a relation.
    Row(PredicateId, Vec<Value>),
    /// An entity below another.
    Below(Value, Value),
    /// The attribute of an entity, and its value.
    Attribute(Value, Symbol, Value),
    /// The tag of an entity, and its value.
    Tag(Value, Symbol, Value),
}

/// A world that remembers what was found in it.
#[derive(Debug)]
pub(super) struct Recorder<'w, W> {
    pub(super) world: &'w W,
    reads: RefCell<Vec<Read>>,
    /// Those that are in the list.
    known: RefCell<BTreeSet<Read>>,
    /// Whether more was found than is remembered.
    is_cut: Cell<bool>,
    /// The entity whose ancestors were asked for last, and those.
    above: RefCell<Option<(Value, Vec<Value>)>>,
}

impl<'w, W> Recorder<'w, W> {
    pub(super) fn new(world: &'w W) -> Self {
        Self {
            world,
            reads: RefCell::default(),
            known: RefCell::default(),
            is_cut: Cell::default(),
            above: RefCell::default(),
        }
    }

    /// What was found since the last time, each once.
    pub(super) fn take(&self) -> Vec<Read> {
        self.above.take();
        self.known.take();
        self.reads.take()
    }

    /// Whether more was found than is remembered.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    fn note(&self, read: Read) {
        let mut known = self.known.borrow_mut();
        if limits::READS_MAX <= known.len() {
            self.is_cut.set(true);
        } else if known.insert(read.clone()) {
            self.reads.borrow_mut().push(read);
        }
    }
}

impl<W: World> World for Recorder<'_, W> {
    fn attribute(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        let member = self.world.attribute(values, entity, name);
        if let Member::Is(value) = member {
            self.note(Read::Attribute(entity, name, value));
        }
        member
    }

    fn stored(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        let member = self.world.stored(values, entity, name);
        if let Member::Is(value) = member {
            self.note(Read::Attribute(entity, name, value));
        }
        member
    }

    fn tag(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        let member = self.world.tag(values, entity, name);
        if let Member::Is(value) = member {
            self.note(Read::Tag(entity, name, value));
        }
        member
    }

    fn is_in(&self, values: &impl Values, entity: Value, ancestor: Value) -> Result<bool, Failure> {
        let is_in = self.world.is_in(values, entity, ancestor);
        if is_in == Ok(true) && entity != ancestor {
            self.note(Read::Below(entity, ancestor));
        }
        is_in
    }

    fn ancestors(&self, values: &impl Values, entity: Value) -> (Vec<Value>, Option<Failure>) {
        let (ancestors, open) = self.world.ancestors(values, entity);
        self.above.replace(Some((entity, ancestors.clone())));
        (ancestors, open)
    }

    fn derived(&self, kind: Symbol, name: Symbol) -> Option<&Derived> {
        self.world.derived(kind, name)
    }

    fn holds(&self, values: &impl Values, derived: &Derived, row: &[Value]) -> Result<bool, Failure> {
        let holds = self.world.holds(values, derived, row);
        if holds == Ok(true) {
            self.note(Read::Row(PredicateId(derived.relation), row.to_vec()));
            // `x in e.p` asks for each that `x` is below, and stops at the first that `e.p` has.
            if let (Some((below, above)), Some(last)) = (&*self.above.borrow(), row.last())
                && below != last
                && above.contains(last)
            {
                self.note(Read::Below(*below, *last));
            }
        }
        holds
    }

    fn elements(&self, values: &impl Values, derived: &Derived, entity: Value) -> Vec<Value> {
        self.world.elements(values, derived, entity)
    }

    fn rows_of(&self, values: &impl Values, derived: &Derived, entity: Value) -> Result<Vec<Vec<Value>>, Failure> {
        let rows = self.world.rows_of(values, derived, entity);
        for rest in rows.iter().flatten() {
            let row = std::iter::once(entity).chain(rest.iter().copied()).collect();
            self.note(Read::Row(PredicateId(derived.relation), row));
        }
        rows
    }
}

impl<W: Store> Store for Recorder<'_, W> {
    fn relation(&self, id: PredicateId) -> Option<&Relation> {
        self.world.relation(id)
    }

    fn relation_mut(&mut self, _: PredicateId) -> Option<&mut Relation> {
        None
    }

    fn forget(&self) {
        self.take();
    }

    fn is_demanded(&self, id: PredicateId) -> bool {
        self.world.is_demanded(id)
    }

    fn demanded(
        &self,
        values: &impl Values,
        id: PredicateId,
        key: &[Option<Value>],
        before: Tick,
    ) -> Result<Vec<(RowId, Vec<Value>)>, Failure> {
        self.world.demanded(values, id, key, before)
    }

    fn row_at(&self, id: PredicateId, at: RowId) -> Option<(Vec<Value>, Tick)> {
        self.world.row_at(id, at)
    }

    fn place_of_row(&self, id: PredicateId, row: &[Value]) -> Option<RowId> {
        self.world.place_of_row(id, row)
    }
}
