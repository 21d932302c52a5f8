//! Amazon EC2: moto, behind a front that strikes with faults and does what moto leaves out.
//!
//! moto does not page lists of snapshots and shows everything at once; the front pages them as the `DescribeSnapshots`
//! reference says (`MaxResults` from 5 to 1000, `NextToken`), and hides what was made a moment ago, as "Eventual consistency"
//! in the EC2 developer guide warns. Errors have the codes and shape of "Error codes for the Amazon EC2 API".
//!
//! It also gives credentials to who shows a token, as the two ways of a Pod in EKS do: `AssumeRoleWithWebIdentity` of the STS
//! reference (a service account with a role), and the endpoint of "How EKS Pod Identity works". Who asked is written down.
//!
//! One moto serves all tests of a process; each has a front of its own.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Request;
use tokio::sync::OnceCell;
use url::form_urlencoded;

use super::{
    faults::{Fault, Faults, Op},
    serve::{Reply, Server, answer},
};
use crate::real::Moto;

/// The region that the front is in.
pub const REGION: &str = "eu-west-1";
/// The role that a service account may take.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/hindcast";
/// The token of the service account.
pub const TOKEN: &str = "a.token.of-the-testbed";
/// Whose key the taker of the role is given.
pub const ASSUMED: &str = "ASIATAKENBYROLE";
/// Whose key a Pod is given.
pub const OF_POD: &str = "ASIAGIVENTOPOD";

/// A front of the moto of this process.
#[derive(Debug)]
pub struct Ec2 {
    server: Server,
    moto: Upstream,
    faults: Arc<Faults>,
    seen: Arc<Mutex<Seen>>,
}

/// What the front has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Snapshots, and when they were made.
    made: HashMap<String, Instant>,
    /// Whose keys signed requests of EC2.
    signers: BTreeSet<String>,
}

/// moto itself.
#[derive(Clone, Debug)]
struct Upstream {
    client: reqwest::Client,
    url: String,
}

type Form = Vec<(String, String)>;

impl Ec2 {
    /// A front of the moto that all tests share.
    pub async fn start() -> Result<Self> {
        static MOTO: OnceCell<Moto> = OnceCell::const_new();
        let moto = MOTO.get_or_try_init(Moto::start).await?;
        Self::before(moto).await
    }

    /// A front of this moto.
    pub async fn before(moto: &Moto) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let upstream = Upstream { client: reqwest::Client::new(), url: format!("http://127.0.0.1:{}/", moto.port()) };
        let faults = Arc::<Faults>::default();
        let seen = Arc::<Mutex<Seen>>::default();
        let (shared, noted, passed) = (Arc::clone(&faults), Arc::clone(&seen), upstream.clone());
        let server = Server::start(move |request| {
            let (faults, seen, moto) = (Arc::clone(&shared), Arc::clone(&noted), passed.clone());
            async move { front(&faults, &seen, &moto, request).await }
        });
        Ok(Self { server: server.await?, moto: upstream, faults, seen })
    }

    /// What strikes.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Where the front is.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Whose keys signed what it was asked.
    pub fn signers(&self) -> BTreeSet<String> {
        lock(&self.seen).signers.clone()
    }

    /// A new volume of so many GiB.
    pub async fn volume(&self, size: u32, zone: &str) -> Result<String> {
        let size = size.to_string();
        let said = self.moto.ask(&[("Action", "CreateVolume"), ("Size", &size), ("AvailabilityZone", zone)]).await?;
        text(&said, "volumeId").context("moto did not say the volume's id")
    }

    /// A snapshot that somebody else made of it.
    pub async fn foreign(&self, volume: &str) -> Result<String> {
        let said = self.moto.ask(&[("Action", "CreateSnapshot"), ("VolumeId", volume)]).await?;
        text(&said, "snapshotId").context("moto did not say the snapshot's id")
    }

    /// Takes a volume away.
    pub async fn lose(&self, volume: &str) -> Result<()> {
        self.moto.ask(&[("Action", "DeleteVolume"), ("VolumeId", volume)]).await.map(drop)
    }

    /// How many snapshots bear this tag, as moto itself says.
    pub async fn count(&self, tag: &str, value: &str) -> Result<usize> {
        let name = format!("tag:{tag}");
        let asked = [("Action", "DescribeSnapshots"), ("Filter.1.Name", &name), ("Filter.1.Value.1", value)];
        Ok(self.moto.ask(&asked).await?.matches("<snapshotId>").count())
    }

    /// Whether moto has a snapshot of this id.
    pub async fn has(&self, snapshot: &str) -> Result<bool> {
        let asked = [("Action", "DescribeSnapshots"), ("Filter.1.Name", "snapshot-id"), ("Filter.1.Value.1", snapshot)];
        Ok(self.moto.ask(&asked).await?.contains(snapshot))
    }

    /// How many volumes were made from this snapshot, and what moto says of them.
    pub async fn volumes_of(&self, snapshot: &str) -> Result<(usize, String)> {
        let asked = [("Action", "DescribeVolumes"), ("Filter.1.Name", "snapshot-id"), ("Filter.1.Value.1", snapshot)];
        let said = self.moto.ask(&asked).await?;
        Ok((said.matches("<volumeId>").count(), said))
    }
}

