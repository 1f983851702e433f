//! Scripts of a folder's life, and what the settler makes of it.

use super::*;
use crate::base::File;

/// What happens to the folder and to the driver. Files are told as `a=1 b=2`; `b=` is an empty file.
#[derive(Clone, Copy)]
enum Event {
    /// The folder holds these files now, and a hint says so.
    Save(&'static str),
    /// The same without a hint.
    Quietly(&'static str),
    Hint,
    /// From now on, files change while they are read.
    Moves,
    /// From now on, this file cannot be read.
    Unreadable(&'static str),
    /// The folder is gone.
    Gone,
    /// A lock is set, and goes.
    Lock,
    Unlock,
}
use Event::{Gone, Hint, Lock, Moves, Quietly, Save, Unlock, Unreadable};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn set(files: &str) -> Sources {
    let file = |(path, text): (&str, &str)| File::new(path, text.as_bytes());
    Sources::new(files.split_whitespace().filter_map(|file| file.split_once('=')).map(file).collect())
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Publish(set) => {
            set.files().map(|(_, file)| format!("{}={}", file.path, file.text())).collect::<Vec<_>>().join(" ")
        }
        Outcome::Trouble(Trouble::RootMissing { .. }) => "gone".to_owned(),
        Outcome::Trouble(Trouble::Empty { .. }) => "empty".to_owned(),
        Outcome::Trouble(Trouble::Unreadable { path, .. }) => format!("cannot read {}", path.display()),
        Outcome::Trouble(_) => "unstable".to_owned(),
    }
}

/// What a look sees after an event; none if the event only hints.
fn observation(event: Event) -> Option<Observation> {
    Some(match event {
        Save(files) | Quietly(files) => Observation::Whole(Arc::new(set(files))),
        Hint | Lock | Unlock => return None,
        Moves => Observation::Moving,
        Unreadable(path) => Observation::Trouble(Trouble::Unreadable { path: path.into(), message: String::new() }),
        Gone => Observation::Trouble(Trouble::RootMissing { path: "folder".into() }),
    })
}

/// The locks of a folder, as the scanner heeds them.
#[derive(Default)]
struct Guard {
    is_locked: bool,
    is_stale: bool,
}

impl Guard {
    fn set(&mut self, is_locked: bool) {
        *self = Self { is_locked, is_stale: false };
    }

    /// What a look that would see `seen` makes of it.
    fn look(&mut self, locks: Locks, seen: Observation) -> Observation {
        self.is_stale |= locks == Locks::Ignored;
        if self.is_locked && !self.is_stale { Observation::Locked } else { seen }
    }
}

/// Lives through a script of events, each at its millisecond, until `end`. What came of it is told the same way.
fn live(timing: Timing, script: &[(u64, Event)], end: u64) -> Vec<String> {
    let mut settler = Settler::new(timing);
    let mut script = script.iter().peekable();
    let (mut disk, mut guard) = (Observation::Moving, Guard::default());
    let mut told = Vec::new();
    loop {
        let look = settler.look_at();
        if let Some((at, event)) = script.next_if(|(at, _)| ms(*at) <= look) {
            disk = observation(*event).unwrap_or(disk);
            match event {
                Save(_) | Hint => settler.on_hint(ms(*at)),
                Lock | Unlock => guard.set(matches!(event, Lock)),
                _ => (),
            }
            continue;
        }
        if ms(end) < look {
            return told;
        }
        let outcome = settler.on_observation(look, guard.look(settler.locks(look), disk.clone()));
        assert!(look < settler.look_at(), "time moves on");
        told.extend(outcome.map(|outcome| format!("{}: {}", look.as_millis(), shown(&outcome))));
    }
}

fn check(script: &[(u64, Event)], expected: &[&str]) {
    assert_eq!(live(Timing::default(), script, 10_000), expected);
}

#[test]
fn the_first_set_is_published_at_once() {
    check(&[(0, Quietly("a=1"))], &["0: a=1"]);
    check(&[(0, Save("a= b=1"))], &["0: a= b=1"]);
}

#[test]
fn a_single_save_is_published_after_a_quiet_time() {
    check(&[(0, Save("a=1")), (100, Save("a=2"))], &["0: a=1", "105: a=2"]);
}

#[test]
fn files_that_go_one_after_the_other_do_not_hold_an_edit_for_ever() {
    let script = [
        (0, Save("a=1 b=1 c=1 d=1 e=1 f=1 g=1")),
        (1_000, Save("a=2 c=1 d=1 e=1 f=1 g=1")),
        (1_400, Save("a=2 d=1 e=1 f=1 g=1")),
        (1_800, Save("a=2 e=1 f=1 g=1")),
        (2_200, Save("a=2 f=1 g=1")),
        (2_600, Save("a=2 g=1")),
        (3_000, Save("a=2")),
    ];
    let told = live(Timing::default(), &script, 10_000);
    assert_eq!(told, ["0: a=1 b=1 c=1 d=1 e=1 f=1 g=1", "3005: a=2"]);
}

#[test]
fn a_new_file_that_is_still_empty_is_waited_for() {
    check(&[(0, Save("a=1")), (100, Save("a=1 b=")), (130, Save("a=1 b=2"))], &["0: a=1", "135: a=1 b=2"]);
    check(&[(0, Save("a=1")), (100, Save("a=1 b="))], &["0: a=1", "605: a=1 b="]);
}

#[test]
fn hints_closer_than_the_quiet_time_are_one_publication() {
    let script = [(0, Save("a=1 b=1")), (100, Save("a=2 b=1")), (104, Save("a=2 b=2")), (108, Hint)];
    check(&script, &["0: a=1 b=1", "113: a=2 b=2"]);
}

#[test]
fn hints_further_apart_are_two() {
    let script = [(0, Save("a=1 b=1")), (100, Save("a=2 b=1")), (106, Save("a=2 b=2"))];
    check(&script, &["0: a=1 b=1", "105: a=2 b=1", "111: a=2 b=2"]);
}

#[test]
fn a_burst_waits_for_a_longer_quiet_time() {
    let burst = (100..113).map(|at| (at, Save("a=2")));
    let script: Vec<_> = [(0, Save("a=1"))].into_iter().chain(burst).chain([(130, Save("a=3"))]).collect();
    check(&script, &["0: a=1", "155: a=3"]);
}

#[test]
fn a_stream_of_hints_is_cut() {
    let stream = |step: u64| (0..1_000).map(move |n| (100 + n * step, if n == 0 { Save("a=2") } else { Hint }));
    let script = |step| [(0, Save("a=1"))].into_iter().chain(stream(step)).collect::<Vec<_>>();
    let patient = Timing { quiet: ms(50), ..Timing::default() };
    assert_eq!(live(patient, &script(40), 1_000), ["0: a=1", "350: a=2"], "after hold_max");
    check(&script(4), &["0: a=1", "2100: a=2"]);
}

#[test]
fn a_tick_looks_every_second() {
    let mut settler = Settler::new(Timing::default());
    for second in 0..5 {
        assert_eq!(settler.look_at(), ms(1_000 * second));
        let _ = settler.on_observation(settler.look_at(), observation(Save("a=1")).unwrap());
    }
}

#[test]
fn a_change_without_a_hint_is_published_once_it_outlasts_a_quiet_time() {
    check(&[(0, Save("a=1")), (2_500, Quietly("a=2"))], &["0: a=1", "3005: a=2"]);
    let script = [(0, Save("a=1 b=1")), (2_999, Quietly("a=2 b=1")), (3_002, Quietly("a=2 b=2"))];
    check(&script, &["0: a=1 b=1", "3010: a=2 b=2"]);
}

#[test]
fn a_tick_does_not_interrupt_a_burst() {
    let burst = (0..100).map(|n| (990 + n, if n < 99 { Save("a=2 b=1") } else { Save("a=2 b=2") }));
    let script: Vec<_> = [(0, Save("a=1 b=1"))].into_iter().chain(burst).collect();
    check(&script, &["0: a=1 b=1", "1114: a=2 b=2"]);
}

#[test]
fn a_change_without_a_hint_that_goes_on_is_cut() {
    let texts = ["a=2", "a=3"];
    let writes = (0..1_000).map(|n| (990 + n, Quietly(texts[usize::from(n % 10 < 5)])));
    let script: Vec<_> = [(0, Save("a=1"))].into_iter().chain(writes).collect();
    let told = live(Timing { burst_hints: 1_000, ..Timing::default() }, &script, 1_260);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("1250: "), "{told:?}");
}

#[test]
fn a_file_that_comes_back_within_the_grace_was_never_gone() {
    check(&[(0, Save("a=1 b=1")), (100, Save("a=1")), (400, Save("a=1 b=1"))], &["0: a=1 b=1"]);
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1")), (400, Save("a=1 b=2"))];
    check(&script, &["0: a=1 b=1", "405: a=1 b=2"]);
}

#[test]
fn a_file_that_stays_away_is_gone_after_the_grace() {
    check(&[(0, Save("a=1 b=1")), (100, Save("a=1"))], &["0: a=1 b=1", "605: a=1"]);
    check(&[(0, Save("a=1 b=1")), (100, Save("a=1")), (500, Hint)], &["0: a=1 b=1", "605: a=1"]);
}

#[test]
fn the_youngest_file_that_is_gone_decides() {
    let script = [(0, Save("a=1 b=1 c=1")), (100, Save("a=1 b=1")), (400, Save("a=1"))];
    check(&script, &["0: a=1 b=1 c=1", "905: a=1"]);
}

#[test]
fn an_emptied_file_waits_likewise() {
    check(&[(0, Save("a=1 b=1")), (100, Save("a=1 b="))], &["0: a=1 b=1", "605: a=1 b="]);
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1 b=")), (300, Save("a=1 b=2"))];
    check(&script, &["0: a=1 b=1", "305: a=1 b=2"]);
    check(&[(0, Save("a=1 b=")), (100, Save("a=2 b="))], &["0: a=1 b=", "105: a=2 b="]);
}

#[test]
fn a_file_emptied_and_then_removed_waits_once() {
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1 b=")), (300, Save("a=1"))];
    check(&script, &["0: a=1 b=1", "605: a=1"]);
}

#[test]
fn a_file_that_is_empty_at_each_cut_of_a_stream_of_hints_is_not_an_emptied_file() {
    let stream = (0..1_000).map(|n| (100 + 4 * n, if n % 10 == 5 { Save("a=2") } else { Save("a=") }));
    let script = |end| [(0, Save("a=1"))].into_iter().chain(stream.clone()).chain([(4_100, end)]).collect::<Vec<_>>();
    check(&script(Save("a=2")), &["0: a=1", "4104: a=2"]);
    let longer = |n: usize| (0..n).flat_map(|n| [(4_100 + 4 * n as u64, Save("a="))]);
    let script: Vec<_> = script(Save("a=")).into_iter().chain(longer(200)).collect();
    check(&script, &["0: a=1", "4104: unstable", "4921: a="]);
}

#[test]
fn an_edit_waits_with_the_file_that_is_gone() {
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1")), (200, Save("a=2"))];
    check(&script, &["0: a=1 b=1", "605: a=2"]);
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1")), (200, Save("a=2")), (300, Save("a=2 b=1"))];
    check(&script, &["0: a=1 b=1", "305: a=2 b=1"]);
}

#[test]
fn an_emptied_folder_is_trouble_after_the_grace_and_recovers() {
    let script = [(0, Save("a=1")), (100, Save("")), (3_000, Save("a=1"))];
    check(&script, &["0: a=1", "605: empty", "3005: a=1"]);
    check(&[(0, Save("a=1")), (100, Save("")), (300, Save("a=1"))], &["0: a=1"]);
}

#[test]
fn an_empty_folder_is_trouble_at_once_when_nothing_was_published() {
    check(&[(0, Save("")), (100, Save("a=1"))], &["0: empty", "105: a=1"]);
}

#[test]
fn a_missing_folder_waits_for_the_grace_only_after_a_publication() {
    check(&[(0, Gone), (100, Save("a=1"))], &["0: gone", "105: a=1"]);
    check(&[(0, Save("a=1")), (100, Gone), (101, Hint)], &["0: a=1", "606: gone"]);
    check(&[(0, Save("a=1")), (100, Gone), (101, Hint), (300, Save("a=2"))], &["0: a=1", "305: a=2"]);
}

#[test]
fn a_file_missing_after_the_folder_was_has_been_missing_all_the_time() {
    let script = [(0, Save("a=1 b=1")), (100, Gone), (101, Hint), (300, Save("a=1"))];
    check(&script, &["0: a=1 b=1", "606: a=1"]);
}

#[test]
fn the_same_bytes_publish_nothing() {
    check(&[(0, Save("a=1")), (100, Save("a=1")), (200, Hint)], &["0: a=1"]);
}

#[test]
fn a_revert_publishes_again() {
    let script = [(0, Save("a=1")), (100, Save("a=?")), (200, Save("a=1"))];
    check(&script, &["0: a=1", "105: a=?", "205: a=1"]);
}

#[test]
fn trouble_is_said_once_until_it_changes() {
    let script = [(0, Save("a=1")), (100, Unreadable("a")), (101, Hint), (2_000, Unreadable("b")), (2_001, Hint)];
    check(&script, &["0: a=1", "106: cannot read a", "2006: cannot read b"]);
}

#[test]
fn after_trouble_the_same_set_is_published_again() {
    let script = [(0, Save("a=1")), (100, Unreadable("a")), (101, Hint), (200, Save("a=1")), (300, Unreadable("a"))];
    check(&script, &["0: a=1", "106: cannot read a", "205: a=1", "1205: cannot read a"]);
}

#[test]
fn moving_files_are_looked_at_again_soon() {
    let script = [(0, Save("a=1")), (100, Moves), (101, Hint), (110, Quietly("a=2"))];
    check(&script, &["0: a=1", "111: a=2"]);
    check(&[(0, Moves), (3, Quietly("a=1"))], &["5: a=1"]);
}

#[test]
fn files_that_never_rest_are_trouble_once() {
    let script = [(0, Save("a=1")), (100, Moves), (101, Hint), (8_000, Quietly("a=1"))];
    let told = live(Timing::default(), &script, 10_000);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[1], "2101: unstable", "{told:?}");
    assert!(told[2].ends_with(": a=1"), "{told:?}");
}

