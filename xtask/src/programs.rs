//! The pipeline's programs, as topics.yaml lists them, and what an xtask that is gone has left of them.

use std::{sync::LazyLock, time::Duration};

use anyhow::{Context, Result};
use serde_norway::Value;

use crate::{
    process::{self, Mark},
    project::Project,
};

/// How long a program may take until it is ready, and until it has stopped.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Stripe's simulator, which is no program of the pipeline.
pub const STRIPE_SIM: &str = "stripe-sim";
pub const STRIPE_SIM_PORT: u16 = 12111;

pub struct ProgramOfDemo {
    pub name: String,
    pub port: u16,
    pub optional: bool,
    pub demo: Option<String>,
}

pub static ALL: LazyLock<Vec<ProgramOfDemo>> = LazyLock::new(|| {
    let file: Value = serde_norway::from_str(include_str!("../../topics.yaml")).expect("topics.yaml is YAML");
    let parts = ["consumers", "programs"].into_iter().filter_map(|part| file[part].as_mapping());
    let program = |(name, program): (&Value, &Value)| ProgramOfDemo {
        name: name.as_str().unwrap_or_default().to_owned(),
        port: program["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or_default(),
        optional: program["optional"].as_bool().unwrap_or_default(),
        demo: program["demo"].as_str().map(str::to_owned),
    };
    parts.flat_map(|part| part.iter().map(program).collect::<Vec<_>>()).collect()
});

/// Those that run unless they are left out by name, and these optional ones.
pub fn chosen(with: &[String]) -> Result<Vec<&'static ProgramOfDemo>> {
    for name in with {
        ALL.iter().find(|program| program.name == *name && program.optional).with_context(|| {
            let names: Vec<&str> = ALL.iter().filter(|program| program.optional).map(|one| one.name.as_str()).collect();
            format!("--with: expected an optional consumer of topics.yaml ({}), got `{name}`", names.join(", "))
        })?;
    }
    Ok(ALL.iter().filter(|program| !program.optional || with.contains(&program.name)).collect())
}

/// Stops programs of this clone whose xtask is gone: it was killed, and could not stop them.
pub fn stop_leftovers(project: &Project) -> Result<()> {
    for name in ALL.iter().map(|program| program.name.as_str()).chain([STRIPE_SIM]) {
        let mark = Mark::new(project, name);
        while let Some(pid) = mark.find()? {
            println!("{name}: process {pid} is left from before: stopping it");
            process::stop(pid, "TERM", PATIENCE)?;
        }
    }
    Ok(())
}
