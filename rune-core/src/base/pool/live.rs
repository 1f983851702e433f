//! Values that live facts bring, and that go with them.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{LIVE, Pool, hash_entity, hash_of, hash_text};
use crate::base::value::{Datum, Symbol, Value, Values, View};

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
        for (at, datum) in (n_before..).zip(below.held.data.iter().skip(n_before as usize)) {
            let part = |value: Value| as_it_came.get(&value).copied().unwrap_or(value);
            let datum = if as_it_came.is_empty() { datum.clone() } else { with_parts(datum, part) };
            let found =
                shared.index.find(hash_of(&self.pool.hasher, &datum, &self.pool), |of| shared.get(of) == Some(&datum));
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
            // What came and went more than once is here more than once.
            let Some(datum) = self.pool.own(at).cloned() else { continue };
            let hash = hash_of(&self.pool.hasher, &datum, &self.pool);
            let Some(shared) = &mut self.pool.shared else { return };
            let was_there = shared.index.remove(hash, at);
            debug_assert!(was_there, "what is held is found until it goes");
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

    /// Takes a value that is not held yet.
    fn put(&mut self, hash: u64, datum: Datum) -> Value {
        each_part(&datum, &mut |part| self.hold(part));
        let Some(shared) = &mut self.pool.shared else { return self.pool.intern(datum) };
        let at = self.free.pop().unwrap_or_else(|| {
            shared.data.push(&[None]);
            self.n_held.push(0);
            u32::try_from(shared.data.len() - 1).unwrap_or(u32::MAX)
        });
        shared.data.set(at as usize, Some(datum));
        shared.index.add(hash, at);
        self.loose.push(at);
        Value(at | LIVE)
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
        let hash = hash_of(&self.pool.hasher, &datum, &self.pool);
        let found = self.pool.find(hash, &|held| *held == datum);
        found.unwrap_or_else(|| self.put(hash, datum))
    }

    fn text(&mut self, text: &str) -> Value {
        let hash = hash_text(&self.pool.hasher, text);
        self.pool.find_text(hash, text).unwrap_or_else(|| self.put(hash, Datum::Text(text.into())))
    }

    fn find_entity(&self, kind: &str, id: &str) -> Option<Value> {
        self.pool.entity_at(hash_entity(&self.pool.hasher, kind, id), kind, id)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Scratch;

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
