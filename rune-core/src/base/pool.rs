//! Where values are held: those of a program and its facts, those that live facts bring, those of one request.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    hashed::Hashed,
    paged::Paged,
    value::{Datum, INLINE, LOCAL, NOTHING, Symbol, Value, Values, View},
};

/// Each value of a program and its facts, once. Frozen when the program is built.
#[derive(Debug)]
pub struct Pool {
    /// The pool that this one adds to, if it adds to one.
    below: Option<Arc<Pool>>,
    n_below: u32,
    data: Vec<Datum>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// What it holds, if that comes and goes while others read what it was; then it holds nothing elsewhere.
    shared: Option<Box<SharedValues>>,
}

/// Values whose copies share what they have in common.
#[derive(Debug, Clone)]
struct SharedValues {
    data: Paged<Option<Arc<Datum>>>,
    index: Hashed,
}

impl SharedValues {
    fn get(&self, at: u32) -> Option<&Datum> {
        self.data.one(at as usize).as_deref()
    }
}

impl Default for Pool {
    fn default() -> Self {
        let (data, index, hasher) = (Vec::new(), HashTable::new(), DefaultHashBuilder::default());
        let mut pool = Self { below: None, n_below: 0, data, index, hasher, shared: None };
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
        let n_below = u32::try_from(below.len()).unwrap_or(u32::MAX);
        let hasher = below.hasher.clone();
        Self { below: Some(below), n_below, data: Vec::new(), index: HashTable::new(), hasher, shared: None }
    }

    /// A pool that has all values of another, and more that come and go.
    fn shared(below: Arc<Self>) -> Self {
        let shared = SharedValues { data: Paged::new(1, None), index: Hashed::default() };
        Self { shared: Some(Box::new(shared)), ..Self::over(below) }
    }

    /// The same pool, for those who read while values come and go.
    fn snapshot(&self) -> Self {
        let (data, index) = (Vec::new(), HashTable::new());
        let Self { below, n_below, hasher, shared, .. } = self;
        Self { below: below.clone(), n_below: *n_below, data, index, hasher: hasher.clone(), shared: shared.clone() }
    }

    fn n_own(&self) -> usize {
        self.shared.as_ref().map_or(self.data.len(), |shared| shared.data.len())
    }

    fn own(&self, at: u32) -> Option<&Datum> {
        match &self.shared {
            None => self.data.get(at as usize),
            Some(shared) => shared.get(at),
        }
    }

    /// How many values are held, or were before some went.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_below as usize + self.n_own()
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
            if let Some(Datum::Entity(kind, _)) = self.own(at) {
                visit(*kind, Value(at + self.n_below));
            }
        }
    }

    // Recurses once per pool below: a program's, that of its live facts, and one over them for what is asked or supposed.
    fn find(&self, hash: u64, is_it: &impl Fn(&Datum) -> bool) -> Option<Value> {
        let below = self.below.as_ref().and_then(|below| below.find(hash, is_it));
        let here = || match &self.shared {
            None => self.index.find(hash, |at| self.data.get(*at as usize).is_some_and(is_it)).copied(),
            Some(shared) => shared.index.find(hash, |at| shared.get(at).is_some_and(is_it)),
        };
        below.or_else(|| here().map(|at| Value(at + self.n_below)))
    }

    fn find_text(&self, text: &str) -> Option<Value> {
        self.find(hash_text(&self.hasher, text), &|held| matches!(held, Datum::Text(held) if **held == *text))
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
        let hash = hash_of(&self.hasher, &datum);
        if let Some(value) = self.find(hash, &|held| *held == datum) {
            return value;
        }
        Value(push(&mut self.data, &mut self.index, &self.hasher, hash, datum) + self.n_below)
    }

    fn text(&mut self, text: &str) -> Value {
        let hash = hash_text(&self.hasher, text);
        let known = self.find(hash, &|held| matches!(held, Datum::Text(held) if **held == *text));
        known.unwrap_or_else(|| {
            Value(push(&mut self.data, &mut self.index, &self.hasher, hash, Datum::Text(text.into())) + self.n_below)
        })
    }

    fn view(&self, value: Value) -> View<'_> {
        match value.as_inline() {
            Some(number) => View::Long(number),
            None => match (value.0.checked_sub(self.n_below), &self.below) {
                (None, Some(below)) => below.view(value),
                (at, _) => self.own(at.unwrap_or_default()).map_or(NOTHING, Datum::view),
            },
        }
    }
}

