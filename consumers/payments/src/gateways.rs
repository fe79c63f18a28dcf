//! The gateways that are configured: new orders go to the chosen one, and an order stays with the one that it went to.

use std::sync::Arc;

use gateway::Gateway;

use crate::circuit::GatewayCircuit;

/// Whether an order's gateway can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It can.
    Answers,
    /// It answers nobody at present.
    Silent,
    /// It is not configured here.
    Absent,
}

/// A gateway, and the circuit of its calls.
#[derive(Clone, Debug)]
pub(crate) struct GatewayRoute {
    pub gateway: Arc<dyn Gateway>,
    pub circuit: GatewayCircuit,
}

#[derive(Clone, Debug)]
pub(crate) struct Gateways {
    /// For new orders.
    chosen: GatewayRoute,
    /// For orders that have their money there.
    others: Vec<GatewayRoute>,
}

impl Gateways {
    pub fn new(chosen: GatewayRoute, others: Vec<GatewayRoute>) -> Self {
        Self { chosen, others }
    }

    /// The name of the one for new orders.
    pub fn chosen(&self) -> &'static str {
        self.chosen.gateway.name()
    }

    pub fn all(&self) -> impl Iterator<Item = &GatewayRoute> {
        [&self.chosen].into_iter().chain(&self.others)
    }

    pub fn find(&self, name: &str) -> Option<&GatewayRoute> {
        self.all().find(|route| route.gateway.name() == name)
    }

    pub fn reach(&self, name: &str) -> Reach {
        match self.find(name) {
            Some(route) if route.circuit.is_open() => Reach::Silent,
            Some(_) => Reach::Answers,
            None => Reach::Absent,
        }
    }

    /// Statements that delete what they keep of orders in the database of payments.
    pub fn forgets(&self) -> Vec<&'static str> {
        self.all().flat_map(|route| route.gateway.forgets()).copied().collect()
    }
}
