//! Report 29: an order of the most lines ends, over however many warehouses.

use super::*;
use crate::LevelChange;

const LINES: usize = 500;

/// The longest names that the doors take, and one unit of each SKU in each of so many warehouses.
fn stores(count: usize, letter: char, sku_length: usize) -> (House, Vec<Line>) {
    let pad = |text: String, length: usize| -> String {
        let short = length.saturating_sub(text.chars().count());
        text + &letter.to_string().repeat(short)
    };
    let skus: Vec<String> = (0..LINES).map(|line| pad(format!("SKU-{line}-"), sku_length)).collect();
    let warehouses: Vec<String> = (0..count).map(|store| pad(format!("STORE-{store}-"), sku_length)).collect();
    let levels =
        skus.iter().flat_map(|sku| warehouses.iter().map(move |warehouse| (sku.as_str(), warehouse.as_str(), 1)));
    let house = House::stocked(levels);
    let units = count as i64;
    let lines = skus
        .iter()
        .enumerate()
        .map(|(line, sku)| super::line(&pad(format!("{line}-"), sku_length.min(64)), sku, units));
    (house, lines.collect())
}

/// `House::hear` fails where an event does not fit its topic.
#[test]
fn the_most_lines_from_as_many_warehouses_as_fit_are_reserved_and_given_back() {
    let (mut house, lines) = stores(4, 'x', 30);
    let said: StockReserved = house.hear(accepted_as(ORDER, lines)).unwrap().only();
    assert_eq!(said.plan.len(), 4 * LINES);
    let heard = house.hear(declined()).unwrap();
    assert_eq!(heard.names(), ["StockReleased"]);
    assert!(heard.said[0].payload.as_ref().unwrap().len() > 250_000);
}

#[test]
fn the_most_lines_over_more_warehouses_than_fit_are_rejected_and_nothing_is_held() {
    for (count, letter, length) in [(20, 'x', 20), (4, '\u{1f600}', 100), (1, '\u{1f600}', 100)] {
        let (mut house, lines) = stores(count, letter, length);
        let said: StockRejected = house.hear(accepted_as(ORDER, lines)).unwrap().only();
        assert_eq!((said.lines.len(), said.reason.code.as_str()), (LINES, "too_many_parts"));
        assert!(said.reason.detail.contains("split the order"), "{:?}", said.reason);
        assert!(house.announced().is_empty());
    }
}

#[test]
fn what_is_short_everywhere_names_its_first_lines() {
    let (mut house, mut lines) = stores(1, '\u{1f600}', 100);
    lines.iter_mut().for_each(|line| line.quantity = 2);
    let said: StockRejected = house.hear(accepted_as(ORDER, lines)).unwrap().only();
    assert!(said.reason.detail.ends_with("and 495 more lines"), "{}", said.reason.detail.len());
}

/// A line of many units lies in one warehouse, which has none of them; each unit lies in a store of its own.
#[test]
fn a_shortage_is_replaced_only_as_far_as_the_order_can_be_split() {
    let (mut house, lines) = stores(20, 'x', 20);
    for line in &lines {
        let received = [LevelChange::received(&line.sku, &"A".into(), 20)];
        house.world.stock.apply(&received, None, Uuid::nil()).unwrap();
    }
    house.world.know("A".into(), Some(1));
    let said: StockReserved = house.hear(accepted_as(ORDER, lines)).unwrap().only();
    assert_eq!(said.plan.len(), LINES);
    house.hear(Input::Authorized(ORDER)).unwrap();
    let short = (0..LINES).map(|held| house.given_up(held, 20, Why::Short)).collect();
    let input = house.short(1, short, &["A"]);
    let said: StockReallocated = house.hear(input).unwrap().only();
    assert!(!said.moved.is_empty() && !said.missing.is_empty());
    let units =
        said.moved.iter().map(|held| held.quantity).chain(said.missing.iter().map(|item| item.quantity)).sum::<i64>();
    assert_eq!(units, 20 * LINES as i64);
    // And it ends.
    let heard = house.hear(voided_with(Vec::new())).unwrap();
    assert_eq!(heard.names(), ["StockReleased"]);
}