/// A pool whose values come and go, for the one who brings them: each is held as often as something names it.
#[derive(Debug)]
pub struct LivePool {
    pool: Pool,
    /// Places that are free.
    free: Vec<u32>,
    /// How many things name the value of each place.
    n_held: Vec<u32>,
    /// Values that may be held by nothing: new ones, and those of which one holder less is left.
    loose: Vec<u32>,
}

impl LivePool {
    /// Over the values of a program, which stay.
    #[must_use]
    pub fn over(below: Arc<Pool>) -> Self {
        Self { pool: Pool::shared(below), free: Vec::new(), n_held: Vec::new(), loose: Vec::new() }
    }

    /// The values as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Pool {
        self.pool.snapshot()
    }

    /// How many values have come and are still there.
    #[must_use]
    pub fn n_live(&self) -> usize {
        self.pool.n_own() - self.free.len()
    }

    /// Notes that one more thing names a value.
    pub fn hold(&mut self, value: Value) {
        if let Some(at) = self.place(value)
            && let Some(n) = self.n_held.get_mut(at as usize)
        {
            *n += 1;
        }
    }

    /// Notes that one thing less names a value.
    pub fn release(&mut self, value: Value) {
        if let Some(at) = self.place(value)
            && let Some(n) = self.n_held.get_mut(at as usize)
        {
            debug_assert!(0 < *n, "what is let go of was held");
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.loose.push(at);
            }
        }
    }

    /// Lets go of values that nothing names, and of those that only they named.
    pub fn settle(&mut self) {
        while let Some(at) = self.loose.pop() {
            if self.n_held.get(at as usize).is_some_and(|n| 0 < *n) {
                continue;
            }
            let Some(shared) = &mut self.pool.shared else { return };
            // What came and went more than once is here more than once.
            let Some(datum) = shared.data.one(at as usize).clone() else { continue };
            shared.index.remove(hash_of(&self.pool.hasher, &datum), at);
            shared.data.set(at as usize, None);
            self.free.push(at);
            each_part(&datum, &mut |part| self.release(part));
        }
    }

    /// Whether each value is held as often as these name it, and the values that are there: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn is_counted(&self, named: impl Iterator<Item = Value>) -> bool {
        let mut counts = vec![0; self.n_held.len()];
        let mut count = |value: Value| {
            if let Some(n) = self.place(value).and_then(|at| counts.get_mut(at as usize)) {
                *n += 1;
            }
        };
        named.for_each(&mut count);
        for at in 0..u32::try_from(self.pool.n_own()).unwrap_or(u32::MAX) {
            if let Some(datum) = self.pool.own(at) {
                each_part(datum, &mut count);
            }
        }
        counts == self.n_held
    }

    /// The place of a value that came.
    fn place(&self, value: Value) -> Option<u32> {
        if value.is_local() || value.as_inline().is_some() { None } else { value.0.checked_sub(self.pool.n_below) }
    }
}

impl Values for LivePool {
    fn n_values(&self) -> usize {
        self.pool.len()
    }

    fn intern(&mut self, datum: Datum) -> Value {
        if let Datum::Long(number) = datum
            && let Some(value) = Value::inline(number)
        {
            return value;
        }
        let hash = hash_of(&self.pool.hasher, &datum);
        if let Some(value) = self.pool.find(hash, &|held| *held == datum) {
            return value;
        }
        each_part(&datum, &mut |part| self.hold(part));
        let n_below = self.pool.n_below;
        let Some(shared) = &mut self.pool.shared else { return self.pool.intern(datum) };
        let at = self.free.pop().unwrap_or_else(|| {
            shared.data.push(&[None]);
            self.n_held.push(0);
            u32::try_from(shared.data.len() - 1).unwrap_or(u32::MAX)
        });
        shared.data.set(at as usize, Some(Arc::new(datum)));
        shared.index.add(hash, at);
        self.loose.push(at);
        Value(at + n_below)
    }

    fn text(&mut self, text: &str) -> Value {
        self.pool.find_text(text).unwrap_or_else(|| self.intern(Datum::Text(text.into())))
    }

    fn view(&self, value: Value) -> View<'_> {
        self.pool.view(value)
    }
}

/// Visits the values that a value is made of.
fn each_part(datum: &Datum, visit: &mut dyn FnMut(Value)) {
    match datum {
        Datum::Entity(kind, id) => [kind, id].into_iter().for_each(|name| visit(name.value())),
        Datum::Set(elements) => elements.iter().for_each(|element| visit(*element)),
        Datum::Record(members) => members.iter().for_each(|(name, value)| {
            visit(name.value());
            visit(*value);
        }),
        _ => {}
    }
}

