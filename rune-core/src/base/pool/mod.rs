//! Where values are held: those of a program and its facts, those that live facts bring, those of one request.
//!
//! ```text
//!   data    "ada"   User::"ada"   {}        by their ids
//!   index   hash ─▶ id                      an entity by the texts of its type and its id, as those who ask have them
//! ```

mod live;
mod scratch;

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    hashed::{Hashed, half},
    inherited::Inherited,
    limits,
    paged::Paged,
    value::{Datum, INLINE, LIVE, LOCAL, NOTHING, Symbol, Value, Values, View},
};

pub use live::LivePool;
pub use scratch::Scratch;

/// Values that a pool may hold for their ids alone, whatever it serves.
const GROWN_MIN: usize = 1 << 12;
/// Values from which on a pool is not grown: it would come near the number that one may hold.
const GROWN_MAX: usize = limits::VALUES_MAX / 2;

/// Each value of a program and its facts, once. Frozen when the program is built.
#[derive(Debug)]
pub struct Pool {
    /// The pool that this one adds to, if it adds to one.
    below: Option<Arc<Pool>>,
    /// The id of the first value that it holds itself.
    first: u32,
    held: Held,
    hasher: DefaultHashBuilder,
    /// What it holds, if that comes and goes while others read what it was; then it holds nothing elsewhere.
    shared: Option<Box<SharedValues>>,
    /// What it has from the pool that it was grown from, if it was.
    inherited: Option<Inherited>,
}

/// Values in the order in which they came.
#[derive(Debug, Clone, Default)]
struct Held {
    data: Vec<Datum>,
    /// Half of each hash, and a place: what grows does not look at values again.
    index: HashTable<(u32, u32)>,
}

impl Held {
    fn get(&self, at: u32) -> Option<&Datum> {
        self.data.get(at as usize)
    }

    fn find(&self, hash: u64, is_it: &impl Fn(&Datum) -> bool) -> Option<u32> {
        let half = half(hash);
        let found = self.index.find(whole(half), |(of, at)| *of == half && self.get(*at).is_some_and(is_it));
        found.map(|(_, at)| *at)
    }

    /// Appends a value that is not yet held and returns its place. What reads values is bounded far below the number of ids:
    /// by the bytes of sources and of requests, and by the steps of a decision.
    fn push(&mut self, hash: u64, datum: Datum) -> u32 {
        debug_assert!(self.data.len() < LIVE as usize, "more values than ids");
        let at = u32::try_from(self.data.len()).unwrap_or(u32::MAX) & !(INLINE | LOCAL | LIVE);
        self.data.push(datum);
        self.index.insert_unique(whole(half(hash)), (half(hash), at), |(half, _)| whole(*half));
        at
    }
}

