//! How a `Restore` spells what the restorer says: permissions as fields of its spec.

use hindcast_restorer::{message::Words, selection::Permission};

/// The words of a `Restore`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InSpec;

impl Words for InSpec {
    fn permission(&self, permission: &Permission) -> String {
        let field = match permission {
            Permission::ClusterScoped => "clusterScoped",
            Permission::System => "system",
            Permission::Delete(kind) => {
                let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
                let dot = if group.is_empty() { "" } else { "." };
                return format!("spec.allow.delete: [{resource}{dot}{group}]");
            }
            Permission::Recreate => "recreate",
            Permission::Restart => "restart",
            Permission::AcceptGap => "gap",
            Permission::RerunJobs => "rerunJobs",
            Permission::EmptyVolumes => "emptyVolumes",
            Permission::BypassWebhooks => "bypassWebhooks",
        };
        format!("spec.allow.{field}: true")
    }

    fn part(&self, path: &str) -> String {
        format!("spec.target.path: {path}")
    }
}
