use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult,
    memory::InMemory,
};

use super::*;
use crate::{
    error::Outage,
    parts::{BoxFuture, Clock, Micros, Random},
};

/// Time that passes when it is waited for.
#[derive(Debug, Default)]
struct Waited(Arc<AtomicU64>);

impl Clock for Waited {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed) as Micros
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let passed = self.0.clone();
        Box::pin(async move { _ = passed.fetch_add(duration.as_micros() as u64, Ordering::Relaxed) })
    }
}

#[derive(Debug)]
struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// A store that answers some requests with errors first.
#[derive(Debug)]
struct Ailing {
    memory: InMemory,
    /// The errors to come.
    errors: Mutex<Vec<&'static str>>,
    /// How many names a listing brings before it fails, if an error is to come.
    page: usize,
    requests: AtomicU64,
}

impl fmt::Display for Ailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ailing")
    }
}

impl Ailing {
    fn next(&self) -> object_store::Result<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.errors.lock().expect("no holder panics").pop().map_or(Ok(()), |text| Err(answered(text)))
    }
}

#[async_trait::async_trait]
impl ObjectStore for Ailing {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.next()?;
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(answered("none"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.next()?;
        self.memory.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        Box::pin(futures::stream::once(async { Err(answered("none")) }))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.list_with_offset(prefix, &Path::default())
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        use futures::StreamExt as _;
        let all = self.memory.list_with_offset(prefix, offset);
        match self.next() {
            Ok(()) => all,
            Err(e) => all.take(self.page).chain(futures::stream::once(async { Err(e) })).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(answered("none"))
    }
}

fn answered(text: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: text.into() }
}

fn parts() -> Parts {
    Parts { clock: Arc::new(Waited::default()), random: Arc::new(Zeros) }
}

/// A store in which the facts `there` stand, and which fails with these errors first.
async fn ailing(there: impl IntoIterator<Item = u64>, errors: &[&'static str]) -> (Store, Arc<Ailing>) {
    let ailing =
        Arc::new(Ailing { memory: InMemory::new(), errors: Mutex::default(), page: PAGE, requests: AtomicU64::new(0) });
    let store = Store::new(ailing.clone(), Layout::new(&Path::from("p"), "uid"), parts());
    for n in there {
        store.create(&store.layout().meta("fact", n), Bytes::from(n.to_string())).await.expect("is created");
    }
    *ailing.errors.lock().expect("no holder panics") = errors.iter().rev().copied().collect();
    ailing.requests.store(0, Ordering::Relaxed);
    (store, ailing)
}

#[tokio::test]
async fn the_newest_of_any_number_of_names_is_found_in_a_few_dozen_questions() {
    for newest in [0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 4000] {
        let (store, ailing) = ailing(1..=newest, &[]).await;
        let name = |n| store.layout().meta("fact", n);
        assert_eq!(store.newest(name, 0).await.expect("is found"), newest);
        let asked = ailing.requests.load(Ordering::Relaxed);
        assert!(asked <= 80, "{newest}: {asked} requests");
        for known in [newest / 2, newest.saturating_sub(1), newest] {
            assert_eq!(store.newest(name, known).await.expect("is found"), newest, "from {known}");
        }
        let fact = store.newest_fact("fact").await.expect("is read");
        assert_eq!(fact, (newest > 0).then(|| (newest, Bytes::from(newest.to_string()))));
    }
}

#[tokio::test]
async fn the_newest_fact_is_found_when_the_oldest_are_gone() {
    let (store, _) = ailing(70..=90, &[]).await;
    let fact = store.newest_fact("fact").await.expect("is read");
    assert_eq!(fact.map(|(n, _)| n), Some(90));
}

#[tokio::test]
async fn a_store_in_which_any_name_is_there_is_refused() {
    let (store, _) = ailing([1], &[]).await;
    let one = store.layout().meta("fact", 1);
    let error = store.newest(|_| one.clone(), 0).await.expect_err("there is no end");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn a_listing_goes_on_behind_the_page_that_came() {
    let broken = "connection reset";
    // More failures than one request is given: each page that comes is progress.
    let (store, ailing) = ailing(1..=6500, &[broken; 6]).await;
    let listed = store.list(&store.layout().metas("fact"), None).await.expect("is listed");
    let numbers: Vec<u64> = listed.iter().filter_map(|l| Layout::number(&l.path)).collect();
    assert_eq!(numbers, (1..=6500).collect::<Vec<u64>>());
    assert_eq!(ailing.requests.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn a_busy_store_is_waited_for_and_a_hiccup_passes_but_a_wrong_address_is_told_at_once() {
    let busy = "Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code></Error>";
    let (store, _) = ailing([1], &[busy; 12]).await;
    let path = store.layout().meta("fact", 1);
    store.get(&path).await.expect("it asked for fewer requests a dozen times, and then answered");
    assert!(store.parts().clock.monotonic() > Duration::from_secs(5), "{:?}", store.parts().clock);

    let (store, ailing) = ailing([1], &[busy; 1000]).await;
    let error = store.get(&path).await.expect_err("busy for ever");
    assert_eq!((error.kind(), error.outage()), (ErrorKind::Unavailable, Outage::Busy));
    assert!(store.parts().clock.monotonic() >= Duration::from_secs(30), "{:?}", store.parts().clock);
    assert!(ailing.requests.load(Ordering::Relaxed) < 40, "with growing pauses");

    let (store, ailing) = self::ailing([1], &["connection reset"; 3]).await;
    store.get(&path).await.expect("three in a row pass");
    assert_eq!(ailing.requests.load(Ordering::Relaxed), 4);

    let refused = "error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)";
    let (store, ailing) = self::ailing([1], &[refused; 3]).await;
    let error = store.get(&path).await.expect_err("nobody is there");
    assert_eq!((error.outage(), ailing.requests.load(Ordering::Relaxed)), (Outage::Unreached, 1));
}

#[test]
fn each_cause_that_needs_a_hand_has_a_remedy_of_its_own() {
    let status = |status: &str, body: &str| {
        format!("Error performing PUT http://s in 2ms - Server returned non-2xx status code: {status}: {body}")
    };
    let code = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    let message = |text: &str| format!("<Error><Code>c</Code><Message>{text}</Message></Error>");
    let page = "<!DOCTYPE HTML><HTML><body>log in</body></HTML>";
    let rows = [
        (status("403 Forbidden", &code("RequestTimeTooSkewed")), ErrorKind::Refused, "clock"),
        (status("400 Bad Request", &code("ExpiredToken")), ErrorKind::Denied, "renew"),
        (status("403 Forbidden", &code("SignatureDoesNotMatch")), ErrorKind::Denied, "credentials"),
        (status("404 Not Found", &code("NoSuchBucket")), ErrorKind::Refused, "make the bucket"),
        (status("301 Moved Permanently", ""), ErrorKind::Refused, "AWS_REGION"),
        (status("307 Temporary Redirect", ""), ErrorKind::Refused, "AWS_REGION"),
        (status("400 Bad Request", &code("AuthorizationHeaderMalformed")), ErrorKind::Refused, "AWS_REGION"),
        (
            status(
                "400 Bad Request",
                "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
            ),
            ErrorKind::Refused,
            "region=eu-west-1",
        ),
        (status("403 Forbidden", &code("SecondLevelDomainForbidden")), ErrorKind::Refused, "s3ForcePathStyle=false"),
        (
            status("400 Bad Request", &message("Content-MD5 OR x-amz-checksum- HTTP header is required")),
            ErrorKind::Refused,
            "checksumAlgorithm=SHA256",
        ),
        (
            status("400 Bad Request", &message("The object was stored using a form of Server Side Encryption.")),
            ErrorKind::Refused,
            "customerKeyEncryptionFile",
        ),
        (status("400 Bad Request", &code("KMS.NotFoundException")), ErrorKind::Refused, "kmsKeyId"),
        (
            status("501 Not Implemented", "<Error><Code>NotImplemented</Code><Header>x-amz-tagging</Header></Error>"),
            ErrorKind::Refused,
            "`tagging`",
        ),
        (status("403 Forbidden", &code("InvalidAccessKeyId")), ErrorKind::Denied, "session's token"),
        (
            status("403 Forbidden", &message("Not authorized to perform sts:AssumeRoleWithWebIdentity")),
            ErrorKind::Denied,
            "trust policy",
        ),
        (
            status("400 Bad Request", "{\"error_description\": \"AADSTS700016: no such application\"}"),
            ErrorKind::Denied,
            "federated-credential",
        ),
        (status("400 Bad Request", "{\"error\": \"invalid_grant\"}"), ErrorKind::Denied, "workloadIdentityUser"),
        (
            "Error performing PUT http://169.254.169.254/latest/api/token in 3s - HTTP error: error sending request"
                .to_owned(),
            ErrorKind::Unavailable,
            "give credentials in the environment",
        ),
        ("Received redirect without LOCATION, this normally indicates".to_owned(), ErrorKind::Refused, "AWS_REGION"),
        (status("501 Not Implemented", &code("NotImplemented")), ErrorKind::Refused, "If-None-Match"),
        (status("200 OK", page), ErrorKind::Refused, "NO_PROXY"),
        (status("403 Forbidden", page), ErrorKind::Refused, "NO_PROXY"),
        (status("502 Bad Gateway", page), ErrorKind::Unavailable, "NO_PROXY"),
        ("Got invalid list response: unexpected `html`".to_owned(), ErrorKind::Refused, "NO_PROXY"),
        ("builder error: URL scheme is not allowed".to_owned(), ErrorKind::Refused, "AWS_ALLOW_HTTP"),
        (status("400 Bad Request", "Client sent an HTTP request to an HTTPS server."), ErrorKind::Refused, "https://"),
        (
            "client error (Connect): received corrupt message of type InvalidContentType".to_owned(),
            ErrorKind::Refused,
            "http://",
        ),
        (
            "client error (Connect): invalid peer certificate: UnknownIssuer".to_owned(),
            ErrorKind::Refused,
            "AWS_CA_BUNDLE",
        ),
        ("invalid peer certificate: certificate not valid for name \"s\"".to_owned(), ErrorKind::Refused, "by a name"),
        ("invalid peer certificate: Expired".to_owned(), ErrorKind::Refused, "renew"),
        (status("507 Insufficient Storage", &code("XMinioStorageFull")), ErrorKind::Refused, "make room"),
        (status("429 Too Many Requests", ""), ErrorKind::Unavailable, "rate"),
        (
            "client error (Connect): dns error: failed to lookup".to_owned(),
            ErrorKind::Unavailable,
            "check that the store is up",
        ),
        (
            status("500 Internal Server Error", &code("InternalError")),
            ErrorKind::Unavailable,
            "check that the store is up",
        ),
    ];
    for (text, kind, remedy) in rows {
        let generic = object_store::Error::Generic { store: "S3", source: text.clone().into() };
        let error = convert(&Path::from("p/x"), generic);
        assert_eq!(error.kind(), kind, "{text}");
        assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{text}: {:?}", error.hint());
        assert!(!Error::causes(&error).contains("log in"), "a page is not printed: {}", Error::causes(&error));
        assert!(error.to_string().starts_with("p/x: "), "{error}");
    }
    // What the library sorts by its status hides the same causes.
    let denied =
        |text: &str| object_store::Error::PermissionDenied { path: "x".into(), source: text.to_owned().into() };
    let error = convert(&Path::from("x"), denied(&status("403 Forbidden", &code("RequestTimeTooSkewed"))));
    assert!(error.kind() == ErrorKind::Refused && error.hint().is_some_and(|hint| hint.contains("clock")), "{error}");
    let error = convert(&Path::from("x"), denied(&status("403 Forbidden", &code("AccessDenied"))));
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Denied, "x: the store refused permission"));
}

#[test]
fn what_a_store_tells_back_of_credentials_is_in_no_error() {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>m &lt; n</Message><AWSAccessKeyId>planted</AWSAccessKeyId>\
                <StringToSign>AWS4-HMAC-SHA256 planted</StringToSign><SignatureProvided>planted</SignatureProvided>\
                <CanonicalRequest>PUT /b/k x-amz-security-token:planted x-amz-server-side-encryption-customer-key:planted\
                </CanonicalRequest><Token-0>planted</Token-0><RequestId>R1</RequestId><CanonicalRequestBytes>planted";
    let text = format!("Error performing PUT http://s - Server returned non-2xx status code: 403 Forbidden: {body}");
    let source = || text.clone().into();
    for error in [
        object_store::Error::Generic { store: "S3", source: source() },
        object_store::Error::PermissionDenied { path: "x".into(), source: source() },
        object_store::Error::Unauthenticated { path: "x".into(), source: source() },
        object_store::Error::NotSupported { source: source() },
    ] {
        let error = convert(&Path::from("p/x"), error);
        let told = format!("{} {error} {error:?} {}", Error::causes(&error), error.told());
        assert!(!told.contains("planted"), "{told}");
        assert!(told.contains("RequestId") || error.kind() != ErrorKind::Denied, "the rest is told: {told}");
    }
    let whole = text_of("<Error><Code>SlowDown</Code><RequestId>R1</RequestId></Error> a < b > c");
    assert!(whole.contains("<RequestId>R1</RequestId></Error> a < b > c"), "{whole}");
}

/// What is told of an answer.
fn text_of(text: &str) -> String {
    Error::causes(&convert(&Path::from("p/x"), object_store::Error::Generic { store: "S3", source: text.into() }))
}

#[tokio::test]
async fn the_newest_fact_is_found_again_with_two_requests_and_also_where_the_bucket_went_back() {
    let (store, ailing) = ailing(1..=300, &[]).await;
    let asked = async || {
        ailing.requests.store(0, Ordering::Relaxed);
        let found = store.newest_fact("fact").await.expect("is read").map(|(n, _)| n);
        (found, ailing.requests.load(Ordering::Relaxed))
    };
    assert!(matches!(asked().await, (Some(300), 10..=80)));
    assert_eq!(asked().await, (Some(300), 2));
    store.create(&store.layout().meta("fact", 301), Bytes::from_static(b"301")).await.expect("is created");
    assert!(matches!(asked().await, (Some(301), 2..=12)));
    assert_eq!(asked().await, (Some(301), 2));
    for n in 200..=301 {
        ailing.memory.delete(&store.layout().meta("fact", n)).await.expect("is removed");
    }
    assert!(matches!(asked().await, (Some(199), _)), "an older copy is in its place");
    assert_eq!(asked().await, (Some(199), 2));
}