/// A hash of which half was kept, such that its ends differ as the half does.
fn whole(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

/// Values whose copies share what they have in common.
#[derive(Debug, Clone)]
struct SharedValues {
    data: Paged<Option<Datum>>,
    index: Hashed,
}

impl SharedValues {
    fn get(&self, at: u32) -> Option<&Datum> {
        self.data.one(at as usize).as_ref()
    }
}

impl Default for Pool {
    fn default() -> Self {
        let (held, hasher) = (Held::default(), DefaultHashBuilder::default());
        let mut pool = Self { below: None, first: 0, held, hasher, shared: None, inherited: None };
        let (no, yes) = (pool.intern(Datum::Bool(false)), pool.intern(Datum::Bool(true)));
        let empty = pool.intern(Datum::Record([].into()));
        debug_assert!(no == Value::FALSE && yes == Value::TRUE, "booleans have fixed ids");
        debug_assert!(empty == Value::NO_MEMBERS, "and so has the context of a request that brings none");
        pool
    }
}

impl Pool {
    /// A pool that has all values of another, and takes more.
    #[must_use]
    pub fn over(below: Arc<Self>) -> Self {
        let first = below.next_id();
        let hasher = below.hasher.clone();
        Self { below: Some(below), first, held: Held::default(), hasher, shared: None, inherited: None }
    }

    /// A pool in which the values of another have the ids that they have there, and which takes more. Those that are not asked for
    /// again are as if they were not there, but for their ids. Where most are such, none: it would be larger than what it serves.
    #[must_use]
    pub fn grown_from(from: &Arc<Self>) -> Option<Self> {
        let n_held = from.held.data.len();
        let is_mostly_used = n_held <= GROWN_MIN || n_held <= 2 * from.len();
        let n = u32::try_from(n_held).ok().filter(|_| from.below.is_none() && is_mostly_used && n_held <= GROWN_MAX)?;
        let is_used = vec![0; n_held / 64 + 1].into();
        let inherited = Inherited { from: Arc::downgrade(from), n, is_used, n_used: 0 };
        let mut pool = Self {
            below: None,
            first: 0,
            held: from.held.clone(),
            hasher: from.hasher.clone(),
            shared: None,
            inherited: Some(inherited),
        };
        for value in [Value::FALSE, Value::TRUE, Value::NO_MEMBERS] {
            pool.take(value);
        }
        Some(pool)
    }

    /// Whether it was grown from another.
    #[must_use]
    pub fn is_grown_from(&self, other: &Arc<Self>) -> bool {
        self.inherited.as_ref().is_some_and(|of| std::ptr::eq(of.from.as_ptr(), Arc::as_ptr(other)))
    }

    /// Notes that a value was asked for.
    fn take(&mut self, value: Value) {
        if let Some(inherited) = &mut self.inherited {
            inherited.take(value.0);
        }
    }

    /// A pool that has all values of another, and more that come and go: they have ids of their own, whatever the other has.
    fn shared(below: Arc<Self>) -> Self {
        let shared = SharedValues { data: Paged::new(1, None), index: Hashed::default() };
        Self { first: LIVE, shared: Some(Box::new(shared)), ..Self::over(below) }
    }

    /// The id of what would be added to the values that stay.
    fn next_id(&self) -> u32 {
        match (&self.shared, &self.below) {
            (Some(_), Some(below)) => below.next_id(),
            _ => self.first + u32::try_from(self.held.data.len()).unwrap_or(u32::MAX),
        }
    }

    /// The same pool, for those who read while values come and go.
    fn snapshot(&self) -> Self {
        let Self { below, first, hasher, shared, .. } = self;
        let (below, hasher, shared) = (below.clone(), hasher.clone(), shared.clone());
        Self { below, first: *first, held: Held::default(), hasher, shared, inherited: None }
    }

    fn n_own(&self) -> usize {
        self.shared.as_ref().map_or(self.held.data.len(), |shared| shared.data.len())
    }

    fn own(&self, at: u32) -> Option<&Datum> {
        match &self.shared {
            None => self.held.get(at),
            Some(shared) => shared.get(at),
        }
    }

    /// How many values are held, or were before some went.
    #[must_use]
    pub fn len(&self) -> usize {
        let n_unused = self.inherited.as_ref().map_or(0, |of| of.n as usize - of.n_used);
        self.below.as_ref().map_or(0, |below| below.len()) + self.n_own() - n_unused
    }

    /// Whether nothing but what every pool has is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() <= 3
    }

    /// Visits each entity that is held, with its type.
    // Recurses once per pool below: a program's, that of its live facts, and one over them for what is asked or supposed.
    pub fn each_entity(&self, visit: &mut dyn FnMut(Symbol, Value)) {
        if let Some(below) = &self.below {
            below.each_entity(visit);
        }
        for at in 0..u32::try_from(self.n_own()).unwrap_or(u32::MAX) {
            if let Some(Datum::Entity(kind, _)) = self.own(at)
                && self.inherited.as_ref().is_none_or(|of| of.is_used(at))
            {
                visit(*kind, Value(at + self.first));
            }
        }
    }

    // Recurses once per pool below: a program's, that of its live facts, and one over them for what is asked or supposed.
    fn find(&self, hash: u64, is_it: &impl Fn(&Datum) -> bool) -> Option<Value> {
        let below = self.below.as_ref().and_then(|below| below.find(hash, is_it));
        let here = || match &self.shared {
            None => self.held.find(hash, is_it),
            Some(shared) => shared.index.find(hash, |at| shared.get(at).is_some_and(is_it)),
        };
        below.or_else(|| here().map(|at| Value(at + self.first)))
    }

    fn find_text(&self, hash: u64, text: &str) -> Option<Value> {
        self.find(hash, &|held| matches!(held, Datum::Text(held) if held == text))
    }

    fn entity_at(&self, hash: u64, kind: &str, id: &str) -> Option<Value> {
        let is_it = |held: &Datum| match held {
            Datum::Entity(of, name) => self.name(*name) == id && self.name(*of) == kind,
            _ => false,
        };
        self.find(hash, &is_it)
    }
}

