//! What a batch changes: rows and entities, who is known by them, and what follows.
//!
//! Values are counted by who names them, and go when nobody does:
//!
//! | rows | named by |
//! |---|---|
//! | live relations | each cell |
//! | live entities | the entity, its attributes, its tags, its set of parents |
//! | known entities, stored attributes, parents that are given | nothing: the row of their entity does |
//! | what is derived ahead and follows, with why it is undetermined | each cell |
//! | who is in what | nothing: parents do |

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::HashMap;

use crate::{
    base::{LivePool, Span, Threads, Value, Values, limits},
    check::{
        CheckedEntity,
        rules::{Names, PredicateId},
    },
    datalog::{self, Bounds, Changes, DatalogEngine, Demand, MaintainError, Maintained, Strata},
    facts::{FactView, Facts, Relation, RowId, Store as _},
    program::Program,
    schema::Schema,
};

use super::{ApplyError, Batch, ChangeFault, LiveCounts, batch::Op, draft::Draft, hierarchy};

/// The live facts with all that follows from them, as the writer has them.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) values: LivePool,
    pub(super) facts: Facts,
    demand: Demand,
    /// The relations that are derived ahead and follow from what changes.
    ahead: Arc<BTreeSet<PredicateId>>,
    /// Those that are kept derived, as far as rules allow it. The others are derived anew.
    pub(super) kept: Option<Kept>,
    /// What could not be kept because a sum of it had no value, with what reads it.
    unkept: BTreeSet<PredicateId>,
    /// The parents that rows of files give.
    pub(super) file_parents: BTreeMap<Value, Vec<Value>>,
    /// How often live facts name each entity of a type whose entities rules ask for.
    pub(super) n_named: HashMap<Value, u32>,
    /// How many rows there were when questions were planned.
    planned: BTreeMap<PredicateId, RowId>,
    /// How many questions may take long until they are planned again.
    n_long_max: u64,
    /// The facts as readers have them.
    shared: Arc<FactView>,
}

/// Relations that are kept derived while what they follow from changes.
#[derive(Debug)]
pub(super) struct Kept {
    /// With what they read, some of which no change reaches.
    pub(super) derived: Maintained,
    /// Those that change.
    pub(super) relations: BTreeSet<PredicateId>,
    /// Those whose rows are told of when they come and go.
    pub(super) reads: Arc<BTreeSet<PredicateId>>,
}

impl Kept {
    /// What is kept, of what is derived ahead: what that reads is derived with it, and stays as the program has it where nothing changes.
    pub(super) fn of(derived: Maintained, engine: &DatalogEngine, ahead: &BTreeSet<PredicateId>) -> Self {
        let is_ahead = |id: &PredicateId| match *id {
            Names::IN => engine.changing.contains_key(&Names::PARENT) || ahead.contains(&Names::PARENT),
            id => ahead.contains(&id),
        };
        let relations = derived.relations().filter(is_ahead).collect();
        let reads = Arc::new(derived.reads().collect());
        Self { derived, relations, reads }
    }
}

/// Live facts have changed by more than this factor: what was planned for fewer or more may be slow for them.
const DRIFT: RowId = 2;
/// Questions that may take longer than trials did until they are planned again; each time that there were so many, twice as many are
/// awaited the next time, since some data have such questions in any plan.
const LONG_MAX: u64 = 1_000;
/// Relations with fewer rows are fast in any order.
const PLANNED_MIN: RowId = 32;

/// What was live under another program, as it is brought to one that has nothing live yet.
pub(super) struct Arrival<'p> {
    program: &'p Program,
    pub(super) live: Live,
    draft: Draft<'p>,
    put: BTreeMap<Value, usize>,
}

impl<'p> Arrival<'p> {
    /// None of a program that takes no live facts.
    pub(super) fn at(program: &'p Program) -> Option<Self> {
        let live = Live::bare(program)?;
        let draft = Draft::of(program, live.facts.next(), Arc::default());
        Some(Self { program, live, draft, put: BTreeMap::new() })
    }

    /// Brings a row, and says whether it is the only one of its key.
    pub(super) fn row(&mut self, id: PredicateId, row: &[Value]) -> bool {
        let is_only = self.draft.other_of_key(id, row).is_none();
        self.draft.insert(&self.live.values, id, row);
        is_only
    }

