//! Bodies that nobody would write, made from sound ones: the generator behind the fuzzing of both wires. Tests only.
//!
//! Every case follows from the seed and its number alone. `BRIDGE_FUZZ_SEED` and `BRIDGE_FUZZ_CASES` change what runs.

use std::ops::Range;

/// Seed where the environment names none.
const SEED: u64 = 0xB0_17;
/// Cases where the environment names none: a share of the 100,000 that the gate runs.
const CASES: u64 = 20_000;
/// Longest body that is mutated further.
const LONGEST_BYTES: usize = 40_000;

/// Values that parsers stumble over, in the form of JSON tokens or near it.
const TOKENS: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1e308",
    "1e309",
    "-1e999",
    "1e-999",
    "90",
    "90.0000001",
    "-180.5",
    "2147483648",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "NaN",
    "Infinity",
    "01",
    "1.",
    "+1",
    "0x10",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud83d\"",
    "\"\\ude00\\ud83d\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u00\"",
    "\"\\x\"",
    "\"90\"",
    "\"1e309\"",
    "\"https://x.test/a.jpg\"",
    "\"http://127.0.0.1/\"",
    "\"+34600111222\"",
    "[]",
    "{}",
    "[null]",
    "{\"\":{}}",
    "{\"type\":\"text\"}",
    "\"text\"",
    "\u{feff}",
];

/// What is no UTF-8, and what is but seldom.
const BYTES: [&[u8]; 9] = [
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80",
    b"\0",
    b"\x7f",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
];

/// Pseudo-random numbers that a seed repeats (splitmix64).
pub(crate) struct InputRng(u64);

impl InputRng {
    pub(crate) fn new(seed: u64, turn: u64) -> Self {
        let mut rng = Self(seed ^ turn.wrapping_mul(0xD134_2543_DE82_EF95));
        rng.next_u64();
        rng
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next_u64() % end as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The seed that counts today.
pub(crate) fn seed() -> u64 {
    set("BRIDGE_FUZZ_SEED").unwrap_or(SEED)
}

/// How many cases run.
pub(crate) fn cases() -> u64 {
    set("BRIDGE_FUZZ_CASES").unwrap_or(CASES)
}

fn set(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Prints `case` and `body` where the check of it panics, so that it can be run again.
struct PrintOnPanic<'a> {
    seed: u64,
    case: u64,
    body: &'a [u8],
}

impl Drop for PrintOnPanic<'_> {
    #[expect(clippy::print_stderr, reason = "for whoever reads the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let start = &self.body[..self.body.len().min(2000)];
            let text = start.escape_ascii();
            eprintln!("BRIDGE_FUZZ_SEED={} case {}, {} bytes: {text}", self.seed, self.case, self.body.len());
        }
    }
}

/// Runs `check` on mutations of `sound`.
#[expect(clippy::print_stderr, reason = "the seed, for whoever reads the failed test")]
pub(crate) fn fuzz(what: &str, sound: &[Vec<u8>], mut check: impl FnMut(&[u8], &mut InputRng)) {
    let (seed, cases) = (seed(), cases());
    eprintln!("{what}: BRIDGE_FUZZ_SEED={seed} BRIDGE_FUZZ_CASES={cases}");
    for case in 0..cases {
        let mut rng = InputRng::new(seed, case);
        let body = mutated(sound, &mut rng);
        let _told = PrintOnPanic { seed, case, body: &body };
        check(&body, &mut rng);
    }
}

/// One of `sound` after a few edits. Most of a case's edits leave something like JSON, or nothing but the reading of
/// JSON would be tried.
fn mutated(sound: &[Vec<u8>], rng: &mut InputRng) -> Vec<u8> {
    let mut body = rng.pick(sound).clone();
    let first = *rng.pick(&[0, 8, 8]);
    for _ in 0..*rng.pick(&[1, 1, 1, 2, 2, 4]) {
        let other = rng.pick(sound);
        let kind = first + rng.below(20 - first);
        edit(&mut body, kind, other, rng);
        if body.len() > LONGEST_BYTES {
            break;
        }
    }
    body
}

