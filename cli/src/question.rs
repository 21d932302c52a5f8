//! What a reader asks about: kinds and a name, namespaces, labels; and which objects belong to that.

use hindcast_journal::{
    Past,
    exact::Value,
    facts::Discovery,
    fold::{ObjectKey, Scope},
};
use hindcast_restorer::{Object, View};

use crate::{
    args::Place,
    context::Context,
    failure::{Failure, Result},
    kinds::{self, Asked},
    kubeconfig::{self, Namespaces},
    past::Reading,
    selector::Selector,
};

/// What is asked about.
pub(crate) struct Question {
    /// The kinds, and the name where one was given; all kinds if `None`.
    pub(crate) asked: Option<Asked>,
    /// The namespaces.
    pub(crate) namespaces: Namespaces,
    /// The labels.
    pub(crate) selector: Selector,
}

/// One object that is asked about.
pub(crate) struct One {
    /// What is asked about.
    pub(crate) question: Question,
    /// Its kind.
    pub(crate) kind: Discovery,
    /// Its name.
    pub(crate) name: String,
}

impl Question {
    /// The question of `KIND… [NAME] -n … -l …`; without a namespace it is of the context's, where a kind has one.
    pub(crate) fn new(context: &Context<'_>, asked: Option<Asked>, place: &Place, selector: Selector) -> Result<Self> {
        let name = asked.as_ref().and_then(|asked| asked.name.as_ref());
        if let Some(name) = name.filter(|_| place.all_namespaces) {
            let kind = asked.as_ref().and_then(|asked| asked.kinds.first()).map(kinds::label).unwrap_or_default();
            return Err(Failure::new(format!("{kind}/{name} -A"), "a name is of one namespace")
                .hint("give the namespace with -n, or leave the name out"));
        }
        let clusters = asked.as_ref().is_some_and(|asked| asked.kinds.iter().all(|kind| !kind.namespaced));
        let namespaces = if clusters { Namespaces::All } else { kubeconfig::namespace(context, place) };
        Ok(Self { asked, namespaces, selector })
    }

    /// What has to be read.
    pub(crate) fn scope(&self) -> Scope {
        let Some(asked) = &self.asked else {
            return Scope { namespace: self.namespace().map(str::to_owned), ..Scope::default() };
        };
        // With a namespace only if every kind has one.
        let one = self.namespace().filter(|_| asked.kinds.iter().all(|kind| kind.namespaced));
        Scope {
            kinds: Some(asked.kinds.iter().map(Discovery::kind_key).collect()),
            namespace: one.map(str::to_owned),
            name: asked.name.clone(),
        }
    }

    fn namespace(&self) -> Option<&str> {
        match &self.namespaces {
            Namespaces::One(namespace) => Some(namespace),
            Namespaces::All => None,
        }
    }

    /// Whether what is in a namespace belongs to it; of the kinds that were asked for, what is in none does.
    pub(crate) fn is_of(&self, namespace: &str) -> bool {
        let clusters = self.asked.is_some() && namespace.is_empty();
        clusters || self.namespace().is_none_or(|one| one == namespace)
    }

    /// Whether an object belongs to it, by its key alone.
    pub(crate) fn wants(&self, key: &ObjectKey) -> bool {
        self.scope().wants(&key.group, &key.resource, &key.namespace, &key.name) && self.is_of(&key.namespace)
    }

    /// Whether labels belong to it.
    pub(crate) fn is_labelled(&self, labels: Option<&Value>) -> bool {
        self.selector.matches(|key| labels?.get(key)?.as_str())
    }

    /// The objects of a view that belong to it, kind by kind.
    pub(crate) fn select<'v>(&self, view: &'v View, kinds: &[Discovery]) -> Vec<&'v Object> {
        let belongs = |object: &Object| {
            self.is_of(&object.row.namespace) && self.is_labelled(object.value.pointer("/metadata/labels"))
        };
        let of = |kind: &Discovery, object: &Object| object.row.kind_key() == kind.kind_key();
        let all = kinds.iter().flat_map(|kind| view.objects.iter().filter(move |object| of(kind, object)));
        all.filter(|object| belongs(object)).collect()
    }

    /// The error for a name that was not there.
    pub(crate) fn not_found(&self, context: &Context<'_>, name: &str, view: &View) -> Failure {
        let kind = self.asked.as_ref().and_then(|asked| asked.kinds.first()).map(kinds::label).unwrap_or_default();
        let (place, option) = match self.namespace() {
            Some(namespace) => (format!(" in namespace {namespace}"), format!(" -n {namespace}")),
            None => (String::new(), String::new()),
        };
        Failure::new(
            format!("{kind} \"{name}\""),
            format!("was not there{place} at {}", context.wall.show(view.moment.time)),
        )
        .hint(format!("hindcast log {kind}/{name}{option} shows when it was"))
    }
}

impl One {
    /// The question of `KIND/NAME`, which `verb` takes one of.
    pub(crate) async fn new(
        context: &Context<'_>,
        (verb, past, then): (&str, &mut Reading<'_>, &Past),
        (kind, name): (&str, Option<&str>),
        place: &Place,
    ) -> Result<Self> {
        let asked = past.asked(then, kind, name).await?;
        let (Some(name), [one]) = (asked.name.clone(), asked.kinds.as_slice()) else {
            return Err(Failure::new(format!("`{kind}`"), format!("{verb} takes one object"))
                .hint("KIND/NAME, as deploy/web; hindcast get lists objects"));
        };
        let kind = one.clone();
        Ok(Self { question: Question::new(context, Some(asked), place, Selector::parse("")?)?, kind, name })
    }

    /// Refuses `-A`, before anything is read.
    pub(crate) fn check(kind: &str, place: &Place) -> Result<()> {
        if !place.all_namespaces {
            return Ok(());
        }
        Err(Failure::new(format!("{kind} -A"), "an object is of one namespace").hint("give the namespace with -n"))
    }
}
