//! Money: whole minor units, split by largest remainder, so that parts always sum up to the whole. Never a float.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ids::LineId;
use crate::parts::Line;

/// An amount can't be computed from what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum MoneyError {
    #[error("expected one of the order's lines, got line {0:?}: the event is not of this order's plan")]
    UnknownLine(LineId),
    #[error("expected 0 to {ordered} units of line {line:?}, got {named}: units were counted twice")]
    QuantityOutOfRange { line: LineId, ordered: i64, named: i64 },
    #[error("expected a total of 0 or more, got {0} minor units: the discount is larger than all else together")]
    NegativeTotal(i128),
    #[error("expected amounts that sum up to at most {max}, got {0} minor units: split the order", max = i64::MAX)]
    TooLarge(i128),
}

/// Splits `total` in proportion to `weights` by largest remainder: the parts sum up to `total`, and each differs from
/// its exact share by less than one minor unit. Ties go to the earlier part. Weights below 0 count as 0; if all are 0
/// the parts are equal. Without weights there are no parts, and nothing is split.
pub fn apportion(total: i64, weights: &[i64]) -> Vec<i64> {
    let weights: Vec<i128> = weights.iter().map(|&weight| i128::from(weight.max(0))).collect();
    let sum: i128 = weights.iter().sum();
    let (weights, sum) = if sum == 0 { (vec![1; weights.len()], weights.len() as i128) } else { (weights, sum) };
    let magnitude = i128::from(total).abs();

    let mut parts: Vec<i128> = weights.iter().map(|weight| magnitude * weight / sum).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&index| Reverse(magnitude * weights[index] % sum));
    let left_over = magnitude - parts.iter().sum::<i128>();
    // Fewer units are left over than there are remainders, because each remainder is less than one unit.
    for &index in by_remainder.iter().take(usize::try_from(left_over).unwrap_or(0)) {
        parts[index] += 1;
    }
    let sign = i128::from(total.signum());
    parts.into_iter().map(|part| i64::try_from(sign * part).unwrap_or(total)).collect()
}

/// The all-inclusive amount of each line: its value, plus its share of `shipping + tax − discount`.
///
/// `values` are quantity times unit price of each line, all amounts in minor units and not negative. The amounts sum up
/// to the order's total, and none is negative.
///
/// # Errors
/// [`MoneyError::NegativeTotal`] if the discount takes off more than there is, [`MoneyError::TooLarge`] if the total
/// does not fit.
pub fn all_inclusive(values: &[i64], shipping: i64, discount: i64, tax: i64) -> Result<Vec<i64>, MoneyError> {
    let subtotal: i128 = values.iter().copied().map(i128::from).sum();
    let extra = i128::from(shipping) + i128::from(tax) - i128::from(discount);
    let total = subtotal + extra;
    if total < 0 {
        return Err(MoneyError::NegativeTotal(total));
    }
    let (Ok(_), Ok(extra)) = (i64::try_from(total), i64::try_from(extra)) else {
        return Err(MoneyError::TooLarge(total));
    };
    Ok(values.iter().zip(apportion(extra, values)).map(|(value, share)| value + share).collect())
}

/// The value of `units` of a line's `quantity`, of which all together are worth `amount` minor units.
///
/// None are worth 0, all are worth `amount`, and more are never worth less; a refund is the difference of two values,
/// so no rounding leaks. `units` beyond the line count as all of it.
pub fn line_value(amount: i64, quantity: i64, units: i64) -> i64 {
    if units <= 0 || quantity <= 0 {
        return 0;
    }
    if units >= quantity {
        return amount;
    }
    let value = i128::from(amount) * i128::from(units) / i128::from(quantity);
    i64::try_from(value).unwrap_or(amount)
}