    pub(super) fn entity(&mut self, entity: CheckedEntity) {
        self.put.insert(entity.uid, self.put.len());
        self.draft.put(&mut self.live.values, entity);
    }

    /// Derives what follows.
    pub(super) fn settle(self) -> Result<Live, ApplyError> {
        let Self { program, mut live, draft, put } = self;
        live.take(program, draft, &put, [WHOLE; 2])?;
        live.values.settle();
        live.begin(program);
        Ok(live)
    }
}

impl Live {
    /// Of a program that takes live facts, which has none yet.
    pub(super) fn over(program: &Program) -> Option<Self> {
        let mut live = Self::bare(program)?;
        live.begin(program);
        Some(live)
    }

    /// The same, before anything is kept or looked up.
    pub(super) fn bare(program: &Program) -> Option<Self> {
        let changing = &program.rules().changing;
        if changing.is_empty() && !program.schema().is_some_and(Schema::has_live_types) {
            return None;
        }
        let mut ahead: BTreeSet<PredicateId> = changing.values().flatten().copied().collect();
        ahead.retain(|id| !program.demand().relations().contains(id));
        let mut live = Self {
            values: LivePool::over(program.facts().values().clone()),
            facts: program.facts().facts().next(),
            demand: program.demand().share(),
            ahead: Arc::new(ahead),
            kept: None,
            unkept: BTreeSet::new(),
            file_parents: file_parents(program),
            n_named: HashMap::new(),
            planned: BTreeMap::new(),
            n_long_max: LONG_MAX,
            shared: program.facts().clone(),
        };
        for id in changing.keys() {
            // Where there is one value for a key, the row that has it is replaced.
            if let Some(n) = program.rules().n_keys(*id)
                && let Some(relation) = live.facts.relation_mut(*id)
            {
                relation.rows.index_on(&(0..n).collect::<Vec<_>>());
            }
        }
        Some(live)
    }

    /// Makes ready for batches and for readers what is there.
    fn begin(&mut self, program: &Program) {
        self.maintain(program);
        self.make_ready(program);
    }

    /// Begins again what ended with a change that came to nothing.
    pub(super) fn recover(&mut self, program: &Program) {
        if self.kept.is_none() {
            self.begin(program);
        }
    }

    /// Makes ready for batches and for readers what is there and is kept derived.
    pub(super) fn make_ready(&mut self, program: &Program) {
        if self.kept.is_some() || self.counts().rows + self.counts().entities != 0 {
            self.plan(program);
        } else {
            self.index(program);
            self.share();
        }
    }

    /// Keeps derived from now on what is derived ahead and follows from what changes.
    fn maintain(&mut self, program: &Program) {
        let (engine, ahead) = (program.rules(), self.ahead.clone());
        if ahead.is_empty() {
            return;
        }
        let given = self.given_alone(engine);
        // What cannot be kept is derived anew each time.
        let derived = loop {
            match Maintained::of((engine, &given), &mut self.values, (&ahead, &self.unkept), WHOLE) {
                Ok(derived) => break derived,
                Err(MaintainError::TooMuch { relations, .. }) if self.leave(&relations) => {}
                Err(_) => return,
            }
        };
        let kept = Kept::of(derived, engine, &ahead);
        for id in &kept.relations {
            let mut shared = Relation::shared(engine.arity(*id));
            for row in self.facts.relation(*id).into_iter().flat_map(|relation| relation.rows.rows()) {
                shared.rows.insert(row);
            }
            self.facts.relations.put(*id, shared);
        }
        self.kept = (!kept.relations.is_empty()).then_some(kept);
    }

    /// The facts with nothing derived of what is derived ahead. Of what rules add to, the rows that are given come first.
    pub(super) fn given_alone(&self, engine: &DatalogEngine) -> Facts {
        let mut given = self.facts.next();
        for id in &*self.ahead {
            let doubts = given.relation(*id).map(|of| of.doubts.clone()).unwrap_or_default();
            let mut relation = Relation { doubts, ..Relation::new(engine.arity(*id)) };
            for row in given.relations.given(*id).into_iter().flat_map(|of| of.rows.rows()) {
                relation.give(row, Span::LIVE);
            }
            given.relations.put(*id, relation);
        }
        given
    }

