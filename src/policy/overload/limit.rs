//! How many requests a worker may have under way, from how late it is.
//!
//! Late by more than [`TARGET`] at every one of [`WINDOW`] looks means that work queues up and does not go away:
//! a burst or a slow piece of work makes some looks late, not all. The limit then becomes what was under way, times
//! how far the target was missed (the gradient; a half at most). When the worker keeps up again the limit grows by
//! its square root per window, and is none again when nobody comes near it.
//!
//! What waits is not always under way: where requests cost time of the processor and nothing else, each is answered as
//! soon as it is read, and the queue is of sockets that are not. Few are under way then and the worker is late all the
//! same. No limit of them helps: a share of what comes is shed, of the lowest priority first ([`Control::pressure`]).

use std::time::Duration;

use crate::policy::Priority;

/// No limit.
pub(super) const NONE: u32 = u32::MAX;

/// A queue that makes everything wait for longer is too long. A request waits for it several times.
const TARGET: Duration = Duration::from_millis(50);
/// Looks per decision.
const WINDOW: u32 = 4;
/// Looks per decision as long as a share is shed: it is known then that there is too much to do.
const SHORT_WINDOW: u32 = 2;
/// The least limit, so that a worker that is late for other reasons still serves.
pub(super) const FLOOR: u32 = 32;

/// Of `critical` a few are let in whatever comes, so that it shows when there is less to do.
const MOST_PRESSURE: f64 = 3.9;

/// See the module.
#[derive(Debug)]
pub(super) struct Control {
    floor: u32,
    looks: u32,
    /// The least lag and the most requests under way of this window.
    least: Option<Duration>,
    most: u32,
    /// How many priorities are shed, the lowest first, the last of them in part.
    pressure: f64,
}

impl Control {
    /// With the least limit there may be.
    pub(super) const fn new(floor: u32) -> Self {
        Self { floor, looks: 0, least: None, most: 0, pressure: 0.0 }
    }

    /// Takes a look, and gives the limit that holds from now on.
    pub(super) fn sample(&mut self, lag: Duration, under_way: u32, limit: u32) -> u32 {
        self.looks += 1;
        self.least = Some(self.least.map_or(lag, |least| least.min(lag)));
        self.most = self.most.max(under_way);
        if self.looks < if self.pressure > 0.0 { SHORT_WINDOW } else { WINDOW } {
            return limit;
        }
        let Self { floor, most, pressure, .. } = *self;
        let least = self.least.unwrap_or_default();
        *self = Self { pressure, ..Self::new(floor) };
        if least > TARGET {
            // Where the limit is not what bounds, what is under way says more.
            let base = limit.min(most.saturating_mul(2));
            let base = if limit == NONE { most } else { base };
            let gradient = (TARGET.as_secs_f64() / least.as_secs_f64()).max(0.5);
            let after = ((f64::from(base) * gradient) as u32).max(floor);
            if after == floor {
                let how_far = least.as_secs_f64() / TARGET.as_secs_f64();
                self.pressure = (pressure + (how_far / 8.0).min(0.5)).min(MOST_PRESSURE);
            }
            return after;
        }
        if least < TARGET / 2 {
            self.pressure = (pressure * 0.9 - 0.03).max(0.0);
        }
        if limit == NONE || self.pressure == 0.0 && limit / 2 > most + floor {
            NONE
        } else {
            limit + limit.isqrt()
        }
    }

    /// How many of a thousand requests of each priority are shed.
    pub(super) fn pressure(&self) -> [u32; 4] {
        [0.0, 1.0, 2.0, 3.0].map(|above| ((self.pressure - above).clamp(0.0, 1.0) * 1000.0) as u32)
    }
}

/// The part of a limit that requests of a priority may fill.
pub(super) const fn share(limit: u32, priority: Priority) -> u32 {
    sixteenths(limit, [8, 13, 15, 16][priority as usize])
}

/// The part of it that lower ones may not fill.
pub(super) const fn own(limit: u32, priority: Priority) -> u32 {
    share(limit, priority) - sixteenths(limit, [0, 8, 13, 15][priority as usize])
}

