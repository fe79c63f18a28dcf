//! Dead letters as people read them: tables and case files; or as programs do: JSON, one object a line.

use std::fmt::Write as _;

use comfy_table::Table;
use operator::{ActionView, BytesView, GroupView, LetterView};

use crate::output::table;

/// Characters of a message that a table shows.
const SHOWN: usize = 100;

/// Dead letters, one a line. An id may be given by its first characters: the table shows as many as tell it apart.
pub fn letters(letters: &[LetterView]) -> Table {
    let mut shown =
        table(&["id", "died", "status", "loops", "consumer", "class", "event", "order", "what is wrong"], &[3]);
    for letter in letters {
        shown.add_row([
            short(&letter.letter_id),
            seconds(&letter.died_at),
            letter.status.clone(),
            letter.loops.to_string(),
            letter.consumers.join(", "),
            letter.error_class.clone(),
            event(letter.event_type.as_deref(), &letter.kind),
            letter.order_id.clone().unwrap_or_else(|| "-".to_owned()),
            cut(&letter.error_message),
        ]);
    }
    shown
}

/// Groups, one a line.
pub fn groups(groups: &[GroupView]) -> Table {
    let header =
        ["fingerprint", "letters", "orders", "first", "last", "consumer", "class", "event", "example", "what is wrong"];
    let mut shown = table(&header, &[1, 2]);
    for group in groups {
        shown.add_row([
            group.fingerprint.clone(),
            group.letters.to_string(),
            group.orders.to_string(),
            seconds(&group.first_at.0.to_string()),
            seconds(&group.last_at.0.to_string()),
            group.consumers.join(", "),
            group.error_class.clone(),
            event(group.event_type.as_deref(), &group.kind),
            short(&group.example.to_string()),
            cut(&group.message),
        ]);
    }
    shown
}

/// Actions, one a line.
pub fn actions(actions: &[ActionView]) -> Table {
    let mut shown = table(&["at", "who", "what", "letter", "order", "why", "outcome", "detail"], &[]);
    for action in actions {
        shown.add_row([
            seconds(&action.at.0.to_string()),
            action.who.clone(),
            action.what.clone(),
            action.letter_id.map_or_else(|| "-".to_owned(), |id| short(&id.to_string())),
            action.order_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            cut(&action.why),
            action.outcome.clone(),
            cut(&action.detail),
        ]);
    }
    shown
}

/// One dead letter as a case file.
pub fn letter(letter: &LetterView) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:>12}  {value}"); // writing to a text can't fail
        }
    };
    line("dead letter", &letter.letter_id);
    line("status", &letter.status);
    line("died", &letter.died_at);
    line("consumer", &letter.consumers.join(", "));
    line("stage", letter.stage.as_deref().unwrap_or_default());
    line("class", &letter.error_class);
    line("wrong", &letter.error_message);
    line("fingerprint", &letter.fingerprint);
    line("event", letter.event_type.as_deref().unwrap_or_default());
    line("order", letter.order_id.as_deref().unwrap_or_default());
    if let Some(place) = &letter.original {
        line("read from", &format!("{}/{}@{}", place.topic, place.partition, place.offset));
    }
    line("loops", &letter.loops.to_string());
    if letter.blocking == Some(true) {
        line("blocks", "later events of the same key wait behind it");
    }
    line("version", letter.code_version.as_deref().unwrap_or_default());
    line("stands at", &format!("{}/{}@{}", letter.stands.topic, letter.stands.partition, letter.stands.offset));
    line("key", &bytes(letter.key.as_ref()));
    match &letter.data {
        Some(data) => line("data", &indented(&format!("{data:#}"))),
        None => line("value", &bytes(letter.value.as_ref())),
    }
    for header in letter.headers.iter().filter(|header| !header.name.starts_with("quadrille-error")) {
        let value = header.value.clone().or_else(|| header.hex.as_ref().map(|hex| format!("0x{hex}")));
        line("header", &format!("{}: {}", header.name, value.unwrap_or_default()));
    }
    for can in &letter.can {
        let (mark, publishes) = can.step.as_ref().map_or(("no", &can.refused), |_| ("can", &can.step));
        line(mark, &format!("{}: {}", can.what, publishes.as_deref().unwrap_or_default()));
    }
    for action in &letter.actions {
        let ActionView { at, who, what, why, outcome, detail, .. } = action;
        line("action", &format!("{} {who}: {what}, {outcome}: {detail} ({why})", at.0));
    }
    text
}

fn bytes(shown: Option<&BytesView>) -> String {
    match shown {
        Some(BytesView { text: Some(text), .. }) => text.clone(),
        Some(BytesView { hex: Some(hex), bytes, .. }) => format!("0x{hex} ({bytes} bytes)"),
        Some(BytesView { bytes, .. }) => format!("{bytes} bytes"),
        None => String::new(),
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', &format!("\n{:14}", ""))
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// A moment without its milliseconds.
fn seconds(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

fn event(event_type: Option<&str>, kind: &str) -> String {
    event_type.map_or_else(|| kind.to_owned(), |name| name.rsplit('.').next().unwrap_or(name).to_owned())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
