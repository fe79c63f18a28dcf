//! Topics and schemas as they are applied, and documents that name what there is.

/// Two people, or two jobs, apply the topics at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_several_register_at_once_is_there_once() {
    let database = quadrille_tests::Database::fresh().await;
    let registry = runtime::Registry::new(&quadrille_tests::stack().registry_url, database.pool.clone()).unwrap();
    let schema = events::catalogue()[0].schema;
    for round in 0..4 {
        let subject = format!("{}-{round}", database.name);
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (registry, subject) = (registry.clone(), subject.clone());
            asked.spawn(async move { registry.register(&subject, schema).await.unwrap() });
        }
        let ids: std::collections::BTreeSet<u32> = asked.join_all().await.into_iter().collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        let url = format!("{}/subjects/{subject}", quadrille_tests::stack().registry_url);
        reqwest::Client::new().delete(url).send().await.unwrap().error_for_status().unwrap();
    }
    database.drop_it().await;
}

/// Prose drifts first: what these documents name exists.
#[test]
fn what_the_documents_name_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let quoted = text
            .split('`')
            .skip(1)
            .step_by(2)
            .chain(text.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        for name in quoted.filter(|name| {
            name.contains('/') && !name.contains([' ', '{', '<', '*', ':']) && !name.starts_with(['/', '.'])
        }) {
            if !root.join(name.split('#').next().unwrap_or(name)).exists() {
                missing.push(format!("{document} names {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Each test that docs/cases.md and docs/edge-cases.md have for a case is there: `path::name`, and further names of the same file behind it.
#[test]
fn each_case_is_held_by_a_test_that_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documents = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let cases =
        documents.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("cases.md")));
    let (mut named, mut missing) = (0, Vec::new());
    for line in
        cases.flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(ToOwned::to_owned).collect::<Vec<_>>())
    {
        let mut source = String::new();
        for word in line.split([' ', ',', ';', '|', '`']) {
            let name = match word.split_once(".rs::") {
                Some((path, name)) => {
                    source = std::fs::read_to_string(root.join(format!("{path}.rs"))).unwrap_or_default();
                    name
                }
                None if !source.is_empty() && word.matches('_').count() > 2 && !word.contains(char::is_uppercase) => {
                    word
                }
                None => continue,
            };
            named += 1;
            if !source.contains(&format!("fn {name}(")) {
                missing.push(word.to_owned());
            }
        }
    }
    assert!(named > 50 && missing.is_empty(), "{named} named, not there: {missing:#?}");
}
