/// How much a number may grow over the later half of a run before it counts as growth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// So much in any case.
    pub absolute: f64,
    /// And so much of what the number is.
    pub share: f64,
}

impl Bound {
    /// So many things, however many there are: for what is counted exactly.
    #[must_use]
    pub fn things(count: u32) -> Self {
        Self { absolute: f64::from(count), share: 0.0 }
    }

    /// So much, and that share of what there is: for what breathes.
    #[must_use]
    pub fn breathing(absolute: f64, share: f64) -> Self {
        Self { absolute, share }
    }
}

/// Whether a number grew over the later half of its samples.
///
/// The slope is the median of the slopes between any two samples (Theil and Sen): three in ten of the samples may be
/// arbitrarily wrong without moving it far, and what goes up and comes down again has none. The first half is not looked
/// at: caches fill, pools find their size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The median of the later half.
    pub level: f64,
    /// By how much the later half grew from its begin to its end; negative if it shrank.
    pub growth: f64,
    /// By how much it grew with each step of what the samples were taken by.
    pub per_step: f64,
    /// What was allowed.
    pub allowed: f64,
}

impl Trend {
    /// Fewer samples than this in the later half say nothing.
    pub const SAMPLES_MIN: usize = 5;

    /// Judges samples `(step, value)` in the order they were taken; `None` if there are too few.
    #[must_use]
    pub fn of(samples: &[(f64, f64)], bound: Bound) -> Option<Self> {
        let later = &samples[samples.len() / 2..];
        let (first, last) = (later.first()?, later.last()?);
        if later.len() < Self::SAMPLES_MIN || last.0 <= first.0 {
            return None;
        }
        let pairs = later.iter().enumerate().flat_map(|(at, one)| later[at + 1..].iter().map(move |two| (one, two)));
        let slopes = pairs.filter(|(one, two)| two.0 > one.0).map(|(one, two)| (two.1 - one.1) / (two.0 - one.0));
        let per_step = median(slopes.collect());
        let level = median(later.iter().map(|sample| sample.1).collect());
        Some(Self {
            level,
            growth: per_step * (last.0 - first.0),
            per_step,
            allowed: bound.absolute + bound.share * level,
        })
    }

    /// Whether it grew by more than was allowed.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.growth > self.allowed
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        count if count % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(value: impl Fn(u32) -> f64) -> Trend {
        let samples: Vec<_> = (0..40).map(|step| (f64::from(step), value(step))).collect();
        Trend::of(&samples, Bound::things(2)).unwrap()
    }

    #[test]
    fn one_thing_in_every_fourth_step_is_growth() {
        let found = trend(|step| f64::from(10 + step / 4));
        assert!(found.grows() && found.growth > 4.0, "{found:?}");
    }

    #[test]
    fn what_fills_at_first_and_then_stands_is_none() {
        assert!(!trend(|step| f64::from(step.min(19) * 100)).grows());
        assert!(!trend(|step| f64::from(1000 - step)).grows());
    }

    #[test]
    fn saw_teeth_and_single_outliers_are_none() {
        assert!(!trend(|step| f64::from(step % 4)).grows());
        assert!(!trend(|step| if step > 36 { 1e9 } else { 7.0 }).grows());
    }

    #[test]
    fn growth_under_noise_is_found() {
        let noise = |step: u32| f64::from((step * step * 31 + step * 17) % 7);
        assert!(!trend(noise).grows());
        assert!(trend(|step| f64::from(step) + noise(step)).grows());
    }

    #[test]
    fn too_few_samples_say_nothing() {
        assert_eq!(Trend::of(&[(0.0, 0.0), (1.0, 9.0), (2.0, 18.0)], Bound::things(0)), None);
        assert_eq!(Trend::of(&[], Bound::things(0)), None);
    }
}
