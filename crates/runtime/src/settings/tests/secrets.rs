//! Secrets: from files, read again, and never shown.

use super::*;

#[test]
fn every_secret_is_read_from_a_file_and_again_when_it_was_changed() {
    let file = std::env::temp_dir().join(format!("quadrille-secret-{}", std::process::id()));
    std::fs::write(&file, "postgres://me:first@host/db\n").unwrap();
    let path = file.to_str().unwrap();
    let settings = env(&[
        ("DATABASE_URL_FILE", path),
        ("SCHEMA_REGISTRY_USER", "me"),
        ("SCHEMA_REGISTRY_PASSWORD_FILE", path),
        ("KAFKA_SASL_PASSWORD_FILE", path),
        ("QUADRILLE_SAGA_TRACKER__SECRET_FILE", path),
        ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE_FILE", path),
        ("QUADRILLE_ORDERS__DATABASE_URL_FILE", path),
        ("QUADRILLE_ORDERS__KAFKA__SASL_PASSWORD_FILE", path),
    ]);
    // Both in one place contradict each other.
    let error = settings.unwrap_err().to_string();
    assert!(
        error.contains("DATABASE_URL_FILE: expected either database_url or database_url_file, got both"),
        "{error}"
    );
    let set = [
        ("DATABASE_URL_FILE", path),
        ("KAFKA_BOOTSTRAP_SERVERS", "k:1"),
        ("SCHEMA_REGISTRY_USER", "me"),
        ("SCHEMA_REGISTRY_PASSWORD_FILE", path),
        ("KAFKA_SASL_PASSWORD_FILE", path),
        ("QUADRILLE_SAGA_TRACKER__SECRET_FILE", path),
        ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE_FILE", path),
        ("QUADRILLE_ORDERS__DATABASE_URL_FILE", path),
        ("QUADRILLE_ORDERS__KAFKA__SASL_PASSWORD_FILE", path),
    ];
    // One given in quadrille.toml gives way to a file that the environment names.
    let below = Node::parse("database_url = 'postgres://other'", "quadrille.toml").unwrap();
    let variables = Node::of_variables(set.iter().map(|(name, value)| (name.into(), value.into()))).unwrap();
    let settings = Settings::layered(below.under(variables)).unwrap();
    settings.refuse_unknown_in(&[wide(), Section::consumer("orders", &ConsumerSettings::default())]).unwrap();
    let wanted = "postgres://me:first@host/db";
    let (common, own) = (settings.common(), settings.section::<Wide>("saga-tracker").unwrap());
    assert_eq!(common.database_url.expose(), wanted);
    assert_eq!(common.schema_registry_password.as_ref().unwrap().expose(), wanted);
    assert_eq!(common.kafka["sasl.password"], wanted);
    assert_eq!((own.secret.unwrap().expose(), own.api_keys["eve"].expose()), (wanted, wanted));
    let orders = settings.consumer("orders", &ConsumerSettings::default()).unwrap();
    assert_eq!(orders.kafka["sasl.password"], wanted);
    std::fs::write(&file, "postgres://me:second@host/db\r\n").unwrap();
    assert_eq!(settings.database_url("orders").unwrap().expose(), "postgres://me:second@host/db");
    assert_eq!(settings.common().database_url.expose(), wanted, "as it was when they were read");
    assert_eq!(settings.read_again().unwrap().common().database_url.expose(), "postgres://me:second@host/db");
    std::fs::write(&file, "\n").unwrap();
    assert!(settings.read_again().unwrap_err().to_string().contains("which is empty"));
    std::fs::remove_file(&file).unwrap();
    assert!(settings.read_again().unwrap_err().to_string().contains(path));
    let missing = env(&[("QUADRILLE_SAGA_TRACKER__SECRET_FILE", "/nowhere")]).unwrap();
    let error = missing.section::<Wide>("saga-tracker").unwrap_err().to_string();
    assert!(error.starts_with("QUADRILLE_SAGA_TRACKER__SECRET_FILE: /nowhere: "), "{error}");
}

