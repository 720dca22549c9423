//! Position by distance: what T5 adds to the score of a query and a key for how far they lie apart.

use tch::{Device, Kind, Tensor};

use crate::BackboneError;

/// The biases of one stack of layers.
#[derive(Debug)]
pub(super) struct DistanceBias {
    /// Of each distance from `-max` to `max`, key after query counting as positive: `[heads, 2 max + 1]`.
    by_distance: Tensor,
    max: i64,
}

impl DistanceBias {
    /// From the biases of the buckets, `[buckets, heads]`. `both_ways`: keys after the query have buckets of their own.
    pub(super) fn new(buckets: &Tensor, max: usize, both_ways: bool) -> Result<Self, BackboneError> {
        let (count, max) = (buckets.size()[0], max as i64);
        let distances = Tensor::f_arange_start(-max, max + 1, (Kind::Int64, Device::Cpu))?;
        let of_distances = bucket(&distances, count, max, both_ways)?.f_to_device(buckets.device())?;
        Ok(Self {
            by_distance: buckets.f_index_select(0, &of_distances)?.f_tr()?.f_contiguous()?,
            max,
        })
    }

    /// The bias of each of `queries` tokens from place `first` on to each of the first `keys`, `[1, heads, queries, keys]`.
    /// `causal`: minus infinity for keys after the query.
    pub(super) fn between(
        &self,
        (first, queries): (usize, usize),
        keys: usize,
        causal: bool,
    ) -> Result<Tensor, BackboneError> {
        let (first, queries, keys) = (first as i64, queries as i64, keys as i64);
        let places = (Kind::Int64, self.by_distance.device());
        let query = Tensor::f_arange_start(first, first + queries, places)?.f_unsqueeze(1)?;
        let distance = Tensor::f_arange(keys, places)?.f_unsqueeze(0)?.f_sub(&query)?;
        let rows = distance.f_clamp(-self.max, self.max)?.f_add_scalar(self.max)?;
        let bias = self
            .by_distance
            .f_index_select(1, &rows.f_flatten(0, 1)?)?
            .f_view([1, -1, queries, keys])?;
        if causal && queries > 1 {
            return Ok(bias.f_masked_fill(&distance.f_gt(0)?, f64::NEG_INFINITY)?);
        }
        Ok(bias)
    }
}

/// The bucket of each distance: one for each of the smaller half, then ever wider ones, up to `max` (Raffel et al., arXiv
/// 1910.10683, section 2.1; transformers' `_relative_position_bucket`, whose operations these are, since some distances lie on
/// the border of two buckets).
fn bucket(distances: &Tensor, buckets: i64, max: i64, both_ways: bool) -> Result<Tensor, BackboneError> {
    let (buckets, after, distances) = if both_ways {
        let half = buckets / 2;
        let after = distances.f_gt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(half)?;
        (half, after, distances.f_abs()?)
    } else {
        (buckets, distances.f_zeros_like()?, distances.f_neg()?.f_clamp_min(0)?)
    };
    let exact = buckets / 2;
    let wide = distances
        .f_to_kind(Kind::Float)?
        .f_div_scalar(exact)?
        .f_log()?
        .f_div_scalar((max as f64 / exact as f64).ln())?
        .f_mul_scalar(buckets - exact)?
        .f_to_kind(Kind::Int64)?
        .f_add_scalar(exact)?
        .f_clamp_max(buckets - 1)?;
    let of_distance = distances.f_where_self(&distances.f_lt(exact)?, &wide)?;
    Ok(of_distance.f_add(&after)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{DistanceBias, bucket};

    fn buckets(both_ways: bool) -> Vec<i64> {
        let distances = [
            -200, -128, -100, -64, -33, -32, -16, -9, -8, -7, -1, 0, 1, 7, 8, 16, 32, 127, 128, 200,
        ];
        let distances = Tensor::from_slice(&distances.map(i64::from));
        Vec::try_from(bucket(&distances, 32, 128, both_ways).unwrap()).unwrap()
    }

    /// What transformers' `_relative_position_bucket` gives for T5's 32 buckets up to a distance of 128.
    #[test]
    fn distances_fall_into_the_buckets_of_transformers() {
        assert_eq!(
            buckets(true),
            [
                15, 15, 15, 14, 12, 12, 10, 8, 8, 7, 1, 0, 17, 23, 24, 26, 28, 31, 31, 31
            ]
        );
        assert_eq!(
            buckets(false),
            [31, 31, 30, 26, 21, 21, 16, 9, 8, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_bias_is_that_of_the_distance() {
        // Bucket `i` of head `h` has the bias `i + 100 h`.
        let table = Tensor::arange(32, (Kind::Float, Device::Cpu));
        let table = Tensor::stack(&[&table, &(&table + 100)], 1);
        let bias = DistanceBias::new(&table, 128, false).unwrap();
        let step = bias.between((3, 1), 4, true).unwrap();
        assert_eq!(step.size(), [1, 2, 1, 4]);
        let numbers = Vec::<f32>::try_from(step.view([-1])).unwrap();
        assert_eq!(numbers, [3.0, 2.0, 1.0, 0.0, 103.0, 102.0, 101.0, 100.0]);
        let whole = bias.between((0, 2), 2, true).unwrap();
        let numbers = Vec::<f32>::try_from(whole.view([-1])).unwrap();
        assert_eq!(numbers[..4], [0.0, f32::NEG_INFINITY, 1.0, 0.0]);
        let both = DistanceBias::new(&table, 128, true)
            .unwrap()
            .between((0, 2), 3, false)
            .unwrap();
        let numbers = Vec::<f32>::try_from(both.view([-1])).unwrap();
        assert_eq!(numbers[..6], [0.0, 17.0, 18.0, 1.0, 0.0, 17.0]);
    }
}
