//! Which region a bucket is in, where S3 sends a request elsewhere: it says so in a header, of which the store's client keeps nothing.

use async_trait::async_trait;
use http::StatusCode;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
        ReqwestConnector,
    },
};

/// Says where the bucket is.
const REGION: &str = "x-amz-bucket-region";

/// Makes clients that hand on the region with a refusal.
#[derive(Debug)]
pub(super) struct Regional;

#[derive(Debug)]
struct Told(HttpClient);

impl HttpConnector for Regional {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Told(ReqwestConnector::default().connect(options)?)))
    }
}

#[async_trait]
impl HttpService for Told {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await?;
        let status = answer.status();
        let elsewhere = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        let region = answer.headers().get(REGION).filter(|_| elsewhere).and_then(|region| region.to_str().ok());
        let Some(region) = region.filter(|region| region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')) else {
            return Ok(answer);
        };
        let said = format!("<Error><Code>PermanentRedirect</Code><Region>{region}</Region></Error>");
        let mut told = HttpResponse::new(HttpResponseBody::from(said));
        *told.status_mut() = StatusCode::BAD_REQUEST;
        Ok(told)
    }
}