/// The value in minor units of the units named, line by line; a line may be named several times (one for each
/// allocation), and one that is not named counts for nothing.
///
/// # Errors
/// [`MoneyError::UnknownLine`] and [`MoneyError::QuantityOutOfRange`] if what is named does not fit `lines`: both mean
/// that an event contradicts the order.
pub fn value<'a>(lines: &[Line], units: impl IntoIterator<Item = (&'a LineId, i64)>) -> Result<i64, MoneyError> {
    let mut named: BTreeMap<&LineId, i64> = BTreeMap::new();
    for (line, quantity) in units {
        let sum = named.entry(line).or_default();
        *sum = sum.saturating_add(quantity);
    }
    let mut value = 0;
    for (id, quantity) in named {
        let line = lines.iter().find(|line| line.line_id == *id).ok_or_else(|| MoneyError::UnknownLine(id.clone()))?;
        if !(0..=line.quantity).contains(&quantity) {
            return Err(MoneyError::QuantityOutOfRange { line: id.clone(), ordered: line.quantity, named: quantity });
        }
        value += i128::from(line_value(line.amount, line.quantity, quantity));
    }
    i64::try_from(value).map_err(|_| MoneyError::TooLarge(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Sku;

    fn line(id: &str, quantity: i64, amount: i64) -> Line {
        Line { line_id: id.into(), sku: Sku::from("sku"), quantity, unit_price: 0, amount }
    }

    #[test]
    fn the_largest_remainder_gets_the_odd_unit_and_ties_go_to_the_first() {
        assert_eq!(apportion(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(apportion(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(apportion(10, &[1, 2]), [3, 7]);
        assert_eq!(apportion(7, &[0, 0]), [4, 3]);
        assert_eq!(apportion(7, &[]), [0_i64; 0]);
        assert_eq!(apportion(i64::MIN, &[1, 1]).iter().map(|&part| i128::from(part)).sum::<i128>(), i64::MIN.into());
    }

    #[test]
    fn yen_and_dinars_split_without_a_fraction_or_a_loss() {
        assert_eq!(all_inclusive(&[1000, 500], 100, 1, 0), Ok(vec![1066, 533]));
        assert_eq!(all_inclusive(&[0, 0], 5, 0, 0), Ok(vec![3, 2]));
        assert_eq!(all_inclusive(&[10], 0, 11, 0), Err(MoneyError::NegativeTotal(-1)));
        assert_eq!(all_inclusive(&[i64::MAX], 1, 0, 0), Err(MoneyError::TooLarge(i128::from(i64::MAX) + 1)));
    }

    #[test]
    fn a_line_that_the_order_does_not_have_is_refused() {
        let lines = [line("1", 2, 100)];
        let other = LineId::from("9");
        assert_eq!(value(&lines, [(&other, 1)]), Err(MoneyError::UnknownLine(other.clone())));
        let first = LineId::from("1");
        let twice = value(&lines, [(&first, 2), (&first, 1)]);
        assert_eq!(twice, Err(MoneyError::QuantityOutOfRange { line: first, ordered: 2, named: 3 }));
    }

    proptest! {
        #[test]
        fn parts_sum_up_and_differ_from_their_share_by_less_than_one(
            total in any::<i64>(),
            weights in prop::collection::vec(0_i64..1_000_000_000_000, 1..20),
        ) {
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().map(|&part| i128::from(part)).sum::<i128>(), i128::from(total));
            let sum: i128 = weights.iter().map(|&weight| i128::from(weight)).sum();
            if sum > 0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let exact = i128::from(total) * i128::from(*weight);
                    prop_assert!((i128::from(*part) * sum - exact).abs() < sum);
                }
            }
        }

        #[test]
        fn line_amounts_sum_up_to_the_total_and_none_is_negative(
            values in prop::collection::vec(0_i64..1_000_000_000, 1..20),
            shipping in 0_i64..100_000, tax in 0_i64..100_000_000, off in 0_i64..=100,
        ) {
            let subtotal: i64 = values.iter().sum();
            let discount = (subtotal + shipping + tax) / 100 * off;
            let amounts = all_inclusive(&values, shipping, discount, tax).unwrap();
            prop_assert_eq!(amounts.iter().sum::<i64>(), subtotal + shipping + tax - discount);
            prop_assert!(amounts.iter().all(|&amount| amount >= 0));
        }

        #[test]
        fn a_lines_value_begins_at_nothing_ends_at_all_and_never_falls(
            amount in 0_i64..=i64::MAX, quantity in 1_i64..500,
        ) {
            prop_assert_eq!(line_value(amount, quantity, 0), 0);
            prop_assert_eq!(line_value(amount, quantity, quantity), amount);
            let values: Vec<i64> = (0..=quantity).map(|units| line_value(amount, quantity, units)).collect();
            prop_assert!(values.is_sorted());
        }

        #[test]
        fn what_is_kept_and_what_is_given_back_are_the_whole(
            order in prop::collection::vec((1_i64..50, 0_i64..1_000_000), 1..8),
            kept in prop::collection::vec(0_i64..50, 8),
        ) {
            let numbered = order.iter().enumerate();
            let lines: Vec<Line> = numbered.map(|(at, &(units, amount))| line(&at.to_string(), units, amount)).collect();
            let all = value(&lines, lines.iter().map(|line| (&line.line_id, line.quantity))).unwrap();
            prop_assert_eq!(all, lines.iter().map(|line| line.amount).sum::<i64>());
            let units = lines.iter().zip(&kept).map(|(line, &kept)| (&line.line_id, kept.min(line.quantity)));
            let part = value(&lines, units).unwrap();
            prop_assert!((0..=all).contains(&part));
        }
    }
}
