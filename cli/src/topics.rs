//! `quadrille topics …`: topics.yaml checked, applied and drawn.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use choreography::Choreography;
use clap::Subcommand;
use kafka_admin::topics::{Applied, WantedTopic};
use runtime::{Registry, Settings, databases};
use serde_json::json;

use crate::output;

#[derive(Subcommand)]
pub enum Command {
    /// Prove that topics.yaml, the schemas and the code agree; fails with every problem that there is.
    Check {
        /// Another topics.yaml than the one this binary was built with.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Create and update the Kafka topics and register the schemas; the ids go to the databases, where consumers find them.
    Apply {
        /// How many partitions and copies: `local` or `production`.
        #[arg(long, default_value = "local")]
        profile: String,
    },
    /// Print the map of topics and consumers as Mermaid.
    Graph,
    /// Print the AsyncAPI 3.0 document as JSON.
    Asyncapi {
        /// The profile whose partition counts it names.
        #[arg(long, default_value = "local")]
        profile: String,
    },
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { file } => check(file, json),
        Command::Apply { profile } => apply(&profile, json).await,
        Command::Graph => {
            let graph = choreography::graph(Choreography::embedded());
            output::said(json, &json!({"mermaid": graph}), || graph.clone());
            Ok(ExitCode::SUCCESS)
        }
        Command::Asyncapi { profile } => {
            let document = choreography::asyncapi(Choreography::embedded(), events::catalogue(), &profile);
            println!("{:#}", document.with_context(|| unknown_profile(&profile))?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn unknown_profile(profile: &str) -> String {
    let names: Vec<String> = Choreography::embedded().profiles.names().map(ToString::to_string).collect();
    format!("there is no profile `{profile}` in topics.yaml: expected one of {}", names.join(", "))
}

fn check(file: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let choreography = match file {
        None => Choreography::embedded().clone(),
        Some(path) => {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Choreography::parse(&text).with_context(|| path.display().to_string())?
        }
    };
    let problems = pipeline::problems(&choreography);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let (topics, schemas) = (choreography.topics.iter().count(), events::catalogue().len());
    output::said(json, &json!({"problems": texts, "topics": topics, "schemas": schemas}), || match texts.as_slice() {
        [] => format!("topics.yaml, {schemas} schemas and the code of all consumers agree ({topics} topics)"),
        some => format!("{}\n{} problems", some.join("\n"), some.len()),
    });
    Ok(output::code(problems.is_empty()))
}

async fn apply(profile: &str, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    let common = settings.common();
    let wanted = wanted(profile, &common.topic_prefix)?;
    for (topic, applied) in kafka_admin::topics::apply(&common.kafka, &wanted).await? {
        let what = match applied {
            Applied::Created => "created".to_owned(),
            Applied::Updated => "up to date".to_owned(),
            Applied::Grown => "has more partitions now".to_owned(),
            Applied::Larger { found, wanted } => format!(
                "up to date, but for its partitions: it has {found}, and {wanted} are wanted. Keys moved when they were added: events of an order that was \
                 open then may have been read out of turn"
            ),
        };
        output::said(json, &json!({"topic": topic, "outcome": what}), || format!("topic {topic}: {what}"));
    }
    // Each consumer looks in its own database.
    for (at, url) in databases::of(&settings, Choreography::embedded().consumers.names())?.into_keys().enumerate() {
        let pool = runtime::connect(url.expose(), "quadrille topics apply", 1).await?;
        let registry = Registry::from_settings(&settings, pool)?;
        for corrected in registry.reconcile().await? {
            let said = corrected.to_string();
            output::said(json, &json!({"corrected": &said}), || said.clone());
        }
        for entry in events::catalogue() {
            let subject = choreography::subject(&format!("{}{}", common.topic_prefix, entry.topic), entry.event_type);
            let id = registry.register(&subject, entry.schema).await?;
            if at == 0 {
                output::said(json, &json!({"subject": subject, "id": id}), || format!("schema {subject}: id {id}"));
            }
        }
    }
    // Kafka spreads the news of new topics in the background: wait until they can be written.
    tokio::time::timeout(Duration::from_secs(30), kafka_admin::topics::ready(&common.kafka, &wanted))
        .await
        .context("new topics have no leader")??;
    Ok(ExitCode::SUCCESS)
}

fn wanted(profile: &str, prefix: &str) -> anyhow::Result<Vec<WantedTopic>> {
    let choreography = Choreography::embedded();
    let topics = choreography.topic_settings(profile).with_context(|| unknown_profile(profile))?;
    Ok(topics
        .into_iter()
        .map(|topic| WantedTopic {
            name: format!("{prefix}{}", topic.name),
            partitions: topic.partitions as i32,
            replicas: topic.replicas as i32,
            keyed: true,
            config: topic.config,
        })
        .collect())
}
