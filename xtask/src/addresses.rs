//! Where the parts are reached: taken from the environment when they are someone else's, else our own, and written to
//! `.quadrille/env` for consumers, tests and tools.

use std::{collections::BTreeMap, env};

use anyhow::{Result, bail};

use crate::{
    ports::Ports,
    probe,
    project::Project,
    stack::{HOST, Part},
};

pub const FILE: &str = "env";
const PROFILE: &str = "QUADRILLE_PROFILE";

/// The addresses that the user has set, of parts that xtask therefore does not start.
pub struct External(BTreeMap<Part, String>);

impl External {
    /// Reads them from the environment. A setting that names our own part (someone has sourced `.quadrille/env`) does not
    /// count.
    pub fn read(project: &Project) -> Result<Self> {
        let ports = Ports::load(project)?;
        let is = |part: Part, port: u16, set: &str| part.address(port) == set;
        let own = |part: Part, set: &str| {
            let default = part.ports()[0].default_number();
            // Nobody there: a leftover of ours from before it was stopped. Somebody (Docker's stack): theirs.
            let leftover = || is(part, default, set) && !probe::answers(&format!("{HOST}:{default}"));
            ports.of(part).is_some_and(|port| is(part, port, set)) || leftover()
        };
        let of = |part: Part| {
            let value = env::var_os(part.setting())?.into_string().ok()?;
            (!value.is_empty() && !own(part, &value)).then_some((part, value))
        };
        Ok(Self(Part::ALL.into_iter().filter_map(of).collect()))
    }

    pub fn get(&self, part: Part) -> Option<&str> {
        self.0.get(&part).map(String::as_str)
    }

    /// Proves that something listens at each of these parts' addresses.
    pub fn check(&self, parts: &[Part]) -> Result<()> {
        for (part, address) in self.0.iter().filter(|(part, _)| parts.contains(part)) {
            let hosts = hosts(*part, address);
            if !hosts.is_empty() && !hosts.iter().any(|host| probe::answers(host)) {
                bail!(
                    "{} is set in the environment, but nothing answers at {}: start it, or unset {0} to have xtask start \
                     one of its own",
                    part.setting(),
                    hosts.join(" or ")
                );
            }
        }
        Ok(())
    }
}

/// The `HOST:PORT`s of an address; none when it has none (a socket folder).
fn hosts(part: Part, address: &str) -> Vec<String> {
    let default = match part {
        Part::Kafka => "9092",
        Part::Postgres => "5432",
        Part::Registry if address.starts_with("https:") => "443",
        Part::Registry => "80",
    };
    let without_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = without_scheme.split(['/', '?']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let with_port = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { host.to_owned() } else { format!("{host}:{default}") }
    };
    authority.split(',').map(str::trim).filter(|host| !host.is_empty()).map(with_port).collect()
}

pub type Addresses = BTreeMap<String, String>;

/// What xtask starts is to try, develop and test: the payment gateway and the warehouse are simulated, unless they are named.
fn demo() -> (String, String) {
    (
        PROFILE.to_owned(),
        env::var_os(PROFILE).and_then(|set| set.into_string().ok()).unwrap_or_else(|| "demo".to_owned()),
    )
}

/// Writes the addresses to `.quadrille/env`: those that the user has set, and those of our parts that run.
pub fn write(project: &Project, external: &External, ports: &Ports, running: &[Part]) -> Result<Addresses> {
    let own = |part: Part| ports.of(part).filter(|_| running.contains(&part)).map(|port| part.address(port));
    let address = |part: Part| {
        let value = external.get(part).map(str::to_owned).or_else(|| own(part))?;
        Some((part.setting().to_owned(), value))
    };
    let addresses = Part::ALL.into_iter().filter_map(address).chain([demo()]).collect();
    project.write_values(FILE, &addresses)?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_from_every_kind_of_address() {
        assert_eq!(hosts(Part::Kafka, "a:9093,b"), ["a:9093", "b:9092"]);
        assert_eq!(hosts(Part::Postgres, "postgres://me:p%40ss@db.shop/orders?sslmode=require"), ["db.shop:5432"]);
        assert_eq!(hosts(Part::Postgres, "postgres://me@db:6000/orders"), ["db:6000"]);
        assert_eq!(hosts(Part::Registry, "https://registry.shop/apis/ccompat/v7"), ["registry.shop:443"]);
        assert_eq!(hosts(Part::Registry, &Part::Registry.address(18081)), ["127.0.0.1:18081"]);
        assert!(hosts(Part::Postgres, "postgres:///orders?host=/run/postgresql").is_empty());
    }
}
