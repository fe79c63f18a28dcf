//! `quadrille run a,b`: several programs in one process.

use std::process::ExitCode;

use anyhow::bail;
use choreography::Choreography;

pub fn run(programs: Vec<String>) -> ExitCode {
    runtime::main("quadrille", |host| async move {
        for name in chosen(&programs)? {
            pipeline::start(&host, name).await?;
        }
        Ok(())
    })
}

/// `all` stands for every program that is not optional.
fn chosen(programs: &[String]) -> anyhow::Result<Vec<&str>> {
    let choreography = Choreography::embedded();
    let known: Vec<&str> = choreography.all_programs().map(|(name, _)| name).collect();
    let mut chosen: Vec<&str> = Vec::new();
    for name in programs.iter().map(String::as_str) {
        match name {
            "all" => chosen.extend(choreography.default_programs()),
            name if known.contains(&name) => chosen.push(name),
            unknown => bail!("there is no consumer `{unknown}`: expected `all` or some of {}", known.join(",")),
        }
    }
    let mut once = std::collections::BTreeSet::new();
    chosen.retain(|name| once.insert(*name));
    Ok(chosen)
}
