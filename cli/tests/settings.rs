//! Settings, as the programs read them: each start with a wrong one ends before anything is touched, and says which and what was meant.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Output};

const SECRET: &str = "s3cr3t-s3cr3t-s3cr3t";

/// `quadrille` with nothing set but addresses where nobody listens, a demo, and this.
fn quadrille(arguments: &[&str], set: &[(&OsStr, &OsStr)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).env_clear();
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing").env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    command.env("QUADRILLE_PROFILE", "demo").envs(set.iter().copied()).output().expect("quadrille runs")
}

fn with(arguments: &[&str], set: &[(&str, &str)]) -> (Option<i32>, String) {
    let set: Vec<(&OsStr, &OsStr)> = set.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    told(&quadrille(arguments, &set))
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    (output.status.code(), text)
}

#[test]
fn no_program_starts_with_a_setting_that_there_is_not_or_that_does_not_fit() {
    for (program, _) in choreography::Choreography::embedded().all_programs() {
        let section = program.to_uppercase().replace('-', "_");
        let of = |field: &str| format!("QUADRILLE_{section}__{field}");
        for (name, value, expected) in [
            (of("HTPT"), "127.0.0.1:0", format!("{} is no setting; {} is the nearest", of("HTPT"), of("HTTP"))),
            (format!("QUADRILLE_{section}_HTTP"), "127.0.0.1:0", format!("{} is the nearest", of("HTTP"))),
            (of("HTTP"), "everywhere", format!("{}: ", of("HTTP"))),
            (of("KAFKA"), "linger.ms=1", format!("{}: expected a table", of("KAFKA"))),
            ("QUADRILLE_TOPIC_PREFX".into(), "x", "QUADRILLE_TOPIC_PREFIX is the nearest".into()),
            ("QUADRILLE_INVENTRY__HTTP".into(), "x", "QUADRILLE_INVENTORY__HTTP is the nearest".into()),
            ("QUADRILLE_TRACE_SHARE".into(), "half", "QUADRILLE_TRACE_SHARE: expected a number, got \"half\"".into()),
            ("QUADRILLE_PROFILE".into(), "demmo", "QUADRILLE_PROFILE: ".into()),
            ("SCHEMA_REGISTRY_PASSWORD_FILE".into(), "/nowhere", "SCHEMA_REGISTRY_PASSWORD_FILE: /nowhere: ".into()),
            ("QUADRILLE_CONFIG".into(), "/nowhere.toml", "/nowhere.toml: ".into()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT".into(), "otlp:s3cr3t@x", "expected an address such as".into()),
        ] {
            let (code, said) = with(&["run", program], &[(&name, value)]);
            assert!(!said.contains("s3cr3t"), "{program}: {said}");
            assert!(code == Some(1) && said.contains(&expected), "{program}, {name}={value}: {code:?} {said}");
        }
    }
}

#[test]
fn what_is_not_utf8_stops_a_program_only_where_it_is_ours() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for (name, value, ours) in [
        (bytes(b"LESS_TERMCAP_md"), bytes(b"\xa3"), false),
        (bytes(b"CAF\xc9"), bytes(b"1"), false),
        (bytes(b"QUADRILLE_CAF\xc9"), bytes(b"1"), true),
        (bytes(b"DATABASE_URL"), bytes(b"postgres://caf\xc9"), true),
        (bytes(b"QUADRILLE_ORDERS__API_CLIENT"), bytes(b"\xff"), true),
    ] {
        let (code, said) = told(&quadrille(&["config", "check"], &[(&name, &value)]));
        assert_eq!(code, Some(i32::from(ours)), "{said}");
        assert!(!ours || said.contains("UTF-8") && said.contains(&*name.to_string_lossy()), "{said}");
    }
}

#[test]
fn keys_of_digits_start_whatever_they_look_like_and_are_never_shown() {
    for value in
        ["1234567890123456", "0012345678901234", "12345678.9012345", "truetruetruetrue", "\"quoted, and long enough\""]
    {
        let set = [
            ("QUADRILLE_API_KEY", value),
            ("QUADRILLE_SAGA_TRACKER__ALERT_SECRET", value),
            ("QUADRILLE_FRAUD__VELOCITY__KEY", value),
            ("QUADRILLE_FRAUD__INSTANCE_ID", "7"),
            ("QUADRILLE_ORDERS__INSTANCE_ID", "true"),
        ];
        let hook = format!("https://eve:{SECRET}@hooks.example/services/{SECRET}?token={SECRET}");
        let registry = format!("https://eve:{SECRET}@registry.example/v7?token={SECRET}");
        let set: Vec<(&str, &str)> =
            [&set[..], &[("QUADRILLE_SAGA_TRACKER__ALERT_URL", &hook), ("SCHEMA_REGISTRY_URL", &registry)]].concat();
        let (code, said) = with(&["config", "check"], &set);
        assert_eq!(code, Some(0), "{value}: {said}");
        let (code, said) = with(&["config", "show"], &set);
        assert!(code == Some(0) && !said.contains(value) && !said.contains(SECRET), "{value}: {said}");
        assert!(said.contains("https://***@registry.example/v7?***"), "{said}");
    }
}

