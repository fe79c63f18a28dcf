//! Settings, from files and variables.

mod secrets;

use serde::Deserialize;
use utoipa::ToSchema;

use super::*;

const PARTS: &str = "[common]\ndatabase_url = 'postgres://x'\n[common.kafka]\n'bootstrap.servers' = 'k:1'\n";

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct Own {
    ttl: Option<Span>,
    limit: u32,
}

#[test]
fn a_consumer_reads_its_own_and_the_runtimes_settings_from_one_section() {
    let settings =
        Settings::from_toml(&format!("{PARTS}[saga_tracker]\nttl = '15m'\nlimit = 3\nbatch_events = 7")).unwrap();
    assert_eq!(settings.section::<Own>("saga-tracker").unwrap(), Own { ttl: Some(Span::secs(900)), limit: 3 });
    assert_eq!(settings.section::<ConsumerSettings>("saga-tracker").unwrap().batch_events, 7);
    assert_eq!(settings.section::<Own>("orders").unwrap(), Own::default());
    let defaults = ConsumerSettings { linger: Span::millis(100), batch_events: 9, ..ConsumerSettings::default() };
    let tracker = settings.consumer("saga-tracker", &defaults).unwrap();
    assert_eq!((tracker.batch_events, tracker.linger), (7, Span::millis(100)));
    assert_eq!(settings.consumer("orders", &defaults).unwrap().batch_events, 9);
}

#[test]
fn defaults_in_lists_stay_though_an_optional_field_of_theirs_is_not_set() {
    #[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
    #[serde(default)]
    struct Listed {
        rules: Vec<Own>,
    }
    let defaults = Listed { rules: vec![Own { ttl: None, limit: 3 }, Own::default()] };
    assert_eq!(Settings::from_toml(PARTS).unwrap().section_over("orders", &defaults).unwrap(), defaults);
}

#[test]
fn a_setting_is_known_by_its_old_name_too_and_the_new_one_goes_first() {
    let file =
        format!("{PARTS}shutdown_within = '3s'\n[orders]\npark_first = '2s'\npark_spread = 0.5\nretry_jitter = 0.1");
    let file = file
        .replace("[common.kafka]", "")
        .replace("'bootstrap.servers' = 'k:1'\n", "kafka = {'bootstrap.servers' = 'k:1'}\n");
    let settings = Settings::from_toml(&file).unwrap();
    assert_eq!(settings.common().shutdown_timeout, Span::secs(3));
    let orders = settings.consumer("orders", &ConsumerSettings::default()).unwrap();
    assert_eq!((orders.retry_initial_backoff, orders.retry_jitter), (Span::secs(2), 0.1));
    let old =
        env(&[("QUADRILLE_ORDERS__PARK_CEILING", "7s")]).unwrap().consumer("orders", &ConsumerSettings::default());
    assert_eq!(old.unwrap().retry_max_backoff, Span::secs(7));
}