#[test]
fn a_hint_now_and_then_holds_up_neither_a_save_nor_a_removal() {
    let hints = |from: u64| (0..40).map(move |n| (from + 30 * n, Hint));
    let script: Vec<_> = [(0, Save("a=1 b=1")), (100, Save("a=1"))].into_iter().chain(hints(101)).collect();
    check(&script, &["0: a=1 b=1", "606: a=1"]);
    let script: Vec<_> = [(0, Save("a=1")), (100, Save("a=2"))].into_iter().chain(hints(101)).collect();
    check(&script, &["0: a=1", "106: a=2"]);
}

#[test]
fn an_edit_under_a_lock_is_published_a_quiet_time_after_the_lock_is_gone() {
    let script = [(0, Save("a=1 b=1")), (100, Lock), (101, Save("a=2 b=1")), (400, Quietly("a=2 b=2")), (423, Unlock)];
    check(&script, &["0: a=1 b=1", "431: a=2 b=2"]);
    let late_hint = [(0, Save("a=1")), (100, Lock), (101, Save("a=2")), (423, Unlock), (430, Hint)];
    check(&late_hint, &["0: a=1", "435: a=2"]);
}

#[test]
fn nothing_is_said_under_a_lock() {
    let script = [(0, Save("a=1")), (100, Lock), (101, Gone), (102, Hint), (2_000, Save("a=1")), (2_001, Unlock)];
    check(&script, &["0: a=1"]);
    let script = [(0, Save("a=1")), (100, Lock), (101, Moves), (102, Hint), (2_000, Save("a=2")), (2_001, Unlock)];
    check(&script, &["0: a=1", "2010: a=2"]);
}

