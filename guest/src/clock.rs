//! The guest's clock follows the host's: kiln tells the time when the host's clock was set, and once a minute.
//!
//! Between two tellings the guest counts by kvm-clock, which is the host's counter without the corrections that NTP makes
//! to the host's clock: so it drifts by some milliseconds a minute at most, and never stands still with the VM.
#![forbid(unsafe_code)]

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::sys;

/// Below this nothing is done: the line was under way for a while, too.
const TOLERANCE_US: i64 = 10_000;
/// Up to this the clock goes faster or slower for a while (adjtime(3): 500 ppm, so that a minute takes back 30 ms) and
/// never jumps; from this on it is set.
const SLEW_US: i64 = 500_000;
/// From 1971 to 2223: beyond it a kernel's clock cannot be set (`TIME_SETTOD_SEC_MAX`, linux/include/linux/time64.h).
const BOUNDS_US: std::ops::Range<i64> = 31_536_000_000_000..8_000_000_000_000_000;

/// What kiln says (tests/contract/clock.json).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    /// Microseconds since 1970.
    clock_us: i64,
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

/// The time that a line tells, microseconds since 1970. Refuses what is not such a line, and what no clock can be set to.
pub fn parse(line: &[u8]) -> Result<i64, String> {
    let Told { clock_us } =
        serde_json::from_slice(line).map_err(|error| format!("the host said what is not known: {error}"))?;
    if BOUNDS_US.contains(&clock_us) {
        Ok(clock_us)
    } else {
        Err(format!("the host's clock is out of bounds: {clock_us} us since 1970"))
    }
}

/// What follows from the host's time and ours.
pub fn correction(host_us: i64, own_us: i64) -> Correction {
    match host_us.saturating_sub(own_us) {
        off if off.abs() < TOLERANCE_US => Correction::None,
        off if off.abs() < SLEW_US => Correction::Slew(off),
        _ => Correction::Set(host_us),
    }
}

/// Does what a line asks for; returns what is to be said of it in the log.
pub fn follow(line: &[u8]) -> Option<String> {
    let host = match parse(line) {
        Ok(host) => host,
        Err(why) => return Some(why),
    };
    let own = now_us();
    let done: io::Result<Option<String>> = match correction(host, own) {
        Correction::None => Ok(None),
        Correction::Slew(off) => sys::slew_clock(off).map(|()| None),
        Correction::Set(to) => sys::set_clock(to).map(|()| Some(set(to - own))),
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
        assert_eq!(parse(GOLDEN), Ok(1_795_529_822_123_456));
        for bad in
            ["", "{}", "{\"clock_us\":1e15}", "{\"clock_us\":\"1\"}", "{\"clock_us\":1,\"x\":1}", "null"]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_no_clock_has_is_refused() {
        for us in [0, -1, 31_535_999_999_999, 8_000_000_000_000_000, i64::MAX, i64::MIN] {
            let refused = parse(format!("{{\"clock_us\":{us}}}").as_bytes()).unwrap_err();
            assert!(refused.contains("out of bounds"), "{refused}");
        }
        assert!(parse(b"{\"clock_us\":31536000000000}").is_ok());
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
