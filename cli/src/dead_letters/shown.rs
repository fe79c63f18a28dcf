//! Dead letters as people read them: tables and case files; or as programs do: JSON, one object a line.

use std::fmt::Write as _;

use operator::{ActionView, BytesView, GroupView, LetterView};

use crate::output::TableColumn;

const SHOWN: usize = 100;

/// Dead letters. An id may be given by its first characters: the table shows as many as tell it apart.
pub const LETTERS: &[TableColumn<LetterView>] = &[
    ("id", |letter| short(&letter.letter_id)),
    ("died", |letter| seconds(&letter.died_at)),
    ("status", |letter| letter.status.clone()),
    ("loops#", |letter| letter.loops.to_string()),
    ("consumer", |letter| letter.consumers.join(", ")),
    ("class", |letter| letter.error_class.clone()),
    ("event", |letter| event(letter.event_type.as_deref(), &letter.kind)),
    ("order", |letter| letter.order_id.clone().unwrap_or_else(|| "-".to_owned())),
    ("what is wrong", |letter| cut(&letter.error_message)),
];

pub const GROUPS: &[TableColumn<GroupView>] = &[
    ("fingerprint", |group| group.fingerprint.clone()),
    ("letters#", |group| group.letters.to_string()),
    ("orders#", |group| group.orders.to_string()),
    ("first", |group| seconds(&group.first_at.0.to_string())),
    ("last", |group| seconds(&group.last_at.0.to_string())),
    ("consumer", |group| group.consumers.join(", ")),
    ("class", |group| group.error_class.clone()),
    ("event", |group| event(group.event_type.as_deref(), &group.kind)),
    ("example", |group| short(&group.example.to_string())),
    ("what is wrong", |group| cut(&group.message)),
];

pub const ACTIONS: &[TableColumn<ActionView>] = &[
    ("at", |action| seconds(&action.at.0.to_string())),
    ("who", |action| action.who.clone()),
    ("what", |action| action.what.clone()),
    ("letter", |action| action.letter_id.map_or_else(|| "-".to_owned(), |id| short(&id.to_string()))),
    ("order", |action| action.order_id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
    ("why", |action| cut(&action.why)),
    ("outcome", |action| action.outcome.clone()),
    ("detail", |action| cut(&action.detail)),
];

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
        let (mark, text) = can.step.as_ref().map_or(("no", &can.refused), |_| ("can", &can.step));
        line(mark, &format!("{}: {}", can.what, text.as_deref().unwrap_or_default()));
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