impl Upstream {
    /// Asks moto beside the front. It reads the region out of the signature, and does not check that.
    async fn ask(&self, form: &[(&str, &str)]) -> Result<String> {
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=testbed/20260101/{REGION}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        );
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .append_pair("Version", "2016-11-15")
            .finish();
        let request = self.client.post(&self.url).header("authorization", signed);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let said = answer.text().await?;
        ensure!(status.is_success(), "moto: {status} {said}");
        Ok(said)
    }

    /// Passes a request on as it is; its status and answer.
    async fn pass(&self, request: &Request<Bytes>) -> Result<(u16, String)> {
        let mut passed = self.client.request(request.method().clone(), &self.url).body(request.body().clone());
        for (name, value) in request.headers() {
            // The host is moto's view of which service is meant, and the length is the client's to say.
            if name != "content-length" {
                passed = passed.header(name, value);
            }
        }
        let answer = passed.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Credentials for a service account's token.
fn assume(value: &dyn Fn(&str) -> Option<String>, signed: bool) -> Reply {
    let is = |name: &str, wanted: &str| value(name).is_some_and(|value| value == wanted);
    if signed || !is("Version", "2011-06-15") || !is("RoleArn", ROLE) || value("RoleSessionName").is_none() {
        return refused(400, "ValidationError", "the request is not as the reference has it");
    }
    if !is("WebIdentityToken", TOKEN) {
        return refused(400, "InvalidIdentityToken", "The web identity token could not be validated.");
    }
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{ASSUMED}</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    );
    Reply::Answer(answer(200, "text/xml", body))
}

/// Credentials for a Pod's token.
fn of_pod(shown: Option<&str>) -> Reply {
    if shown != Some(TOKEN) {
        return Reply::Answer(answer(401, "application/json", "{\"message\": \"the token is not known\"}"));
    }
    let body = format!(
        "{{\"AccessKeyId\": \"{OF_POD}\", \"SecretAccessKey\": \"s\", \"Token\": \"t\", \
         \"Expiration\": \"2999-01-01T00:00:00Z\"}}"
    );
    Reply::Answer(answer(200, "application/json", body))
}