#[test]
fn nothing_is_simulated_unless_it_is_named_or_this_is_a_demo() {
    let production = ("QUADRILLE_PROFILE", "production");
    for (program, variable) in
        [("payments", "QUADRILLE_PAYMENTS__GATEWAY"), ("fulfillment", "QUADRILLE_FULFILLMENT__WAREHOUSE")]
    {
        let (code, said) = with(&["run", program], &[production]);
        let says_what_to_do = said.contains(variable) && said.contains("QUADRILLE_PROFILE=demo");
        assert!(code == Some(1) && says_what_to_do, "{program}: {said}");
    }
    let (code, said) = with(&["config", "check"], &[production]);
    assert!(code == Some(1) && said.contains("__GATEWAY") && said.contains("__WAREHOUSE"), "{said}");
    let named =
        [production, ("QUADRILLE_PAYMENTS__GATEWAY", "sandbox"), ("QUADRILLE_FULFILLMENT__WAREHOUSE", "external")];
    assert_eq!(with(&["config", "check"], &named).0, Some(0));
}

#[test]
fn a_check_names_everything_that_is_wrong_and_starts_nothing() {
    let (code, said) = with(
        &["config", "check"],
        &[
            ("QUADRILLE_OUTBOX_RELAY__HTPT", "x"),
            ("QUADRILLE_OUTBOX_RELAY__PAUSE", "soon"),
            ("QUADRILLE_FRAUD__REVIEW_AT", "500"),
            ("QUADRILLE_PAYMENTS__CALL_TIMEOUT", "0s"),
            ("QUADRILLE_INVENTORY__RESERVATON_TTL", "1m"),
            ("QUADRILLE_SAGA_TRACKER__ALERT_URL", "example"),
            ("DATABASE_URL", ""),
            ("KAFKA_ACKS", "1"),
            ("QUADRILLE_ORDERS__KAFKA__MAX_POLL_INTERVAL_MS", "6000"),
            ("QUADRILLE_NOTIFICATIONS__KAFKA__DELIVERY_TIMEOUT_MS", "5000"),
        ],
    );
    assert_eq!(code, Some(1), "{said}");
    for expected in [
        "`acks` is set to `1`: expected all",
        "KAFKA_… settings of orders: `max.poll.interval.ms` is set to `6000`",
        "KAFKA_… settings of notifications: `delivery.timeout.ms` is set to `5000`",
        "QUADRILLE_OUTBOX_RELAY__HTTP is the nearest",
        "review_at = 500",
        "expected call_timeout",
        "QUADRILLE_INVENTORY__RESERVATION_TTL is the nearest",
        "expected alert_url",
        "DATABASE_URL is not set",
        "QUADRILLE_OUTBOX_RELAY__PAUSE: ",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_check_refuses_keys_certificates_and_addresses_that_a_start_would_and_shows_no_key() {
    let http = ("QUADRILLE_ORDERS__HTTP", "0.0.0.0:8080");
    let key = format!("eve operator {SECRET}");
    for (set, expected) in [
        (vec![("QUADRILLE_KEYS", "eve s3cr3t-s3cr3t-s3cr3t operator")], "one of the roles"),
        (vec![("QUADRILLE_KEYS", "rubbish")], "expected NAME ROLE[:SCOPE] KEY"),
        (vec![("QUADRILLE_TLS_CERTIFICATE", "/nowhere")], "set without QUADRILLE_TLS_KEY"),
        (
            vec![("QUADRILLE_TLS_CERTIFICATE", "/nowhere"), ("QUADRILLE_TLS_KEY", "/nowhere")],
            "QUADRILLE_TLS_CERTIFICATE: /nowhere",
        ),
        (vec![("QUADRILLE_TLS_AUTHORITY", "/nowhere")], "QUADRILLE_TLS_AUTHORITY: /nowhere"),
        (vec![("KAFKA_AUTO_OFFSET_RESET", "latest")], "`auto.offset.reset` is set to `latest`"),
        (
            vec![("KAFKA_SASL_PASSWRD", SECRET)],
            "`sasl.passwrd` is no property of librdkafka; `sasl.password` is the nearest",
        ),
        (vec![("QUADRILLE_ORDERS__KAFKA__ISOLATION_LEVEL", "read_uncommitted")], "KAFKA_… settings of orders"),
        (vec![("QUADRILLE_OUTBOX_RELAY__KAFKA__ACKS", "1")], "KAFKA_… settings of the relay"),
        (vec![("DATABASE_URL", SECRET)], "the address of the database can't be read"),
        (vec![("QUADRILLE_FRAUD__DATABASE_URL", SECRET)], "settings of fraud: DATABASE_URL"),
        (vec![("QUADRILLE_HORIZON", "1d")], "QUADRILLE_HORIZON is 86400s"),
        (vec![http], "orders would listen on 0.0.0.0:8080"),
        (vec![http, ("QUADRILLE_KEYS", &key)], "the settings fit"),
    ] {
        let (code, said) = with(&["config", "check"], &set);
        let fits = expected == "the settings fit";
        assert_eq!(
            (code, said.contains(expected), said.contains(SECRET)),
            (Some(i32::from(!fits)), true, false),
            "{said}"
        );
    }
}

#[test]
fn what_is_set_is_shown_with_where_it_is_from_and_secrets_never_are() {
    let file = format!("{}/shown.toml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(
        &file,
        format!("topic_prefix = 'shop.'\n[saga_tracker]\nalert_secret = '{SECRET}'\n[fraud]\nreview_at = 50\n"),
    )
    .unwrap();
    let registry = format!("http://svc-orders:{SECRET}@127.0.0.1:9/apis/ccompat/v7");
    let database = format!("postgres://quadrille:{SECRET}@127.0.0.1:1/x");
    let set = [
        ("QUADRILLE_CONFIG", file.as_str()),
        ("DATABASE_URL", &database),
        ("SCHEMA_REGISTRY_URL", &registry),
        ("KAFKA_SASL_PASSWORD", SECRET),
        ("QUADRILLE_ORDERS__KAFKA", &format!("{{ \"sasl.password\" = \"{SECRET}\" }}")),
        ("QUADRILLE_OUTBOX_RELAY__DATABASE_URLS", &format!("[\"{database}\"]")),
        ("QUADRILLE_API_KEY", SECRET),
        ("QUADRILLE_FRAUD__REJECT_AT", "200"),
    ];
    let (code, said) = with(&["config", "show", "--set", "--json"], &set);
    assert!(code == Some(0) && !said.contains(SECRET), "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let row = |name: &str| {
        let rows = said["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["setting"] == name).unwrap_or_else(|| panic!("no {name}: {said:#}"));
        (row["value"].as_str().unwrap().to_owned(), row["from"].as_str().unwrap().to_owned())
    };
    let of = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(row("common.topic_prefix"), of("shop.", &file));
    assert_eq!(row("common.database_url"), of("***", "DATABASE_URL"));
    assert_eq!(row("common.kafka.sasl.password"), of("***", "KAFKA_SASL_PASSWORD"));
    assert_eq!(row("saga_tracker.alert_secret"), of("***", &file));
    assert_eq!(row("fraud.review_at"), of("50", &file));
    assert_eq!(row("fraud.reject_at"), of("200", "QUADRILLE_FRAUD__REJECT_AT"));
    assert!(said["settings"].as_array().unwrap().iter().all(|row| row["from"] != "default"));
    let (code, all) = with(&["config", "show"], &set);
    assert!(code == Some(0) && !all.contains(SECRET), "{all}");
    assert!(all.contains("saga_tracker.audit_every") && all.contains("default"), "{all}");
    let odd = format!("postgres://quadrille:{SECRET}#1@127.0.0.1:1/x");
    let (_, failed) = with(&["relay", "status"], &[("DATABASE_URL", &odd)]);
    assert!(!failed.contains(SECRET), "{failed}");
}

/// What can't be read is wrong; what is there all the same is not said to be missing.
#[test]
fn one_setting_that_does_not_fit_has_no_other_called_missing() {
    for (name, value, expected) in [
        ("DATABASE_URL_FILE", "/nowhere", "DATABASE_URL_FILE: /nowhere: "),
        ("KAFKA_SASL_PASSWORD_FILE", "/nowhere", "KAFKA_SASL_PASSWORD_FILE: /nowhere: "),
        ("QUADRILLE_KEYS_FILE", "/nowhere", "QUADRILLE_KEYS_FILE: /nowhere: "),
        ("QUADRILLE_PROFILE", "demmo", "QUADRILLE_PROFILE: "),
        ("QUADRILLE_TRACE_SHARE", "half", "QUADRILLE_TRACE_SHARE: "),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
        command.args(["config", "check"]).current_dir(env!("CARGO_TARGET_TMPDIR")).env_clear();
        command.env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1").env("QUADRILLE_PROFILE", "demo");
        command.env("QUADRILLE_ORDERS__HTTP", "0.0.0.0:8080").env("QUADRILLE_KEYS", format!("eve operator {SECRET}"));
        if name == "QUADRILLE_KEYS_FILE" {
            command.env_remove("QUADRILLE_KEYS");
        }
        if name != "DATABASE_URL_FILE" {
            command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
        }
        let (code, said) = told(&command.env(name, value).output().expect("quadrille runs"));
        assert!(code == Some(1) && said.contains(expected) && said.lines().count() == 1, "{name}: {said}");
    }
}