    /// Keeps these derived no longer, and says whether any was.
    fn leave(&mut self, relations: &[PredicateId]) -> bool {
        let n_before = self.unkept.len();
        self.unkept.extend(relations);
        n_before < self.unkept.len()
    }

    /// The relations that are derived ahead and follow from what changes.
    pub(super) fn ahead(&self) -> &Arc<BTreeSet<PredicateId>> {
        &self.ahead
    }

    pub(super) fn facts(&self) -> Arc<FactView> {
        self.shared.clone()
    }

    pub(super) fn demand(&self) -> &Demand {
        &self.demand
    }

    pub(super) fn counts(&self) -> LiveCounts {
        let (rows, entities) = (self.facts.relations.live_rows(), self.facts.n_live_entities());
        LiveCounts { rows, entities, values: self.values.n_live() as u64 }
    }

    /// Whether values are held as the table above says.
    pub(super) fn is_counted(&self) -> bool {
        let relations = self.facts.relations.all_live().flat_map(|(_, relation)| relation.values());
        let derived = self.ahead.iter().filter(|id| **id != Names::IN).filter_map(|id| self.facts.relation(*id));
        let entities = self.facts.live_entities().flatten().copied();
        self.values.is_counted(relations.chain(derived.flat_map(Relation::values)).chain(entities))
    }

    /// Makes the changes of a batch, and says how many rows and entities they put or take away.
    pub(super) fn apply(&mut self, program: &Program, batch: &Batch) -> Result<usize, ApplyError> {
        let was_kept = self.kept.is_some();
        let ops = batch.read(program, &mut self.values);
        let made = ops.and_then(|ops| self.make(program, ops));
        // What was read and is not needed goes again.
        self.values.settle();
        match made {
            // What went on with a draft that came to nothing begins again from what is so.
            _ if was_kept && self.kept.is_none() => self.begin(program),
            Ok(n) if 0 < n => self.share(),
            _ => {}
        }
        made
    }

    /// Makes changes that were read.
    fn make(&mut self, program: &Program, ops: Vec<Op>) -> Result<usize, ApplyError> {
        let followed = self.kept.as_ref().map(|kept| kept.reads.clone()).unwrap_or_default();
        let mut draft = Draft::of(program, self.facts.next(), followed);
        let mut put = BTreeMap::new();
        for (at, op) in ops.into_iter().enumerate() {
            match op {
                Op::Insert(id, row) => draft.insert(&self.values, id, &row),
                Op::Delete(id, row) => draft.delete(&self.values, id, &row),
                Op::Put(entity) => {
                    put.insert(entity.uid, at);
                    draft.put(&mut self.values, entity);
                }
                Op::Remove(entity) => draft.remove(&self.values, entity),
            }
        }
        if draft.n_changes == 0 {
            return Ok(0);
        }
        if limits::VALUES_MAX < self.values.n_values() {
            return Err(ApplyError::TooManyValues(limits::VALUES_MAX));
        }
        if limits::LIVE_ROWS_MAX < draft.facts.relations.live_rows() + draft.facts.n_live_entities() {
            return Err(ApplyError::TooManyRows(limits::LIVE_ROWS_MAX));
        }
        let bounds = if draft.is_more { [BOUNDS, ANEW] } else { [WHOLE; 2] };
        self.take(program, draft, &put, bounds)
    }

    /// Makes a draft what is so, with all that follows: what is kept derived within the one bound, and the rest within the other.
    /// `put` has the entities with the changes that put them.
    fn take(
        &mut self,
        program: &Program,
        mut draft: Draft<'_>,
        put: &BTreeMap<Value, usize>,
        bounds: [Bounds; 2],
    ) -> Result<usize, ApplyError> {
        if let Err((at, message)) = hierarchy::check((&draft.facts, &self.file_parents), &self.values, put) {
            return Err(fault(at, message));
        }
        draft.know(&self.values, &self.n_named);
        let derived = self.follow(program, &mut draft, bounds)?;
        let n_changes = draft.n_changes;
        self.keep(draft, &derived);
        Ok(n_changes)
    }