/// One edit; the kinds from 8 on work on whole tokens.
fn edit(body: &mut Vec<u8>, kind: usize, other: &[u8], rng: &mut InputRng) {
    let at = rng.below(body.len() + 1);
    let end = (at + rng.below(20)).min(body.len());
    match kind {
        0 if at < body.len() => body[at] ^= 1 << rng.below(8),
        1 if at < body.len() => body[at] = rng.next_u64().to_le_bytes()[0],
        2 => body.truncate(at),
        3 => insert(body, at, rng.pick::<&[u8]>(&BYTES)),
        4 => drop(body.drain(at..end)),
        5 => {
            let twice = body[at..end].to_vec();
            insert(body, at, &twice);
        }
        6 => {
            body.truncate(at);
            body.extend_from_slice(&other[rng.below(other.len() + 1)..]);
        }
        7 => insert(body, at, rng.pick(&["{", "}", "[", "]", "\"", ",", ":", "\\", "\\u", "1"]).as_bytes()),
        8..=11 => swap(body, rng),
        12..=14 => {
            let tokens = tokens(other);
            if !tokens.is_empty() {
                replace(body, &other[rng.pick(&tokens).clone()], rng);
            }
        }
        15 | 16 => replace(body, rng.pick(&TOKENS).as_bytes(), rng),
        17 => nest(body, rng),
        18 if rng.below(4) == 0 => {
            let length = *rng.pick(&[49, 50, 51, 200, 201, 255, 256, 257, 1999, 2000, 2001, 6999, 7000, 7001]);
            let text = rng.pick(&["a", "7", "ñ", "😀", " ", "\\u0000", "\\ud83d"]).repeat(length);
            replace(body, format!("\"{text}\"").as_bytes(), rng);
        }
        _ => {
            let number = rng.next_u64() >> rng.below(64);
            replace(body, format!("{}{number}", rng.pick(&["", "-", "1e", "0."])).as_bytes(), rng);
        }
    }
}

fn insert(body: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    drop(body.splice(at..at, bytes.iter().copied()));
}

/// Two tokens change places.
fn swap(body: &mut Vec<u8>, rng: &mut InputRng) {
    let tokens = tokens(body);
    if tokens.is_empty() {
        return;
    }
    let (one, two) = (rng.pick(&tokens).clone(), rng.pick(&tokens).clone());
    let (first, second) = if one.start <= two.start { (one, two) } else { (two, one) };
    if first == second {
        return;
    }
    let swapped = [&body[second.clone()], &body[first.end..second.start], &body[first.clone()]].concat();
    drop(body.splice(first.start..second.end, swapped));
}

/// Another token in the place of one.
fn replace(body: &mut Vec<u8>, token: &[u8], rng: &mut InputRng) {
    let tokens = tokens(body);
    if !tokens.is_empty() {
        let place = rng.pick(&tokens).clone();
        drop(body.splice(place, token.iter().copied()));
    }
}

/// One token moves deep into lists or objects, closed again or not.
fn nest(body: &mut Vec<u8>, rng: &mut InputRng) {
    let tokens = tokens(body);
    if tokens.is_empty() {
        return;
    }
    let place = rng.pick(&tokens).clone();
    let deep = *rng.pick(&[1, 2, 30, 120, 125, 126, 127, 128, 129, 300, 5000]);
    let (open, close) = *rng.pick(&[("[", "]"), ("{\"a\":", "}"), ("{\"message\":", "}"), ("[", "")]);
    insert(body, place.end, close.repeat(deep).as_bytes());
    insert(body, place.start, open.repeat(deep).as_bytes());
}

/// Where the strings, numbers and words of something like JSON stand.
fn tokens(body: &[u8]) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let start = at;
        let word = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if body[at] == b'"' {
            at += 1;
            while at < body.len() && body[at] != b'"' {
                at += if body[at] == b'\\' { 2 } else { 1 };
            }
            at = (at + 1).min(body.len());
        } else if word(body[at]) {
            at += body[at..].iter().position(|b| !word(*b)).unwrap_or(body.len() - at);
        } else {
            at += 1;
            continue;
        }
        tokens.push(start..at);
    }
    tokens
}
