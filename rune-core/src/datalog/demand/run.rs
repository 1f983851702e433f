//! Procedures at work.

use std::ops::ControlFlow;

use hashbrown::HashMap;

use crate::{
    base::{Value, Values},
    datalog::solve::{Flow, Stop},
};

use super::{
    code::{Bind, Code, Operand, Procedure, Step},
    directory::Directory,
    tuples::Tuples,
};

/// Runs procedures for one question.
#[derive(Debug)]
pub(super) struct Run<'r, V> {
    procedures: &'r [Procedure],
    directories: &'r [Directory],
    values: &'r V,
    registers: Vec<Value>,
    sets: Vec<Tuples>,
    /// What is answered already, and by which set.
    memo: HashMap<(usize, Vec<Value>), usize>,
    steps_left: u64,
}

/// One call of a procedure.
struct Frame {
    /// Where its registers begin.
    base: usize,
    key: Vec<Value>,
    /// The sets of its groups.
    groups: Vec<usize>,
}

type Done<'d, 'r, V> = &'d mut dyn FnMut(&mut Run<'r, V>) -> Flow;

impl<'r, V: Values> Run<'r, V> {
    pub(super) fn new(
        procedures: &'r [Procedure],
        directories: &'r [Directory],
        values: &'r V,
        steps_max: u64,
    ) -> Self {
        Self {
            procedures,
            directories,
            values,
            registers: Vec::new(),
            sets: Vec::new(),
            memo: HashMap::new(),
            steps_left: steps_max,
        }
    }

    pub(super) fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// Forgets what is answered.
    pub(super) fn reset(&mut self, steps_max: u64) {
        self.memo.clear();
        self.sets.clear();
        self.registers.clear();
        self.steps_left = steps_max;
    }

