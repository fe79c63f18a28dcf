//! Keys: who may call a program's routes, and as what. Kept as digests and compared in constant time.

use std::fmt;

use sha2::{Digest, Sha256};

use super::query::{from_hex, hex};

/// The shortest key that is taken as it is, in characters.
const SHORTEST: usize = 16;
/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 64;
/// Whoever calls a program that has no keys and listens on the loopback interface only.
pub(crate) const LOCAL: &str = "local";
const DIGEST: &str = "sha256:";

/// What a key is for. Each role may do what those before it in `viewer`, `operator`, `admin` may; `shop` and `warehouse` stand apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks at everything but personal data.
    Viewer,
    /// A shop: places orders in its own name, looks at those, cancels those.
    Shop,
    /// A warehouse: works on its own parcels and its own stock.
    Warehouse,
    /// A person who decides: verdicts, cancellations, dead letters, deadlines, stock; may reveal personal data, on record.
    Operator,
    /// An operator who may also set up and break things: warehouses, stock files, the sandbox's outages.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Shop, Self::Warehouse, Self::Operator, Self::Admin];

    /// As settings, the OpenAPI documents and the record have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Shop => "shop",
            Self::Warehouse => "warehouse",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether a key of this role may do what `wanted` may.
    pub const fn covers(self, wanted: Self) -> bool {
        match wanted {
            Self::Viewer => matches!(self, Self::Viewer | Self::Operator | Self::Admin),
            Self::Operator => matches!(self, Self::Operator | Self::Admin),
            Self::Shop => matches!(self, Self::Shop),
            Self::Warehouse => matches!(self, Self::Warehouse),
            Self::Admin => matches!(self, Self::Admin),
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        // What came may be a key, where columns are swapped: it is not repeated.
        found.ok_or_else(|| format!("expected one of the roles {}, got something else", names()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A key that is known.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose it is: the `by` of whatever is done with it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Of a shop: the `source` of its orders. Of a warehouse: which one. Else empty.
    pub scope: String,
    digest: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.role)
    }
}

impl Key {
    /// A new key for somebody: the secret, which is shown once, and its line, which is what settings hold.
    ///
    /// # Errors
    /// When the name or the scope does not fit, or the machine has no random numbers.
    pub fn mint(name: &str, role: Role, scope: Option<&str>) -> anyhow::Result<(String, String)> {
        let secret = random_secret("qk_")?;
        let scope = scope.map(|scope| format!(":{scope}")).unwrap_or_default();
        let line = format!("{name} {role}{scope} {DIGEST}{}", hex(&digest(&secret)));
        Self::parse(&line).map_err(anyhow::Error::msg)?;
        Ok((secret, line))
    }

    pub(crate) fn local() -> Self {
        Self { name: LOCAL.to_owned(), role: Role::Admin, scope: String::new(), digest: [0; 32] }
    }

    /// A line `NAME ROLE[:SCOPE] KEY`: the key as it is, or `sha256:` and its digest in hexadecimal. A message repeats nothing of the line: where
    /// columns are swapped, any of them may be the key.
    fn parse(line: &str) -> Result<Self, String> {
        let expected = "expected NAME ROLE[:SCOPE] KEY, as `quadrille keys new` prints it";
        let (name, rest) = line.trim().split_once(char::is_whitespace).ok_or(expected)?;
        let (role, key) = rest.trim().rsplit_once(char::is_whitespace).ok_or(expected)?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) || name == LOCAL {
            return Err(format!(
                "expected a name of 1 to {LONGEST_NAME} letters, digits, `.`, `_`, `-` or `@`, other than `{LOCAL}`, in the first \
                 place, got something else"
            ));
        }
        let (role, scope) = role.trim().split_once(':').unwrap_or((role.trim(), ""));
        let (role, scope): (Role, &str) =
            (role.parse().map_err(|why: String| format!("in the second place {why}"))?, scope.trim());
        let scope = match role {
            Role::Shop if scope.is_empty() => name,
            Role::Warehouse if scope.is_empty() => {
                return Err("expected which warehouse it is, as in warehouse:berlin".to_owned());
            }
            Role::Shop | Role::Warehouse => scope,
            Role::Viewer | Role::Operator | Role::Admin if scope.is_empty() => scope,
            Role::Viewer | Role::Operator | Role::Admin => {
                return Err(format!("expected nothing behind the role {role}, got a scope"));
            }
        };
        let digest = match key.strip_prefix(DIGEST) {
            Some(text) => {
                let digest = from_hex(text).and_then(|bytes| bytes.try_into().ok());
                digest.ok_or(format!("expected 64 hexadecimal digits behind {DIGEST}"))?
            }
            None if key.chars().count() < SHORTEST => {
                return Err(format!(
                    "expected a key of at least {SHORTEST} characters, got fewer: `quadrille keys new` makes one"
                ));
            }
            None => digest(key),
        };
        Ok(Self { name: name.to_owned(), role, scope: scope.to_owned(), digest })
    }
}

