//! Renders that are killed, at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

const WORDS: [&str; 2] = ["word=one", "word=two"];

/// Writes a project that takes a while to render; a part of its files depends on the variable.
fn large() -> World {
    let world = World::inside("/dev/shm");
    world.write_site("one");
    for number in 0..250 {
        let place = format!("layers/app/files/opt/{}/{number}", number % 30);
        match number % 18 {
            0 => world.write(&format!("{place}.j2"), format!("{number} {{{{ word }}}}\n")),
            _ => world.write(&place, format!("{number}\n")),
        }
    }
    world
}

/// Returns what the renders of both inputs give.
fn results() -> [BTreeMap<PathBuf, Found>; 2] {
    WORDS.map(|word| {
        let world = large();
        world.render(&["--set", word]).ok();
        snapshot(&world.destination())
    })
}

/// Random moments within the time that a render takes, which is found out on the way: other tests run beside it.
struct Moments {
    numbers: Numbers,
    longest: u64,
    rounds: u64,
}

impl Moments {
    fn of(world: &World, seed: u64) -> Self {
        let start = Instant::now();
        world.render(&["--set", "word=three"]).ok();
        Self { numbers: Numbers(seed), longest: start.elapsed().as_micros() as u64, rounds: 0 }
    }

    /// Returns the next moment; early ones, before anything is written, are fewer.
    fn next(&mut self) -> Duration {
        Duration::from_micros(self.longest / 3 + self.numbers.below(self.longest * 2 / 3))
    }

    /// Waits for the next moment to kill `running`. Every other one is soon after it began to write.
    fn wait(&mut self, world: &World, running: &mut Child) {
        self.rounds += 1;
        let stage = world.destination().with_file_name(".debian.layerforge");
        if self.rounds.is_multiple_of(2) {
            return std::thread::sleep(self.next());
        }
        while !stage.exists() && running.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let start = Instant::now();
        let moment = Duration::from_micros(self.numbers.below(self.longest / 4));
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
    }

    fn learn(&mut self, came_to_its_end: bool) {
        self.longest = if came_to_its_end { self.longest * 9 / 10 } else { self.longest * 21 / 20 };
    }
}

/// Starts a render, kills it at a random moment; tells whether it came to its end before.
fn kill(world: &World, word: &str, moments: &mut Moments) -> bool {
    let mut command = world.program(&["render", "--distro", "debian", "--set", word]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    moments.wait(world, &mut running);
    running.kill().unwrap();
    let status = running.wait().unwrap();
    assert!(status.code().is_none_or(|code| code == 0), "it was not killed, it failed: {status}");
    if moments.rounds.is_multiple_of(2) {
        moments.learn(status.success());
    }
    status.success()
}

/// Tells what a kill left beside the destination or in it.
fn has_leftovers(destination: &Path) -> bool {
    names(destination.parent().unwrap()) != ["debian"] || destination.join(".layerforge").exists()
}

#[test]
fn two_hundred_kills_leave_the_old_result_or_the_new_one() {
    let expected = results();
    let world = large();
    let mut moments = Moments::of(&world, 0x1234_5678);
    let destination = world.destination();
    world.render(&["--set", WORDS[1]]).ok();
    let (mut ends, mut middles, mut seen) = (0, 0, [0; 2]);
    for round in 0..200 {
        let word = WORDS[round % 2];
        ends += usize::from(kill(&world, word, &mut moments));
        let found = snapshot(&destination);
        let which = expected.iter().position(|expected| *expected == found);
        let Some(which) = which else {
            assert_same(&found, &expected[round % 2], &format!("round {round}: a mixture"));
            unreachable!("it is none of them");
        };
        seen[which] += 1;
        middles += usize::from(has_leftovers(&destination));
        if round % 4 == 3 {
            // Nothing of what was left is taken for an edit, and all of it goes away.
            let word = round / 4 % 2;
            world.render(&["--set", WORDS[word]]).ok();
            assert_same(&snapshot(&destination), &expected[word], &format!("round {round}: recovered"));
            assert!(!has_leftovers(&destination), "round {round}: {:?}", names(destination.parent().unwrap()));
            assert!(world.render(&["--set", WORDS[word]]).ok().is_up_to_date(), "round {round}");
        }
    }
    println!("{ends} came to their end, {middles} left something to clean up, results seen {seen:?}");
    assert!(ends < 150 && middles > 15 && seen.iter().all(|count| *count > 20), "{ends} {middles} {seen:?}");
}

#[test]
fn a_killed_first_render_is_made_up_for() {
    let expected = results();
    let world = large();
    let mut moments = Moments::of(&world, 0x0bad_cafe);
    let destination = world.destination();
    let mut empty = 0;
    for round in 0..30 {
        fs::remove_dir_all(world.project().join("out")).ok();
        fs::remove_file(world.project().join("profiles/default.lock")).ok();
        if round % 2 == 0 {
            fs::remove_dir_all(world.store()).ok();
        }
        kill(&world, "word=one", &mut moments);
        match destination.exists().then(|| snapshot(&destination)).filter(|found| !found.is_empty()) {
            Some(found) => assert_same(&found, &expected[0], &format!("round {round}: a part")),
            None => empty += 1,
        }
        let lock = world.project().join("profiles/default.lock");
        if lock.exists() {
            world.render(&["--locked", "--set", "word=two"]).ok();
        } else {
            world.render(&["--set", "word=two"]).ok();
        }
        assert_same(&snapshot(&destination), &expected[1], &format!("round {round}: after it"));
        assert!(!has_leftovers(&destination), "round {round}");
    }
    assert!(empty > 5, "{empty} were killed before the result was there");
}
