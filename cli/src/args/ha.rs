//! The arguments of `run` about more than one process.

use clap::Args;

/// More than one process.
#[derive(Debug, Clone, Default, Args)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) struct Ha {
    /// Stand by while another `hindcast run --ha` of this journal protects, and take over when it ends or falls silent; needs to
    /// get, create and update leases, as in deploy/ha.yaml
    #[arg(long)]
    pub(crate) ha: bool,
    /// The namespace of the Lease by which they agree [default: the Pod's own, outside of a cluster kube-system]
    #[arg(long, value_name = "NS", requires = "ha")]
    pub(crate) ha_namespace: Option<String>,
}