#[test]
fn a_lock_that_is_left_behind_stops_edits_once_and_not_for_ever() {
    let script = [(0, Save("a=1")), (100, Lock), (101, Save("a=2")), (12_000, Save("a=3"))];
    let told = live(Timing::default(), &script, 20_000);
    assert_eq!(told, ["0: a=1", "10106: a=2", "12005: a=3"]);
}

#[test]
fn a_lock_that_follows_one_left_behind_is_heeded() {
    let script = [(0, Lock), (0, Save("a=1")), (5_000, Unlock), (5_001, Lock), (5_002, Save("a=2")), (6_000, Unlock)];
    check(&script, &["2000: a=1", "6007: a=2"]);
}

#[test]
fn locks_without_a_rest_between_them_hold_for_no_longer_than_one() {
    // Every other look meets one.
    let locks = (0..2_000).flat_map(|n| [(104 + 10 * n, Lock), (109 + 10 * n, Unlock)]);
    let script: Vec<_> = [(0, Save("a=1")), (101, Save("a=2"))].into_iter().chain(locks).collect();
    assert_eq!(live(Timing::default(), &script, 11_000), ["0: a=1", "10106: a=2"]);
}

#[test]
fn a_lock_in_a_stream_of_hints_holds_no_longer_than_a_cut_beyond_its_time() {
    let stream = (0..4_000).map(|n| (102 + 4 * n, Hint));
    let script: Vec<_> = [(0, Save("a=1")), (100, Lock), (101, Save("a=2"))].into_iter().chain(stream).collect();
    assert_eq!(live(Timing::default(), &script, 15_000), ["0: a=1", "12101: a=2"]);
}

