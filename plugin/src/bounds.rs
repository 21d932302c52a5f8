//! The bytes of an answer, before anything is made of them.
//!
//! **Invariants.**
//! 1. No more bytes are taken in than an answer of its call may have ([`Method::largest`]), and no room is made for more
//!    than have come: what an answer announces is looked at first ([`Bounded`]).
//! 2. No more things are made of them than a right answer has. Of bytes that each say "one more, and it is empty", things
//!    would come that take a hundred times their room ([`Counted`]).
//! 3. The details of a status are dropped unread, wherever they stand: the protocol has none, and the library below
//!    panics at those that are not as they should be ([`DETAILS`]).
//!
//! Not here: what an answer says ([`crate::check`]).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body::Frame;
use prost::Message;
use tonic::{
    Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder},
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::wire::Method;

/// Where the details of a status stand.
const DETAILS: &str = "grpc-status-details-bin";

/// What stands before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// How many fields an answer has at most, each thing of a list being one.
const FIELDS: usize = 1000;

/// Why an answer was not taken in. Nothing of it can be known, so it is a wrong one.
#[derive(Debug)]
pub(crate) struct Beyond(String);

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Beyond {}

/// A connection whose answers are kept within the bounds of one call.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    channel: Channel,
    largest: usize,
}

impl Bounds {
    /// For this call.
    pub(crate) fn of(channel: Channel, method: Method) -> Self {
        Self { channel, largest: method.largest() }
    }
}

impl Service<Request<Body>> for Bounds {
    type Response = Response<Bounded>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, largest) = (self.channel.call(request), self.largest);
        Box::pin(async move {
            let (mut head, body) = answer.await?.into_parts();
            head.headers.remove(DETAILS);
            Ok(Response::from_parts(head, Bounded { body, head: Vec::new(), taken: 0, largest }))
        })
    }
}

/// An answer as it comes in.
pub(crate) struct Bounded {
    body: Body,
    /// What has come of what stands before the message.
    head: Vec<u8>,
    taken: usize,
    largest: usize,
}

impl Bounded {
    /// Takes the next bytes, unless they are too many or announce too many.
    fn take(&mut self, data: &[u8]) -> Result<(), Beyond> {
        let missing = HEAD.saturating_sub(self.head.len());
        self.head.extend(data.iter().take(missing));
        if let [_, length @ ..] = self.head.as_slice()
            && let Ok(length) = <[u8; 4]>::try_from(length)
            && u32::from_be_bytes(length) as usize > self.largest
        {
            let announced = u32::from_be_bytes(length);
            return Err(Beyond(format!("{announced} bytes, more than the {} it may have", self.largest)));
        }
        self.taken = self.taken.saturating_add(data.len());
        match self.taken > self.largest.saturating_add(HEAD) {
            true => Err(Beyond(format!("more than the {} bytes it may have", self.largest))),
            false => Ok(()),
        }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let mut frame = frame?;
        if let Some(data) = frame.data_ref() {
            self.take(data)?;
        }
        if let Some(trailers) = frame.trailers_mut() {
            trailers.remove(DETAILS);
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Messages as the protocol has them, of which no answer has more fields than it may.
pub(crate) struct Counting<Q, A>(ProstCodec<Q, A>);

impl<Q, A> Default for Counting<Q, A> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<Q, A> Codec for Counting<Q, A>
where
    Q: Message + Send + 'static,
    A: Message + Default + Send + 'static,
{
    type Encode = Q;
    type Decode = A;
    type Encoder = <ProstCodec<Q, A> as Codec>::Encoder;
    type Decoder = Counted<<ProstCodec<Q, A> as Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Counted(self.0.decoder())
    }
}

/// Decodes what was counted first.
pub(crate) struct Counted<D>(D);

impl<D: Decoder<Error = Status>> Decoder for Counted<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let fields = fields(buffer.chunk());
        if fields > FIELDS {
            let beyond = Beyond(format!("{fields} fields, more than the {FIELDS} it may have"));
            return Err(Status::from_error(Box::new(beyond)));
        }
        self.0.decode(buffer)
    }
}

/// How many fields a message has. What is none ends the count: nothing is made of it either.
fn fields(mut message: &[u8]) -> usize {
    let mut count = 0;
    while let Some(key) = number(&mut message) {
        count += 1;
        let length = match key & 7 {
            0 => number(&mut message).map(|_| 0),
            1 => Some(8),
            2 => number(&mut message),
            5 => Some(4),
            _ => None,
        };
        let rest = length.and_then(|length| message.get(usize::try_from(length).ok()?..));
        let Some(rest) = rest else { break };
        message = rest;
    }
    count
}

/// The number that a message begins with, taken from it.
fn number(message: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CreateOutcome, CreateResponse, HandshakeResponse, ListResponse};

    #[test]
    fn fields_are_counted_as_they_stand() {
        let many = CreateResponse { outcomes: vec![CreateOutcome::default(); 5000] };
        assert_eq!(fields(&many.encode_to_vec()), 5000);
        let met = HandshakeResponse { version: 1, versions: vec![1, 2], name: "a".into(), ..Default::default() };
        assert_eq!(fields(&met.encode_to_vec()), 3, "numbers of one field stand together");
        let list = ListResponse { taken: vec![], next_page_token: "\u{8}\u{8}".into() };
        assert_eq!(fields(&list.encode_to_vec()), 1, "what stands in a text is none");
        assert_eq!((fields(&[]), fields(&[0xff; 20]), fields(&[10, 200])), (0, 0, 1), "what ends early ends");
    }

    #[test]
    fn what_is_announced_or_comes_is_no_more_than_it_may_be() {
        let bounded = |largest| Bounded { body: Body::empty(), head: Vec::new(), taken: 0, largest };
        let mut fits = bounded(3);
        assert!(fits.take(&[0, 0]).is_ok() && fits.take(&[0, 0, 3, 1, 1, 1]).is_ok());
        assert!(fits.take(&[1]).unwrap_err().to_string().contains("more than the 3 bytes"));
        let mut split = bounded(3);
        assert!(split.take(&[0, 0, 0, 0]).is_ok());
        assert!(split.take(&[4]).unwrap_err().to_string().contains("4 bytes, more than the 3"));
    }
}
