//! Questions: may this user do this to that, and who or what is it with one side open?
//!
//! The hand-written code and RUNE answer in one process, over the same rows, by turns; each answer is compared. *Cold* is the first pass
//! over the questions, *warm* the third. RUNE is asked by names and lists names in their order, the hand-written code has numbers; what
//! it takes when it looks names up first, and lists them so too, stands beside.

use std::{collections::BTreeSet, env, fs, path::PathBuf, time::Instant};

use rune_core::{Engine, Entities, EntityRef, List, Request};
use rustc_hash::FxHashMap;

use crate::{
    data::{Data, Question, Size},
    engines::rune,
    files::Files,
    hand::{self, Authz},
    measure::{self, quantile},
};

/// A ruleset and the family of its data.
const CASES: [(&str, &str); 8] = [
    ("authz", "authz"),
    ("authz_right", "authz"),
    ("authz_double", "authz"),
    ("authz", "skewed"),
    ("github", "github"),
    ("drive", "drive"),
    ("iam", "iam"),
    ("users", "users"),
];

/// Questions after which it is another's turn: a machine's clock may change within a pass.
const TURN: usize = 50;
/// Lists after which it is.
const TURN_OF_LISTS: usize = 5;

/// Lists asked for, and the seconds after which no further one is.
const LISTS_MAX: usize = 200;
const LIST_SECONDS_MAX: f64 = 20.0;

/// Where the table says what is allowed.
const HEADER: &str = "| rules, data | size | rows | question | who | cold p50 / p90 / p99 / max | warm p50 / p90 / p99 / max | \
                      p50 over hand-written, cold (warm) | answers |\n|---|---|---|---|---|---|---|---|---|";

/// How to measure.
pub struct Options {
    pub sizes: Vec<Size>,
    /// For building and asking, in each case.
    pub seconds_max: u32,
    /// Only rulesets and families of one of these names; all if there is none.
    pub only: Vec<String>,
}