impl Values for Pool {
    fn n_values(&self) -> usize {
        self.len()
    }

    fn intern(&mut self, datum: Datum) -> Value {
        if let Datum::Long(number) = datum
            && let Some(value) = Value::inline(number)
        {
            return value;
        }
        let hash = hash_of(&self.hasher, &datum, self);
        let found = self.find(hash, &|held| *held == datum);
        let value = found.unwrap_or_else(|| Value(self.held.push(hash, datum) + self.first));
        self.take(value);
        value
    }

    fn text(&mut self, text: &str) -> Value {
        let hash = hash_text(&self.hasher, text);
        let found = self.find_text(hash, text);
        let value = found.unwrap_or_else(|| Value(self.held.push(hash, Datum::Text(text.into())) + self.first));
        self.take(value);
        value
    }

    fn entity_of(&mut self, kind: Symbol, id: &str) -> Value {
        let name = self.name(kind);
        let hash = hash_entity(&self.hasher, name, id);
        let Some(entity) = self.entity_at(hash, name, id) else {
            let id = self.symbol(id);
            return Value(self.held.push(hash, Datum::Entity(kind, id)) + self.first);
        };
        if let View::Entity(kind, id) = self.view(entity) {
            for value in [kind.value(), id.value(), entity] {
                self.take(value);
            }
        }
        entity
    }

    fn view(&self, value: Value) -> View<'_> {
        match value.as_inline() {
            Some(number) => View::Long(number),
            // What is not its own, on either side, is below.
            None => match (self.own(value.0.wrapping_sub(self.first)), &self.below) {
                (Some(datum), _) => datum.view(),
                (None, Some(below)) => below.view(value),
                (None, None) => NOTHING,
            },
        }
    }
}

fn hash_text(hasher: &DefaultHashBuilder, text: &str) -> u64 {
    hasher.hash_one(text)
}

fn hash_entity(hasher: &DefaultHashBuilder, kind: &str, id: &str) -> u64 {
    hasher.hash_one((kind, id))
}

fn hash_of(hasher: &DefaultHashBuilder, datum: &Datum, names: &impl Values) -> u64 {
    match datum {
        Datum::Text(text) => hash_text(hasher, text),
        Datum::Entity(kind, id) => hash_entity(hasher, names.name(*kind), names.name(*id)),
        datum => hasher.hash_one(datum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "a name that is too long to lie in its place";

    #[test]
    fn an_entity_is_one_whatever_pool_has_its_texts() {
        let mut below = Pool::default();
        let texts = ["User", "Group", "ada", LONG].map(|text| below.text(text));
        let ada = below.entity("User", "ada");
        let below = Arc::new(below);
        let mut live = LivePool::over(below.clone());
        let long = live.entity("User", LONG);
        assert!(long.is_live() && live.text(LONG) == texts[3]);
        let [kind, id] = ["User", LONG].map(|text| live.symbol(text));
        assert_eq!(live.intern(Datum::Entity(kind, id)), long);
        assert_eq!([live.entity("User", "ada"), live.entity("User", LONG)], [ada, long]);
        assert_ne!(live.entity("Group", "ada"), ada);
        live.hold(long);
        live.settle();
        let seen = live.snapshot();
        let mut request = Scratch::new(&seen);
        assert_eq!([request.entity("User", "ada"), request.entity("User", LONG)], [ada, long]);
        let group = request.entity("Group", LONG);
        assert!(group.is_local() && request.entity("Group", LONG) == group);
        let mut over = Pool::over(Arc::new(seen));
        assert_eq!([over.entity("User", "ada"), over.entity("User", LONG)], [ada, long]);
    }

    #[test]
    fn what_a_grown_pool_is_asked_for_is_there_with_its_parts() {
        let mut from = Pool::default();
        let ada = from.entity("User", "ada");
        from.entity("Group", "ada");
        let from = Arc::new(from);
        let mut grown = Pool::grown_from(&from).expect("it is small");
        let n_before = grown.len();
        grown.text("ada");
        let mut all = Vec::new();
        grown.each_entity(&mut |_, entity| all.push(entity));
        assert!(all.is_empty() && grown.len() == n_before + 1, "of an entity only the text of its id was asked for");
        assert_eq!(grown.entity("User", "ada"), ada);
        grown.each_entity(&mut |_, entity| all.push(entity));
        assert_eq!((all, grown.len()), (vec![ada], n_before + 3));
    }
}
