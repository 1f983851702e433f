//! Where values are held: those of a program and its facts, those that live facts bring, those of one request.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::{
    hashed::Hashed,
    inherited::Inherited,
    limits,
    paged::Paged,
    value::{Datum, INLINE, LIVE, LOCAL, NOTHING, Symbol, Value, Values, View},
};

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
    data: Vec<Datum>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// What it holds, if that comes and goes while others read what it was; then it holds nothing elsewhere.
    shared: Option<Box<SharedValues>>,
    /// What it has from the pool that it was grown from, if it was.
    inherited: Option<Inherited>,
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
        let mut pool = Self { below: None, first: 0, data, index, hasher, shared: None, inherited: None };
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
        let (data, index) = (Vec::new(), HashTable::new());
        Self { below: Some(below), first, data, index, hasher, shared: None, inherited: None }
    }

    /// A pool in which the values of another have the ids that they have there, and which takes more. Those that are not asked for
    /// again are as if they were not there, but for their ids. Where most are such, none: it would be larger than what it serves.
    #[must_use]
    pub fn grown_from(from: &Arc<Self>) -> Option<Self> {
        let n_held = from.data.len();
        let is_mostly_used = n_held <= GROWN_MIN || n_held <= 2 * from.len();
        let n = u32::try_from(n_held).ok().filter(|_| from.below.is_none() && is_mostly_used && n_held <= GROWN_MAX)?;
        let is_used = vec![0; n_held / 64 + 1].into();
        let inherited = Inherited { from: Arc::downgrade(from), n, is_used, n_used: 0 };
        let mut pool = Self {
            below: None,
            first: 0,
            data: from.data.clone(),
            index: from.index.clone(),
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
            _ => self.first + u32::try_from(self.data.len()).unwrap_or(u32::MAX),
        }
    }

    /// The same pool, for those who read while values come and go.
    fn snapshot(&self) -> Self {
        let (data, index) = (Vec::new(), HashTable::new());
        let Self { below, first, hasher, shared, .. } = self;
        let (below, hasher, shared) = (below.clone(), hasher.clone(), shared.clone());
        Self { below, first: *first, data, index, hasher, shared, inherited: None }
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
            None => self.index.find(hash, |at| self.data.get(*at as usize).is_some_and(is_it)).copied(),
            Some(shared) => shared.index.find(hash, |at| shared.get(at).is_some_and(is_it)),
        };
        below.or_else(|| here().map(|at| Value(at + self.first)))
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
            self.take(value);
            return value;
        }
        Value(push(&mut self.data, &mut self.index, &self.hasher, hash, datum) + self.first)
    }

    fn text(&mut self, text: &str) -> Value {
        let hash = hash_text(&self.hasher, text);
        if let Some(value) = self.find(hash, &|held| matches!(held, Datum::Text(held) if **held == *text)) {
            self.take(value);
            return value;
        }
        Value(push(&mut self.data, &mut self.index, &self.hasher, hash, Datum::Text(text.into())) + self.first)
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

    /// The same values over those of another program, whose pool was grown from the one that they are over now.
    #[must_use]
    pub fn moved(&self, below: Arc<Pool>) -> Self {
        let pool = Pool { below: Some(below), ..self.pool.snapshot() };
        Self { pool, free: self.free.clone(), n_held: self.n_held.clone(), loose: self.loose.clone() }
    }

    /// The values that a program holds too since its pool was grown: each as it came, and as the program has it.
    fn twins(&self) -> HashMap<Value, Value> {
        let mut twins = HashMap::new();
        let (Some(shared), Some(below)) = (&self.pool.shared, &self.pool.below) else { return twins };
        let Some(n_before) = below.inherited.as_ref().map(|of| of.n) else { return twins };
        // What came is made of what came.
        let mut as_it_came: HashMap<Value, Value> = HashMap::new();
        for (at, datum) in (n_before..).zip(below.data.iter().skip(n_before as usize)) {
            let part = |value: Value| as_it_came.get(&value).copied().unwrap_or(value);
            let datum = if as_it_came.is_empty() { datum.clone() } else { with_parts(datum, part) };
            let found = shared.index.find(hash_of(&self.pool.hasher, &datum), |of| shared.get(of) == Some(&datum));
            if let Some(place) = found {
                as_it_came.insert(Value(at), Value(place | LIVE));
                twins.insert(Value(place | LIVE), Value(at));
            }
        }
        twins
    }

    /// The values that a program has under other ids since its pool was grown, and those that are made of them: each as it came, and
    /// as it is to be.
    pub fn renamed(&mut self) -> HashMap<Value, Value> {
        let mut renamed = self.twins();
        let mut n_before = 0;
        while n_before != renamed.len() {
            n_before = renamed.len();
            let mut made_of_them = Vec::new();
            for at in 0..u32::try_from(self.pool.n_own()).unwrap_or(u32::MAX) {
                let Some(datum) = self.pool.own(at) else { continue };
                let mut is_made_of_them = false;
                each_part(datum, &mut |part| is_made_of_them |= part.is_live() && renamed.contains_key(&part));
                if is_made_of_them && !renamed.contains_key(&Value(at | LIVE)) {
                    made_of_them.push((Value(at | LIVE), datum.clone()));
                }
            }
            for (value, datum) in made_of_them {
                let datum = with_parts(&datum, |part| renamed.get(&part).copied().unwrap_or(part));
                renamed.insert(value, self.intern(datum));
            }
        }
        // What has parts of several heights was renamed more than once.
        let last = |mut value: Value| {
            while let Some(next) = renamed.get(&value) {
                value = *next;
            }
            value
        };
        renamed.keys().map(|value| (*value, last(*value))).collect()
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
        if let Some(at) = Self::place(value)
            && let Some(n) = self.n_held.get_mut(at as usize)
        {
            *n += 1;
        }
    }

    /// Notes that one thing less names a value.
    pub fn release(&mut self, value: Value) {
        if let Some(at) = Self::place(value)
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
            if let Some(n) = Self::place(value).and_then(|at| counts.get_mut(at as usize)) {
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
    fn place(value: Value) -> Option<u32> {
        value.is_live().then(|| value.0 - LIVE)
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
        let Some(shared) = &mut self.pool.shared else { return self.pool.intern(datum) };
        let at = self.free.pop().unwrap_or_else(|| {
            shared.data.push(&[None]);
            self.n_held.push(0);
            u32::try_from(shared.data.len() - 1).unwrap_or(u32::MAX)
        });
        shared.data.set(at as usize, Some(Arc::new(datum)));
        shared.index.add(hash, at);
        self.loose.push(at);
        Value(at | LIVE)
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

/// A value made of others.
fn with_parts(datum: &Datum, part: impl Fn(Value) -> Value) -> Datum {
    let name = |name: Symbol| Symbol(part(name.value()));
    match datum {
        Datum::Entity(kind, id) => Datum::Entity(name(*kind), name(*id)),
        Datum::Set(elements) => {
            let mut elements: Vec<Value> = elements.iter().map(|element| part(*element)).collect();
            elements.sort_unstable();
            Datum::Set(elements.into())
        }
        Datum::Record(members) => {
            let mut members: Vec<_> = members.iter().map(|(key, value)| (name(*key), part(*value))).collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            Datum::Record(members.into())
        }
        datum => datum.clone(),
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
    debug_assert!(data.len() < LIVE as usize, "more values than ids");
    let at = u32::try_from(data.len()).unwrap_or(u32::MAX) & !(INLINE | LOCAL | LIVE);
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