/// Prints the table, each case from a process of its own.
///
/// # Errors
///
/// If an answer differs.
pub fn table(options: &Options) -> Result<(), String> {
    println!("Questions: microseconds, of 1,000 questions; lists of up to {LISTS_MAX}.\n\n{HEADER}");
    let mut errors = Vec::new();
    for size in &options.sizes {
        for (ruleset, family) in CASES {
            let is_wanted =
                options.only.is_empty() || options.only.iter().any(|only| only == ruleset || only == family);
            let is_there = ["authz", "skewed"].contains(&family) || ![Size::L, Size::TenMillion].contains(size);
            if is_wanted && is_there {
                let this = env::current_exe().map_err(|error| error.to_string())?;
                let parts = [&*this.display().to_string(), "questions", ruleset, family, &size.to_string()];
                let command: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
                let work = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/data");
                fs::create_dir_all(&work).map_err(|error| error.to_string())?;
                match measure::run(&command, options.seconds_max, &work) {
                    Ok(run) => print!("{}", run.output),
                    Err(failure) => {
                        print!("{}", failure.output);
                        println!("| {ruleset}, {family} | {size} |  |  | RUNE | {} |  |  |  |", failure.why);
                        // Taking long is a figure, being wrong is none.
                        let error = (!failure.is_late).then(|| format!("{ruleset}, {family}, {size}: {}", failure.why));
                        errors.extend(error);
                    }
                }
            }
        }
    }
    println!();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

/// Answers all questions of one case, in this process.
///
/// # Errors
///
/// If an answer differs.
pub fn one(ruleset: &str, family: &str, size: Size) -> Result<(), String> {
    let Files { dir, data } = Files::write("demand", ruleset, family, size)?;
    let sources = rune::sources(&dir, true).map_err(|error| error.to_string())?;
    let case = Case { ruleset, family, size, n_rows: data.tables.n_rows(), n_numbers: data.tables.n_numbers() };
    let requests: Vec<Request> = data.questions.iter().map(|question| request(family, question)).collect();
    let (mut by_hand, mut by_name, mut by_rune) = (Passes::default(), Passes::default(), Passes::default());
    let names = Names::of(&data);
    let [mut hand, mut hand_of_names] = [(); 2].map(|()| hand::answers(family, &data.tables));
    let built = rune::build(sources).map(Engine::new);
    for _ in 0..3 {
        for at in (0..requests.len()).step_by(TURN) {
            let turn = at..requests.len().min(at + TURN);
            by_hand.ask(at, &data.questions[turn.clone()], |question| hand.may(*question).into());
            by_name.ask(at, &names.questions[turn.clone()], |named| hand_of_names.may(names.question(named)).into());
            if let Ok(engine) = &built {
                by_rune.ask(at, &requests[turn], |request| engine.decide(request).is_allowed().into());
            }
        }
    }
    drop((hand, hand_of_names, names));
    case.print_hand("may", "by hand", &by_hand);
    case.print_hand("may", "by hand, of names", &by_name);
    case.print_rune("may", built.as_ref().err(), &by_rune, &by_hand);
    if by_name.answers != by_hand.answers {
        return Err("hand-written code answers otherwise when it is asked by names".to_owned());
    }
    if built.is_ok() {
        compare(&data.questions, &by_rune.answers, &by_hand.answers)?;
    }
    if (ruleset, family) == ("authz", "authz") {
        let mut hands = [(); 2].map(|()| Authz::new(&data.tables));
        let questions = &data.questions;
        case.lists("documents", questions, built.as_ref(), &mut hands, |hand, question, answer| {
            hand.documents(question.who, answer)
        })?;
        case.lists("users", questions, built.as_ref(), &mut hands, |hand, question, answer| {
            hand.users(question.what, answer)
        })?;
    }
    // Nobody waits for all of it to be freed.
    std::mem::forget(built);
    Ok(())
}

fn request(family: &str, question: &Question) -> Request {
    let [who, action, what] = sides(family, question);
    Request::new(who, action, what)
}

fn sides(family: &str, Question { who, action, what }: &Question) -> [EntityRef; 3] {
    let kind = match family {
        "github" => "Repository",
        "iam" => "Resource",
        _ => "Object",
    };
    [
        EntityRef::new("User", who.to_string()),
        EntityRef::new("Action", action.to_string()),
        EntityRef::new(kind, what.to_string()),
    ]
}

fn compare(questions: &[Question], rune: &[usize], hand: &[usize]) -> Result<(), String> {
    let differ: Vec<_> = (0..questions.len()).filter(|n| rune[*n] != hand[*n]).collect();
    let Some(first) = differ.first() else { return Ok(()) };
    let question = questions[*first];
    Err(format!("{} answers differ, the first of {question:?}: RUNE says {}", differ.len(), rune[*first] == 1))
}

/// The numbers of names, as hand-written code has them.
struct Names {
    numbers: [FxHashMap<String, u32>; 2],
    questions: Vec<([String; 2], Question)>,
}

impl Names {
    fn of(data: &Data) -> Self {
        let n = data.tables.n_numbers();
        let numbers = || (0..n).map(|number| (number.to_string(), number)).collect();
        let questions =
            data.questions.iter().map(|question| ([question.who, question.what].map(|of| of.to_string()), *question));
        Self { numbers: [numbers(), numbers()], questions: questions.collect() }
    }

    fn question(&self, ([who, what], question): &([String; 2], Question)) -> Question {
        let [users, objects] = &self.numbers;
        let number = |names: &FxHashMap<String, u32>, name: &String| names.get(name).copied().unwrap_or(u32::MAX);
        Question { who: number(users, who), what: number(objects, what), ..*question }
    }
}

/// Passes over the questions, with what each question took.
#[derive(Default)]
struct Passes {
    /// Microseconds, of each pass.
    took: Vec<Vec<f64>>,
    /// How much each question was answered with in the last pass: 1 if it is allowed, or what was listed.
    answers: Vec<usize>,
}

impl Passes {
    /// Asks these questions, of which the first begins a pass if it is the first of all.
    fn ask<Q>(&mut self, first: usize, questions: &[Q], mut answer: impl FnMut(&Q) -> usize) {
        if first == 0 {
            self.answers.clear();
            self.took.push(Vec::new());
        }
        let Some(took) = self.took.last_mut() else { return };
        for question in questions {
            let begun = Instant::now();
            let n = answer(question);
            took.push(begun.elapsed().as_nanos() as f64 / 1e3);
            self.answers.push(n);
        }
    }

    /// What the answers come to.
    fn count(&self) -> usize {
        self.answers.iter().sum()
    }

    fn show(&self, pass: usize) -> String {
        let Some(took) = self.took.get(pass) else { return String::new() };
        let figures = [0.5, 0.9, 0.99, 1.0].map(|part| {
            let value = quantile(took, part);
            if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
        });
        figures.join(" / ")
    }

    fn p50(&self, pass: usize) -> f64 {
        self.took.get(pass).map_or(f64::NAN, |took| quantile(took, 0.5))
    }
}

struct Case<'c> {
    ruleset: &'c str,
    family: &'c str,
    size: Size,
    n_rows: usize,
    n_numbers: u32,
}

