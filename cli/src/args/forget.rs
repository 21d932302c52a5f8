//! The arguments of `hindcast forget`.

use clap::Args;

/// `hindcast forget`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Values are sealed under data keys, one of each namespace and month; these are destroyed, and nothing is rewritten. Objects stay, with a\n\
                        placeholder for each value. One object can be forgotten where its data keys seal nothing else. It takes 15 seconds, in\n\
                        which `hindcast run` comes to know of it; then it seals what stands in the cluster under another data key: a value\n\
                        that has leaked is to be changed there first. Copies of the bucket, and older versions of objects that it keeps, are\n\
                        not reached.\n\
                        Exit: 0 done, nothing to do · 1 with --plan: there is something to do · 2 failed, refused or declined."
)]
pub(crate) struct Forget {
    /// One object
    #[arg(value_name = "KIND/NAME")]
    pub(crate) kind: Option<String>,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    /// The namespace: all of it, or where the object is
    #[arg(short, long, value_name = "NS", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,
    /// All that stands in no namespace
    #[arg(long, conflicts_with_all = ["namespace", "kind"])]
    pub(crate) cluster_scoped: bool,
    /// Why, for whoever reads what was forgotten
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only say what would be destroyed
    #[arg(long)]
    pub(crate) plan: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