#[test]
fn the_first_set_is_held_by_a_lock_but_not_for_long() {
    check(&[(0, Lock), (0, Quietly("a=1")), (100, Quietly("a=1 b=1")), (152, Unlock)], &["160: a=1 b=1"]);
    check(&[(0, Lock), (0, Quietly("a=1"))], &["2000: a=1"]);
}

#[test]
fn the_grace_of_a_lost_file_begins_anew_after_a_lock() {
    let script = [(0, Save("a=1 b=1")), (100, Save("a=1")), (200, Lock), (201, Hint), (900, Unlock)];
    check(&script, &["0: a=1 b=1", "1406: a=1"]);
}

/// Marsaglia's xorshift64: a seed is a test case.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// A folder of three files, a driver that is sometimes late, and what the settler promises about them.
struct World {
    settler: Settler,
    timing: Timing,
    now: Duration,
    /// For each file its text, or none if it is gone.
    disk: [Option<&'static str>; 3],
    published: Option<Arc<Sources>>,
    is_troubled: bool,
    /// For each file since when every look found it gone or empty.
    lost: [Option<Duration>; 3],
    /// When the last hint was told.
    hinted: Duration,
    guard: Guard,
    /// When a look last met a lock.
    locked: Option<Duration>,
}

const PATHS: [&str; 3] = ["a", "b", "c"];

impl World {
    fn files(&self) -> Sources {
        let file = |(path, text): (&str, Option<&str>)| text.map(|text| File::new(path, text.as_bytes()));
        Sources::new(PATHS.into_iter().zip(self.disk).filter_map(file).collect())
    }