async fn front(faults: &Faults, seen: &Mutex<Seen>, moto: &Upstream, request: Request<Bytes>) -> Reply {
    let form: Form = form_urlencoded::parse(request.body()).into_owned().collect();
    let value = |name: &str| form.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str());
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if request.method() == "GET" {
        return match request.uri().path() {
            "/v1/credentials" => of_pod(header("authorization")),
            _ => refused(404, "NotFound", "there is nothing there"),
        };
    }
    let signer = header("authorization").and_then(|signed| signed.split_once("Credential=")?.1.split('/').next());
    if value("Action") == Some("AssumeRoleWithWebIdentity") {
        return assume(&|name| value(name).map(str::to_owned), signer.is_some());
    }
    let Some(signer) = signer else {
        return refused(401, "AuthFailure", "the request is not signed");
    };
    // Temporary keys are nothing without their token.
    if signer.starts_with("ASIA") != header("x-amz-security-token").is_some() {
        return refused(401, "AuthFailure", "the key and the session's token do not belong together");
    }
    lock(seen).signers.insert(signer.to_owned());
    let op = match value("Action").unwrap_or_default() {
        "CreateSnapshot" => Op::Create,
        "DescribeSnapshots" if value("SnapshotId.1").is_some() => Op::Look,
        "DescribeSnapshots" => Op::List,
        "DeleteSnapshot" => Op::Delete,
        "CreateVolume" => Op::Make,
        "DescribeVolumes" => Op::Disk,
        "DeleteVolume" => Op::Remove,
        other => return refused(400, "InvalidAction", &format!("the front does not know {other:?}")),
    };
    let fault = faults.strike(op);
    match fault {
        Some(Fault::Throttled(_)) if op == Op::Create => {
            return refused(400, "SnapshotCreationPerVolumeRateExceeded", "the maximum rate is exceeded");
        }
        Some(Fault::Throttled(_)) => return refused(503, "RequestLimitExceeded", "Request limit exceeded."),
        Some(Fault::Broken) => return refused(500, "InternalError", "An internal error has occurred"),
        Some(Fault::Unknown) => return refused(401, "AuthFailure", "AWS was not able to validate the credentials"),
        Some(Fault::Forbidden) => return refused(403, "UnauthorizedOperation", "You are not authorized."),
        Some(Fault::Quota) => return refused(400, "SnapshotLimitExceeded", "the limit of snapshots is reached"),
        Some(Fault::Cut) => return Reply::Cut,
        Some(Fault::Lost) | None => {}
    }
    let hidden = |id: &str| lock(seen).made.get(id).is_some_and(|at| at.elapsed() < faults.late());
    if op == Op::Look && value("SnapshotId.1").is_some_and(hidden) {
        return refused(400, "InvalidSnapshot.NotFound", "The snapshot does not exist.");
    }
    let (status, mut said) = match moto.pass(&request).await {
        Ok(answer) => answer,
        Err(error) => return refused(502, "Unavailable", &format!("moto does not answer: {error:#}")),
    };
    if op == Op::Create && status == 200 {
        let id = text(&said, "snapshotId").unwrap_or_default();
        lock(seen).made.insert(id, Instant::now());
    }
    if op == Op::List && status == 200 {
        said = match paged(&said, value("MaxResults"), value("NextToken"), hidden) {
            Ok(said) => said,
            Err(reason) => return refused(400, "InvalidParameterValue", &reason),
        };
    }
    match fault {
        Some(Fault::Lost) => Reply::Cut,
        _ => Reply::Answer(answer(status, "text/xml", said)),
    }
}

/// One page of a list, without what is not shown yet.
fn paged(
    said: &str,
    most: Option<&str>,
    token: Option<&str>,
    hidden: impl Fn(&str) -> bool,
) -> std::result::Result<String, String> {
    const FIRST: &str = "<item><tagSet";
    let begin = said.find(FIRST);
    let Some((head, rest)) = begin.map(|at| said.split_at(at)) else {
        return Ok(said.to_owned());
    };
    let (items, tail) = rest.split_once("</snapshotSet>").ok_or("moto's answer has no snapshotSet")?;
    let items = items.split(FIRST).skip(1).map(|item| format!("{FIRST}{item}"));
    let items = items.filter(|item| text(item, "snapshotId").is_none_or(|id| !hidden(&id)));
    let items: Vec<String> = items.collect();
    let most = match most {
        None => items.len(),
        Some(most) => {
            most.parse().ok().filter(|most| (5..=1000).contains(most)).ok_or("MaxResults is from 5 to 1000")?
        }
    };
    let from = match token {
        None => 0,
        Some(token) => token.strip_prefix("page-").and_then(|n| n.parse().ok()).ok_or("NextToken is not ours")?,
    };
    let page: String = items.iter().skip(from).take(most).map(String::as_str).collect();
    let next =
        if from + most < items.len() { format!("<nextToken>page-{}</nextToken>", from + most) } else { String::new() };
    Ok(format!("{head}{page}</snapshotSet>{next}{tail}"))
}

/// The text of the first element of this name.
fn text(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
    );
    Reply::Answer(answer(status, "text/xml", body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_paged_and_what_is_new_is_hidden() {
        let item = |id: usize| {
            format!("<item><tagSet><item><key>k</key></item></tagSet><snapshotId>s{id}</snapshotId></item>")
        };
        let said = format!(
            "<R><snapshotSet>{}</snapshotSet><requestId>r</requestId></R>",
            (0..7).map(item).collect::<String>()
        );
        let first = paged(&said, Some("5"), None, |id| id == "s0").expect("it is a page");
        assert_eq!(first.matches("<snapshotId>").count(), 5);
        assert!(first.ends_with("</snapshotSet><nextToken>page-5</nextToken><requestId>r</requestId></R>"), "{first}");
        let second = paged(&said, Some("5"), Some("page-5"), |id| id == "s0").expect("it is a page");
        assert!(second.contains("s6") && !second.contains("nextToken") && !second.contains("s0"), "{second}");
        assert!(paged(&said, Some("3"), None, |_| false).is_err());
    }
}