const fn sixteenths(limit: u32, parts: u64) -> u32 {
    (limit as u64 * parts / 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A whole window of looks.
    fn window(control: &mut Control, lag: Duration, under_way: u32, limit: u32) -> u32 {
        (0..WINDOW).fold(limit, |limit, _| control.sample(lag, under_way, limit))
    }

    #[test]
    fn a_worker_that_keeps_up_has_no_limit_however_much_is_under_way() {
        let mut control = Control::new(FLOOR);
        for under_way in [0, 10, 100_000] {
            assert_eq!(window(&mut control, ms(49), under_way, NONE), NONE);
        }
        // Late, but not at every look.
        for lag in [400, 400, 400, 5] {
            assert_eq!(control.sample(ms(lag), 1000, NONE), NONE);
        }
    }

    #[test]
    fn a_worker_that_stays_late_admits_less_by_how_late_it_is() {
        let mut control = Control::new(FLOOR);
        assert_eq!(window(&mut control, ms(100), 1000, NONE), 500);
        assert_eq!(window(&mut control, ms(62), 500, 500), 403);
        assert_eq!(window(&mut control, ms(5000), 400, 400), 200);
        for _ in 0..20 {
            assert!(window(&mut control, ms(5000), 0, FLOOR) >= FLOOR);
        }
    }

    #[test]
    fn the_limit_grows_while_it_binds_and_goes_when_it_does_not() {
        let mut control = Control::new(FLOOR);
        assert_eq!(window(&mut control, ms(1), 81, 100), 110);
        assert_eq!(window(&mut control, ms(1), 3, 100), NONE);
    }

    /// A worker that answers each request at once, one in a millisecond, and clients who ask again when they have an
    /// answer, or after a while when they were refused.
    #[test]
    fn where_work_takes_the_processor_alone_a_share_of_the_lowest_is_shed() {
        let (mut control, mut limit) = (Control::new(FLOOR), NONE);
        let (clients, per_look) = (400.0, 50.0);
        let mut queue: f64 = 0.0;
        let mut last = Vec::new();
        for look in 0..400 {
            let [low, ..] = control.pressure();
            queue += (clients - queue) * (1.0 - f64::from(low) / 1000.0);
            queue = (queue - per_look).max(0.0);
            limit = control.sample(Duration::from_secs_f64(queue / 1000.0), 1, limit);
            if look > 100 {
                last.push(queue);
                assert_eq!(control.pressure()[2], 0, "`high` is not shed");
            }
        }
        let mean = last.iter().sum::<f64>() / last.len() as f64;
        assert!(mean < 100.0, "{mean} ms");
        for _ in 0..80 {
            limit = control.sample(ms(1), 1, limit);
        }
        assert_eq!((limit, control.pressure()), (NONE, [0; 4]));
    }

    /// A worker that serves so many requests a second, and as many clients as send one whenever they have an
    /// answer or were refused.
    #[test]
    fn with_twenty_times_too_many_clients_the_queue_stays_near_the_target() {
        let (mut control, mut limit) = (Control::new(FLOOR), NONE);
        let per_second = 10_000.0;
        let mut last = Vec::new();
        for look in 0..400 {
            let under_way = share(limit, Priority::Normal).min(10_000);
            let lag = Duration::from_secs_f64(f64::from(under_way) / per_second);
            limit = control.sample(lag, under_way, limit);
            if look > 200 {
                last.push(lag);
            }
        }
        let (least, most) = (last.iter().min().unwrap(), last.iter().max().unwrap());
        assert!(*least > ms(25) && *most < ms(75), "{least:?} {most:?}");
    }

    #[test]
    fn the_lower_the_priority_the_less_of_a_limit_it_may_fill() {
        let all = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
        let shares = all.map(|priority| share(FLOOR, priority));
        assert_eq!(shares, [16, 26, 30, 32]);
        assert!(share(NONE - 1, Priority::Low) < share(NONE - 1, Priority::Critical));
    }
}