/// What one request adds to a pool: the strings, sets and records that only it knows.
#[derive(Debug)]
pub struct Scratch<'p> {
    pool: &'p Pool,
    data: Vec<Datum>,
    index: HashTable<u32>,
}

impl<'p> Scratch<'p> {
    /// An empty scratch over `pool`.
    #[must_use]
    pub fn new(pool: &'p Pool) -> Self {
        Self { pool, data: Vec::new(), index: HashTable::new() }
    }
}

impl Values for Scratch<'_> {
    fn n_values(&self) -> usize {
        self.pool.len() + self.data.len()
    }

    fn intern(&mut self, datum: Datum) -> Value {
        if let Datum::Long(number) = datum
            && let Some(value) = Value::inline(number)
        {
            return value;
        }
        let hash = hash_of(&self.pool.hasher, &datum);
        if let Some(value) = self.pool.find(hash, &|held| *held == datum) {
            return value;
        }
        let local = self.index.find(hash, |at| self.data.get(*at as usize).is_some_and(|held| *held == datum));
        if let Some(at) = local {
            return Value(at | LOCAL);
        }
        Value(push(&mut self.data, &mut self.index, &self.pool.hasher, hash, datum) | LOCAL)
    }

    fn text(&mut self, text: &str) -> Value {
        if let Some(value) = self.pool.find_text(text) {
            return value;
        }
        let is_it = |held: &Datum| matches!(held, Datum::Text(held) if **held == *text);
        let hash = hash_text(&self.pool.hasher, text);
        let local = self.index.find(hash, |at| self.data.get(*at as usize).is_some_and(is_it));
        match local {
            Some(at) => Value(at | LOCAL),
            None => self.intern(Datum::Text(text.into())),
        }
    }

    fn view(&self, value: Value) -> View<'_> {
        if value.is_local() {
            self.data.get((value.0 & !LOCAL) as usize).map_or(NOTHING, Datum::view)
        } else {
            self.pool.view(value)
        }
    }
}

/// Appends a value that is not yet held and returns its place. What reads values is bounded far below the number of ids:
/// by the bytes of sources and of requests, and by the steps of a decision.
fn push(
    data: &mut Vec<Datum>,
    index: &mut HashTable<u32>,
    hasher: &DefaultHashBuilder,
    hash: u64,
    datum: Datum,
) -> u32 {
    debug_assert!(data.len() < LOCAL as usize, "more values than ids");
    let at = u32::try_from(data.len()).unwrap_or(u32::MAX) & !(INLINE | LOCAL);
    data.push(datum);
    index.insert_unique(hash, at, |at| data.get(*at as usize).map_or(0, |held| hash_of(hasher, held)));
    at
}

fn hash_text(hasher: &DefaultHashBuilder, text: &str) -> u64 {
    hasher.hash_one(text)
}

fn hash_of(hasher: &DefaultHashBuilder, datum: &Datum) -> u64 {
    match datum {
        Datum::Text(text) => hash_text(hasher, text),
        datum => hasher.hash_one(datum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go_and_leave_their_places_to_others() {
        let mut below = Pool::default();
        let ada = below.entity("User", "ada");
        let mut live = LivePool::over(Arc::new(below));
        assert_eq!(live.entity("User", "ada"), ada);
        live.hold(ada);
        let mut earlier = Vec::new();
        for n in 0..2_000 {
            let eve = live.entity("User", &format!("eve{n}"));
            let set = live.set(vec![eve, ada]);
            live.hold(set);
            live.settle();
            assert_eq!(live.entity("User", &format!("eve{n}")), eve);
            let seen = live.snapshot();
            assert_eq!(seen.show(set), format!("[User::\"ada\", User::\"eve{n}\"]"));
            earlier.push((seen, set, n));
            live.release(set);
            live.settle();
            assert_eq!(live.n_live(), 0);
        }
        // Three places in all: an id, an entity, a set.
        assert_eq!(live.pool.n_own(), 3);
        for (seen, set, n) in earlier {
            assert_eq!(seen.show(set), format!("[User::\"ada\", User::\"eve{n}\"]"));
            let mut scratch = Scratch::new(&seen);
            let eve = scratch.entity("User", &format!("eve{n}"));
            assert!(!eve.is_local() && scratch.set(vec![ada, eve]) == set);
        }
        let nobody = Scratch::new(&live.snapshot()).entity("User", "eve7");
        assert!(nobody.is_local());
    }
}
