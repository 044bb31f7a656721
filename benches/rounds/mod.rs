//! What paired rounds need: a shuffled order, medians, ratios with their interval.
//!
//! Never: compares figures of two runs.

/// xorshift: the order of the variants and the bootstrap need no more, and the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What each variant's tries took, round by round; `measure` makes the tries of a variant and is told whether they
/// are the first, which count for nothing. Every round takes the variants in an order of its own.
pub(super) fn paired(
    rounds: usize,
    variants: usize,
    dice: &mut Dice,
    mut measure: impl FnMut(usize, bool) -> f64,
) -> Vec<Vec<f64>> {
    let mut all = vec![Vec::new(); variants];
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..variants).collect();
        (1..order.len()).rev().for_each(|i| order.swap(i, dice.below(i + 1)));
        for at in order {
            let took = measure(at, round == 0);
            if round > 0 {
                all[at].push(took);
            }
        }
    }
    all
}

/// Prints how many times as long the first takes.
pub(super) fn tell_ratio(above: (&str, &[f64]), below: (&str, &[f64]), dice: &mut Dice) {
    let [mid, low, high] = ratio(above.1, below.1, dice);
    println!("{:<36} ÷ {:<36} {mid:.3} [{low:.3}, {high:.3}]", above.0, below.0);
}

/// The median of the paired ratios, and its bootstrap interval of 95 %.
fn ratio(above: &[f64], below: &[f64], dice: &mut Dice) -> [f64; 3] {
    let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
    let mut drawn: Vec<f64> = (0..2_000)
        .map(|_| median(&mut (0..ratios.len()).map(|_| ratios[dice.below(ratios.len())]).collect::<Vec<_>>()))
        .collect();
    drawn.sort_by(f64::total_cmp);
    [median(&mut ratios.clone()), drawn[50], drawn[1_949]]
}
