//! The guest's clock follows the host's: kiln tells the time when the host's clock was set, and once a minute.
//!
//! Between two tellings the guest counts by kvm-clock, which is the host's counter without the corrections that NTP makes
//! to the host's clock: so it drifts by some milliseconds a minute at most, and never stands still with the VM.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::sys;

/// Below this nothing is done: the line was under way for a while, too.
const TOLERANCE_US: i64 = 10_000;
/// Up to this the clock goes faster or slower for a while (adjtime(3): 500 ppm, so that a minute takes back 30 ms) and
/// never jumps; from this on it is set.
const SLEW_US: i64 = 500_000;
/// From 1971 to 2223: beyond it a kernel's clock cannot be set (`TIME_SETTOD_SEC_MAX`, linux/include/linux/time64.h).
const BOUNDS_US: std::ops::Range<i64> = 31_536_000_000_000..8_000_000_000_000_000;

/// From this on a line was late, and did not only take its way: far more than an adjtime(3) of both clocks makes of three
/// minutes (180 ms), so that going faster is not taken for being late, which would make it go faster still.
const LATE_US: i64 = 250_000;
/// Of so many lines the quickest says how long the way is; a change of the way is believed when all of them have it.
const WAYS: usize = 3;

/// What kiln says (tests/contract/clock.json).
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Microseconds since 1970.
    pub clock_us: i64,
    /// Microseconds since the host's start, its sleep included: no setting of a clock changes it.
    pub boot_us: i64,
}

/// What is to be done about the clock.
#[derive(Debug, PartialEq, Eq)]
pub enum Correction {
    /// Nothing.
    None,
    /// To gain so many microseconds, little by little.
    Slew(i64),
    /// To be set to so many microseconds since 1970.
    Set(i64),
}

/// What a line tells. Refuses what is not such a line, and times that no clock can be set to.
pub fn parse(line: &[u8]) -> Result<Told, String> {
    let told: Told =
        serde_json::from_slice(line).map_err(|error| format!("the host said what is not known: {error}"))?;
    if !BOUNDS_US.contains(&told.clock_us) {
        return Err(format!("the host's clock is out of bounds: {} us since 1970", told.clock_us));
    }
    if !(0..BOUNDS_US.end).contains(&told.boot_us) {
        return Err(format!("the host's time since its start is out of bounds: {} us", told.boot_us));
    }
    Ok(told)
}

/// What follows from the host's time and ours.
pub fn correction(host_us: i64, own_us: i64) -> Correction {
    match host_us.saturating_sub(own_us) {
        off if off.abs() < TOLERANCE_US => Correction::None,
        off if off.abs() < SLEW_US => Correction::Slew(off),
        _ => Correction::Set(host_us),
    }
}

/// What has to be known of earlier lines to tell a late one.
///
/// A line is late when Firecracker was stopped while it waited, or got no processor: its time has passed. How late it is
/// shows by a clock of each side that nobody sets, whose difference is the same for each line but for its way.
#[derive(Debug)]
pub struct Follower {
    born: Instant,
    /// Our own time when a line came less the host's when it left, of the last lines: microseconds from any beginning.
    ways: VecDeque<i64>,
    is_acquainted: bool,
}

impl Default for Follower {
    /// That has heard nothing yet.
    fn default() -> Self {
        Self { born: Instant::now(), ways: VecDeque::with_capacity(WAYS), is_acquainted: false }
    }
}

impl Follower {
    /// Does what the last of these lines, which waited, asks for; returns what is to be said of it in the log.
    pub fn follow(&mut self, lines: impl Iterator<Item = Vec<u8>>) -> Option<String> {
        let monotonic_us = i64::try_from(self.born.elapsed().as_micros()).unwrap_or(i64::MAX);
        match self.heard(lines, monotonic_us) {
            Ok(host_us) => host_us.and_then(correct),
            Err(why) => Some(why),
        }
    }

    /// The host's time now, as the last line has it; `None` where there is none. A line that comes alone before all
    /// others waited while the guest booted, for nobody knows how long.
    fn heard(
        &mut self,
        lines: impl Iterator<Item = Vec<u8>>,
        monotonic_us: i64,
    ) -> Result<Option<i64>, String> {
        let mut count = 0;
        let Some(last) = lines.inspect(|_| count += 1).last() else { return Ok(None) };
        let is_first = count == 1 && !self.is_acquainted;
        self.is_acquainted = true;
        let told = parse(&last)?;
        let late = self.late_us(monotonic_us.saturating_sub(told.boot_us));
        Ok((!is_first).then(|| told.clock_us.saturating_add(late)))
    }

    /// How much longer this way was than the quickest of the last ones, when it was much longer.
    fn late_us(&mut self, way_us: i64) -> i64 {
        let quickest = self.ways.iter().copied().min().unwrap_or(way_us);
        if self.ways.len() == WAYS {
            self.ways.pop_front();
        }
        self.ways.push_back(way_us);
        let late = way_us.saturating_sub(quickest);
        if late < LATE_US { 0 } else { late }
    }
}

/// Has the clock follow the host's; returns what is to be said of it in the log.
fn correct(host_us: i64) -> Option<String> {
    let own = now_us();
    let done: io::Result<Option<String>> = match correction(host_us, own) {
        Correction::None => Ok(None),
        Correction::Slew(off) => sys::slew_clock(off).map(|()| None),
        Correction::Set(to) => sys::set_clock(to).map(|()| Some(set(to.saturating_sub(own)))),
    };
    done.unwrap_or_else(|error| Some(format!("the clock does not follow the host's: {error}")))
}