    /// Changes some files, or none, and most often tells.
    fn edit(&mut self, dice: &mut Dice) {
        for _ in 0..dice.pick(&[0, 1, 1, 3]) {
            self.disk[dice.pick(&[0, 1, 2])] = dice.pick(&[None, Some(""), Some("1"), Some("2"), Some("3")]);
        }
        if dice.below(4) != 0 {
            self.settler.on_hint(self.now);
            self.hinted = self.now;
        }
    }

    fn look(&mut self, seen: &Observation) {
        if *seen == Observation::Locked {
            self.locked = Some(self.now);
            self.lost = [None; 3];
        }
        for (lost, text) in self.lost.iter_mut().zip(self.disk) {
            let is_lost = match seen {
                Observation::Whole(_) => text.is_none_or(str::is_empty),
                Observation::Trouble(Trouble::RootMissing { .. }) => true,
                _ => continue,
            };
            *lost = is_lost.then(|| lost.unwrap_or(self.now));
        }
        let is_first = self.settler.next.is_none();
        let outcome = self.settler.on_observation(self.now, seen.clone());
        assert!(self.now < self.settler.look_at(), "time moves on");
        let is_held = self.locked.is_some_and(|locked| self.now < locked + self.timing.quiet);
        assert!(outcome.is_none() || !is_held || self.guard.is_stale, "something is said under a lock");
        match outcome {
            Some(Outcome::Publish(set)) => {
                assert_eq!(*seen, Observation::Whole(Arc::clone(&set)), "what is published was just seen");
                assert!(!set.is_empty(), "nothing is never published");
                if let Some(before) = &self.published {
                    assert!(self.is_troubled || *before != set, "the same set is published again");
                    for (path, lost) in PATHS.into_iter().zip(self.lost) {
                        let has_bytes = |set: &Sources| set.find(path).is_some_and(|file| !file.bytes.is_empty());
                        if has_bytes(before) && !has_bytes(&set) {
                            assert!(lost.unwrap() + self.timing.grace <= self.now, "{path} is lost too early");
                            assert!(self.hinted + self.timing.quiet <= self.now, "{path} is lost while files move");
                        }
                    }
                }
                self.is_troubled = false;
                self.published = Some(set);
            }
            Some(Outcome::Trouble(_)) => self.is_troubled = true,
            None => {
                let may_wait = matches!(seen, Observation::Moving | Observation::Locked);
                assert!(!is_first || may_wait, "a first look says something");
            }
        }
    }

