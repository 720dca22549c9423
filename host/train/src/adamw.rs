//! AdamW (Loshchilov & Hutter, arXiv 1711.05101) over a transducer's parameters.
//!
//! libtorch has one, but its state cannot be read or set through the binding, and a run that goes on needs it.

use tch::Tensor;

/// Decay of the first moment.
const BETA1: f64 = 0.9;
/// Decay of the second moment.
const BETA2: f64 = 0.999;
/// Added to the root of the second moment.
const EPSILON: f64 = 1e-8;

/// One parameter and what is remembered of its gradients.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) parameter: Tensor,
    /// What the learning rate is multiplied by for this parameter.
    pub(crate) rate: f64,
    /// Mean of the gradients.
    pub(crate) first: Tensor,
    /// Mean of their squares.
    pub(crate) second: Tensor,
}

impl Slot {
    pub(crate) fn new(name: &str, parameter: &Tensor, rate: f64) -> Self {
        Self {
            name: name.to_owned(),
            parameter: parameter.shallow_clone(),
            rate,
            first: parameter.zeros_like().set_requires_grad(false),
            second: parameter.zeros_like().set_requires_grad(false),
        }
    }
}

/// The norm of all gradients together; those longer than `clip` are shortened to it (0: never).
pub(crate) fn clip(slots: &[Slot], clip: f64) -> f64 {
    let squares = slots
        .iter()
        .filter_map(|slot| defined(&slot.parameter))
        .map(|gradient| {
            let norm = gradient.norm().double_value(&[]);
            norm * norm
        });
    let norm = squares.sum::<f64>().sqrt();
    if clip > 0.0 && norm > clip {
        for gradient in slots.iter().filter_map(|slot| defined(&slot.parameter)) {
            let _in_place = gradient.shallow_clone().g_mul_scalar_(clip / norm);
        }
    }
    norm
}

/// Moves every parameter by its gradient, and forgets the gradient. `step` counts from 1.
pub(crate) fn step(slots: &mut [Slot], step: u32, rate: f64, weight_decay: f64) {
    tch::no_grad(|| {
        let correction = |beta: f64| 1.0 - beta.powi(step as i32);
        for slot in slots {
            let Some(gradient) = defined(&slot.parameter) else {
                continue;
            };
            let rate = rate * slot.rate;
            slot.first = &slot.first * BETA1 + &gradient * (1.0 - BETA1);
            slot.second = &slot.second * BETA2 + gradient.square() * (1.0 - BETA2);
            let size = (&slot.second / correction(BETA2)).sqrt() + EPSILON;
            let change = (&slot.first / correction(BETA1)) / size + &slot.parameter * weight_decay;
            let _in_place = slot.parameter.shallow_clone().g_sub_(&(change * rate));
            slot.parameter.zero_grad();
        }
    });
}

/// The gradient, if there is one.
fn defined(parameter: &Tensor) -> Option<Tensor> {
    let gradient = parameter.grad();
    gradient.defined().then_some(gradient)
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::{Slot, clip, step};

    /// Against the numbers of the paper's algorithm, worked out in plain arithmetic.
    #[test]
    fn three_steps_are_those_of_the_algorithm() {
        let parameter = Tensor::from_slice(&[1.0_f64, -2.0]).set_requires_grad(true);
        let mut slots = [Slot::new("p", &parameter, 0.5)];
        let (mut value, mut first, mut second) = ([1.0_f64, -2.0], [0.0_f64; 2], [0.0_f64; 2]);
        for turn in 1..=3 {
            (&parameter * &parameter * &parameter).sum(Kind::Double).backward();
            step(&mut slots, turn, 0.1, 0.01);
            for place in 0..2 {
                let gradient = 3.0 * value[place] * value[place];
                first[place] = 0.9 * first[place] + 0.1 * gradient;
                second[place] = 0.999 * second[place] + 0.001 * gradient * gradient;
                let (m, v) = (
                    first[place] / (1.0 - 0.9_f64.powi(turn as i32)),
                    second[place] / (1.0 - 0.999_f64.powi(turn as i32)),
                );
                value[place] -= 0.05 * (m / (v.sqrt() + 1e-8) + 0.01 * value[place]);
            }
            let found = Vec::<f64>::try_from(parameter.detach()).expect("two numbers");
            assert!(
                found
                    .iter()
                    .zip(value)
                    .all(|(found, value)| (found - value).abs() < 1e-12)
            );
        }
    }

    #[test]
    fn long_gradients_are_shortened() {
        let parameter = Tensor::from_slice(&[3.0_f64, 4.0]).set_requires_grad(true);
        let slots = [Slot::new("p", &parameter, 1.0)];
        (&parameter * &parameter).sum(Kind::Double).backward();
        assert!((clip(&slots, 1.0) - 10.0).abs() < 1e-12);
        assert!((clip(&slots, 1.0) - 1.0).abs() < 1e-12);
    }
}