fn set(off_us: i64) -> String {
    let way = if off_us < 0 { "back" } else { "forward" };
    format!("the clock was set {way} by {} s, as the host's was", off_us.abs() / 1_000_000)
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/contract/clock.json");

    #[test]
    fn reads_the_golden_line_and_no_other() {
        assert_eq!(parse(GOLDEN), Ok(Told { clock_us: 1_795_529_822_123_456, boot_us: 86_400_123_456 }));
        for bad in [
            "",
            "{}",
            "null",
            "{\"clock_us\":1795529822123456}",
            "{\"clock_us\":1e15,\"boot_us\":1}",
            "{\"clock_us\":\"1\",\"boot_us\":1}",
            "{\"clock_us\":1795529822123456,\"boot_us\":1,\"x\":1}",
            "{\"clock_us\":1795529822123456,\"boot_us\":-1}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_no_clock_has_is_refused() {
        for us in [0, -1, 31_535_999_999_999, 8_000_000_000_000_000, i64::MAX, i64::MIN] {
            let refused = parse(format!("{{\"clock_us\":{us},\"boot_us\":1}}").as_bytes()).unwrap_err();
            assert!(refused.contains("out of bounds"), "{refused}");
        }
        assert!(parse(b"{\"clock_us\":31536000000000,\"boot_us\":0}").is_ok());
    }

    const S: i64 = 1_000_000;
    /// The host's clock when it started.
    const EPOCH: i64 = 1_795_000_000 * S;

    /// A line that left at this time since the host's start, whose clock was set forward by so much.
    fn line(boot_us: i64, set_us: i64) -> Vec<u8> {
        format!("{{\"clock_us\":{},\"boot_us\":{boot_us}}}\n", EPOCH + boot_us + set_us).into_bytes()
    }

    /// What is made of lines that come to a guest which was started a day after its host.
    fn heard(follower: &mut Follower, lines: &[Vec<u8>], boot_us: i64) -> Option<i64> {
        let clock = follower.heard(lines.iter().cloned(), boot_us - 86_400 * S).unwrap();
        clock.map(|us| us - EPOCH - boot_us)
    }

    fn acquainted(at_us: i64) -> Follower {
        let mut follower = Follower::default();
        assert_eq!(heard(&mut follower, &[line(at_us - S / 10, 0)], at_us), None, "it waited for the boot");
        follower
    }

    #[test]
    fn a_line_that_waited_tells_the_time_of_now_all_the_same() {
        let day = 86_400 * S;
        let mut follower = acquainted(day);
        assert_eq!(heard(&mut follower, &[line(day + 60 * S - 2000, 0)], day + 60 * S), Some(-2000));
        // Firecracker was stopped for a good minute, and lines waited for 50 s and more.
        let waiting = [line(day + 65 * S, 0), line(day + 120 * S, 0)];
        let off = heard(&mut follower, &waiting, day + 170 * S).unwrap();
        assert!(off.abs() <= 2000, "{off}");
        // The host's clock was set meanwhile.
        let off = heard(&mut follower, &[line(day + 180 * S, 3600 * S)], day + 220 * S).unwrap();
        assert!((off - 3600 * S).abs() <= 2000, "{off}");
        assert_eq!(heard(&mut follower, &[line(day + 240 * S - 900, 0)], day + 240 * S), Some(-900));
    }

    #[test]
    fn the_first_line_is_not_followed_unless_another_waits() {
        let day = 86_400 * S;
        acquainted(day);
        let waiting = [line(day, 0), line(day + 60 * S, 0)];
        assert_eq!(heard(&mut Follower::default(), &waiting, day + 60 * S), Some(0));
        assert_eq!(heard(&mut Follower::default(), &[], day), None);
    }

    #[test]
    fn a_clock_that_goes_faster_does_not_make_lines_late() {
        let (mut follower, mut fast) = (acquainted(S), 0);
        for minute in 1..100 {
            let at = minute * 60 * S;
            fast += 60_000; // 1000 ppm
            assert_eq!(
                follower.heard([line(at, 0)].into_iter(), at + fast - 86_400 * S),
                Ok(Some(EPOCH + at))
            );
        }
    }

    #[test]
    fn a_way_that_stays_longer_is_believed_after_some_lines() {
        let mut follower = acquainted(S);
        let jump = 3600 * S; // as of a monotonic clock that went on while the host's did not
        let off: Vec<_> = (2..=5)
            .map(|minute| follower.heard([line(minute * S, 0)].into_iter(), minute * S + jump - 86_400 * S))
            .map(|clock| clock.unwrap().unwrap() - EPOCH)
            .enumerate()
            .map(|(index, clock)| clock - (i64::try_from(index).unwrap() + 2) * S > S)
            .collect();
        assert_eq!(off, [true, true, true, false]);
    }

    #[test]
    fn small_differences_are_slewed_and_large_ones_set_either_way() {
        let now = 1_795_529_822_123_456;
        for (off, what) in [
            (0, Correction::None),
            (9_999, Correction::None),
            (-9_999, Correction::None),
            (10_000, Correction::Slew(10_000)),
            (-499_999, Correction::Slew(-499_999)),
            (500_000, Correction::Set(now + 500_000)),
            (7_200_000_000, Correction::Set(now + 7_200_000_000)),
            (-7_200_000_000, Correction::Set(now - 7_200_000_000)),
        ] {
            assert_eq!(correction(now + off, now), what, "{off}");
        }
        assert_eq!(correction(i64::MAX, i64::MIN), Correction::Set(i64::MAX), "nothing overflows");
    }

    #[test]
    fn it_is_said_which_way_it_was_set() {
        assert_eq!(set(7_200_000_001), "the clock was set forward by 7200 s, as the host's was");
        assert_eq!(set(-7_200_900_000), "the clock was set back by 7200 s, as the host's was");
    }
}