impl Case<'_> {
    fn head(&self, question: &str) -> String {
        let Self { ruleset, family, size, n_rows, .. } = self;
        format!("| {ruleset}, {family} | {size} | {n_rows} | {question} |")
    }

    fn print_hand(&self, question: &str, who: &str, hand: &Passes) {
        println!("{} {who} | {} | {} |  | {} |", self.head(question), hand.show(0), hand.show(2), hand.count());
    }

    fn print_rune(&self, question: &str, refused: Option<&String>, rune: &Passes, hand: &Passes) {
        let head = self.head(question);
        if let Some(why) = refused {
            println!("{head} RUNE | refused: {why} |  |  |  |");
            return;
        }
        let ratio = |pass| rune.p50(pass) / hand.p50(pass);
        let ratio = format!("{:.2}× ({:.2}×)", ratio(0), ratio(2));
        println!("{head} RUNE | {} | {} | {ratio} | {} |", rune.show(0), rune.show(2), rune.count());
    }

    /// The lists with one side open.
    fn lists(
        &self,
        open: &str,
        questions: &[Question],
        built: Result<&Engine, &String>,
        [by_hand, hand_of_names]: &mut [Authz; 2],
        list_by_hand: impl Fn(&mut Authz, &Question, &mut Vec<u32>),
    ) -> Result<(), String> {
        let lists: Vec<List> = questions.iter().take(LISTS_MAX).map(|question| self.list(open, question)).collect();
        // One list first, and then as many as there is time for.
        let begun = Instant::now();
        let mut failure = match built {
            Ok(engine) => ask(engine, &lists[0]).err(),
            Err(finding) => Some(finding.clone()),
        };
        let took = begun.elapsed().as_secs_f64().max(1e-9);
        let n = if failure.is_some() { LISTS_MAX } else { (LIST_SECONDS_MAX / 3.0 / took) as usize };
        let n = n.clamp(1, LISTS_MAX);
        let (mut rune, mut hand, mut by_name) = (Passes::default(), Passes::default(), Passes::default());
        let names: Vec<String> = (0..self.n_numbers).map(|number| number.to_string()).collect();
        let mut answer = Vec::new();
        for _ in 0..3 {
            let (mut expected, mut listed) = (Vec::new(), Vec::new());
            for at in (0..n).step_by(TURN_OF_LISTS) {
                let turn = at..n.min(at + TURN_OF_LISTS);
                hand.ask(at, &questions[turn.clone()], |question| {
                    list_by_hand(by_hand, question, &mut answer);
                    answer.len()
                });
                by_name.ask(at, &questions[turn.clone()], |question| {
                    list_by_hand(hand_of_names, question, &mut answer);
                    in_order(&answer, &names).1.len()
                });
                // Once more, for no figure: what is compared is not what was timed.
                for question in &questions[turn.clone()] {
                    list_by_hand(by_hand, question, &mut answer);
                    expected.push(answer.iter().copied().collect::<BTreeSet<_>>());
                }
                let (Ok(engine), None) = (built, &failure) else { continue };
                rune.ask(at, &lists[turn], |list| {
                    let entities = ask(engine, list);
                    let n = entities.as_ref().map_or(0, Entities::len);
                    listed.push(entities);
                    n
                });
            }
            for (at, listed) in listed.into_iter().enumerate() {
                match listed.and_then(|listed| numbers(&listed)) {
                    Ok(listed) if listed == expected[at] => {}
                    Ok(listed) => {
                        let n = listed.len();
                        return Err(format!("the {open} of {:?} differ: RUNE lists {n}", questions[at]));
                    }
                    Err(error) => failure = Some(error),
                }
            }
        }
        if by_name.answers != hand.answers {
            return Err(format!("hand-written code lists other {open} when it names them"));
        }
        let question = format!("{open} (n={n})");
        self.print_hand(&question, "by hand", &hand);
        self.print_hand(&question, "by hand, of names", &by_name);
        self.print_rune(&question, failure.as_ref(), &rune, &hand);
        Ok(())
    }

    fn list(&self, open: &str, question: &Question) -> List {
        let [who, action, what] = sides(self.family, question);
        if open == "documents" {
            List::resources(who, action).of_type("Object")
        } else {
            List::principals(action, what).of_type("User")
        }
    }
}

/// What RUNE lists, whole.
fn ask(engine: &Engine, list: &List) -> Result<Entities, String> {
    let listed = engine.list(list).map_err(|error| error.to_string())?;
    if listed.is_incomplete {
        return Err(format!("after {} of {} candidates the steps ran out", listed.considered, listed.candidates));
    }
    Ok(listed.entities)
}

/// Names in their order, one after the other, and where each ends.
fn in_order(numbers: &[u32], names: &[String]) -> (String, Vec<usize>) {
    let mut wanted: Vec<&str> = numbers.iter().map(|number| &*names[*number as usize]).collect();
    wanted.sort_unstable();
    let mut text = String::with_capacity(wanted.iter().map(|name| name.len()).sum());
    let ends = wanted.into_iter().map(|name| {
        text.push_str(name);
        text.len()
    });
    let ends = ends.collect();
    (text, ends)
}

/// The numbers that entities are named by.
fn numbers(listed: &Entities) -> Result<BTreeSet<u32>, String> {
    listed.iter().map(|entity| entity.id.parse().map_err(|_| format!("{entity:?} is no number"))).collect()
}