#[test]
fn a_missing_address_says_what_to_set_and_how_to_get_it() {
    let error = Settings::from_toml("[common.kafka]\n'bootstrap.servers' = 'k:1'").unwrap_err().to_string();
    assert!(error.contains("DATABASE_URL is not set") && error.contains("cargo xtask up"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_names_its_section_and_key() {
    let settings = Settings::from_toml(&format!("{PARTS}[orders]\nlimit = 'many'")).unwrap();
    let error = settings.section::<Own>("orders").unwrap_err().to_string();
    assert!(error.contains("orders") && error.contains("limit"), "{error}");
}

#[test]
fn orders_are_kept_for_the_horizon_and_never_shorter_than_events_can_come_back() {
    let keep = |common: &str, tracker: &str| {
        let settings = Settings::from_toml(
            &PARTS
                .replace("[common.kafka]", &format!("{common}\n[common.kafka]"))
                .replace("[common]", &format!("[saga_tracker]\n{tracker}\n[common]")),
        );
        let defaults = ConsumerSettings { keep: Some(Span::secs(400 * 86_400)), ..ConsumerSettings::default() };
        let settings = settings.unwrap();
        Ok((
            settings.keep("orders", &ConsumerSettings::default())?.as_secs() / 86_400,
            settings.keep("saga-tracker", &defaults)?.as_secs() / 86_400,
        ))
    };
    let told = |kept: Result<(u64, u64), SettingsError>| kept.unwrap_err().to_string();
    assert_eq!(keep("", "").unwrap(), (60, 400));
    assert_eq!(keep("horizon = '90d'", "keep = '100d'").unwrap(), (90, 100));
    let short = told(keep("horizon = '10d'", ""));
    assert!(short.contains("QUADRILLE_HORIZON is 864000s") && short.contains("set it longer"), "{short}");
    assert_eq!(keep("horizon = '10d'\nallow_short_horizon = true", "").unwrap(), (10, 400));
    let shorter = told(keep("", "keep = '50d'"));
    assert!(shorter.contains("QUADRILLE_SAGA_TRACKER__KEEP"), "{shorter}");
}

#[test]
fn properties_of_librdkafka_are_given_one_by_one_or_as_a_table() {
    let given = |name: &str, value: &str| {
        env(&[(name, value)]).unwrap().consumer("orders", &ConsumerSettings::default()).unwrap().kafka
    };
    let wanted: Properties = [("linger.ms".to_owned(), "0".to_owned())].into_iter().collect();
    assert_eq!(given("QUADRILLE_ORDERS__KAFKA__LINGER_MS", "0"), wanted);
    assert_eq!(given("QUADRILLE_ORDERS__KAFKA", "{\"linger.ms\" = \"0\"}"), wanted);
}

/// What `Own` has, for tables of wrong settings.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wide {
    /// How often.
    every: Span,
    /// The key.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(inline, default)]
    secret: Option<Secret>,
    /// Keys by name.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(default)]
    api_keys: std::collections::BTreeMap<String, Secret>,
    /// Whole.
    limit: u32,
    /// Not whole.
    share: f64,
    /// Yes or no.
    on: bool,
    /// Words.
    list: Vec<String>,
    /// Its own.
    inner: Inner,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Inner {
    /// One.
    first: i64,
    /// Two.
    second: i64,
}

impl Default for Inner {
    fn default() -> Self {
        Self { first: 1, second: 2 }
    }
}

fn wide() -> Section {
    Section::consumer("saga-tracker", &ConsumerSettings::default())
        .with(&Wide { every: Span::secs(5), ..Wide::default() })
}

#[test]
fn secrets_and_ids_that_look_like_something_else_stay_text() {
    let quoted = "\"quoted, and long enough\"";
    let read = |name: &str, value: &str| {
        let settings = env(&[(name, value)]).unwrap();
        settings.refuse_unknown(&wide()).unwrap();
        let (own, set) =
            (settings.section::<Wide>("saga-tracker"), settings.section::<ConsumerSettings>("saga-tracker"));
        (own.unwrap(), set.unwrap())
    };
    for value in ["1234567890123456", "0012345678901234", "12345678.9012345", "true", quoted, "{a=1}", "[1]", "1e400"] {
        let (own, _) = read("QUADRILLE_SAGA_TRACKER__SECRET", value);
        assert_eq!(own.secret.as_ref().map(Secret::expose), Some(value));
        let (own, _) = read("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE", value);
        assert_eq!(own.api_keys["eve"].expose(), value);
        let (_, set) = read("QUADRILLE_SAGA_TRACKER__INSTANCE_ID", value);
        assert_eq!(set.instance_id.as_deref(), Some(value));
    }
    let (_, set) = read("QUADRILLE_SAGA_TRACKER__INSTANCE_ID", "");
    assert_eq!(set.instance_id, None, "Compose sets a variable to nothing");
}

#[test]
fn a_variable_is_what_its_setting_makes_of_it() {
    let settings = env(&[
        ("QUADRILLE_SAGA_TRACKER__EVERY", "250ms"),
        ("QUADRILLE_SAGA_TRACKER__LIMIT", " 7 "),
        ("QUADRILLE_SAGA_TRACKER__SHARE", "1"),
        ("QUADRILLE_SAGA_TRACKER__ON", "true"),
        ("QUADRILLE_SAGA_TRACKER__LIST", "a b\nc"),
        ("QUADRILLE_SAGA_TRACKER__INNER__SECOND", "5"),
        ("QUADRILLE_SAGA_TRACKER__HTTP", "127.0.0.1:0"),
    ])
    .unwrap();
    settings.refuse_unknown(&wide()).unwrap();
    let own = settings.section::<Wide>("saga-tracker").unwrap();
    assert_eq!((own.every, own.limit, own.share, own.on), (Span::millis(250), 7, 1.0, true));
    assert_eq!((own.list, own.inner.first, own.inner.second), (vec!["a b".to_owned(), "c".to_owned()], 1, 5));
    let list = env(&[("QUADRILLE_SAGA_TRACKER__LIST", "[\"x\"]")]).unwrap();
    assert_eq!(list.section::<Wide>("saga-tracker").unwrap().list, ["x"]);
}

#[test]
fn what_does_not_fit_is_named_with_what_came() {
    for (name, value, expected) in [
        ("LIMIT", "many", "expected a whole number, 0 or more, got \"many\""),
        ("LIMIT", "-1", "expected a whole number, 0 or more, got \"-1\""),
        ("SHARE", "half", "expected a number, got \"half\""),
        ("ON", "yes", "expected true or false, got \"yes\""),
        ("EVERY", "soon", "soon"),
        ("INNER", "none", "expected a table"),
    ] {
        let name = format!("QUADRILLE_SAGA_TRACKER__{name}");
        let error = env(&[(&name, value)]).unwrap().section::<Wide>("saga-tracker").unwrap_err().to_string();
        assert!(error.starts_with(&name) && error.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest() {
    for (name, nearest) in [
        ("QUADRILLE_TOPIC_PREFX", "QUADRILLE_TOPIC_PREFIX"),
        ("QUADRILLE_SAGA_TRACKER_HTTP", "QUADRILLE_SAGA_TRACKER__HTTP"),
        ("QUADRILLE_PROFIL", "QUADRILLE_PROFILE"),
        ("DATABASE_URL_FILE", ""),
    ] {
        let error = env(&[(name, "x")]).map(drop).unwrap_err().to_string();
        let expected = format!("{name} is no setting; {nearest} is the nearest");
        assert!(nearest.is_empty() || error.contains(&expected), "{error}");
    }
    for (name, nearest) in [
        ("QUADRILLE_SAGA_TRACKER__HTPT", "QUADRILLE_SAGA_TRACKER__HTTP"),
        ("QUADRILLE_SAGA_TRACKER__SECRET_FIEL", "QUADRILLE_SAGA_TRACKER__SECRET_FILE"),
        ("QUADRILLE_SAGA_TRACKER__LIMIT_FILE", "QUADRILLE_SAGA_TRACKER__LIMIT"),
        ("QUADRILLE_SAGA_TRACKER__INNER__SECNOD", "QUADRILLE_SAGA_TRACKER__INNER__SECOND"),
        ("QUADRILLE_SAGA_TRACKR__LIMIT", "QUADRILLE_SAGA_TRACKER__LIMIT"),
        ("QUADRILLE_INVENTRY__HTTP", "QUADRILLE_INVENTORY__HTTP"),
    ] {
        let error = env(&[(name, "1")]).unwrap().refuse_unknown(&wide()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is no setting; {nearest} is the nearest")), "{error}");
    }
    let of = |name| Section::consumer(name, &ConsumerSettings::default());
    let all = [wide(), of("orders"), of("outbox-relay")];
    for (name, told) in [
        (
            "QUADRILLE_OUTBOX_RELAY__INSTANCE_ID",
            "no setting of outbox_relay, but one of fraud, fulfillment, inventory, ",
        ),
        ("QUADRILLE_LINGER", "no setting of common, but one of fraud, fulfillment, "),
        ("QUADRILLE_ORDERS__LIMIT", "no setting of orders, but one of saga_tracker, as QUADRILLE_SAGA_TRACKER__LIMIT"),
    ] {
        let error = env(&[(name, "1")]).and_then(|all_set| all_set.refuse_unknown_in(&all)).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is {told}")) && !error.contains("nearest"), "{error}");
    }
    // What is far from all is none of them.
    for name in ["QUADRILLE_ORDERS__ALERT_SECRT", "QUADRILLE_SAGA_TRACKER__COLOUR", "QUADRILLE_ZZZ__HTTPX"] {
        let error = env(&[(name, "1")]).unwrap().refuse_unknown_in(&all).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is no setting")) && !error.contains("nearest"), "{error}");
    }
    let others =
        env(&[("QUADRILLE_ORDERS__RESERVATION_TTL", "1s"), ("QUADRILLE_CONFIG", "x"), ("QUADRILLE", "x")]).unwrap();
    others.refuse_unknown(&wide()).unwrap(); // orders' own to refuse
    let table = env(&[("QUADRILLE_SAGA_TRACKER__INNER", "{ frist = 1 }")]).unwrap();
    let error = table.refuse_unknown(&wide()).unwrap_err().to_string();
    assert!(error.contains("QUADRILLE_SAGA_TRACKER__INNER is no setting"), "{error}");
    let file = format!("profil = 'demo'\n{PARTS}");
    let error = Settings::from_toml(&file).unwrap_err().to_string();
    assert!(error.contains("common.profil (in the settings given) is no setting; common.profile"), "{error}");
    let file = Settings::from_toml(&format!("profile = 'demo'\n{PARTS}[saga_tracker]\nevry = 1\nlimt = 2")).unwrap();
    assert!(file.is_demo());
    let error = file.refuse_unknown(&wide()).unwrap_err().to_string();
    assert!(error.contains("saga_tracker.evry") && error.contains("saga_tracker.limit is the nearest"), "all: {error}");
}

#[test]
fn what_is_not_utf8_is_refused_where_it_is_ours_and_nobodys_business_elsewhere() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let with = |name: &[u8], value: &[u8]| {
        let parts = [(b"DATABASE_URL".as_slice(), b"postgres://x".as_slice()), (b"KAFKA_BOOTSTRAP_SERVERS", b"k:1")];
        let of = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let all = parts.into_iter().chain([(name, value)]).map(|(name, value)| (of(name), of(value)));
        Node::of_variables(all).and_then(Settings::layered)
    };
    for (name, value) in [(b"LESS_TERMCAP_md".as_slice(), b"\xa3".as_slice()), (b"CAF\xc9", b"1"), (b"\xff", b"\xff")] {
        with(name, value).unwrap();
    }
    let error = with(b"QUADRILLE_TOPIC_PREFIX", b"caf\xc9").unwrap_err().to_string();
    assert!(error.contains("QUADRILLE_TOPIC_PREFIX: expected UTF-8") && !error.contains("caf"), "{error}");
    let error = with(b"DATABASE_URL_FILE", b"/run/\xc9").unwrap_err().to_string();
    assert!(error.contains("DATABASE_URL_FILE: expected UTF-8"), "{error}");
    let error = with(b"QUADRILLE_CAF\xc9", b"1").unwrap_err().to_string();
    assert!(error.contains("QUADRILLE_CAF\u{fffd} is no setting"), "{error}");
}

#[test]
fn what_stands_for_the_outside_world_is_named_or_a_demos() {
    let asked = |set: &[(&str, &str)]| env(set).unwrap().names("payments", "gateway", "a gateway", "it is the sandbox");
    let error = asked(&[]).unwrap_err().to_string();
    assert!(error.contains("QUADRILLE_PAYMENTS__GATEWAY") && error.contains("QUADRILLE_PROFILE=demo"), "{error}");
    assert!(!asked(&[("QUADRILLE_PROFILE", "demo")]).unwrap());
    assert!(asked(&[("QUADRILLE_PAYMENTS__GATEWAY", "sandbox")]).unwrap());
    let error = env(&[("QUADRILLE_PROFILE", "demmo")]).unwrap_err().to_string();
    assert!(error.contains("QUADRILLE_PROFILE") && error.contains("demo"), "{error}");
}

/// As from an environment that holds these beside the addresses.
fn env(set: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let parts = [("DATABASE_URL", "postgres://x"), ("KAFKA_BOOTSTRAP_SERVERS", "k:1")];
    let all = parts.iter().chain(set).map(|(name, value)| (name.into(), value.into()));
    Settings::layered(Node::of_variables(all)?)
}