    /// Lets time pass, looking whenever a look is due. One look in `faults` sees something else than the files.
    fn pass(&mut self, until: Duration, dice: &mut Dice, faults: u64) {
        while self.settler.look_at() <= until {
            // A driver is late now and then, but it knows the time.
            let late = Duration::from_micros(dice.pick(&[0, 0, 0, 100, 2_000]));
            self.now = self.now.max(self.settler.look_at() + late);
            let seen = match dice.below(faults) {
                0 => observation(dice.pick(&[Moves, Moves, Unreadable("a"), Gone])).unwrap(),
                _ => Observation::Whole(Arc::new(self.files())),
            };
            let seen = self.guard.look(self.settler.locks(self.now), seen);
            self.look(&seen);
        }
        self.now = self.now.max(until);
    }
}

#[test]
fn ten_thousand_lives_keep_every_promise() {
    for seed in 1..=10_000 {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15));
        let (hold_max, burst_hold_max) = (ms(20), ms(60));
        let grace_max = Duration::from_secs(3_600);
        let timing = Timing { burst_hints: 3, hold_max, burst_hold_max, grace_max, ..Timing::default() };
        let mut world = World {
            settler: Settler::new(timing),
            timing,
            now: Duration::ZERO,
            disk: [Some("1"); 3],
            published: None,
            is_troubled: false,
            lost: [None; 3],
            hinted: Duration::ZERO,
            guard: Guard::default(),
            locked: None,
        };
        for _ in 0..12 {
            let wait = dice.pick(&[0, 1, 4, 30, 300, 700, 1_500]);
            let until = world.now + ms(wait) + Duration::from_micros(dice.below(1_000));
            world.pass(until, &mut dice, 8);
            if dice.below(4) == 0 {
                world.guard.set(!world.guard.is_locked);
            }
            // Most often a single edit, and now and then a stream that is cut.
            for _ in 0..dice.pick(&[1, 1, 1, 1, 1, 1, 1, 40]) {
                world.edit(&mut dice);
                world.pass(world.now + ms(2), &mut dice, 8);
            }
        }
        // Whether the last lock is left behind or not.
        let rest = timing.burst_hold_max + timing.grace + timing.tick + timing.lock_max;
        world.pass(world.now + rest, &mut dice, u64::MAX);
        let files = world.files();
        assert_eq!(world.is_troubled, files.is_empty(), "seed {seed}");
        if !files.is_empty() {
            assert_eq!(world.published.as_deref(), Some(&files), "seed {seed}");
        }
    }
}
