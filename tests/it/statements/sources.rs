//! Finds SQL in the sources: literals that begin as a statement does, with what `concat!`, macros of literals and constants put together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A statement where the sources have it. `{schema}` stands for a consumer's; other braces of a `format!` that no constant fills are left.
#[derive(Clone, Debug)]
pub struct Statement {
    pub file: String,
    pub line: usize,
    pub text: String,
}

/// The sources but for their tests: names and texts.
pub fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["crates", "consumers", "cli", "load", "examples"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let named = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (named(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The consumer, or the example of one, that a file is of.
pub fn consumer_of(file: &str) -> Option<&str> {
    let path = file.strip_prefix("consumers/").or_else(|| file.strip_prefix("examples/"))?;
    path.split('/').next()
}

/// The texts that calls of a function take: literals, or what a `let` of the file has under the name that stands there.
pub fn arguments(source: &str, call: &str, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices(call).filter(|(at, _)| is_meant(&source[..*at])) {
        let argument = source[at + call.len()..].trim_start();
        let literal = argument.strip_prefix('"').or_else(|| {
            let name = argument.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()?;
            source[..at].rsplit_once(&format!("let {name} = \""))?.1.into()
        });
        let literal =
            literal.unwrap_or_else(|| panic!("{call}{}: expected a literal", &argument[..argument.len().min(60)]));
        found.extend(literal.split('"').next().map(ToOwned::to_owned));
    }
    found
}

/// All statements, also those in files of their own.
pub fn statements() -> Vec<Statement> {
    let statements = |(file, text): (String, String)| match file.ends_with(".sql") {
        true => vec![Statement { file, line: 1, text: without_comments(&text) }],
        false => statements_of(&file, &text),
    };
    files().into_iter().flat_map(statements).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "migrations", "target"].contains(&name.as_str()) {
            collect(&path, files);
        } else if name.ends_with(".sql") || name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

fn without_comments(sql: &str) -> String {
    sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
}

/// Those of one file of Rust.
pub fn statements_of(file: &str, source: &str) -> Vec<Statement> {
    let tokens = without_tests(tokens(source));
    let code = Code { macros: macros(&tokens), constants: constants(&tokens) };
    let mut found = Vec::new();
    let (mut at, mut last) = (0, "");
    // ends with the text
    while let Some(token) = tokens.get(at) {
        let mut next = at + 1;
        let text = match &token.kind {
            Kind::Word(name) if name == "macro_rules" => {
                next = behind_group(&tokens, at + 3);
                None
            }
            Kind::Word(name) if is_call(&tokens, at) => {
                last = name;
                let is_joined = name == "concat" || code.macros.contains_key(name);
                is_joined.then(|| {
                    next = behind_group(&tokens, at + 2);
                    code.joined(&tokens[at..next], &HashMap::new())
                })
            }
            Kind::Text(text) if ["format", "write"].contains(&last) => Some(code.filled(text)),
            Kind::Text(text) => Some(text.clone()),
            Kind::Mark(mark) => {
                if [';', '{', '}'].contains(mark) {
                    last = "";
                }
                None
            }
            Kind::Word(_) => None,
        };
        if let Some(text) = text.filter(|text| is_statement(text)) {
            found.push(Statement { file: file.to_owned(), line: token.line, text });
        }
        at = next;
    }
    found
}

/// Whether a text begins as a statement does that names tables; `set`, `lock` and their like can't be prepared.
fn is_statement(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().take(8).collect();
    match words.as_slice() {
        ["select", _, ..] | ["insert", "into", ..] | ["delete", "from", ..] | ["merge", "into", ..] => true,
        ["update", _, rest @ ..] => rest.contains(&"set"),
        ["with", rest @ ..] => {
            rest.iter().any(|word| word.starts_with('{'))
                || text.contains(" as (")
                || text.contains(" as materialized (")
        }
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Text(String),
    Word(String),
    Mark(char),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    line: usize,
}

/// What literals are put together of.
struct Code {
    /// Macros of literals: parameters and body.
    macros: HashMap<String, (Vec<String>, Vec<Token>)>,
    constants: HashMap<String, String>,
}

impl Code {
    /// The text that a `concat!`, or a macro of literals, makes.
    fn joined(&self, tokens: &[Token], given: &HashMap<String, String>) -> String {
        let (mut text, mut at) = (String::new(), 0);
        // ends with the text
        while let Some(token) = tokens.get(at) {
            match &token.kind {
                Kind::Text(part) => text.push_str(part),
                Kind::Word(name) if is_call(tokens, at) => {
                    let end = behind_group(tokens, at + 2);
                    let inner = &tokens[at + 3..end - 1];
                    match self.macros.get(name) {
                        Some((parameters, body)) => {
                            let parts: Vec<String> = split(inner).map(|part| self.joined(part, given)).collect();
                            let last = parameters.len().saturating_sub(1);
                            let value = |at: usize| if at == last { parts[at..].concat() } else { parts[at].clone() };
                            let given = parameters.iter().enumerate().map(|(at, name)| (name.clone(), value(at)));
                            text.push_str(&self.joined(body, &given.collect()));
                        }
                        None => text.push_str(&self.joined(inner, given)),
                    }
                    at = end;
                    continue;
                }
                Kind::Word(name) => {
                    text.push_str(given.get(name).or(self.constants.get(name)).map_or("", String::as_str))
                }
                Kind::Mark(_) => {}
            }
            at += 1;
        }
        text
    }

    /// A `format!`'s text with its constants; a place before a `.` is a consumer's schema.
    fn filled(&self, text: &str) -> String {
        let (mut filled, mut rest) = (String::new(), text);
        // ends with the text
        while let Some(at) = rest.find(['{', '}']) {
            filled.push_str(&rest[..at]);
            let here = &rest[at..];
            let end = here.find('}').unwrap_or(here.len() - 1);
            if here.starts_with("{{") || here.starts_with("}}") {
                filled.push_str(&here[..1]);
                rest = &here[2..];
                continue;
            }
            let (name, behind) = (&here[1.min(end)..end], &here[end + 1..]);
            match self.constants.get(name) {
                Some(value) => filled.push_str(value),
                None if behind.starts_with('.') => filled.push_str("{schema}"),
                None if ["slot", "current"].contains(&name) => filled.push('0'),
                None => filled.push_str(&here[..=end]),
            }
            rest = behind;
        }
        filled + rest
    }
}

/// Whether a macro is called here.
fn is_call(tokens: &[Token], at: usize) -> bool {
    let is = |at: usize, mark| tokens.get(at).is_some_and(|token| token.kind == Kind::Mark(mark));
    matches!(tokens[at].kind, Kind::Word(_)) && is(at + 1, '!') && is(at + 2, '(')
}

/// Behind the group that begins here.
fn behind_group(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.kind {
            Kind::Mark('(' | '{' | '[') => depth += 1,
            Kind::Mark(')' | '}' | ']') => depth -= 1,
            Kind::Text(_) | Kind::Word(_) | Kind::Mark(_) => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The arguments of a call.
fn split(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0;
    tokens.split(move |token| {
        match token.kind {
            Kind::Mark('(' | '{' | '[') => depth += 1,
            Kind::Mark(')' | '}' | ']') => depth -= 1,
            Kind::Text(_) | Kind::Word(_) | Kind::Mark(_) => {}
        }
        depth == 0 && token.kind == Kind::Mark(',')
    })
}

/// `macro_rules! name { (parameters) => { body }; }`, of one rule each.
fn macros(tokens: &[Token]) -> HashMap<String, (Vec<String>, Vec<Token>)> {
    let mut found = HashMap::new();
    for at in 0..tokens.len() {
        let [Kind::Word(rules), Kind::Mark('!'), Kind::Word(name)] = &kinds(tokens, at)[..] else { continue };
        if rules != "macro_rules" {
            continue;
        }
        let pattern = at + 4;
        let body = behind_group(tokens, pattern) + 2;
        let parts = tokens[pattern..body - 2].windows(3);
        let parameter = |part: &[Token]| match (&part[0].kind, &part[1].kind, &part[2].kind) {
            (Kind::Mark('$'), Kind::Word(name), Kind::Mark(':')) => Some(name.clone()),
            _ => None,
        };
        let end = behind_group(tokens, body);
        let is_of_literals = tokens[body..end].iter().any(|token| matches!(token.kind, Kind::Text(_)))
            && !tokens[body..end].iter().any(|token| token.kind == Kind::Mark(';'));
        if is_of_literals {
            found.insert(name.clone(), (parts.filter_map(parameter).collect(), tokens[body + 1..end - 1].to_vec()));
        }
    }
    found
}

/// `const NAME: &str = "…"`.
fn constants(tokens: &[Token]) -> HashMap<String, String> {
    let is = |at: usize, word: &str| matches!(&tokens[at].kind, Kind::Word(other) if other == word);
    let constant = |at: usize| match (&tokens[at + 1].kind, &tokens.get(at + 6)?.kind) {
        (Kind::Word(name), Kind::Text(text)) if is(at, "const") => Some((name.clone(), text.clone())),
        _ => None,
    };
    (0..tokens.len().saturating_sub(1)).filter_map(constant).collect()
}

fn kinds(tokens: &[Token], at: usize) -> Vec<Kind> {
    tokens[at..].iter().take(3).map(|token| token.kind.clone()).collect()
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    // ends with the text
    while at < tokens.len() {
        let text: Vec<String> = tokens[at..]
            .iter()
            .take(8)
            .map(|token| match &token.kind {
                Kind::Mark(mark) => mark.to_string(),
                Kind::Word(word) | Kind::Text(word) => word.clone(),
            })
            .collect();
        if text.len() == 8 && text.concat().starts_with("#[cfg(test)]mod") {
            let name = at + 9;
            at = if tokens.get(name).is_some_and(|token| token.kind == Kind::Mark('{')) {
                behind_group(&tokens, name)
            } else {
                name
            };
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Texts, words and marks of a file; comments and single letters are left out.
fn tokens(source: &str) -> Vec<Token> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    // ends with the text
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
        let raw = raw.filter(|marks| rest[1 + marks..].starts_with('"'));
        let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (kind, taken) = if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if let Some(marks) = raw {
            let end = format!("\"{}", "#".repeat(marks));
            let inner = &rest[marks + 2..];
            let length = inner.find(&end).unwrap_or(inner.len());
            (Some(Kind::Text(inner[..length].to_owned())), marks + 2 + length + end.len())
        } else if first == '"' {
            let (text, taken) = literal(&rest[1..]);
            (Some(Kind::Text(text)), taken + 1)
        } else if first == '\'' && (rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'')) {
            let inner = 1 + usize::from(rest[1..].starts_with('\\'));
            let letter = rest[inner..].chars().next().map_or(1, char::len_utf8);
            (None, rest[inner + letter..].find('\'').map_or(rest.len(), |end| inner + letter + end + 1))
        } else if word > 0 {
            (Some(Kind::Word(rest[..word].to_owned())), word)
        } else {
            (Some(Kind::Mark(first)).filter(|_| !first.is_whitespace()), first.len_utf8())
        };
        found.extend(kind.map(|kind| Token { kind, line }));
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    found
}

/// A text with its escapes read, and how long it is with its last quote.
fn literal(rest: &str) -> (String, usize) {
    let (mut text, mut letters) = (String::new(), rest.char_indices());
    // ends with the text
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (text, at + 1),
            '\\' => match letters.next() {
                Some((end, '\n')) => {
                    let blank = rest[end + 1..].len() - rest[end + 1..].trim_start().len();
                    let (more, length) = literal(&rest[end + 1 + blank..]);
                    return (text + &more, end + 1 + blank + length);
                }
                Some((_, 'n')) => text.push('\n'),
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, rest.len())
}
