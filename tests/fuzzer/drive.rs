//! The process that a target runs in, and the one that watches over it.
//!
//! ```text
//!   test ── starts itself again ─▶ inputs, one after the other ─▶ the slowest, how many were taken
//!     ▲                                   │ before each: its number, to a file
//!     └── a signal, or no end ◀───────────┘
//! ```
//!
//! A stack that overflows ends the process, whoever would catch it; the file says which input it was.

use std::{
    env, fs,
    io::{Seek as _, Write as _},
    net::SocketAddr,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use rune_cli::serve::Server;
use rune_core::{
    File, Options, Sources,
    base::{character_at, limits::BUILD_STACK_BYTES},
    reload::ReloadCoordinator,
};

use super::{
    mutate::Mutator,
    seeds::Seeds,
    targets::{self, Target},
};
use crate::support::{Answer, Client};

/// The stack of what builds do not do: a quarter of what threads are usually given.
const STACK_BYTES: usize = 512 << 10;

/// No input takes longer.
const TIME_MAX: Duration = Duration::from_secs(1);

/// An input that takes so long has no end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Failures that are told, each with the number of its input.
const FAILURES_MAX: usize = 5;

/// Time for taking things out of an input that fails.
const SHRINKING_MAX: Duration = Duration::from_secs(5);

/// Says to the process that is started which file takes the numbers.
const PROGRESS: &str = "RUNE_FUZZ_PROGRESS";

/// Gives a target its inputs, in a process of its own; `test` is the name of the test that asks.
pub fn fuzz(target: Target, test: &str, n_inputs: u64) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, n_asked) = (number("RUNE_SEED"), number("RUNE_INPUTS"));
    let n_inputs = n_asked.unwrap_or(if first.is_some() { 1 } else { n_inputs });
    let first = first.unwrap_or(0);
    if let Some(progress) = env::var_os(PROGRESS) {
        run(target, first, n_inputs, Path::new(&progress));
        return;
    }
    let progress = tempfile::NamedTempFile::new().expect("a file");
    let mut child = Command::new(env::current_exe().expect("this test"));
    child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PROGRESS, progress.path());
    let output = child.output().expect("it starts again");
    let said = String::from_utf8_lossy(&output.stdout);
    let told: Vec<_> = said.lines().filter_map(|line| line.find("fuzz: ").map(|at| &line[at..])).collect();
    println!("{}", told.join("\n"));
    if !output.status.success() {
        let seed = fs::read_to_string(progress.path()).unwrap_or_default();
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("{}, at RUNE_SEED={seed} (alone, it replays that input):\n{said}\n{errors}", output.status);
    }
}

/// In the process of its own.
fn run(target: Target, first: u64, n_inputs: u64, progress: &Path) {
    let at = Arc::new(AtomicU64::new(first));
    let mut numbers = fs::File::create(progress).expect("the file for the numbers");
    let (done, ended) = mpsc::channel();
    let stack_bytes = if target.is_of_builds() { BUILD_STACK_BYTES } else { STACK_BYTES };
    let start = Instant::now();
    let note = {
        let at = at.clone();
        move |seed: u64| {
            at.store(seed, Ordering::Relaxed);
            let written = numbers.rewind().and_then(|()| write!(numbers, "{seed}"));
            written.expect("the number is written");
        }
    };
    let work = move || {
        let _ = done.send(inputs(target, first..first + n_inputs, note));
    };
    let worker = thread::Builder::new().stack_size(stack_bytes).spawn(work).expect("a thread");
    let (mut last, mut since) = (first, Instant::now());
    let mix = loop {
        match ended.recv_timeout(Duration::from_millis(100)) {
            Ok(mix) => break mix,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", worker.join()),
        }
        let now = at.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "the input has no end");
    };
    let Mix { n_taken, slowest, failures } = mix;
    let slowest: Vec<_> = slowest.iter().map(|(took, at, n)| format!("{took:.1?} ({at}, {n} bytes)")).collect();
    println!(
        "fuzz: {target:?}: {n_inputs} inputs from {first} in {:.1} s, {n_taken} taken; slowest {}",
        start.elapsed().as_secs_f64(),
        slowest.join(", "),
    );
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(n_inputs < 1_000 || n_inputs < 100 * n_taken, "hardly any input is taken");
}

/// What came of the inputs of a target.
#[derive(Debug, Default)]
struct Mix {
    n_taken: u64,
    /// The longest times, with the number of the input and its length.
    slowest: Vec<(Duration, u64, usize)>,
    failures: Vec<String>,
}