    /// Brings up to date what is derived ahead and follows from what has changed, and says which relations were derived anew.
    fn follow(
        &mut self,
        program: &Program,
        draft: &mut Draft<'_>,
        [kept, anew]: [Bounds; 2],
    ) -> Result<BTreeSet<PredicateId>, ApplyError> {
        let engine = program.rules();
        // Of what rules add to, what was given has changed, and it follows itself.
        let readers = draft.changed.iter().filter_map(|id| engine.changing.get(id)).flatten().chain(&draft.changed);
        let mut these: BTreeSet<PredicateId> = readers.copied().filter(|id| self.ahead.contains(id)).collect();
        self.keep_derived(draft, kept)?;
        let kept = |id: &PredicateId| draft.kept.as_ref().is_some_and(|kept| kept.relations.contains(id));
        these.retain(|id| !kept(id));
        if !these.contains(&Names::PARENT)
            && !kept(&Names::IN)
            && draft.parents.settle(&mut draft.facts).map_err(ApplyError::Derivation)?
        {
            draft.changed.insert(Names::IN);
        }
        if !these.is_empty() {
            derive_anew(program, (&mut draft.facts, &mut self.values), &these, anew).map_err(ApplyError::Derivation)?;
        }
        Ok(these)
    }

    /// Lets what is kept derived follow a draft's changes. What has no value is left out from then on, and derived anew.
    fn keep_derived(&mut self, draft: &mut Draft<'_>, bounds: Bounds) -> Result<(), ApplyError> {
        // It goes on with the draft, and is lost if that comes to nothing.
        let Some(mut kept) = self.kept.take() else { return Ok(()) };
        let mut changes = Changes::default();
        for ((id, row), n) in &draft.rows {
            match n {
                0 => {}
                1.. => changes.insert(*id, row),
                _ => changes.delete(*id, row),
            }
        }
        let derived = match kept.derived.apply(&changes, &mut self.values, bounds) {
            Ok(derived) => derived,
            Err(MaintainError::TooMuch { relations, .. }) => {
                self.leave(&relations);
                return Ok(());
            }
            Err(error) => return Err(ApplyError::Derivation(error.to_string())),
        };
        for (id, change) in derived.iter() {
            draft.changed.insert(id);
            let Some(relation) = draft.facts.relation_mut(id) else { continue };
            for row in change.deleted.iter() {
                relation.rows.remove(row);
            }
            for row in change.inserted.iter() {
                relation.rows.insert(row);
            }
            if id != Names::IN {
                draft.released.extend(change.deleted.iter().flatten());
                draft.held.extend(change.inserted.iter().flatten());
            }
            if id == Names::PARENT {
                let rows = change.deleted.iter().chain(change.inserted.iter());
                rows.filter_map(|row| row.first()).for_each(|child| draft.parents.note(*child));
            }
        }
        let n_rows = |id: &PredicateId| draft.facts.relation(*id).map_or(0, |relation| u64::from(relation.rows.len()));
        if draft.is_more && limits::ROWS_MAX < kept.relations.iter().map(n_rows).sum() {
            return Err(ApplyError::Derivation(format!("more than {} rows follow from live facts", limits::ROWS_MAX)));
        }
        draft.kept = Some(kept);
        Ok(())
    }

    /// Makes a draft what is so from now on.
    fn keep(&mut self, draft: Draft<'_>, derived: &BTreeSet<PredicateId>) {
        let Draft { facts, changed, held, released, named, kept, .. } = draft;
        self.kept = kept;
        // Who is in what is named by parents.
        let values = |facts: &Facts, visit: &mut dyn FnMut(Value)| {
            for relation in derived.iter().filter(|id| **id != Names::IN).filter_map(|id| facts.relation(*id)) {
                relation.values().for_each(&mut *visit);
            }
        };
        for value in held {
            self.values.hold(value);
        }
        values(&facts, &mut |value| self.values.hold(value));
        for value in released {
            self.values.release(value);
        }
        values(&self.facts, &mut |value| self.values.release(value));
        for (entity, n_more) in named {
            let n = i64::from(self.n_named.get(&entity).copied().unwrap_or_default()) + n_more;
            match u32::try_from(n) {
                Ok(n) if 0 < n => drop(self.n_named.insert(entity, n)),
                _ => drop(self.n_named.remove(&entity)),
            }
        }
        self.facts = facts;
        self.demand = self.demand.over(&self.facts, &changed.union(derived).copied().collect());
    }