    /// The answers to a question: the open columns of the rows that have this key.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub(super) fn answers(&mut self, procedure: usize, key: &[Value]) -> Result<&Tuples, Stop> {
        match self.call(procedure, key) {
            Ok(set) => Ok(self.set(set)),
            Err(stop) => Err(stop),
        }
    }

    // Recurses once per stratum of relations above others, whose number is limited.
    fn call(&mut self, at: usize, key: &[Value]) -> Result<usize, Stop> {
        let asked = (at, key.to_vec());
        if let Some(set) = self.memo.get(&asked) {
            return Ok(*set);
        }
        let answers = match self.procedures.get(at) {
            Some(procedure) => self.evaluate(procedure, key)?,
            None => self.new_set(0),
        };
        self.memo.insert(asked, answers);
        Ok(answers)
    }

    fn evaluate(&mut self, procedure: &'r Procedure, key: &[Value]) -> Result<usize, Stop> {
        let base = self.registers.len();
        self.registers.resize(base + procedure.n_registers, Value::UNKNOWN);
        let mut frame = Frame { base, key: key.to_vec(), groups: Vec::new() };
        for group in &procedure.groups {
            let set = self.new_set(group.columns.len());
            let first: Vec<Value> = group.columns.iter().filter_map(|at| key.get(*at).copied()).collect();
            self.insert(set, &first);
            frame.groups.push(set);
            self.follow(&frame, &group.edges, set)?;
        }
        let answers = self.new_set(procedure.n_open);
        let mut flow = Flow::Continue(());
        for exit in &procedure.exits {
            flow = self.code(&frame, exit, &[], answers);
            // Whether there is one is all that there is to say.
            if procedure.n_open == 0 && flow.is_continue() && 0 < self.set(answers).len() {
                flow = Flow::Break(Stop::Enough);
            }
            if flow.is_break() {
                break;
            }
        }
        if let Flow::Break(Stop::TooManySteps) = flow {
            return Err(Stop::TooManySteps);
        }
        if flow.is_continue() {
            self.follow(&frame, &procedure.forwards, answers)?;
        }
        self.registers.truncate(base);
        Ok(answers)
    }

    /// Adds to a set what comes of its tuples, and of those that are added.
    fn follow(&mut self, frame: &Frame, codes: &'r [Code], set: usize) -> Result<(), Stop> {
        let mut at = 0;
        while at < self.set(set).len() && !codes.is_empty() {
            let tuple = self.set(set).get(at).to_vec();
            for code in codes {
                if let Flow::Break(Stop::TooManySteps) = self.code(frame, code, &tuple, set) {
                    return Err(Stop::TooManySteps);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Runs a rule for a tuple, and adds what comes of it to a set; to one of tuples without columns, once.
    fn code(&mut self, frame: &Frame, code: &'r Code, tuple: &[Value], into: usize) -> Flow {
        let agrees = self.bind(frame, &code.of_key, &frame.key) && self.bind(frame, &code.of_tuple, tuple);
        if !agrees {
            return Flow::Continue(());
        }
        self.steps(frame, &code.steps, &mut |run| {
            let result: Vec<Value> = code.result.iter().map(|of| run.operand(frame, *of)).collect();
            run.insert(into, &result);
            if result.is_empty() { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
        })
    }

    // Recurses once per step.
    fn steps(&mut self, frame: &Frame, steps: &'r [Step], done: Done<'_, 'r, V>) -> Flow {
        let Some((step, rest)) = steps.split_first() else { return done(self) };
        self.spend()?;
        match step {
            Step::Rows { directory, key, binds } => {
                let Some(directory) = self.directories.get(*directory) else { return Flow::Continue(()) };
                let key = self.key(frame, key);
                for row in directory.probe(&key) {
                    self.spend()?;
                    if self.bind(frame, binds, row) {
                        self.steps(frame, rest, done)?;
                    }
                }
                Flow::Continue(())
            }
            Step::HasRows { directory, key, wanted } => {
                let Some(directory) = self.directories.get(*directory) else { return Flow::Continue(()) };
                let key = self.key(frame, key);
                if directory.has(&key) == *wanted { self.steps(frame, rest, done) } else { Flow::Continue(()) }
            }
            Step::Demand { group, binds } => {
                let Some(set) = frame.groups.get(*group).copied() else { return Flow::Continue(()) };
                self.each(frame, set, binds, rest, done)
            }
            Step::Demanded { group, key } => {
                let key = self.key(frame, key);
                let is_there = frame.groups.get(*group).is_some_and(|set| self.set(*set).has(&key));
                if is_there { self.steps(frame, rest, done) } else { Flow::Continue(()) }
            }
            Step::Call { procedure, key, binds } => {
                let key = self.key(frame, key);
                match self.call(*procedure, &key) {
                    Ok(set) => self.each(frame, set, binds, rest, done),
                    Err(why) => Flow::Break(why),
                }
            }
            Step::Holds { procedure, key, wanted } => {
                let key = self.key(frame, key);
                match self.call(*procedure, &key) {
                    Ok(set) if (0 < self.set(set).len()) == *wanted => self.steps(frame, rest, done),
                    Ok(_) => Flow::Continue(()),
                    Err(why) => Flow::Break(why),
                }
            }
            Step::Test { is_equal, left, right } => {
                let holds = (self.operand(frame, *left) == self.operand(frame, *right)) == *is_equal;
                if holds { self.steps(frame, rest, done) } else { Flow::Continue(()) }
            }
            Step::Is { of, types } => {
                let of = self.operand(frame, *of);
                if types.has(self.values, of) { self.steps(frame, rest, done) } else { Flow::Continue(()) }
            }
            Step::Let { bind, value } => {
                let value = self.operand(frame, *value);
                if self.bind(frame, &[*bind], &[value]) { self.steps(frame, rest, done) } else { Flow::Continue(()) }
            }
        }
    }

    /// Goes on for each tuple of a set that is complete.
    fn each(&mut self, frame: &Frame, set: usize, binds: &[Bind], rest: &'r [Step], done: Done<'_, 'r, V>) -> Flow {
        for at in 0..self.set(set).len() {
            self.spend()?;
            let tuple = self.set(set).get(at).to_vec();
            if self.bind(frame, binds, &tuple) {
                self.steps(frame, rest, done)?;
            }
        }
        Flow::Continue(())
    }

    fn spend(&mut self) -> Flow {
        match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                Flow::Continue(())
            }
            None => ControlFlow::Break(Stop::TooManySteps),
        }
    }

    fn key(&self, frame: &Frame, key: &[Operand]) -> Vec<Value> {
        key.iter().map(|of| self.operand(frame, *of)).collect()
    }

    fn operand(&self, frame: &Frame, of: Operand) -> Value {
        match of {
            Operand::Register(at) => self.registers.get(frame.base + at).copied().unwrap_or(Value::UNKNOWN),
            Operand::Constant(value) => value,
        }
    }

    /// Whether values agree with what is known; gives the registers their values.
    fn bind(&mut self, frame: &Frame, binds: &[Bind], values: &[Value]) -> bool {
        binds.iter().zip(values).all(|(bind, value)| match bind {
            Bind::Skip => true,
            Bind::Set(register) => {
                if let Some(place) = self.registers.get_mut(frame.base + register) {
                    *place = *value;
                }
                true
            }
            Bind::Same(of) => self.operand(frame, *of) == *value,
        })
    }

    fn new_set(&mut self, width: usize) -> usize {
        let mut set = Tuples::default();
        set.reset(width);
        self.sets.push(set);
        self.sets.len() - 1
    }

    fn set(&self, at: usize) -> &Tuples {
        const NOTHING: &Tuples = &Tuples::EMPTY;
        self.sets.get(at).unwrap_or(NOTHING)
    }

    fn insert(&mut self, set: usize, tuple: &[Value]) {
        if let Some(set) = self.sets.get_mut(set) {
            set.insert(tuple);
        }
    }
}