#[test]
fn a_secret_is_in_no_error_no_debug_and_not_among_what_is_shown() {
    const HIDDEN: &str = "12345678901234567890";
    for toml in [
        format!("[saga_tracker]\nsecret = {HIDDEN}"),
        format!("[saga_tracker]\nsecret = [\"{HIDDEN}\"]"),
        format!("[saga_tracker.api_keys]\neve = {HIDDEN}.5"),
        format!("[orders.kafka]\n'sasl.password' = {}", &HIDDEN[..18]),
        format!("[saga_tracker]\nsecret = \"{HIDDEN}"),
    ] {
        let error =
            Settings::from_toml(&format!("{PARTS}{toml}")).map_err(|error| error.to_string()).and_then(|settings| {
                let own = settings.section::<Wide>("saga-tracker").map(|_| ());
                own.and(settings.consumer("orders", &ConsumerSettings::default()).map(drop))
                    .map_err(|error| error.to_string())
            });
        let error = error.unwrap_err();
        assert!(!error.contains(&HIDDEN[..18]), "{error}");
    }
    let settings = env(&[
        ("DATABASE_URL_UNUSED", HIDDEN),
        ("KAFKA_SASL_PASSWORD", HIDDEN),
        ("SCHEMA_REGISTRY_PASSWORD", HIDDEN),
        ("QUADRILLE_SAGA_TRACKER__SECRET", HIDDEN),
        ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE", HIDDEN),
        ("QUADRILLE_SAGA_TRACKER__DATABASE_URL", HIDDEN),
    ])
    .unwrap();
    let own = settings.section::<Wide>("saga-tracker").unwrap();
    let shown = format!("{settings:?} {:?} {own:?} {:?}", settings.common(), settings.rows(&wide()));
    let shown = shown + &format!("{:?}", settings.rows(&Section::common()));
    assert!(!shown.contains(HIDDEN), "{shown}");
    let row = |name: &str| settings.rows(&wide()).into_iter().find(|row| row.setting.ends_with(name)).unwrap();
    let eve = row("api_keys.eve");
    assert_eq!((eve.value.as_deref(), eve.from.as_str()), (Some("***"), "QUADRILLE_SAGA_TRACKER__API_KEYS__EVE"));
    let every = row("tracker.every");
    assert_eq!((every.value.as_deref(), every.from.as_str()), (Some("5s"), "default"));
}

#[test]
fn user_and_password_of_the_registry_are_taken_out_of_its_address() {
    let of = |url: &str, user: &[(&str, &str)]| {
        let set: Vec<(&str, &str)> = [("SCHEMA_REGISTRY_URL", url)].iter().chain(user).copied().collect();
        let common = env(&set).unwrap().common().clone();
        let password = common.schema_registry_password.map(|password| password.expose().to_owned());
        (common.schema_registry_url, common.schema_registry_user, password)
    };
    let (me, secret) = (Some("me".to_owned()), Some("s3cr3t@#".to_owned()));
    let address = "https://registry:8081/apis/ccompat/v7".to_owned();
    let inside = of("https://me:s3cr3t%40%23@registry:8081/apis/ccompat/v7", &[]);
    assert_eq!(inside, (address.clone(), me.clone(), secret.clone()));
    let beside = [("SCHEMA_REGISTRY_USER", "me"), ("SCHEMA_REGISTRY_PASSWORD", "s3cr3t@#")];
    assert_eq!(of(&address, &beside), (address.clone(), me.clone(), secret.clone()));
    assert_eq!(of("https://old:x@registry:8081/apis/ccompat/v7", &beside), (address.clone(), me, secret));
    assert_eq!(of("https://registry:8081/@/", &[]), ("https://registry:8081/@/".to_owned(), None, None));
}

#[tokio::test]
async fn the_registry_is_told_who_asks_and_nobody_else_is() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:s3cr3t@{}/apis/ccompat/v7", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        let (mut asked, mut buffer) = (Vec::new(), [0; 4_096]);
        // ends with the head, or with the connection
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = caller.read(&mut buffer).unwrap();
            assert!(read > 0, "the caller left before it had asked");
            asked.extend_from_slice(&buffer[..read]);
        }
        caller.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&asked).to_lowercase()
    });
    let settings = env(&[("SCHEMA_REGISTRY_URL", &url)]).unwrap();
    let pool = crate::postgres::sql::pool("postgres://nobody@127.0.0.1:1/nothing", "test", 1).unwrap();
    let registry = crate::Registry::from_settings(&settings, pool).unwrap();
    let refused = registry.register("subject", "\"string\"").await.unwrap_err().to_string();
    assert!(answering.join().unwrap().contains("authorization: basic bwu6cznjcjn0"), "me:s3cr3t, in lower case");
    let gone = registry.register("subject", "\"string\"").await.unwrap_err().to_string();
    for said in [refused, gone] {
        assert!(!said.contains("s3cr3t") && !said.contains("me:"), "{said}");
    }
}
