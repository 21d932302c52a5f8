//! How keys, values and cuts are written down in JSON, for `#[serde(with = …)]`.

/// An object's key, as a map.
pub(crate) mod key {
    use hindcast_journal::fold::ObjectKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Form {
        group: String,
        resource: String,
        namespace: String,
        name: String,
    }

    pub(crate) fn serialize<S: Serializer>(key: &ObjectKey, to: S) -> Result<S::Ok, S::Error> {
        let ObjectKey { namespace, group, resource, name } = key.clone();
        Form { group, resource, namespace, name }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectKey, D::Error> {
        let Form { group, resource, namespace, name } = Form::deserialize(from)?;
        Ok(ObjectKey { namespace, group, resource, name })
    }
}

/// A value that may be missing, as the JSON that it is.
pub(crate) mod value {
    use hindcast_journal::exact::Value;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    // A field that is there and `null` differs from one that is missing.
    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Value>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(|v| [v.to_serde()]).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        let value: Option<[serde_json::Value; 1]> = Option::deserialize(from)?;
        Ok(value.map(|[v]| Value::from_serde(&v)))
    }
}

/// A cut, as a map from domain to incarnation and revision.
pub(crate) mod cut {
    use std::collections::BTreeMap;

    use hindcast_journal::cut::{Cut, CutPoint};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(cut: &Cut, to: S) -> Result<S::Ok, S::Error> {
        let points = cut.domains.iter().map(|(domain, p)| (domain.clone(), (p.incarnation, p.rv)));
        points.collect::<BTreeMap<_, _>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Cut, D::Error> {
        let points: BTreeMap<String, (u32, u64)> = BTreeMap::deserialize(from)?;
        let point = |(domain, (incarnation, rv))| (domain, CutPoint { incarnation, rv });
        Ok(Cut { domains: points.into_iter().map(point).collect() })
    }
}

/// A map from objects, as a list of pairs.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use hindcast_journal::fold::ObjectKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Given<'a, V>(#[serde(with = "super::key")] &'a ObjectKey, &'a V);

    #[derive(Deserialize)]
    struct Taken<V>(#[serde(with = "super::key")] ObjectKey, V);

    pub(crate) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<ObjectKey, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter().map(|(key, value)| Given(key, value)))
    }

    pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<ObjectKey, V>, D::Error> {
        let pairs: Vec<Taken<V>> = Vec::deserialize(from)?;
        Ok(pairs.into_iter().map(|Taken(key, value)| (key, value)).collect())
    }
}