    /// Whether relations have many more or many fewer rows than when questions were planned, or many questions took longer than was
    /// found then.
    pub(super) fn has_drifted(&self, program: &Program) -> bool {
        let has_other_sizes = self.sizes(program).any(|(id, n)| {
            let planned = self.planned.get(&id).copied().unwrap_or_default();
            let (few, many) = (n.min(planned).max(PLANNED_MIN), n.max(planned).max(PLANNED_MIN));
            few.saturating_mul(DRIFT) < many
        });
        has_other_sizes || self.are_often_long()
    }

    fn are_often_long(&self) -> bool {
        self.n_long_max < self.demand.n_long()
    }

    fn sizes(&self, program: &Program) -> impl Iterator<Item = (PredicateId, RowId)> {
        let changing = program.rules().changing.keys();
        changing.filter_map(|id| Some((*id, self.facts.relation(*id)?.rows.len())))
    }

    /// Plans questions for the rows that there are now.
    pub(super) fn plan(&mut self, program: &Program) {
        self.n_long_max = if self.are_often_long() { self.n_long_max.saturating_mul(2) } else { LONG_MAX };
        self.planned = self.sizes(program).collect();
        self.demand = program.prepare(&self.demand, &self.facts, &self.values);
        self.index(program);
        self.share();
    }

    /// Makes the indexes by which rows that change are looked up.
    fn index(&mut self, program: &Program) {
        let mut indexed = BTreeSet::new();
        let wanted: Vec<(PredicateId, Vec<usize>)> =
            self.demand.looked_up().map(|(id, columns)| (id, columns.to_vec())).collect();
        for (id, columns) in wanted {
            let is_late =
                |relation: &Relation| relation.rows.is_shared() && relation.rows.find_index(&columns).is_none();
            if columns.len() < program.rules().arity(id)
                && self.facts.relation(id).is_some_and(is_late)
                && let Some(relation) = self.facts.relation_mut(id)
            {
                relation.rows.index_on(&columns);
                indexed.insert(id);
            }
        }
        let all = program.rules().changing.keys().copied();
        self.demand = self.demand.over(&self.facts, &all.chain(indexed).collect());
    }

    /// Lets readers have the facts as they are now.
    fn share(&mut self) {
        self.shared = Arc::new(FactView::new(Arc::new(self.values.snapshot()), self.facts.next()));
    }
}

/// What a program may take is what keeping it derived may begin with, and what was live before.
pub(super) const WHOLE: Bounds =
    Bounds { steps_max: limits::DERIVATION_STEPS_MAX, rows_max: limits::ROWS_MAX, ..BOUNDS };
/// Deriving anew what is not kept.
pub(super) const ANEW: Bounds = Bounds { rows_max: limits::ROWS_MAX, ..BOUNDS };
/// Following a batch, on the thread that writes: the others decide.
const BOUNDS: Bounds =
    Bounds { steps_max: limits::LIVE_STEPS_MAX, rows_max: limits::LIVE_DERIVED_MAX, threads: Threads::ONE };

/// Derives relations anew from what is given and what the others have. An error says in words what takes too much.
pub(super) fn derive_anew(
    program: &Program,
    (facts, values): (&mut Facts, &mut impl Values),
    these: &BTreeSet<PredicateId>,
    bounds: Bounds,
) -> Result<(), String> {
    let engine = program.rules();
    if these.contains(&Names::PARENT) {
        hierarchy::start_anew(facts, program.facts().facts());
    }
    for id in these.iter().filter(|id| ![Names::PARENT, Names::IN].contains(id)) {
        let given = facts.relations.given(*id).cloned();
        facts.relations.put(*id, given.unwrap_or_else(|| Relation::new(engine.arity(*id))));
    }
    engine.prepare(facts);
    let strata = Strata::Lasting { these, n_before: 2 };
    datalog::derive(engine, facts, values, strata, bounds).map(drop).map_err(|error| error.to_string())
}

/// The parents that rows of files give, beside those of stored entities; none where no entity comes to have others.
fn file_parents(program: &Program) -> BTreeMap<Value, Vec<Value>> {
    let mut parents: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    if program.schema().is_some_and(Schema::has_live_types) {
        for row in program.facts().facts().relations.given_of(Names::PARENT) {
            if let [child, parent] = row {
                parents.entry(*child).or_default().push(*parent);
            }
        }
    }
    parents
}

fn fault(at: usize, message: String) -> ApplyError {
    ApplyError::Changes { faults: vec![ChangeFault { at, message, help: None }], n_more: 0 }
}