fn inputs(target: Target, range: Range<u64>, mut note: impl FnMut(u64)) -> Mix {
    let seeds = Seeds::load();
    let texts = seeds.of(target);
    let mut check = checker(target);
    let mut mix = Mix::default();
    let is_replay = range.end - range.start == 1;
    for seed in range {
        note(seed);
        let text = Mutator::new(seed).input(&texts);
        if is_replay {
            println!("{text}\n{text:?}");
        }
        let (mut took, mut result) = timed(&mut check, &text);
        // Another process may have had the processor: what counts is the time that this one had.
        if TIME_MAX < took {
            let before = cpu_time();
            (took, result) = timed(&mut check, &text);
            took = before.zip(cpu_time()).map_or(took, |(before, after)| after.saturating_sub(before));
        }
        mix.slowest.push((took, seed, text.len()));
        mix.slowest.sort_unstable_by(|a, b| b.cmp(a));
        mix.slowest.truncate(3);
        match result {
            Ok(is_taken) if took <= TIME_MAX => mix.n_taken += u64::from(is_taken),
            Ok(_) => mix.failures.push(format!("RUNE_SEED={seed} took {took:.1?}, {} bytes", text.len())),
            Err(fault) => {
                let small = shrunk(&mut check, text);
                let fault = check(&small).err().unwrap_or(fault);
                mix.failures.push(format!("RUNE_SEED={seed}: {fault}\nof the text\n{small}\n{small:?}"));
            }
        }
        if mix.failures.len() == FAILURES_MAX {
            mix.failures.push("and no input beyond that was tried".to_owned());
            break;
        }
    }
    mix
}

/// The time that this process had a processor, where the system tells.
pub fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in brackets; in hundredths of a second (proc(5): utime and stime).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

type Check = Box<dyn FnMut(&str) -> Result<bool, String>>;

fn timed(check: &mut Check, text: &str) -> (Duration, Result<bool, String>) {
    let start = Instant::now();
    let result = check(text);
    (start.elapsed(), result)
}

/// What a target checks, with panics as failures.
fn checker(target: Target) -> Check {
    let mut over_http = (target == Target::Evaluation).then(Todo::start);
    Box::new(move |text| {
        let check = AssertUnwindSafe(|| match &mut over_http {
            Some(todo) => todo.check(text),
            None => targets::check(target, text),
        });
        catch_unwind(check).unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("a panic: {}", what.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()))
        })
    })
}

/// A text without what may be missing while it still fails.
fn shrunk(check: &mut Check, mut text: String) -> String {
    let start = Instant::now();
    let mut size = text.len() / 2;
    while 0 < size && start.elapsed() < SHRINKING_MAX {
        let mut at = 0;
        while at < text.len() && start.elapsed() < SHRINKING_MAX {
            let (from, to) = (character_at(&text, at).start, character_at(&text, at + size).start);
            let smaller = format!("{}{}", &text[..from], &text[to..]);
            if smaller.len() < text.len() && check(&smaller).is_err() { text = smaller } else { at += size }
        }
        size /= 2;
    }
    text
}

/// A server of the Todo example, and a client.
struct Todo {
    address: SocketAddr,
    client: Client,
    _runtime: tokio::runtime::Runtime,
}

impl Todo {
    fn start() -> Self {
        let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies/todo/todo.rune"));
        let sources = Sources::new(vec![File::new("todo.rune", text.expect("the example"))]);
        let mut coordinator = ReloadCoordinator::new(Options::default());
        coordinator.on_sources(&Arc::new(sources), || (SystemTime::now(), Duration::ZERO));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let bound = runtime.block_on(Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), coordinator.served().clone()));
        let server = bound.expect("an address");
        let address = server.addresses()[0];
        runtime.spawn(server.run(std::future::pending()));
        Self { address, client: Client::connect(address), _runtime: runtime }
    }

    /// Either the decision, or that the request is wrong. A batch of this one request says the same of it, and the endpoint for
    /// batches answers whatever is sent to it.
    fn check(&mut self, body: &str) -> Result<bool, String> {
        let single = self.post("/access/v1/evaluation", body)?;
        let batch = self.post("/access/v1/evaluations", &format!("{{\"evaluations\":[{body}]}}"))?;
        let decision = |answer: &Answer| (answer.status == 200).then(|| answer.json()["decision"].as_bool());
        let item = (batch.status == 200).then(|| batch.json()["evaluations"][0]["decision"].as_bool());
        let is_same = match (decision(&single), item) {
            (Some(Some(single)), Some(Some(item))) => single == item,
            // What is wrong with the request denies in a batch, unless it is wrong with the whole body.
            (None, None | Some(Some(false))) => single.status == 400 && matches!(batch.status, 200 | 400),
            // A body may end what is around it, and may be nested as deep as it can be.
            (Some(Some(_)), None) => batch.status == 400 && batch.body.contains("nested deeper"),
            _ => false,
        };
        if !is_same {
            return Err(format!("answered {single:?}, and in a batch {batch:?}"));
        }
        match self.post("/access/v1/evaluations", body)?.status {
            200 | 400 => Ok(single.status == 200),
            status => Err(format!("a batch is answered {status}")),
        }
    }

    fn post(&mut self, path: &str, body: &str) -> Result<Answer, String> {
        catch_unwind(AssertUnwindSafe(|| self.client.post(path, body))).map_err(|_| {
            self.client = Client::connect(self.address);
            "the server does not answer".to_owned()
        })
    }
}