/// All keys that are set.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Keys as settings and key files have them: a line for each, or `;` between them; lines that begin with `#` are comments.
    /// A name may have several keys, so that a key can be changed without a gap.
    ///
    /// # Errors
    /// When one does not fit; the message says which, and never shows a key.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.split(['\n', ';']).map(str::trim).enumerate();
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(at, line)| {
            Key::parse(line).map_err(|why| anyhow::anyhow!("settings: key {} of `keys`: {why}", at + 1))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that was shown. Every key is compared, to its end: how long it takes says nothing of how near one came.
    pub(crate) fn find(&self, shown: &[u8; 32]) -> Option<&Key> {
        let mut found = None;
        for key in &self.0 {
            let differs = key.digest.iter().zip(shown).fold(0, |differs, (set, came)| differs | (set ^ came));
            if std::hint::black_box(differs) == 0 {
                found = Some(key);
            }
        }
        found
    }
}

/// A new secret that nobody guesses, behind this prefix.
///
/// # Errors
/// When the machine has no random numbers.
pub fn random_secret(prefix: &str) -> anyhow::Result<String> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the machine gives no random numbers: {error}"))?;
    Ok(format!("{prefix}{}", hex(&random)))
}

/// What is kept of a key, and compared: all have one length.
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose<'k>(keys: &'k Keys, shown: &str) -> Option<&'k str> {
        keys.find(&digest(shown)).map(|key| key.name.as_str())
    }

    #[test]
    fn a_minted_key_opens_by_its_line_and_any_other_opens_nothing() {
        let (secret, line) = Key::mint("eve", Role::Operator, None).unwrap();
        assert!(!line.contains(&secret), "the line holds the digest alone");
        let keys = Keys::parse(&format!("# people\n{line}\n\nada admin 0123456789abcdef")).unwrap();
        assert_eq!((whose(&keys, &secret), whose(&keys, "0123456789abcdef")), (Some("eve"), Some("ada")));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", &line] {
            assert_eq!(whose(&keys, wrong), None, "{wrong}");
        }
        assert_ne!(secret, Key::mint("eve", Role::Operator, None).unwrap().0);
    }

    #[test]
    fn a_shop_has_its_source_and_a_warehouse_its_name() {
        let text = "web shop aaaaaaaaaaaaaaaaaaaa; app shop:web-de bbbbbbbbbbbbbbbbbbbb; bob warehouse:Hall 2 cccccccccccccccccccc";
        let keys = Keys::parse(text).unwrap();
        let scopes: Vec<_> = keys.0.iter().map(|key| key.scope.as_str()).collect();
        assert_eq!(scopes, ["web", "web-de", "Hall 2"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_place_and_no_message_shows_a_key() {
        for (line, expected) in [
            ("eve operator short-secret", "at least 16 characters"),
            ("eve boss secret-secret-secret", "viewer, shop, warehouse, operator, admin"),
            ("eve warehouse secret-secret-secret", "which warehouse"),
            ("eve admin:berlin secret-secret-secret", "nothing behind the role"),
            ("eve admin sha256:secret", "64 hexadecimal digits"),
            ("secret-secret-secret", "NAME ROLE[:SCOPE] KEY"),
            ("local admin secret-secret-secret", "other than `local`"),
            ("e/ve admin secret-secret-secret", "expected a name"),
            ("eve secret-secret-secret operator", "one of the roles"),
            (&format!("secret-{} eve operator", "0123456789".repeat(7)), "expected a name"),
            ("secret-secret-secret operator short", "at least 16 characters"),
            ("secret-secret-secret warehouse 0123456789abcdef", "which warehouse"),
        ] {
            let error = Keys::parse(&format!("ok admin 0123456789abcdef\n{line}")).unwrap_err().to_string();
            assert!(
                error.contains("key 2") && error.contains(expected) && !error.contains("secret"),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn roles_cover_what_they_should() {
        let covers = |role: Role| Role::ALL.into_iter().filter(|wanted| role.covers(*wanted)).collect::<Vec<_>>();
        assert_eq!(covers(Role::Admin), [Role::Viewer, Role::Operator, Role::Admin]);
        assert_eq!(covers(Role::Operator), [Role::Viewer, Role::Operator]);
        for alone in [Role::Viewer, Role::Shop, Role::Warehouse] {
            assert_eq!(covers(alone), [alone]);
        }
    }
}
