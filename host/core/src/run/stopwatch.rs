//! Working time of a run.

/// A run's clock. It stands still while the run is paused, waits for a person, or has no process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopwatch {
    started_us: Option<u64>,
    /// Start of the current standstill, if it stands still.
    idle_since_us: Option<u64>,
    /// Sum of the earlier standstills.
    idle_us: u64,
    /// The time of the last event.
    last_us: u64,
}

impl Stopwatch {
    /// Takes the time of an event. Returns that of the previous event.
    pub fn tick(&mut self, time_us: u64) -> u64 {
        std::mem::replace(&mut self.last_us, time_us)
    }

    /// Starts the clock at this time.
    pub fn start(&mut self, time_us: u64) {
        (self.started_us, self.idle_us) = (Some(time_us), 0);
    }

    /// Stops the clock at a time, unless it stands still already.
    pub fn stop_since(&mut self, time_us: u64) {
        self.idle_since_us.get_or_insert(time_us);
    }

    /// Lets the clock go on.
    pub fn go_on(&mut self, time_us: u64) {
        if let Some(since) = self.idle_since_us.take() {
            self.idle_us = self.idle_us.saturating_add(time_us.saturating_sub(since));
        }
    }

    /// Time of the start.
    pub fn started_us(&self) -> Option<u64> {
        self.started_us
    }

    /// The time of the last event.
    pub fn last_us(&self) -> u64 {
        self.last_us
    }

    /// Time that the clock ran, in microseconds.
    pub fn elapsed_us(&self, now_us: u64) -> u64 {
        let Some(started) = self.started_us else { return 0 };
        self.idle_since_us.unwrap_or(now_us).saturating_sub(started).saturating_sub(self.idle_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_only_while_it_runs() {
        let mut watch = Stopwatch::default();
        assert_eq!(watch.elapsed_us(9), 0);
        watch.start(10);
        watch.stop_since(15);
        watch.stop_since(18);
        assert_eq!(watch.elapsed_us(100), 5);
        watch.go_on(40);
        watch.go_on(41);
        assert_eq!(watch.elapsed_us(50), 15);
        assert_eq!((watch.tick(50), watch.tick(51)), (0, 50));
    }
}
