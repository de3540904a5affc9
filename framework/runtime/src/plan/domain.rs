//! Which elements are built anew together when one of them fails: `on-error: restart`.

use millstream_graph::{GivenUp, Graph, OnError, RestartPolicy, RestartScope};

/// Elements that are built anew together.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    /// The element that says `restart`.
    pub(crate) root: usize,
    pub(crate) policy: RestartPolicy,
    /// The root, and what is downstream of it where the policy takes the branch.
    pub(crate) nodes: Vec<usize>,
    /// When it is given up, the rest goes on.
    pub(crate) isolated: bool,
}

/// The domains of a graph, and for each node the number of its own. `fed` is the element that is fed from outside;
/// `behind_fan_out` says where failures are isolated without a policy.
pub(super) fn domains(
    graph: &Graph,
    order: &[usize],
    fed: Option<usize>,
    behind_fan_out: &[bool],
) -> (Vec<Domain>, Vec<Option<usize>>) {
    let mut domains: Vec<Domain> = Vec::new();
    let mut of: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for &node in order {
        if let OnError::Restart(policy) = &graph.nodes[node].on_error {
            let isolated = match policy.then {
                Some(then) => then == GivenUp::Isolate,
                None => behind_fan_out[node],
            };
            of[node] = Some(domains.len());
            let is_source = fed != Some(node) && graph.links_into(node).next().is_none();
            let own = if is_source { RestartScope::Element } else { RestartScope::Branch };
            let policy = RestartPolicy { scope: Some(policy.scope.unwrap_or(own)), ..policy.clone() };
            domains.push(Domain { root: node, policy, nodes: vec![node], isolated });
            continue;
        }
        let spreads = |domain: &usize| domains[*domain].policy.scope == Some(RestartScope::Branch);
        let feeding = graph.links_into(node).filter_map(|link| of[link.from.node]).find(spreads);
        if let Some(domain) = feeding {
            of[node] = Some(domain);
            domains[domain].nodes.push(node);
        }
    }
    (domains, of)
}
